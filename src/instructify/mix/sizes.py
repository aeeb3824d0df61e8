"""What one task offers: examples by template, within its caps, in one epoch or several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from instructify.mix.apportion import largest_remainder

PLAIN, INVERTED = "plain", "inverted"


@dataclass(frozen=True, slots=True)
class TaskSize:
    """What one task has: rows in its source, its templates, and the caps that bind it (None: no cap).

    `inverted` names those of the templates that are inverted. Groups find a task by its name or cluster.
    """

    task: str
    templates: tuple[str, ...]
    rows: int
    cap: int | None = None
    cap_per_template: int | None = None
    inverted: frozenset[str] = frozenset()
    cluster: str = ""


def offers(task: TaskSize, epochs: int = 1, inverted: Fraction | None = None) -> dict[str, int]:
    """Return the most examples of each template.

    Each template offers every row, `epochs` times, at most `cap_per_template`. A task's `cap` is shared
    evenly among its templates. Where `inverted` is given and the task has both kinds of template, it offers
    as many examples as it can with that share of them from inverted ones, to the nearest whole number.
    """
    each = task.rows * epochs
    if task.cap_per_template is not None:
        each = min(each, task.cap_per_template)
    kinds = kinds_of(task, inverted)
    most = min(each * len(kinds[kind]) / share for kind, share in shares_of(kinds, inverted).items() if share)
    total = int(most) if task.cap is None else min(int(most), task.cap)
    found = dict.fromkeys(task.templates, 0)
    for kind, count in largest_remainder(total, shares_of(kinds, inverted)).items():
        found |= largest_remainder(count, dict.fromkeys(kinds[kind], 1))
    return found


def among_templates(
    task: TaskSize, total: int, epochs: int = 1, inverted: Fraction | None = None
) -> dict[str, int]:
    """Return how many of a task's examples each template gets: in proportion to what it offers."""
    most = offers(task, epochs, inverted)
    kinds = kinds_of(task, inverted)
    found = dict.fromkeys(task.templates, 0)
    for kind, count in largest_remainder(total, shares_of(kinds, inverted)).items():
        found |= largest_remainder(count, {name: most[name] for name in kinds[kind]})
    return found


def kinds_of(task: TaskSize, inverted: Fraction | None) -> dict[str, tuple[str, ...]]:
    """Return the templates by kind, where their shares are told apart; else all of them as one kind."""
    plain = tuple(name for name in task.templates if name not in task.inverted)
    turned = tuple(name for name in task.templates if name in task.inverted)
    if inverted is None or not plain or not turned:
        return {PLAIN: task.templates}
    return {PLAIN: plain, INVERTED: turned}


def shares_of(kinds: Mapping[str, tuple[str, ...]], inverted: Fraction | None) -> dict[str, Fraction]:
    """Return the share of each kind."""
    if inverted is None or INVERTED not in kinds:
        return dict.fromkeys(kinds, Fraction(1))
    return {PLAIN: 1 - inverted, INVERTED: inverted}
