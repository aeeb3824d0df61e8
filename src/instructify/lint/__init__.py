"""Lint: rules on a template's text, on what it makes of sample rows, and on how a tokenizer reads that."""

from instructify.lint.engine import Finding, lint
from instructify.lint.table import RULES, Rule

__all__ = ["RULES", "Finding", "Rule", "lint"]
