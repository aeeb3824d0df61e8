"""Blocks: what every reader yields, a few thousand rows at a time, before casts and names are applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_ROWS = 8192
BLOCK_CHARACTERS = 16 << 20


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows by stored column name; `where(i)` says in which file and line the block's row i lies."""

    columns: Mapping[str, pa.Array | Sequence[Any]]
    rows: int
    where: Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Intake:
    """One split as a reader sees it: stored column types, blocks, and what it has to say.

    A type of None marks a column that the recipe casts: its blocks hold the values as they were read.
    """

    types: Mapping[str, pa.DataType | None]
    blocks: Callable[[], Iterator[Block]]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
