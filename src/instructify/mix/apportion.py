"""Apportionment: whole numbers that sum exactly, in proportion to weights, within limits."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import lcm

Weights = Mapping[str, int | Fraction]


def largest_remainder(total: int, weights: Weights) -> dict[str, int]:
    """Return integers that sum to `total` and are in proportion to `weights`, each off by less than one.

    Hamilton's method: every name gets the whole part of its exact share total · w / Σw, and what is left goes
    one by one to the largest fractional parts; ties go to the name that sorts first. Without any weight
    nobody gets anything.

    >>> largest_remainder(10, {"a": 33, "b": 33, "c": 34})
    {'a': 3, 'b': 3, 'c': 4}
    """
    scale = lcm(*(weight.denominator for weight in weights.values()))
    whole = {name: int(weight * scale) for name, weight in weights.items()}
    weight = sum(whole.values())
    if not weight:
        return dict.fromkeys(weights, 0)
    shares = {name: total * w // weight for name, w in whole.items()}
    left = total - sum(shares.values())
    by_remainder = sorted(whole, key=lambda name: (-(total * whole[name] % weight), name))
    for name in by_remainder[:left]:
        shares[name] += 1
    return shares


def fill(total: int, weights: Weights, limits: Mapping[str, int]) -> dict[str, int]:
    """Return integers that sum to `total`, or to all limits where these are less; none above its own.

    Who would get more than its limit gets its limit; the others share the rest in proportion to their
    weights, again and again until everybody fits. A name without weight gets nothing.
    """
    given: dict[str, int] = dict.fromkeys(weights, 0)
    open_ = {name: weight for name, weight in weights.items() if weight}
    left = total
    while open_:
        shares = largest_remainder(left, open_)
        full = [name for name in open_ if shares[name] >= limits[name]]
        if not any(shares[name] > limits[name] for name in full):
            given |= shares
            break
        for name in full:
            given[name] = limits[name]
            left -= limits[name]
            del open_[name]
    return given
