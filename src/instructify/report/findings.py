"""What the scores say: one finding a dataset, all of them together, and the negative controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from instructify.errors import InstructifyError, Problem
from instructify.keys import Key
from instructify.report.scores import BASE, TUNED, Scored
from instructify.stats import Change, Macro, UnpairableError, compare, holm, macro, majority, random_chance

ALPHA = 0.05

Verdict = Literal["improved", "got worse", "no effect found"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One dataset before and after; `p` is Holm's, `chance` and `majority` are None without choices."""

    scored: Scored
    change: Change
    p: float
    chance: float | None
    majority: float | None

    @property
    def verdict(self) -> Verdict:
        """What may be said of the tuned model on this dataset, looking at all datasets at once."""
        if self.p >= ALPHA:
            return "no effect found"
        return "improved" if self.change.mean > 0 else "got worse"


@dataclass(frozen=True, slots=True)
class Findings:
    """All datasets, their average where there are two, and each negative control on every dataset."""

    datasets: tuple[Finding, ...]
    average: Macro | None
    controls: Mapping[str, tuple[Change, ...]]


def find(scored: Sequence[Scored], draws: int) -> Findings:
    """Compare base and tuned model on every dataset, and base and every other model as a control."""
    changes = [_compare(one, TUNED, draws) for one in scored]
    adjusted = holm({one.task: change.p for one, change in zip(scored, changes, strict=True)})
    others = sorted({model for one in scored for model in one.models} - {BASE, TUNED})
    return Findings(
        datasets=tuple(
            Finding(
                one,
                change,
                adjusted[one.task],
                None if np.isnan(one.choices).all() else random_chance(one.choices),
                None if np.isnan(one.labels).all() else majority(one.labels),
            )
            for one, change in zip(scored, changes, strict=True)
        ),
        average=macro(changes) if len(changes) > 1 else None,
        controls={
            model: tuple(_compare(one, model, draws) for one in scored if model in one.models)
            for model in others
        },
    )


def _compare(scored: Scored, model: str, draws: int) -> Change:
    key = Key.of("report", scored.task, scored.metric, model)
    try:
        return compare(scored.models[BASE][0], scored.models[model], key, draws)
    except (KeyError, UnpairableError):
        problem = Problem(
            f"{scored.task} ({scored.metric}): base and {model} cannot be compared",
            expected="two documents or more, and every template, scored by both",
        )
        raise InstructifyError(problem) from None
