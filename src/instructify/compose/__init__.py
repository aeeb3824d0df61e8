"""From a rendered row to an example of one variant: answer options, reasoning, exemplars, token budget."""
