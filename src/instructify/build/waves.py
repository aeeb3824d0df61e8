"""Make in waves: every template renders its quota, then what its drops left open, until it is full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from instructify.build.composing import PoolFile
from instructify.build.decide import Progress
from instructify.build.gather import FEW_FILES
from instructify.build.leaks import Leaks, NgramFiles, write_ngrams
from instructify.build.make import Shard, ShardTask, Window, make_shards
from instructify.build.plan import Plan, PlannedTask
from instructify.build.pools import write_pools
from instructify.build.ranges import shard_ranges
from instructify.keys import Key
from instructify.publish.stage import Stage
from instructify.recipe.variants import Variant
from instructify.runners import Runner
from instructify.templates import Template
from instructify.types import Role

Windows = dict[tuple[str, str], tuple[int, int]]
"""Task and template -> the places [low, high) to render."""


class Watcher(Protocol):
    """What a build tells while it runs."""

    def phase(self, name: str, total: int, unit: str) -> None:
        """A phase begins; `total` units of work lie ahead."""

    def advance(self, amount: int, kept: int = 0, dropped: int = 0) -> None:
        """Some of the phase's work is done."""


@dataclass(slots=True)
class Made:
    """Every shard made so far and how far each template has come."""

    progress: dict[tuple[str, str], Progress]
    shards: list[Shard]
    reused: int = 0


def make_all(plan: Plan, stage: Stage, runner: Runner, watcher: Watcher, code: str, leaks: Leaks) -> Made:
    """Return every shard that fills the plan's quotas, as far as the rows go.

    Held-out tasks come first, so that no training example says what theirs say.
    """
    made = Made(
        {
            (task.name, template.name): Progress(
                task.name, template.name, task.role, task.source.rows, quota, task.epochs
            )
            for task in plan.tasks
            for template, quota in zip(task.templates, task.quotas, strict=True)
        },
        [],
    )
    pools = write_pools(plan, stage, leaks)
    ngrams = None
    roles: tuple[Role, ...] = ("held_out", "train")
    for role in roles:
        if role == "train":
            ngrams = write_ngrams(plan, stage, made.shards)
        given = _Given(plan, stage, code, pools, leaks, ngrams)
        wave = 1
        while windows := _windows(made, role):
            examples = sum(high - low for low, high in windows.values())
            name = "make" if role == "train" else "make held out"
            watcher.phase(name if wave == 1 else f"{name}, refill {wave - 1}", examples, "rows")
            _wave(given, runner, watcher, made, windows)
            wave += 1
    return made


def _windows(made: Made, role: Role) -> Windows:
    every = ((key, p.next_window()) for key, p in made.progress.items() if p.role == role)
    return {key: window for key, window in every if window}


@dataclass(frozen=True, slots=True)
class _Given:
    """What every shard of a role is made with."""

    plan: Plan
    stage: Stage
    code: str
    pools: Mapping[str, PoolFile]
    leaks: Leaks
    ngrams: NgramFiles | None


def _wave(
    given: _Given,
    runner: Runner,
    watcher: Watcher,
    made: Made,
    windows: dict[tuple[str, str], tuple[int, int]],
) -> None:
    def done(shards: tuple[Shard, ...]) -> None:
        entries = [entry for shard in shards for entry in shard.record.meta["templates"]]
        kept = sum(entry["kept"] for entry in entries)
        dropped = sum(_count(fell) for entry in entries for fell in entry["dropped"].values())
        watcher.advance(kept + dropped, kept, dropped)

    ranges = runner.map(make_shards, _shard_tasks(given, windows), done)
    shards = [shard for made_of_range in ranges for shard in made_of_range]
    made.shards += shards
    made.reused += sum(not shard.is_new for shard in shards)
    for shard in shards:
        for name, entry in zip(shard.templates, shard.record.meta["templates"], strict=True):
            made.progress[shard.task, name].add(entry.pop("dropped"))
    for key, (_, high) in windows.items():
        made.progress[key].made = high


def _count(dropped: int | list[int]) -> int:
    return dropped if isinstance(dropped, int) else len(dropped)


def _shard_tasks(given: _Given, windows: Windows) -> list[ShardTask]:
    plan = given.plan
    tasks = []
    for task in plan.tasks:
        wanted = tuple(
            _window(task, template, variants, plan.recipe.seed, windows[task.name, template.name])
            for template, variants in zip(task.templates, task.variants, strict=True)
            if (task.name, template.name) in windows
        )
        if not wanted:
            continue
        share = Key.of("share", plan.recipe.seed, task.dataset, task.subset, task.split)
        order = Key.of("order", plan.recipe.seed)
        tasks += [
            ShardTask(
                given.stage.staging,
                task.name,
                task.source,
                task.columns,
                wanted,
                start,
                stop,
                share,
                order,
                given.code,
                given.pools.get(task.name),
                plan.budget,
                given.leaks.within(task.name, start, stop),
                given.ngrams,
                "chat" in plan.recipe.output.formats,
            )
            for start, stop in shard_ranges(task.source, task.columns, [one.variants for one in wanted])
        ]
    return tasks if len(tasks) <= FEW_FILES else [replace(task, in_order=True) for task in tasks]


def _window(
    task: PlannedTask, template: Template, variants: Sequence[Variant], seed: int, places: tuple[int, int]
) -> Window:
    """Return the window of some places, which lie in one epoch."""
    low, high = places
    epoch = low // task.source.rows
    return Window(
        template,
        tuple(variants),
        task.row_key(template, seed, epoch),
        task.draw_key(template, seed, epoch),
        tuple(task.id_key(template, variant.name, epoch) for variant in variants),
        low,
        high,
        epoch,
        task.epochs,
    )
