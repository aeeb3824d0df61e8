"""Columns as the kernels handle them, and the small operations on them that everything else is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.keys import I64, Key
from instructify.render.compiled.rows import BoolArray, Rows, is_string

if TYPE_CHECKING:
    import pyarrow as pa

MAX_HARD = 0.5
"""Share of hard rows above which the whole batch is better rendered by the generated function."""


class NotVector(Exception):  # noqa: N818  (a signal, not an error)
    """There is no kernel for this template, or not for this batch."""


@dataclass(frozen=True, slots=True)
class Column:
    """Strings or integers, one a row and none null."""

    array: pa.Array


@dataclass(frozen=True, slots=True)
class Lists:
    """A list of strings a row: an Arrow list array without nulls, or one column for each place."""

    array: pa.Array | None = None
    places: tuple[Any, ...] = ()
    """Each a Column of strings or a str."""
    owners: I64 | None = None
    """Inside a loop: for each turn, the place of its list in `array`."""


Value = Any
"""A Python constant (str, int, list of str, dict), a Column or Lists."""


@dataclass(slots=True)
class Batch:
    """The rows being rendered, the values of names, and the rows that other means must settle.

    Inside a loop, `outer` is the batch around it; a row of this batch is then one turn of the loop, and
    `owners` gives the row of the outer batch that each turn belongs to.
    """

    rows: Rows
    key: Key
    strict: bool
    hard: BoolArray
    names: dict[str, Value] = field(default_factory=dict)
    draws: int = 0
    draws_known: bool = True
    outer: Batch | None = None
    owners: I64 | None = None

    def __len__(self) -> int:
        return len(self.hard)

    def harden(self, mask: BoolArray) -> None:
        """Leave some rows to other means; raises NotVector when too few remain."""
        self.hard |= mask
        if len(self.hard) and self.hard.mean() > MAX_HARD:
            raise NotVector("too many rows that no kernel settles")


@dataclass(frozen=True, slots=True)
class Turns:
    """The `loop` variable: the number of each turn in its own loop."""

    numbers: I64


def lifted(inner: Batch, value: Value) -> Value:
    """Return a value of the batch around a loop as the turns of the loop see it."""
    import pyarrow as pa

    if isinstance(value, Column):
        return Column(value.array.take(pa.array(inner.owners)))
    if isinstance(value, np.ndarray):
        return value[inner.owners]
    if isinstance(value, Lists) and value.array is None:
        return Lists(places=tuple(lifted(inner, place) for place in value.places))
    if isinstance(value, Lists):
        return Lists(value.array, owners=inner.owners)
    return value


def refuse(what: str) -> Any:
    """Raise NotVector."""
    raise NotVector(what)


def is_text(value: Value) -> bool:
    """Tell whether a value is text in every row."""
    return isinstance(value, str) or (isinstance(value, Column) and is_string(value.array.type))


def printed(batch: Batch, value: Value) -> Value:
    """Return the printed form of a value: a str, or a Column of strings."""
    import pyarrow as pa

    if is_text(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Column):
        return Column(value.array.cast(pa.string()))
    raise NotVector("printing something else")


def truth(batch: Batch, value: Value) -> BoolArray:
    """Return the truth of a value for every row."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Lists) and value.array is not None and value.owners is None:
        return list_lengths(value.array) > 0
    if isinstance(value, Column) and is_string(value.array.type):
        return lengths(value.array) > 0
    if isinstance(value, Column):
        truth: BoolArray = value.array.to_numpy(zero_copy_only=False) != 0
        return truth
    raise NotVector("the truth of something else")


def joined(batch: Batch, pieces: Sequence[Value]) -> pa.Array:
    """Return the pieces joined, row by row; neighbouring constants become one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    merged: list[Value] = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        elif piece != "":
            merged.append(piece)
    if all(isinstance(piece, str) for piece in merged):
        return pa.array(["".join(merged)], pa.string()).take(pa.array(np.zeros(len(batch), np.int64)))
    if len(merged) == 1:
        return plain_string(merged[0].array)
    arrays = [
        plain_string(piece.array) if isinstance(piece, Column) else pa.scalar(piece) for piece in merged
    ]
    return pc.binary_join_element_wise(*arrays, "")


def plain_string(array: pa.Array) -> pa.Array:
    """Return an array of strings with 32-bit offsets."""
    import pyarrow as pa

    return array if array.type == pa.string() else array.cast(pa.string())


def trimmed(array: pa.Array) -> pa.Array:
    """Return strings stripped as str.strip strips them."""
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(array)


def stripped_text(batch: Batch, pieces: Sequence[Value]) -> pa.Array:
    """Return the pieces joined and stripped; nothing is copied twice where no row has space at its ends."""
    pieces = list(pieces)
    while pieces and isinstance(pieces[0], str) and not pieces[0].strip():
        pieces.pop(0)
    while pieces and isinstance(pieces[-1], str) and not pieces[-1].strip():
        pieces.pop()
    if pieces and isinstance(pieces[0], str):
        pieces[0] = pieces[0].lstrip()
    if pieces and isinstance(pieces[-1], str):
        pieces[-1] = pieces[-1].rstrip()
    loose = any(isinstance(piece, Column) and _spaced(piece.array) for piece in (*pieces[:1], *pieces[-1:]))
    text = joined(batch, pieces)
    return trimmed(text) if loose else text


def _spaced(array: pa.Array) -> bool:
    """Tell whether any text is empty or may begin or end with white space."""
    texts = plain_string(array)
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    if not len(texts) or (offsets[1:] == offsets[:-1]).any():
        return True
    data = np.frombuffer(texts.buffers()[2], np.uint8)
    return bool(_MAY_BE_SPACE[data[offsets[:-1]]].any() or _MAY_END_SPACE[data[offsets[1:] - 1]].any())


_MAY_BE_SPACE = np.zeros(256, bool)
_MAY_BE_SPACE[[*range(9, 14), *range(28, 33), 0xC2, 0xE1, 0xE2, 0xE3]] = True
_MAY_END_SPACE = np.zeros(256, bool)
_MAY_END_SPACE[[*range(9, 14), *range(28, 33), *range(0x80, 0xC0)]] = True


def trimmed_value(value: Value) -> Value:
    """Return a text value stripped."""
    return value.strip() if isinstance(value, str) else Column(trimmed(value.array))


def lengths(array: pa.Array) -> I64:
    """Return the length of each string in bytes."""
    import pyarrow.compute as pc

    lengths: I64 = pc.binary_length(array).to_numpy(zero_copy_only=False)
    return lengths


def list_lengths(array: pa.Array) -> I64:
    """Return the number of elements of each list."""
    import pyarrow.compute as pc

    lengths: I64 = pc.list_value_length(array).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths


def from_numpy(values: I64) -> pa.Array:
    """Return numbers as an Arrow array."""
    import pyarrow as pa

    return pa.array(values)


def choose(batch: Batch, mask: BoolArray, taken: list[Value], other: list[Value]) -> Column:
    """Return the first pieces where the mask holds, else the others, joined."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return Column(pc.if_else(pa.array(mask), joined(batch, taken), joined(batch, other)))
