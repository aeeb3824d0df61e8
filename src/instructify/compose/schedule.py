"""Which variant a place of a template's row order gets: exact shares in every prefix, whatever the quota."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from math import gcd

import numpy as np

from instructify.keys import I64
from instructify.recipe.variants import Variant
from instructify.templates.model import Template


def supports(template: Template, variant: Variant) -> bool:
    """Tell whether a template can be composed in a variant."""
    if variant.reasoning != "none" and template.rationale is None:
        return False
    needs_options = variant.options == "hidden" or variant.answer_by_marker
    return template.options_marks > 0 or not needs_options


def variants_of(template: Template, variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """Return the variants that a template can be composed in."""
    return tuple(variant for variant in variants if supports(template, variant))


def schedule(shares: Sequence[int], places: I64) -> I64:
    """Return for each place the index of its variant.

    The first n places hold the n-seat apportionment of Webster's method (Sainte-Laguë, divisors 1, 3, 5...),
    which adds one seat at a time and never takes one back: so the shares of every prefix are as exact as
    whole numbers can be, and no place changes its variant when the quota grows. The schedule repeats itself
    after as many places as the shares add up to.
    """
    period = _period(tuple(shares))
    return period[places % len(period)]


def counts(shares: Sequence[int], low: int, high: int) -> list[int]:
    """Return how many of the places [low, high) each variant gets."""
    period = _period(tuple(shares))
    size = len(period)

    def before(end: int) -> I64:
        whole, rest = divmod(end, size)
        each = np.bincount(period, minlength=len(shares)) * whole
        counted: I64 = each + np.bincount(period[:rest], minlength=len(shares))
        return counted

    found: list[int] = (before(high) - before(low)).tolist()
    return found


@lru_cache(maxsize=64)
def _period(shares: tuple[int, ...]) -> I64:
    """Return the variants of the first places, as many as the smallest whole shares add up to.

    A share w wins its seats in the order of (2s + 1) / w, s = 0, 1, 2... Fractions of numbers so small are
    equal as floats if and only if they are equal; of equal ones the first variant wins.
    """
    weights = np.array(shares, np.int64) // reduce(gcd, shares)
    owners = np.repeat(np.arange(len(weights)), weights)
    seats = np.arange(len(owners)) - np.repeat(np.cumsum(weights) - weights, weights)
    order: I64 = owners[np.lexsort((owners, (2 * seats + 1) / weights[owners]))]
    return order
