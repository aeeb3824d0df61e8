"""Linting what lies on disk: finds templates, opens the rows they are for, loads a tokenizer."""

from instructify.lint_run.find import Batch, check_data_root, from_collection, from_paths, from_recipe
from instructify.lint_run.run import Options, run
from instructify.lint_run.tokenizer import load_tokenizer

__all__ = [
    "Batch",
    "Options",
    "check_data_root",
    "from_collection",
    "from_paths",
    "from_recipe",
    "load_tokenizer",
    "run",
]
