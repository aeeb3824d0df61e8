"""What the scores say: one finding a dataset and variant, all of them together, and the negative controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from instructify.keys import Key
from instructify.report.scores import BASE, TUNED, Scored
from instructify.stats import Change, Macro, UnpairableError, compare, holm, macro, majority, random_chance

ALPHA = 0.05

Verdict = Literal["improved", "got worse", "no effect found"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One variant of a dataset before and after.

    `p` is Holm's; `chance` and `majority` are None without choices.
    """

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
    """All datasets, each variant by itself, and each negative control on every dataset.

    `averages` are by variant, of those that two datasets or more have. `left_out` are the datasets that could
    not be compared, each with the reason.
    """

    datasets: tuple[Finding, ...]
    averages: Mapping[str, Macro]
    controls: Mapping[str, tuple[tuple[Scored, Change], ...]]
    left_out: tuple[tuple[Scored, str], ...]

    @property
    def has_variants(self) -> bool:
        """Whether there is more than one variant."""
        every = [*(finding.scored for finding in self.datasets), *(scored for scored, _ in self.left_out)]
        return len({scored.variant for scored in every}) > 1


def find(scored: Sequence[Scored], draws: int) -> Findings:
    """Compare base and tuned model on every dataset, and base and every other model as a control."""
    changes, left_out = _changes(scored, TUNED, draws)
    adjusted = holm({one.title: change.p for one, change in changes})
    others = sorted({model for one in scored for model in one.models} - {BASE, TUNED})
    by_variant: dict[str, list[Change]] = {}
    for one, change in changes:
        by_variant.setdefault(one.variant, []).append(change)
    return Findings(
        datasets=tuple(
            Finding(
                one,
                change,
                adjusted[one.title],
                None if np.isnan(one.choices).all() else random_chance(one.choices),
                None if np.isnan(one.labels).all() else majority(one.labels),
            )
            for one, change in changes
        ),
        averages={name: macro(own) for name, own in sorted(by_variant.items()) if len(own) > 1},
        controls={
            model: _changes([one for one in scored if model in one.models], model, draws)[0]
            for model in others
        },
        left_out=left_out,
    )


def _changes(
    scored: Sequence[Scored], model: str, draws: int
) -> tuple[tuple[tuple[Scored, Change], ...], tuple[tuple[Scored, str], ...]]:
    """Return the change of each dataset from the base to a model, and why others have none."""
    changes, left_out = [], []
    for one in scored:
        key = Key.of("report", one.title, one.metric, model)
        try:
            changes.append((one, compare(one.models[BASE][0], one.models[model], key, draws)))
        except KeyError as error:
            left_out.append((one, f"{error.args[0]} was not scored"))
        except UnpairableError as error:
            left_out.append((one, str(error)))
    return tuple(changes), tuple(left_out)
