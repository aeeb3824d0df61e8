"""Intervals, p values and power for a mean change, from its bootstrap draws or its parts."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from instructify.stats import student
from instructify.stats.resample import F64, settled

LEVEL = 0.95
POWER = 0.8

Interval = tuple[float, float]


def tail(documents: int) -> float:
    """Return the share of draws to cut at either end for a 95 % interval.

    The percentile interval is too narrow by the factor that t is wider than the normal and by
    sqrt((n - 1) / n); cutting less undoes both (Hesterberg 2015, "What teachers should know about the
    bootstrap", expanded percentile interval).
    """
    t = student.quantile((1 + LEVEL) / 2, documents - 1)
    return NormalDist().cdf(-t * math.sqrt(documents / (documents - 1)))


def between(draws: F64, cut: float) -> Interval:
    """Return the interval that leaves out the share `cut` of the draws at either end."""
    low, high = np.quantile(draws, [cut, 1 - cut])
    return float(low), float(high)


def p_value(draws: F64, documents: int) -> float:
    """Return the two-sided p at which the expanded percentile interval of some draws just reaches 0."""
    beyond = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    share = min(0.5, (beyond + 1) / (len(draws) + 1))
    z = NormalDist().inv_cdf(share)
    return min(1.0, 2 * student.cdf(z * math.sqrt((documents - 1) / documents), documents - 1))


def per_document(gains: F64) -> F64:
    """Return each document's part in the change: their mean is the mean over templates of the change."""
    counts = (~np.isnan(gains)).sum(axis=1, keepdims=True)
    templates, documents = gains.shape
    return settled(np.nansum(gains / counts, axis=0) * documents / templates)


def over_templates(gains: F64, parts: F64, drawn: F64) -> Interval | None:
    """Return the interval over other documents and other templates, or None with one template.

    `drawn` are means with documents and templates resampled independently (Owen 2007, "The pigeonhole
    bootstrap", whose variance is on the safe side). The standard error of so few templates is raised by
    sqrt(T / (T - 1)) and used with Satterthwaite's degrees of freedom.
    """
    templates, documents = len(gains), len(parts)
    if templates < 2:
        return None
    error = float(drawn.std()) * math.sqrt(templates / (templates - 1))
    by_template, by_document = gains.var(ddof=1) / templates, parts.var(ddof=1) / documents
    total = by_template + by_document
    freedom = documents - 1
    if total > 0:
        under = by_template**2 / (templates - 1) + by_document**2 / (documents - 1)
        freedom = max(1, int(total**2 / under))
    reach = student.quantile((1 + LEVEL) / 2, freedom) * error
    middle = float(gains.mean())
    return middle - reach, middle + reach


def t_interval(gains: F64) -> Interval | None:
    """Return the t(T - 1) interval of the mean of T templates' changes, or None with one template."""
    if len(gains) < 2:
        return None
    reach = (
        student.quantile((1 + LEVEL) / 2, len(gains) - 1) * float(gains.std(ddof=1)) / math.sqrt(len(gains))
    )
    middle = float(gains.mean())
    return middle - reach, middle + reach


def detectable(parts: F64) -> float:
    """Return the smallest change found with 80 % power at 5 %, two-sided, from the observed discordance.

    Under no change the variance of a document's part is its mean square, for one template the share of
    discordant pairs (Miller 2024, arXiv:2411.00640, with McNemar's variance). Where no
    document changed, the share is taken as its 95 % upper bound, 3 / n.
    """
    documents = len(parts)
    square = max(float((parts**2).mean()), 3 / documents if not parts.any() else 0.0)
    reach = student.quantile((1 + LEVEL) / 2, documents - 1) + student.quantile(POWER, documents - 1)
    return reach * math.sqrt(square / documents)
