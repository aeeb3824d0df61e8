"""Several datasets together: Holm's correction and the average with equal weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from instructify.stats.change import Change
from instructify.stats.intervals import Interval, between, p_value, tail
from instructify.stats.resample import settled


@dataclass(frozen=True, slots=True)
class Macro:
    """Scores and their change, averaged over datasets with equal weight; see Change for the terms."""

    datasets: int
    before: float
    after: float
    mean: float
    interval: Interval
    p: float


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p values adjusted for looking at all of them (Holm 1979), in the order given."""
    adjusted: dict[str, float] = {}
    highest = 0.0
    for n, name in enumerate(sorted(p_values, key=lambda name: (p_values[name], name))):
        highest = max(highest, min(1.0, p_values[name] * (len(p_values) - n)))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def macro(changes: Sequence[Change]) -> Macro:
    """Return the average of datasets that were resampled independently, each with a key of its own.

    The correction for few documents is that of the smallest dataset.
    """
    draws = settled(np.mean([change.draws for change in changes], axis=0))
    documents = min(change.documents for change in changes)
    return Macro(
        datasets=len(changes),
        before=float(np.mean([change.before.mean for change in changes])),
        after=float(np.mean([change.after.mean for change in changes])),
        mean=float(settled(np.mean([change.mean for change in changes]))),
        interval=between(draws, tail(documents)),
        p=p_value(draws, documents),
    )
