"""Gather: the examples of one published file, out of the files of candidates and in their order.

Rows lie as they were drawn, and examples are scattered over windows of a thousand. So what the examples of a
row have in common is near enough for a compressor to find.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from instructify.build.tables import map_table, take
from instructify.keys import I64, U64, Key
from instructify.types import example_schema

if TYPE_CHECKING:
    import pyarrow as pa

WINDOW = 1_024
"""Examples that are scattered together, as by a shuffle buffer of this size."""
FEW_FILES = 32
"""Files of candidates that are looked at where they lie. More would be held in memory by parts; and to put
their examples in order when they are made costs less than to look for them in several places of each."""
_KEYS = ("share", "epoch", "order", "place")


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
    """A file of candidates: its path, the numbers of its slots among those of the whole part, its runs.

    A run is a part of the file in which share keys ascend.
    """

    path: Path
    slots: tuple[int, ...]
    runs: int


def gathered(files: Sequence[CandidateFile], bounds: I64, slots: Sequence[Slot]) -> pa.Table:
    """Return the chosen candidates as examples: the columns of `example_schema`, `turns` and `slot`.

    `bounds` has, for each run of each file, the first row to take and the one after the last.
    """
    import pyarrow as pa

    schema = (
        example_schema().append(pa.field("turns", pa.list_(pa.string()))).append(pa.field("slot", pa.int64()))
    )
    chosen = _chosen(files, bounds, slots)
    if not chosen:
        return schema.empty_table()
    table = pa.concat_tables(chosen, promote_options="default")
    places = arranged(_lots(table), table["order"].to_numpy())
    table = take(table.select([name for name in table.column_names if name not in _KEYS]), places)
    return pa.table({field.name: _column(field, table, slots) for field in schema}, schema)


def _lots(table: pa.Table) -> U64:
    """Return the keys that rows lie by: of their shares, or one for each epoch where rows are repeated."""
    share: U64 = table["share"].to_numpy()
    if "epoch" not in table.column_names:
        return share
    # of all epochs, the first one too: the shares of one file are not spread over all keys
    return Key.of("epoch").draws(share + table["epoch"].fill_null(0).to_numpy())


def arranged(lots: U64, orders: U64) -> I64:
    """Return the places that put rows in the order of their keys, and the examples of a window in theirs."""
    by_row = np.argsort(lots, kind="stable")
    windows = (by_row[start : start + WINDOW] for start in range(0, len(by_row), WINDOW))
    return np.concatenate([by_row[:0], *(window[_ascending(orders[window])] for window in windows)])


def _ascending(keys: U64) -> I64:
    """Return the places that sort keys; equal ones, hardly ever there, stay as they lie."""
    found = np.argsort(keys)
    in_order = keys[found]
    return np.argsort(keys, kind="stable") if (in_order[1:] == in_order[:-1]).any() else found


def _chosen(files: Sequence[CandidateFile], bounds: I64, slots: Sequence[Slot]) -> list[pa.Table]:
    """Return the chosen candidates, numbered by the slots of the whole part.

    They are where they lie in their files, or copies where the files are too many.
    """
    import pyarrow as pa

    found: list[pa.Table] = []
    cuts = iter(bounds.tolist())
    for start in range(0, len(files), FEW_FILES):
        some = [run for file in files[start : start + FEW_FILES] for run in _picked(file, cuts, slots)]
        if len(files) > FEW_FILES and some:
            some = [pa.concat_tables(some, promote_options="default").combine_chunks()]
        found += some
    return found


def _picked(file: CandidateFile, cuts: Iterator[tuple[int, int]], slots: Sequence[Slot]) -> list[pa.Table]:
    """Return the chosen candidates of one file by run, but for runs of which none are chosen."""
    import pyarrow as pa

    table = map_table(file.path)
    at = table.column_names.index("slot")
    numbers = np.array(file.slots, np.int64)
    ends = np.array([slots[number].cut for number in file.slots], np.int64)
    found = []
    for _ in range(file.runs):
        start, stop = next(cuts)
        if start == stop:
            continue
        run = table.slice(start, stop - start)
        own = run["slot"].to_numpy()
        kept = run["place"].to_numpy() < ends[own]
        run = run.set_column(at, "slot", pa.array(numbers[own]))
        found.append(run if kept.all() else run.filter(pa.array(kept)))
    return [run for run in found if run.num_rows]


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
