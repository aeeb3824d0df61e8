"""Emit: the chosen candidates become the published files, each in a keyed order.

A published file takes all examples of its share of the rows. Candidates lie in the order of their rows' share
keys, so it is made from contiguous slices: an external sort whose memory does not grow with the build.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """One published shard: the candidates whose share key lies in the `number`-th of `count` equal ranges."""

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
    pieces: list[pa.Table] = []
    numbers: list[I64] = []
    first = 0
    for file in task.files:
        for slot, batch in _slices(task.staging, file, low, high):
            pieces.append(pa.Table.from_batches([batch]))
            numbers.append(np.full(batch.num_rows, first + slot))
        first += len(file.slots)
    schema = example_schema().append(pa.field("turns", pa.list_(pa.string())))
    if not pieces:
        return schema.empty_table()
    # a copy first: with the files let go, that and the ordered copy are all that is held
    table = pa.concat_tables(pieces, promote_options="default").combine_chunks()
    del pieces, batch
    places = ranks(table["order"].to_numpy(), table["id"])
    table = table.drop_columns(["share", "order", "place", "slot"])
    table = table.append_column("slot", pa.array(np.concatenate(numbers)))
    table = table.take(pa.array(places)).combine_chunks()
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


def _slices(staging: Path, file: CandidateFile, low: int, high: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the slots of one candidate file and their examples whose share is in a range."""
    import pyarrow as pa

    for batch in map_table(staging / file.path).to_batches():
        share = batch["share"].to_numpy()
        start = int(np.searchsorted(share, np.uint64(low), "left"))
        stop = int(np.searchsorted(share, np.uint64(high), "right"))
        if start == stop:
            continue
        slot = batch["slot"][0].as_py()
        batch = batch.slice(start, stop - start)
        kept = batch["place"].to_numpy() < file.slots[slot].cut
        if not kept.all():
            batch = batch.filter(pa.array(kept))
        if batch.num_rows:
            yield slot, batch


def _variants(table: pa.Table) -> list[list[Any]]:
    """Return how many examples there are of each task and variant."""
    counted = table.group_by(["task", "variant"]).aggregate([([], "count_all")]).to_pylist()
    return sorted([row["task"], row["variant"], row["count_all"]] for row in counted)
