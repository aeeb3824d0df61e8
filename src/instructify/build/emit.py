"""Emit: the chosen candidates become the published files.

A published file takes all examples of its share of the rows. Candidates lie in the order of their rows' share
keys, so it is made from contiguous slices: an external sort whose memory does not grow with the build.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from instructify.build.gather import FEW_FILES, CandidateFile, Slot, gathered
from instructify.build.make import timed
from instructify.build.tables import map_table
from instructify.keys import I64
from instructify.publish.files import FileRecord, find_file, write_file
from instructify.types import Part, example_schema
from instructify.writers import WRITERS
from instructify.writers.contenthash import content_hash


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
        table = gathered(task.files, task.bounds, task.slots)
        _let_go(task)
    examples = table.select(example_schema().names)
    with timed(seconds, "hash"):
        digest = content_hash(examples)
    counts = _variants(task.slots, table["slot"].to_numpy())
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

    if len(task.files) > FEW_FILES:
        pa.default_memory_pool().release_unused()


def _find(task: EmitTask, name: str) -> FileRecord | None:
    record = find_file(task.staging, task.path(name))
    return record if record is not None and record.meta.get("key") == task.key else None


def _variants(slots: Sequence[Slot], numbers: I64) -> list[list[Any]]:
    """Return how many examples there are of each task and variant, given the slot of each example."""
    found: Counter[tuple[str, str]] = Counter()
    for slot, count in zip(slots, np.bincount(numbers, minlength=len(slots)).tolist(), strict=True):
        found[str(slot.constants["task"]), str(slot.constants["variant"])] += count
    return [[*names, count] for names, count in sorted(found.items()) if count]
