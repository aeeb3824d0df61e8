"""What other tools read of a build or a run."""
