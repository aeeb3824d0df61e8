"""Emit: the chosen candidates, in their keyed order, become the published files.

Candidate files are sorted by order key, and each published file takes one range of keys, so a shard is made
from contiguous slices: an external sort whose memory does not grow with the build.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.build.candidates import ranks
from instructify.build.make import timed
from instructify.build.tables import map_table
from instructify.keys import hexdigest
from instructify.publish.files import FileRecord, find_file, write_file
from instructify.types import Part, example_schema
from instructify.writers import WRITERS
from instructify.writers.contenthash import content_hash

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class CandidateFile:
    """A made shard as emit sees it: for each slot, where to cut and the columns that are constant."""

    path: str
    digest: str
    cuts: tuple[int, ...]
    constants: tuple[tuple[tuple[str, str | None], ...], ...]


@dataclass(frozen=True, slots=True)
class EmitTask:
    """One published shard: the candidates whose order key lies in the `number`-th of `count` equal ranges."""

    staging: Path
    part: Part
    number: int
    count: int
    formats: tuple[str, ...]
    files: tuple[CandidateFile, ...]

    def path(self, name: str) -> str:
        """Place of the shard in one format in the staging directory."""
        writer = WRITERS[name]
        return f"out/{writer.folder}/{self.part}-{self.number:05d}-of-{self.count:05d}{writer.suffix}"


@dataclass(frozen=True, slots=True)
class Emitted:
    """The files of one published shard."""

    records: tuple[FileRecord, ...]
    rows: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Time spent gathering, hashing and writing; empty where the files were there already."""


def emit_shard(task: EmitTask) -> Emitted:
    """Write one shard in every format, or find it written before."""
    names = [f"{file.digest} {file.cuts} {file.constants}" for file in task.files]
    key = hexdigest(task.part, task.number, task.count, *names)
    found = [_find(task, name, key) for name in task.formats]
    if all(found):
        whole = tuple(record for record in found if record is not None)
        return Emitted(whole, int(whole[0].meta["rows"]))
    seconds: dict[str, float] = {}
    with timed(seconds, "gather"):
        table = _gather(task)
    examples = table.select(example_schema().names)
    with timed(seconds, "hash"):
        digest = content_hash(examples)
    counts = _variants(examples)
    records = []
    for name in task.formats:
        meta = {"key": key, "part": task.part, "format": name, "rows": table.num_rows, "content_hash": digest}
        meta["variants"] = counts
        write = partial(WRITERS[name].write, table if name == "chat" else examples)
        with timed(seconds, f"write {name}"):
            records.append(write_file(task.staging, task.path(name), write, meta))
    return Emitted(tuple(records), table.num_rows, seconds)


def _find(task: EmitTask, name: str, key: str) -> FileRecord | None:
    record = find_file(task.staging, task.path(name))
    return record if record is not None and record.meta.get("key") == key else None


def _gather(task: EmitTask) -> pa.Table:
    import pyarrow as pa

    low = (task.number << 64) // task.count
    high = ((task.number + 1) << 64) // task.count - 1
    pieces = [piece for file in task.files if (piece := _slice(task.staging, file, low, high)) is not None]
    schema = example_schema().append(pa.field("turns", pa.list_(pa.string())))
    if not pieces:
        return schema.empty_table()
    orders = np.concatenate([order for order, _ in pieces])
    table = pa.concat_tables([table for _, table in pieces], promote_options="default").unify_dictionaries()
    for column in schema:
        if column.name not in table.column_names:
            table = table.append_column(column.name, pa.nulls(table.num_rows, column.type))
    for name in ("shots", "cut"):
        if table[name].null_count:
            table = table.set_column(table.column_names.index(name), name, table[name].fill_null(0))
    return table.take(pa.array(ranks(orders, table["id"]))).select(schema.names).cast(schema).combine_chunks()


def _slice(staging: Path, file: CandidateFile, low: int, high: int) -> tuple[Any, pa.Table] | None:
    """Return order keys and examples of one candidate file in a range of keys, constants filled in."""
    import pyarrow as pa

    table = map_table(staging / file.path)
    orders = table["order"].to_numpy()
    start = int(np.searchsorted(orders, np.uint64(low), "left"))
    stop = int(np.searchsorted(orders, np.uint64(high), "right"))
    slots = table["slot"].to_numpy()[start:stop]
    places = table["place"].to_numpy()[start:stop]
    keep = np.flatnonzero(places < np.array(file.cuts, np.int64)[slots])
    if not len(keep):
        return None
    picked = table.slice(start, stop - start)
    if len(keep) < picked.num_rows:
        picked = picked.take(pa.array(keep))
    columns = {name: picked[name] for name in picked.column_names if name not in ("order", "place", "slot")}
    for position, (name, _) in enumerate(file.constants[0]):
        columns[name] = _constants([own[position][1] for own in file.constants], slots[keep])
    return orders[start:stop][keep], pa.table(columns)


def _constants(values: list[str | None], slots: Any) -> pa.DictionaryArray:
    """Return a column that is constant for each slot, as codes into the values."""
    import pyarrow as pa

    missing = np.array([value is None for value in values])
    codes = pa.array(slots.astype(np.int32), mask=missing[slots])
    return pa.DictionaryArray.from_arrays(codes, pa.array([value or "" for value in values], pa.string()))


def _variants(table: pa.Table) -> list[list[Any]]:
    """Return how many examples there are of each task and variant."""
    counted = table.group_by(["task", "variant"]).aggregate([([], "count_all")]).to_pylist()
    return sorted([row["task"], row["variant"], row["count_all"]] for row in counted)
