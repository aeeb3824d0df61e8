"""The allotment of a mixture: what every task is due, what it gets, and by which template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from instructify.mix.apportion import fill, largest_remainder
from instructify.mix.groups import members_of
from instructify.mix.policies import exact, rate, weight_of
from instructify.mix.presets import expand, t0_cap
from instructify.mix.sizes import TaskSize, among_templates, offers
from instructify.recipe.mixture import Mixture, Sharing


@dataclass(frozen=True, slots=True)
class Allotment:
    """Exact numbers of examples.

    `quotas` maps task -> template -> examples. `due` is each task's share of the size by its weight, whatever
    it offers; `offered` the most that it could give, repeats included.
    """

    quotas: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    due: Mapping[str, int] = field(default_factory=dict)
    offered: Mapping[str, int] = field(default_factory=dict)

    def given(self, task: str) -> int:
        """Return the number of examples of a task."""
        return sum(self.quotas[task].values())


@dataclass(frozen=True, slots=True)
class _Level:
    """One level of sharing; its members are levels or tasks, by name."""

    sharing: Sharing
    groups: Mapping[str, _Level]
    tasks: tuple[TaskSize, ...]
    count: int
    """Examples that it offers, as its weight in the level above counts them."""
    rates: Mapping[str, Fraction]
    weight: float | None = None


def allot(tasks: Sequence[TaskSize], mixture: Mixture) -> Allotment:
    """Return exact quotas, independent of the order of `tasks`.

    The size is shared among the members of a level in proportion to their rates (see `policies.rate`) by
    largest remainder, and so on down to tasks; a task's examples go to its templates in proportion to what
    each offers. Without a size every task gets its rate: by default all that it offers.

    Where a task is due more than it offers, it gets what it offers (`stop`; `repeat`, where every row counts
    `max_epochs` times), or the others share the rest too (`spill`). Caps hold in every case.

    Adding a task leaves the quotas of all others as they are where there is no size (and no `rate_cap` on
    groups). With one, what the others are due shrinks, or by rounding grows by one; the rows chosen are in
    any case the first of an order that does not depend on other tasks.
    """
    mixture = expand(mixture)
    inverted = None if mixture.inverted is None else exact(mixture.inverted)
    epochs = mixture.max_epochs or 1
    sized = _capped(tasks, mixture, mixture, mixture.cap_per_dataset)
    once = {task.task: sum(offers(task, 1, inverted).values()) for task in sized.values()}
    most = {task.task: sum(offers(task, epochs, inverted).values()) for task in sized.values()}
    root = _level(mixture, [sized[task.task] for task in tasks], once)
    size = mixture.size if mixture.size is not None else int(sum(root.rates.values()))
    due = _shared(root, size, None)
    given = (
        _shared(root, size, most)
        if mixture.exhausted == "spill"
        else {name: min(count, most[name]) for name, count in due.items()}
    )
    quotas = {name: among_templates(task, given[name], epochs, inverted) for name, task in sized.items()}
    return Allotment(quotas, due, most)


def _capped(
    tasks: Sequence[TaskSize], mixture: Mixture, sharing: Sharing, cap: int | None
) -> dict[str, TaskSize]:
    """Return the tasks with the caps of preset, mixture and groups, where they have none of their own."""
    if sharing.groups:
        found: dict[str, TaskSize] = {}
        for group, members in members_of(sharing, tasks):
            found |= _capped(members, mixture, group, group.cap_per_dataset or cap)
        return found
    every = {}
    for task in tasks:
        preset = t0_cap(task.rows, len(task.templates)) if mixture.preset == "t0" else None
        per_template = task.cap_per_template
        if per_template is None:
            per_template = preset if preset is not None else mixture.cap_per_template
        every[task.task] = replace(
            task, cap=cap if task.cap is None else task.cap, cap_per_template=per_template
        )
    return every


def _level(
    sharing: Sharing, tasks: Sequence[TaskSize], offered: Mapping[str, int], weight: float | None = None
) -> _Level:
    if sharing.groups:
        groups = {
            group.name: _level(group, members, offered, group.weight)
            for group, members in members_of(sharing, tasks)
        }
        rates = {name: rate(sharing, level.count, level.weight) for name, level in groups.items()}
        count = sum(level.count for level in groups.values())
        return _Level(sharing, groups, (), count, rates, weight)
    counts = {
        task.task: min(task.rows, offered[task.task]) if sharing.count == "rows" else offered[task.task]
        for task in tasks
    }
    rates = {name: rate(sharing, count, weight_of(sharing.weights, name)) for name, count in counts.items()}
    limit = sharing.rate_cap
    count = sum(count if limit is None else min(count, limit) for count in counts.values())
    return _Level(sharing, {}, tuple(tasks), count, rates, weight)


def _shared(level: _Level, total: int, limits: Mapping[str, int] | None) -> dict[str, int]:
    """Return the examples of every task below a level; without limits, what each is due."""
    below = {name: _most(group, limits) for name, group in level.groups.items()} if limits else {}
    if limits is None:
        shares = largest_remainder(total, level.rates)
    else:
        shares = fill(total, level.rates, below or limits)
    if not level.groups:
        return shares
    found: dict[str, int] = {}
    for name, group in level.groups.items():
        found |= _shared(group, shares[name], limits)
    return found


def _most(level: _Level, limits: Mapping[str, int]) -> int:
    if level.groups:
        return sum(_most(group, limits) for group in level.groups.values())
    return sum(limits[task.task] for task in level.tasks)
