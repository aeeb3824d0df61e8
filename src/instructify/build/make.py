"""Make: one range of rows under a task's templates becomes one file of candidate examples and a thin index.

`make_shard` is a pure function of its task, so any process may run it, and its file is named by a hash of
all that decides its content: a later build uses it again if nothing of that has changed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from instructify.build.audit import audit
from instructify.errors import InstructifyError, Problem
from instructify.keys import I64, U64, Key, hexdigest, positions
from instructify.publish.files import FileRecord, find_file, write_file
from instructify.render.compiled import BatchTemplate, RenderedBatch, Rows
from instructify.sources import read_rows
from instructify.templates import Template
from instructify.types import OpenSource

if TYPE_CHECKING:
    import pyarrow as pa

EXAMPLES_PER_SHARD = 65_536
MIN_ROWS, MAX_ROWS = 1_024, 16_384
TEXT_PER_SHARD, MAX_TEXT_PER_SHARD = 1 << 25, 1 << 26
"""Bytes of row text times templates that a shard should have, and may have at most."""
MAX_RUNAWAYS = 5
FOLDER = "candidates"
VARIANT = "zero_shot"


@dataclass(frozen=True, slots=True)
class Window:
    """The places [low, high) of one template's keyed row order that a shard is to render."""

    template: Template
    rows: Key
    draws: Key
    ids: Key
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class ShardTask:
    """Rows [start, stop) of one source under some templates."""

    staging: Path
    task: str
    source: OpenSource
    columns: tuple[str, ...]
    windows: tuple[Window, ...]
    start: int
    stop: int
    order: Key
    code: str

    @property
    def path(self) -> str:
        """Place of the shard's file in the staging directory, named by all that decides its content."""
        windows = [
            str(part)
            for w in self.windows
            for part in (w.template.hash, w.rows, w.draws, w.ids, w.low, w.high)
        ]
        source = self.source
        span = (source.start, source.stop, self.start, self.stop)
        name = hexdigest(self.code, source.fingerprint, str(self.order), *span, *self.columns, *windows)
        return f"{FOLDER}/{name[:32]}.arrow"


@dataclass(frozen=True, slots=True)
class Shard:
    """A made shard; `record.meta["templates"]` has one entry for each window."""

    task: str
    templates: tuple[str, ...]
    record: FileRecord
    is_new: bool
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Time spent reading, rendering, auditing and writing; empty where nothing had to be made."""


@dataclass(frozen=True, slots=True)
class _Made:
    """The candidates of one window as an Arrow table, and the places that fell, by reason."""

    table: pa.Table
    characters: int
    dropped: dict[str, int | list[int]]
    facts: dict[str, int | str]
    """How the rows were rendered: rows by kernels, by the reference, audited, and why not compiled."""


@lru_cache(maxsize=512)
def compiled(template: Template) -> BatchTemplate:
    """Return this process's compiled form of a template."""
    return BatchTemplate(template)


def shard_ranges(source: OpenSource, columns: Sequence[str], templates: int) -> list[tuple[int, int]]:
    """Return the row ranges that one task is made in, so that a shard holds a bounded amount of text."""
    fit = TEXT_PER_SHARD // max(1, _row_bytes(source, columns) * templates)
    step = max(1, min(MAX_ROWS, max(MIN_ROWS, EXAMPLES_PER_SHARD // max(1, templates)), fit))
    return [(at, min(at + step, source.stop)) for at in range(source.start, source.stop, step)]


def _row_bytes(source: OpenSource, columns: Sequence[str]) -> int:
    """Return about how many bytes a row has in some columns, by what the files say of themselves."""
    import pyarrow.parquet as pq

    stored = {new: old for old, new in source.renames.items()}
    wanted = {stored.get(name, name) for name in columns}
    total = rows = 0
    for file in source.files[:8]:
        with pq.ParquetFile(file.path) as opened:
            for number in range(min(opened.num_row_groups, 8)):
                group = opened.metadata.row_group(number)
                parts = (group.column(place) for place in range(group.num_columns))
                total += sum(
                    p.total_uncompressed_size for p in parts if p.path_in_schema.split(".")[0] in wanted
                )
                rows += group.num_rows
    return total // max(1, rows)


def make_shards(task: ShardTask) -> tuple[Shard, ...]:
    """Render one range of rows, or find it made before.

    A range whose text is far larger than its files let expect is made in halves. Raises InstructifyError
    when disk or source refuses.
    """
    names = tuple(window.template.name for window in task.windows)
    record = find_file(task.staging, task.path)
    if record is not None:
        return (Shard(task.task, names, record, is_new=False),)
    seconds = dict.fromkeys(("read", "render", "audit", "sort", "write"), 0.0)
    with timed(seconds, "read"):
        rows = _read(task)
    if rows is not None and len(rows) > 1 and int(rows.sizes.sum()) * len(names) > MAX_TEXT_PER_SHARD:
        middle = (task.start + task.stop) // 2
        del rows
        return (*make_shards(replace(task, stop=middle)), *make_shards(replace(task, start=middle)))
    made = _render(task, rows, seconds)
    with timed(seconds, "sort"):
        table = _sorted([one.table for one in made])
    meta = {
        "templates": [
            {"kept": one.table.num_rows, "characters": one.characters, "dropped": one.dropped, **one.facts}
            for one in made
        ]
    }

    def write(file: BinaryIO) -> None:
        import pyarrow as pa

        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    with timed(seconds, "write"):
        record = write_file(task.staging, task.path, write, meta, flush=False)
    return (Shard(task.task, names, record, is_new=True, seconds=seconds),)


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the time that the block takes to one of the sums."""
    began = time.perf_counter()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began


def _read(task: ShardTask) -> Rows | None:
    """Return the rows of the range, or None when no window asks for any of them."""
    numbers = np.arange(task.start, task.stop, dtype=np.int64)
    source = task.source
    if not any(len(_chosen(window, numbers - source.start, source.rows)[0]) for window in task.windows):
        return None
    return Rows(read_rows(source, task.start, task.stop, task.columns), numbers)


def _render(task: ShardTask, every: Rows | None, seconds: dict[str, float]) -> list[_Made]:
    source = task.source
    numbers = np.arange(task.start, task.stop, dtype=np.int64)
    made = []
    for number, window in enumerate(task.windows):
        indices, places = _chosen(window, numbers - source.start, source.rows)
        if every is None or not len(indices):
            made.append(_Made(_candidates(number, window, task.order, None, numbers[:0], places), 0, {}, {}))
            continue
        template, taken = compiled(window.template), every.take(indices)
        with timed(seconds, "render"):
            batch = template.render(taken, window.draws)
        with timed(seconds, "audit"):
            audited = audit(template, taken, window.draws, batch)
        _stop_a_runaway(task, window.template, numbers[indices], batch.dropped)
        rows = numbers[indices[batch.kept]]
        with timed(seconds, "render"):
            candidates = _candidates(number, window, task.order, batch, rows, places[batch.kept])
        facts = _facts(template, len(taken), batch, audited)
        characters = _bytes(batch.inputs) + _bytes(batch.targets)
        made.append(_Made(candidates, characters, _dropped(window, source.rows, places, batch), facts))
    return made


def _dropped(window: Window, total: int, places: I64, batch: RenderedBatch) -> dict[str, int | list[int]]:
    """Return the places that fell, by reason; only their number where the window takes every row."""
    if window.low == 0 and window.high == total:
        return {reason: len(rows) for reason, rows in batch.dropped.items()}
    return {reason: places[rows].tolist() for reason, rows in batch.dropped.items()}


def _facts(template: BatchTemplate, rows: int, batch: RenderedBatch, audited: int) -> dict[str, int | str]:
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
        shown = ", ".join(str(rows[index]) for index in fallen[:MAX_RUNAWAYS])
        what = f"template {template.name!r} does not finish rows {shown} of {task.task}: over-budget"
        raise InstructifyError(Problem(what, template.where))


def _chosen(window: Window, rows: I64, total: int) -> tuple[I64, I64]:
    """Return the indices into `rows` that fall into the window, and their places in the keyed order.

    Where a template takes every row there is no order to keep, and a row's place is its own.
    """
    if window.low == 0 and window.high == total:
        return np.arange(len(rows)), rows
    places = positions(window.rows, total, rows)
    indices = np.flatnonzero((places >= window.low) & (places < window.high))
    return indices, places[indices]


def _candidates(
    number: int, window: Window, order: Key, batch: RenderedBatch | None, rows: I64, places: I64
) -> pa.Table:
    """Return the candidates of one window; `batch` is None when there are none."""
    import pyarrow as pa

    count = len(rows)
    low, high = window.ids.draws(rows, 0), window.ids.draws(rows, 1)
    texts = pa.large_string()
    return pa.table(
        {
            "order": pa.array(order.draws(low)),
            "place": pa.array(places),
            "window": pa.array(np.full(count, number, np.int16)),
            "id": _hexadecimal(high, low),
            "row": pa.array(rows),
            "inputs": batch.inputs if batch else pa.array([], texts),
            "targets": batch.targets if batch else pa.array([], texts),
            "answer_choices": _choices(batch.choices if batch else None, count),
            "label": _or_nulls(batch.labels if batch else None, count, pa.int32()),
            "rationale": _or_nulls(batch.rationales if batch else None, count, texts),
        }
    )


def _or_nulls(array: pa.Array | None, count: int, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    return pa.nulls(count, kind) if array is None else array


def _choices(choices: pa.Array | tuple[str, ...] | None, count: int) -> pa.Array:
    """Return the choices column; a tuple stands for the same choices in every row."""
    import pyarrow as pa

    kind = pa.large_list(pa.large_string())
    if isinstance(choices, tuple):
        return pa.array([choices], kind).take(pa.array(np.zeros(count, np.int64)))
    return _or_nulls(choices, count, kind)


def _bytes(texts: pa.Array) -> int:
    import pyarrow.compute as pc

    return pc.sum(pc.binary_length(texts)).as_py() or 0


def _sorted(tables: list[pa.Table]) -> pa.Table:
    """Return all candidates in the order of their keys."""
    import pyarrow as pa

    table = pa.concat_tables(tables)
    ids = table["id"].combine_chunks()
    texts = np.frombuffer(ids.buffers()[2], "S32", count=len(ids)) if len(ids) else np.empty(0, "S32")
    ranks = np.lexsort((texts, table["order"].to_numpy()))
    return table.take(pa.array(ranks)).combine_chunks()


def _hexadecimal(high: U64, low: U64) -> pa.Array:
    import pyarrow as pa

    data = np.stack([high, low], axis=1).astype(">u8").tobytes().hex()
    offsets = np.arange(0, len(data) + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(high), pa.py_buffer(offsets), pa.py_buffer(data.encode()))
