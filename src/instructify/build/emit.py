"""Emit: the chosen candidates become the published files, each in a keyed order.

A published file takes all examples of its share of the rows. Candidates lie in the order of their rows' share
keys, so it is made from contiguous slices: an external sort whose memory does not grow with the build.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.build.candidates import ranks
from instructify.build.make import timed
from instructify.build.tables import map_table
from instructify.keys import I64
from instructify.publish.files import FileRecord, find_file, write_file
from instructify.types import Part, example_schema
from instructify.writers import WRITERS
from instructify.writers.contenthash import content_hash

if TYPE_CHECKING:
    import pyarrow as pa

MAPPED = 32
"""Files of candidates that are looked at together; more would be held in memory by parts."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What the examples of one template and variant have in common.

    Those in places from `cut` on are left out. `choices` are None where examples have their own, or none.
    """

    cut: int
    constants: Mapping[str, str | None]
    choices: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class CandidateFile:
    """A file of candidates: its path, the numbers of its slots among those of the whole part, its runs."""

    path: str
    slots: tuple[int, ...]
    runs: int


@dataclass(frozen=True, slots=True)
class EmitTask:
    """One published shard, the `number`-th of `count`; `key` names all that decides what is in all of them.

    `bounds` has, for each run of each file, the first row that the shard takes and the one after the last.
    """

    staging: Path
    part: Part
    number: int
    count: int
    formats: tuple[str, ...]
    slots: tuple[Slot, ...]
    files: tuple[CandidateFile, ...]
    bounds: I64
    key: str

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


def share_out(path: Path, count: int) -> I64:
    """Return where each run of a file of candidates is cut for so many published shards.

    A run is a part of the file in which share keys ascend, and each shard has an equal range of these keys.
    The cuts of a run are a row of count + 1 places in the file.
    """
    borders = np.array([(number << 64) // count for number in range(1, count)], np.uint64)
    share = map_table(path)["share"].to_numpy()
    ends = [0, *(np.flatnonzero(share[1:] < share[:-1]) + 1).tolist(), len(share)]
    cuts = [
        [start, *(start + np.searchsorted(share[start:stop], borders)).tolist(), stop]
        for start, stop in itertools.pairwise(ends)
    ]
    return np.array(cuts, np.int64)


def emit_shard(task: EmitTask) -> Emitted:
    """Write one shard in every format, or find it written before."""
    found = [_find(task, name) for name in task.formats]
    if all(found):
        whole = tuple(record for record in found if record is not None)
        return Emitted(whole, int(whole[0].meta["rows"]))
    seconds: dict[str, float] = {}
    with timed(seconds, "gather"):
        _let_go(task)
        table = _gather(task)
        _let_go(task)
    examples = table.select(example_schema().names)
    with timed(seconds, "hash"):
        digest = content_hash(examples)
    counts = _variants(examples)
    records = []
    for name in task.formats:
        meta = {"key": task.key, "part": task.part, "format": name, "rows": table.num_rows}
        meta |= {"content_hash": digest, "variants": counts}
        write = partial(WRITERS[name].write, table if name == "chat" else examples)
        with timed(seconds, f"write {name}"):
            records.append(write_file(task.staging, task.path(name), write, meta))
    return Emitted(tuple(records), table.num_rows, seconds)


def _let_go(task: EmitTask) -> None:
    """Give unused memory back where a build is large; in a small one it would only be fetched again."""
    import pyarrow as pa

    if len(task.files) > MAPPED:
        pa.default_memory_pool().release_unused()


def _find(task: EmitTask, name: str) -> FileRecord | None:
    record = find_file(task.staging, task.path(name))
    return record if record is not None and record.meta.get("key") == task.key else None


def _gather(task: EmitTask) -> pa.Table:
    import pyarrow as pa

    held: list[pa.Table] = []
    bounds = iter(task.bounds.tolist())
    for start in range(0, len(task.files), MAPPED):
        files = task.files[start : start + MAPPED]
        some = [
            piece for file in files for piece in _picked(task, file, [next(bounds) for _ in range(file.runs)])
        ]
        if some:  # a copy of its own, so that the files can be let go
            held.append(pa.concat_tables(some, promote_options="default").combine_chunks())
        del some
    schema = example_schema().append(pa.field("turns", pa.list_(pa.string())))
    if not held:
        return schema.empty_table()
    table = pa.concat_tables(held, promote_options="default").combine_chunks()
    del held
    places = ranks(table["order"].to_numpy(), table["id"])
    table = table.drop_columns(["share", "order", "place"]).take(pa.array(places)).combine_chunks()
    return pa.table({field.name: _column(field, table, task.slots) for field in schema}, schema)


def _picked(task: EmitTask, file: CandidateFile, bounds: Sequence[tuple[int, int]]) -> list[pa.Table]:
    """Return what a shard takes of one file of candidates, numbered by the slots of the whole part."""
    import pyarrow as pa

    table = map_table(task.staging / file.path)
    at = table.column_names.index("slot")
    numbers = np.array(file.slots, np.int64)
    cuts = np.array([task.slots[number].cut for number in file.slots], np.int64)
    found = []
    for start, stop in bounds:
        if start == stop:
            continue
        part = table.slice(start, stop - start)
        slots = part["slot"].to_numpy()
        kept = part["place"].to_numpy() < cuts[slots]
        part = part.set_column(at, "slot", pa.array(numbers[slots]))
        found.append(part if kept.all() else part.filter(pa.array(kept)))
    return found


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


def _variants(table: pa.Table) -> list[list[Any]]:
    """Return how many examples there are of each task and variant."""
    counted = table.group_by(["task", "variant"]).aggregate([([], "count_all")]).to_pylist()
    return sorted([row["task"], row["variant"], row["count_all"]] for row in counted)
