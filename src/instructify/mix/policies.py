"""Policies: from the number of examples that tasks offer to the weights by which they share a mixture."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from fnmatch import fnmatchcase
from fractions import Fraction

from instructify.recipe.mixture import Sharing

_PRECISE = Context(prec=40)


def rate(sharing: Sharing, count: int, weight: float | None = None) -> Fraction:
    """Return the mixing rate of a task or group that offers `count` examples; only ratios matter.

    proportional    min(n, K)          examples-proportional mixing with an artificial limit K, `rate_cap`
                                       (Raffel et al. 2020, "Exploring the limits of transfer learning",
                                       section 3.5.2; without K: proportional to size)
    temperature     min(n, K)^(1/T)    the same, section 3.5.2; clipped first and then raised, as in
                                       `mixing_rate_num_examples` of google/seqio@b898b9f, seqio/utils.py
    equal           1                  the same, section 3.5.2: T against infinity
    weights         w                  as the recipe says

    Whatever offers nothing has the rate 0. The power is computed in decimal arithmetic of 40 digits, which
    is the same on every machine.
    """
    if not count:
        return Fraction(0)
    n = count if sharing.rate_cap is None else min(count, sharing.rate_cap)
    if sharing.policy == "proportional":
        return Fraction(n)
    if sharing.policy == "equal":
        return Fraction(1)
    if sharing.policy == "temperature":
        exponent = _PRECISE.divide(Decimal(1), Decimal(str(sharing.temperature)))
        return Fraction(_PRECISE.power(Decimal(n), exponent))
    return exact(weight or 0)


def weight_of(weights: Mapping[str, float], task: str) -> float | None:
    """Return the weight that a recipe gives a task: by its name, or by the first pattern that fits."""
    if task in weights:
        return weights[task]
    return next((weight for pattern, weight in weights.items() if fnmatchcase(task, pattern)), None)


def exact(number: float) -> Fraction:
    """Return a number as it is written: 0.1 is a tenth."""
    return Fraction(str(number))
