"""instructify: instruction data that can be trusted."""
