"""Make: one range of rows under a task's templates becomes one file of candidate examples and a thin index.

`make_shard` is a pure function of its task, so any process may run it, and its file is named by a hash of
all that decides its content: a later build uses it again if nothing of that has changed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.build.audit import audit
from instructify.build.candidates import candidates, text_bytes, together
from instructify.build.composing import Part, PoolFile, compiled, compose_rows, is_plain
from instructify.build.fields import fields_read
from instructify.build.leaks import NgramFiles, without_ngrams
from instructify.build.ranges import MAX_TEXT_PER_SHARD, rows_told
from instructify.build.tables import write_table
from instructify.build.tokens import token_sample
from instructify.compose.budget import Budget
from instructify.compose.composition import Composed
from instructify.compose.texts import Texts
from instructify.errors import InstructifyError, Problem
from instructify.keys import I64, Key, hexdigest, positions
from instructify.publish.files import FileRecord, find_file, write_file
from instructify.recipe.variants import Variant
from instructify.render.compiled import BatchTemplate, RenderedBatch, Rows
from instructify.render.compiled.rows import rows_at
from instructify.sources import FieldPath, read_rows, source_schema
from instructify.templates import Template
from instructify.types import OpenSource

if TYPE_CHECKING:
    import pyarrow as pa

MAX_RUNAWAYS = 5
FOLDER = "candidates"


@dataclass(frozen=True, slots=True)
class Window:
    """The places [low, high) of one template's keyed row order that a shard is to render.

    `ids` are the keys of example ids, one for each of `variants`. Where rows may be repeated, the order has
    `epochs` times as many places as there are rows, and the window lies within the `epoch`-th of these.
    """

    template: Template
    variants: tuple[Variant, ...]
    rows: Key
    draws: Key
    ids: tuple[Key, ...]
    low: int
    high: int
    epoch: int = 0
    epochs: int = 1

    def is_whole(self, rows: int) -> bool:
        """Tell whether these are all the places that there are, so that no order matters."""
        return self.low == 0 and self.high == rows * self.epochs

    @property
    def parts(self) -> tuple[str, ...]:
        """All that decides what becomes of the rows."""
        variants = (variant.model_dump_json() for variant in self.variants)
        keys = (self.rows, self.draws, *self.ids)
        numbers = (self.low, self.high, self.epoch, self.epochs)
        return (self.template.hash, *variants, *map(str, keys), *map(str, numbers))


@dataclass(frozen=True, slots=True)
class ShardTask:
    """Rows [start, stop) of one source under some templates.

    `share` draws which published file all examples of a row go to, and where they lie there; `order` draws
    their places among those near them.
    """

    staging: Path
    task: str
    source: OpenSource
    columns: tuple[str, ...]
    windows: tuple[Window, ...]
    start: int
    stop: int
    share: Key
    order: Key
    code: str
    pool: PoolFile | None = None
    budget: Budget | None = None
    excluded: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Rows that may not be used, in [start, stop), by the reason that they fall for."""
    ngrams: NgramFiles | None = None
    """What no example may say."""
    with_turns: bool = False
    """Whether a format will ask for the exemplars of a prompt one by one."""
    in_order: bool = False
    """Whether examples are put in order: of many files, each is then read in one place only."""

    @property
    def path(self) -> str:
        """Place of the shard's file in the staging directory, named by all that decides its content."""
        windows = [part for window in self.windows for part in window.parts]
        source, pool = self.source, self.pool.sha256 if self.pool else None
        span = (source.start, source.stop, self.start, self.stop)
        ngrams = self.ngrams.sha256 if self.ngrams else None
        budget = self.budget.identity if self.budget else None
        composed = (pool, budget, str(self.excluded), ngrams, self.with_turns)
        decisive = (*span, *composed, *self.columns, *windows)
        name = hexdigest(self.code, source.fingerprint, str(self.share), str(self.order), *decisive)
        return f"{FOLDER}/{name[:32]}.arrows"


@dataclass(frozen=True, slots=True)
class Shard:
    """A made shard; `record.meta["templates"]` has one entry for each window.

    `slots` are the pairs of template and variant that its rows are numbered by.
    """

    task: str
    templates: tuple[str, ...]
    slots: tuple[tuple[str, str], ...]
    record: FileRecord
    is_new: bool
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Time spent reading, rendering, auditing and writing; empty where nothing had to be made."""


@dataclass(frozen=True, slots=True)
class _Made:
    """The candidates of one window as Arrow tables, and the places that fell, by reason."""

    tables: list[pa.Table]
    characters: int
    dropped: dict[str, int | list[int]]
    facts: dict[str, Any]
    """How the rows were rendered: rows by kernels, by the reference, audited, and why not compiled."""


def make_shards(task: ShardTask) -> tuple[Shard, ...]:
    """Render one range of rows, or find it made before.

    A range whose text is far larger than its files let expect is made in halves. Raises InstructifyError
    when disk or source refuses.
    """
    names = tuple(window.template.name for window in task.windows)
    slots = tuple((w.template.name, variant.name) for w in task.windows for variant in w.variants)
    record = find_file(task.staging, task.path)
    if record is not None:
        return (Shard(task.task, names, slots, record, is_new=False),)
    seconds = dict.fromkeys(("read", "render", "audit", "write"), 0.0)
    with timed(seconds, "read"):
        rows = _read(task)
    told = sum(rows_told(window.variants) for window in task.windows)
    if rows is not None and len(rows) > 1 and int(rows.sizes.sum()) * told > MAX_TEXT_PER_SHARD:
        middle = (task.start + task.stop) // 2
        del rows
        return (*make_shards(replace(task, stop=middle)), *make_shards(replace(task, start=middle)))
    made = _render(task, rows, seconds)
    meta = {
        "templates": [
            {
                "kept": sum(table.num_rows for table in one.tables),
                "characters": one.characters,
                "dropped": one.dropped,
                "choices": None,
                **one.facts,
            }
            for one in made
        ]
    }
    tables = [table for one in made for table in one.tables]
    del rows, made
    with timed(seconds, "write"):
        table = together(tables, task.in_order)
        del tables
        record = write_file(task.staging, task.path, partial(write_table, table), meta, flush=False)
    return (Shard(task.task, names, slots, record, is_new=True, seconds=seconds),)


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the time that the block takes to one of the sums."""
    began = time.perf_counter()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began


def _read(task: ShardTask) -> Rows | None:
    """Return the rows of the range as emit will share them out, or None when no window asks for any.

    A row is far smaller than its examples: to put rows in order costs less than to do so with those.
    """
    numbers = np.arange(task.start, task.stop, dtype=np.int64)
    source = task.source
    if not any(len(_chosen(window, numbers - source.start, source.rows)[0]) for window in task.windows):
        return None
    table = read_rows(source, task.start, task.stop, task.columns, _fields(task))
    order = np.argsort(task.share.draws(numbers), kind="stable")
    return Rows(rows_at(table, order), numbers[order])


def _fields(task: ShardTask) -> dict[str, frozenset[FieldPath]]:
    """Return what to read of each struct column; all of it where rows themselves are composed."""
    if not all(is_plain(window.template, window.variants, task.budget) for window in task.windows):
        return {}
    return fields_read([compiled(window.template) for window in task.windows], source_schema(task.source))


def _render(task: ShardTask, every: Rows | None, seconds: dict[str, float]) -> list[_Made]:
    made = []
    slot = 0
    for window in task.windows:
        numbers = every.numbers if every is not None else np.zeros(0, np.int64)
        indices, places = _chosen(window, numbers - task.source.start, task.source.rows)
        if every is None or not len(indices):
            made.append(_Made([], 0, {}, {}))
        else:
            made.append(_render_window(task, window, slot, every.take(indices), places, seconds))
        slot += len(window.variants)
    return made


def _render_window(
    task: ShardTask, window: Window, slot: int, rows: Rows, places: I64, seconds: dict[str, float]
) -> _Made:
    """Return the candidates that some rows make under one template."""
    template = compiled(window.template)
    dropped: dict[str, list[int]] = {}
    for reason, numbers in task.excluded:
        out = np.isin(rows.numbers, np.array(numbers, np.int64))
        if out.any():
            dropped[reason] = places[out].tolist()
            rows, places = rows.take(np.flatnonzero(~out)), places[~out]
    with timed(seconds, "render"):
        batch = template.render(rows, window.draws)
    with timed(seconds, "audit"):
        audited = audit(template, rows, window.draws, batch)
    _stop_a_runaway(task, window.template, rows.numbers, batch.dropped)
    for reason, fell in batch.dropped.items():
        dropped[reason] = places[fell].tolist()
    leaks: dict[str, list[int]] = {}
    with timed(seconds, "compose"):
        parts = _composed(task, window, rows, places, batch)
    if task.ngrams is not None:
        with timed(seconds, "compare"):
            parts = [_apart(part, task.ngrams, places, leaks) for part in parts]
    with timed(seconds, "compose"):
        for part in parts:
            for reason, fallen in part.composed.dropped.items():
                dropped.setdefault(reason, []).extend(places[fallen].tolist())
        tables = [
            candidates(
                slot + part.variant,
                window.ids[part.variant],
                task.share,
                task.order,
                part.composed,
                places,
                window.epoch,
                task.with_turns,
            )
            for part in parts
        ]
    characters = sum(text_bytes(table["inputs"]) + text_bytes(table["targets"]) for table in tables)
    facts = _facts(template, len(rows), batch, audited)
    if isinstance(batch.choices, tuple) and is_plain(window.template, window.variants, task.budget):
        facts["choices"] = batch.choices
    if leaks:
        facts["leaks"] = _fallen(window, task.source.rows, leaks)
    if task.budget is not None:
        with timed(seconds, "count tokens"):
            facts["tokens"] = token_sample(task.budget, tables)
    return _Made(tables, characters, _fallen(window, task.source.rows, dropped), facts)


def _apart(part: Part, ngrams: NgramFiles, places: I64, leaks: dict[str, list[int]]) -> Part:
    part, found = without_ngrams(part, ngrams)
    for held_out, fallen in found.items():
        leaks.setdefault(held_out, []).extend(places[fallen].tolist())
    return part


def _composed(task: ShardTask, window: Window, rows: Rows, places: I64, batch: RenderedBatch) -> list[Part]:
    if is_plain(window.template, window.variants, task.budget):
        plain = Texts(
            rows.numbers[batch.kept],
            batch.inputs,
            batch.targets,
            None if isinstance(batch.choices, tuple) else batch.choices,
            batch.labels,
            batch.rationales,
        )
        return [Part(0, Composed(plain, batch.kept, {}))] if len(batch.kept) else []
    return compose_rows(
        window.template, window.variants, rows, places, batch, window.draws, task.pool, task.budget
    )


def _fallen(window: Window, total: int, dropped: dict[str, list[int]]) -> dict[str, int | list[int]]:
    """Return the places that fell, by reason; only their number where the window takes every row."""
    if window.is_whole(total):
        return {reason: len(rows) for reason, rows in dropped.items()}
    return dict(dropped)


def _facts(template: BatchTemplate, rows: int, batch: RenderedBatch, audited: int) -> dict[str, Any]:
    return {
        "rows": rows,
        "by_kernels": batch.by_kernels,
        "by_reference": batch.by_reference,
        "audited": audited,
        "refusal": str(template.refusal or ""),
    }


def _stop_a_runaway(task: ShardTask, template: Template, rows: I64, dropped: dict[str, list[int]]) -> None:
    """End the build when a template spends its whole budget on one row after another."""
    fallen = dropped.get("over-budget", [])
    if len(fallen) >= MAX_RUNAWAYS:
        shown = ", ".join(map(str, sorted(rows[fallen].tolist())[:MAX_RUNAWAYS]))
        what = f"template {template.name!r} does not finish rows {shown} of {task.task}: over-budget"
        raise InstructifyError(Problem(what, template.where))


def _chosen(window: Window, rows: I64, total: int) -> tuple[I64, I64]:
    """Return the indices into `rows` that fall into the window, and their places in the keyed order.

    Where a template takes every row in one variant there is no order to keep, and a row's place is its own.
    """
    if window.is_whole(total) and len(window.variants) == 1:
        return np.arange(len(rows)), rows
    places = positions(window.rows, total, rows) + window.epoch * total
    indices = np.flatnonzero((places >= window.low) & (places < window.high))
    return indices, places[indices]
