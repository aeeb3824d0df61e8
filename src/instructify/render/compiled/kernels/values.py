"""Columns as the kernels handle them, and the small operations on them that everything else is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import nodes

from instructify.keys import I64, Key
from instructify.render.compiled.rows import I32, BoolArray, Rows, is_string, string_offsets

if TYPE_CHECKING:
    import pyarrow as pa

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
MAX_HARD = 0.5
"""Share of hard rows above which the whole batch is better rendered by the generated function."""


class NotVector(Exception):  # noqa: N818  (a signal, not an error)
    """There is no kernel for this template over columns of these types."""


class NotThisBatch(NotVector):
    """The values of this batch are beyond the kernels; those of the next may not be."""


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
    are_choices: bool = False


Value = Any
"""A Python constant (str, int, list of str, dict), a Column or Lists."""


@dataclass(slots=True)
class Batch:
    """The rows being rendered, the values of names, and what is known of single rows.

    Rows that are `hard` must be settled by other means, `unlabelled` ones took a negative index into the
    answer choices, and of `blank` ones all of the template's text stands in a branch that they do not take:
    the branch of `lone`. `text` is the number of characters in the template's constants.

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
    text: int = 0
    outer: Batch | None = None
    owners: I64 | None = None
    unlabelled: BoolArray = field(default_factory=lambda: np.zeros(0, bool))
    blank: BoolArray = field(default_factory=lambda: np.zeros(0, bool))
    lone: nodes.If | None = None
    branches: int = 0
    """How many branches are being gone through, in which marks may yet be taken back."""

    def __post_init__(self) -> None:
        """Begin without a mark on any row."""
        self.unlabelled, self.blank = np.zeros(len(self.hard), bool), np.zeros(len(self.hard), bool)

    def __len__(self) -> int:
        return len(self.hard)

    @property
    def most(self) -> I64:
        """How large a value each row may make."""
        sizes = self.rows.sizes if self.owners is None else self.rows.sizes[self.owners]
        return 2 * sizes + 512

    def harden(self, mask: BoolArray) -> None:
        """Leave some rows to other means; raises NotVector when too few remain."""
        self.hard |= mask
        if not self.branches and np.count_nonzero(self.hard) > MAX_HARD * len(self.hard):
            raise NotThisBatch("too many rows that no kernel settles")

    def marks(self) -> tuple[BoolArray, BoolArray]:
        """Return the marks that rows have so far, for `only`, which has to follow."""
        self.branches += 1
        return self.hard.copy(), self.unlabelled.copy()

    def only(self, rows: BoolArray, before: tuple[BoolArray, BoolArray]) -> None:
        """Take back the marks set since then on other rows: what went wrong there does not take place."""
        self.branches -= 1
        self.unlabelled = before[1] | (self.unlabelled & rows)
        hard, self.hard = self.hard & rows, before[0]
        self.harden(hard)


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
        places = tuple(lifted(inner, place) for place in value.places)
        return Lists(places=places, are_choices=value.are_choices)
    if isinstance(value, Lists):
        return Lists(value.array, owners=inner.owners, are_choices=value.are_choices)
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


def merged(pieces: Sequence[Value]) -> list[Value]:
    """Return the pieces with neighbouring constants made one."""
    found: list[Value] = []
    for piece in pieces:
        if isinstance(piece, str) and found and isinstance(found[-1], str):
            found[-1] += piece
        elif not (isinstance(piece, str) and not piece):
            found.append(piece)
    return found


def joined(batch: Batch, pieces: Sequence[Value]) -> pa.Array:
    """Return the pieces joined, row by row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    pieces = merged(pieces)
    if all(isinstance(piece, str) for piece in pieces):
        return pa.array(["".join(pieces)], pa.string()).take(pa.array(np.zeros(len(batch), np.int64)))
    if len(pieces) == 1:
        return plain_string(pieces[0].array)
    arrays = [
        plain_string(piece.array) if isinstance(piece, Column) else pa.scalar(piece) for piece in pieces
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
    pieces = merged(pieces)
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
    """Tell whether any text is empty, or begins or ends with white space."""
    texts = plain_string(array)
    if not len(texts):
        return False
    offsets = string_offsets(texts)
    starts, ends = offsets[:-1], offsets[1:]
    if (starts == ends).any():
        return True
    data = np.frombuffer(texts.buffers()[2], np.uint8)
    firsts, lasts = data[starts], data[ends - 1]
    if _SPACE[firsts].any() or _SPACE[lasts].any():
        return True
    starts, ends = starts[firsts > 0x7F], ends[lasts > 0x7F]
    return bool(len(starts) and _wide_space(data, starts)) or bool(len(ends) and _wide_space_to(data, ends))


def _wide_space(data: Bytes, starts: I32 | I64) -> bool:
    """Tell whether white space of two or three bytes begins where any of these characters begin."""
    two = data[starts].astype(np.int64) << 8 | data[starts + 1]
    maybe = _WIDE_BEGINS[two]
    if not maybe.any():
        return False
    two, starts = two[maybe], starts[maybe]
    return _is_wide_space(two, two << 8 | data[np.minimum(starts + 2, len(data) - 1)])


def _wide_space_to(data: Bytes, ends: I32 | I64) -> bool:
    """Tell whether white space of two or three bytes ends where any of these characters end."""
    two = data[ends - 2].astype(np.int64) << 8 | data[ends - 1]
    maybe = _WIDE_ENDS[two]
    if not maybe.any():
        return False
    two, ends = two[maybe], ends[maybe]
    return _is_wide_space(two, data[np.maximum(ends - 3, 0)].astype(np.int64) << 16 | two)


def _is_wide_space(two: I64, three: I64) -> bool:
    return bool(np.isin(two, _WIDE).any() or np.isin(three, _WIDE).any())


_SPACE = np.array([chr(code).isspace() for code in range(128)] + [False] * 128)
_WIDE = np.array(
    [int.from_bytes(chr(code).encode()) for code in range(128, 0xD800) if chr(code).isspace()], np.int64
)
_WIDE_BEGINS, _WIDE_ENDS = np.zeros(65_536, bool), np.zeros(65_536, bool)
_WIDE_BEGINS[np.where(_WIDE > 65_535, _WIDE >> 8, _WIDE)] = True
_WIDE_ENDS[_WIDE & 65_535] = True


def bounded(batch: Batch, array: pa.Array) -> Column:
    """Return texts that may be longer than what they are made of; rows with far longer ones are hard.

    Those texts go, for they might double at every step of a template.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    long = lengths(array) > batch.most
    if long.any():
        batch.harden(long)
        array = pc.if_else(pa.array(long), pa.scalar("", array.type), array)
    return Column(array)


def stripped_value(batch: Batch, pieces: Sequence[Value]) -> Value:
    """Return the pieces joined and stripped: a constant if all of them are."""
    if all(isinstance(piece, str) for piece in pieces):
        return "".join(pieces).strip()
    return Column(stripped_text(batch, pieces))


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
