"""Student's t distribution for whole degrees of freedom, without SciPy."""

from __future__ import annotations

import math
from functools import lru_cache


def cdf(t: float, df: int) -> float:
    """Return P(T <= t) by the finite series of Abramowitz and Stegun 1964, 26.7.3 and 26.7.4."""
    if df < 1:
        raise ValueError("degrees of freedom start at 1")
    angle = math.atan(t / math.sqrt(df))
    cos2 = math.cos(angle) ** 2
    term = total = 1.0 if df % 2 == 0 else math.cos(angle)
    for n in range(1 if df % 2 == 0 else 2, df - 2, 2):
        term *= cos2 * n / (n + 1)
        total += term
    if df % 2 == 0:
        inside = math.sin(angle) * total
    else:
        inside = 2 / math.pi * (angle + (math.sin(angle) * total if df > 1 else 0.0))
    return (1 + inside) / 2


@lru_cache(maxsize=1024)
def quantile(p: float, df: int) -> float:
    """Return the t with P(T <= t) = p, for p strictly between 0 and 1, by bisection."""
    if p < 0.5:
        return -quantile(1 - p, df)
    low, high = 0.0, 1.0
    while cdf(high, df) < p:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if cdf(middle, df) < p else (low, middle)
    return (low + high) / 2
