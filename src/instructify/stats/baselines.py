"""What a model scores that does not read the question, the median over templates as of any model.

Panels (templates, documents) are NaN for rows without choices.
"""

from __future__ import annotations

import numpy as np

from instructify.stats.resample import F64


def random_chance(choices: F64) -> float:
    """Return the accuracy of drawing among the choices, from how many choices each row has."""
    return float(np.median([(1 / row).mean() for row in _known(choices)]))


def majority(labels: F64) -> float:
    """Return the accuracy of always choosing the template's most frequent label, known beforehand."""
    shares = []
    for row in _known(labels):
        counts = np.unique(row, return_counts=True)[1]
        shares.append(counts.max() / len(row))
    return float(np.median(shares))


def _known(panel: F64) -> list[F64]:
    """Return the known cells of every template that has any."""
    rows = [row[~np.isnan(row)] for row in panel]
    return [row for row in rows if len(row)]
