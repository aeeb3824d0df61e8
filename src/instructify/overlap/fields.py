"""The text leaves of a table of rows, at any depth of lists and structs, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from instructify.keys import I64, U64, Key, digest

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_CHARACTERS = 1 << 18
_VALUES = Key.of("instructify.overlap", "values")


@dataclass(frozen=True, slots=True)
class Leaves:
    """Texts with the row each stands in, rows ascending, and a hash of its place within the row."""

    rows: I64
    places: U64
    texts: list[str]

    def batches(self, characters: int = BATCH_CHARACTERS) -> Iterator[Leaves]:
        """Yield the leaves in parts of whole rows, each of about so many characters or of one long row."""
        ends = np.cumsum(np.fromiter(map(len, self.texts), np.int64, len(self.texts)))
        start = 0
        while start < len(self.texts):
            begun = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, begun + characters, "right")))
            if stop < len(self.texts) and self.rows[stop - 1] == self.rows[stop]:
                row = self.rows[stop]
                first = int(np.searchsorted(self.rows, row))
                stop = first if first > start else int(np.searchsorted(self.rows, row, "right"))
            yield Leaves(self.rows[start:stop], self.places[start:stop], self.texts[start:stop])
            start = stop


def text_leaves(table: pa.Table, rows: I64) -> Leaves:
    """Return every text of a table; `rows` are the numbers of its rows, ascending. Nulls are no texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts: list[tuple[I64, U64, list[str]]] = []
    for path, array, owners in _leaves(table):
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            valid = np.asarray(pc.is_valid(array))
            owners = owners[valid]
            parts.append((owners, _places(path, owners), array.drop_null().to_pylist()))
    if not parts:
        return Leaves(np.zeros(0, np.int64), np.zeros(0, np.uint64), [])
    owners = np.concatenate([part[0] for part in parts])
    order = np.argsort(owners, kind="stable")
    texts = [text for part in parts for text in part[2]]
    places = np.concatenate([part[1] for part in parts])[order]
    return Leaves(rows[owners[order]], places, [texts[number] for number in order.tolist()])


def other_values(table: pa.Table) -> U64:
    """Return one hash a row of all that is no text: numbers, booleans, dates, nulls and list lengths."""
    import pyarrow as pa

    sums = np.zeros(table.num_rows, np.uint64)
    for path, array, owners in _leaves(table):
        if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
            hashes = _VALUES.draws(_places(path, owners) ^ _hashes(array))
            np.add.at(sums, owners, hashes)
    return sums


def _leaves(table: pa.Table) -> Iterator[tuple[str, pa.Array, I64]]:
    """Yield every leaf array with its path and the position of the row that each value belongs to."""
    everything = np.arange(table.num_rows)
    for name, column in zip(table.column_names, table.columns, strict=True):
        yield from _below(name, _one_array(column), everything)


def _below(path: str, array: pa.Array, owners: I64) -> Iterator[tuple[str, pa.Array, I64]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_map(kind):
        array = array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
        yield from _below(path, array, owners)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        parents = np.asarray(pc.list_parent_indices(array)).astype(np.int64)
        yield from _below(f"{path}/*", pc.list_flatten(array), owners[parents])
    elif pa.types.is_struct(kind):
        for number, field in enumerate(kind):
            yield from _below(f"{path}/{field.name}", pc.struct_field(array, number), owners)
    else:
        yield path, array, owners


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [_empty(column)])


def _empty(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    return pa.array([], column.type)


def _places(path: str, owners: I64) -> U64:
    """Return a hash of the path and of which of its values within the row each is; owners ascend."""
    number = np.arange(len(owners)) - np.searchsorted(owners, owners)
    return Key.of("place", path).draws(number)


def _hashes(array: pa.Array) -> U64:
    """Return a hash of each value that is no text; nulls differ from every value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        numbers = array.cast(pa.uint64() if pa.types.is_unsigned_integer(kind) else pa.int64()).fill_null(0)
        hashes = _VALUES.draws(np.asarray(numbers).astype(np.uint64), 1)
    elif pa.types.is_floating(kind):
        hashes = _VALUES.draws(np.asarray(array.cast(pa.float64()).fill_null(0.0)).view(np.uint64), 2)
    else:
        data = (digest(repr(value))[:8] for value in array.to_pylist())
        hashes = np.frombuffer(b"".join(data), "<u8").astype(np.uint64)
    return np.where(np.asarray(pc.is_null(array)), np.uint64(0), hashes)
