"""How many examples of what: exact integer quotas from caps and sizes, before anything is rendered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaskSize:
    """What one task offers: rows in its source, its templates, and the caps that bind it (None: no cap)."""

    task: str
    templates: tuple[str, ...]
    rows: int
    cap: int | None = None
    cap_per_template: int | None = None


def quotas(tasks: Sequence[TaskSize], size: int | None = None) -> dict[str, dict[str, int]]:
    """Return task -> template -> number of examples, exact and independent of the order of `tasks`.

    Each template offers every row, at most `cap_per_template`. A task's `cap` is shared evenly among its
    templates. When `size` is less than the tasks offer together,
    it is shared among tasks in proportion to what they offer, and inside a task among its templates
    likewise, by largest remainder (Hamilton's method; ties go to the name that sorts first).
    """
    offers = {task.task: _capped(task) for task in tasks}
    totals = {name: sum(offer.values()) for name, offer in offers.items()}
    if size is None or size >= sum(totals.values()):
        return offers
    shares = largest_remainder(size, totals)
    return {name: largest_remainder(shares[name], offers[name]) for name in offers}


def largest_remainder(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Return integers that sum to `total` and are in proportion to `weights`, each off by less than one."""
    weight = sum(weights.values())
    if not weight:
        return dict.fromkeys(weights, 0)
    shares = {name: total * w // weight for name, w in weights.items()}
    left = total - sum(shares.values())
    by_remainder = sorted(weights, key=lambda name: (-(total * weights[name] % weight), name))
    for name in by_remainder[:left]:
        shares[name] += 1
    return shares


def _capped(task: TaskSize) -> dict[str, int]:
    each = task.rows if task.cap_per_template is None else min(task.rows, task.cap_per_template)
    count = len(task.templates)
    if task.cap is None or task.cap >= each * count:
        return dict.fromkeys(task.templates, each)
    return largest_remainder(task.cap, dict.fromkeys(task.templates, 1))
