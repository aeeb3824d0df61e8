"""Emit: the chosen candidates, in their keyed order, become the published files.

Candidate files are sorted by order key, and each published file takes one range of keys, so a shard is made
from contiguous slices: an external sort whose memory does not grow with the build.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.build.candidates import ranks
from instructify.build.make import timed
from instructify.build.tables import map_table
from instructify.keys import I64, hexdigest
from instructify.publish.files import FileRecord, find_file, write_file
from instructify.types import Part, example_schema
from instructify.writers import WRITERS
from instructify.writers.contenthash import content_hash

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Slot:
    """What the examples of one template and variant in one file have in common.

    Those in places from `cut` on are left out. `choices` are None where examples have their own, or none.
    """

    cut: int
    constants: Mapping[str, str | None]
    choices: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class CandidateFile:
    """A made shard as emit sees it; its rows are numbered by slot."""

    path: str
    digest: str
    slots: tuple[Slot, ...]


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
    names = [f"{file.digest} {file.slots}" for file in task.files]
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
    first = np.cumsum([0, *(len(file.slots) for file in task.files)]).tolist()
    found = (_slice(task.staging, file, at, low, high) for file, at in zip(task.files, first, strict=False))
    pieces = [piece for piece in found if piece is not None]
    schema = example_schema().append(pa.field("turns", pa.list_(pa.string())))
    if not pieces:
        return schema.empty_table()
    orders = np.concatenate([order for order, _ in pieces])
    table = pa.concat_tables([table for _, table in pieces], promote_options="default")
    table = table.take(pa.array(ranks(orders, table["id"]))).combine_chunks()
    slots = [slot for file in task.files for slot in file.slots]
    return pa.table({field.name: _column(field, table, slots) for field in schema}, schema)


def _column(field: pa.Field, table: pa.Table, slots: Sequence[Slot]) -> pa.ChunkedArray | pa.Array:
    """Return one column of the examples: what candidates say, where they do, and what their slots say."""
    import pyarrow as pa

    said = table[field.name].cast(field.type) if field.name in table.column_names else None
    if field.name in slots[0].constants:
        return pa.array([slot.constants[field.name] for slot in slots], field.type).take(table["slot"])
    if field.name == "answer_choices" and any(slot.choices for slot in slots):
        return _choices(said, table["slot"].to_numpy(), slots)
    if said is None:
        said = pa.nulls(table.num_rows, field.type)
    return said if field.nullable or not said.null_count else said.fill_null(0)


def _choices(said: pa.ChunkedArray | None, numbers: I64, slots: Sequence[Slot]) -> pa.Array:
    """Return the choices of every example: those of its slot, or its own."""
    import pyarrow as pa

    constant = pa.array([slot.choices for slot in slots], pa.list_(pa.string()))
    if said is None:
        return constant.take(pa.array(numbers))
    own = np.array([slot.choices is None for slot in slots])[numbers]
    places = np.where(own, len(slots) + np.arange(len(numbers)), numbers)
    return pa.concat_arrays([constant, *said.chunks]).take(pa.array(places))


def _slice(staging: Path, file: CandidateFile, at: int, low: int, high: int) -> tuple[Any, pa.Table] | None:
    """Return order keys and examples of one candidate file in a range of keys, slots counted from `at`."""
    import pyarrow as pa

    table = map_table(staging / file.path)
    orders = table["order"].to_numpy()
    start = int(np.searchsorted(orders, np.uint64(low), "left"))
    stop = int(np.searchsorted(orders, np.uint64(high), "right"))
    slots = table["slot"].to_numpy()[start:stop]
    places = table["place"].to_numpy()[start:stop]
    keep = np.flatnonzero(places < np.array([slot.cut for slot in file.slots], np.int64)[slots])
    if not len(keep):
        return None
    picked = table.slice(start, stop - start)
    if len(keep) < picked.num_rows:
        picked = picked.take(pa.array(keep))
    picked = picked.drop_columns(["order", "place", "slot"])
    return orders[start:stop][keep], picked.append_column("slot", pa.array(at + slots[keep].astype(np.int64)))


def _variants(table: pa.Table) -> list[list[Any]]:
    """Return how many examples there are of each task and variant."""
    counted = table.group_by(["task", "variant"]).aggregate([([], "count_all")]).to_pylist()
    return sorted([row["task"], row["variant"], row["count_all"]] for row in counted)
