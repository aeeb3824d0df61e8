"""Paired comparisons over templates and documents: spreads, bootstrap intervals, power, baselines.

Scores are arrays of shape (templates, documents), one number from 0 to 1 a cell, NaN where a document was
not scored under a template.
"""

from instructify.stats.baselines import majority, random_chance
from instructify.stats.change import Change, Spread, UnpairableError, compare, spread, template_scores
from instructify.stats.datasets import Macro, holm, macro

__all__ = [
    "Change",
    "Macro",
    "Spread",
    "UnpairableError",
    "compare",
    "holm",
    "macro",
    "majority",
    "random_chance",
    "spread",
    "template_scores",
]
