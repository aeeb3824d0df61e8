"""JSON lines: one example per line, all columns in the order of the schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from instructify.types import EXAMPLE_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 4096


def write_jsonl(table: pa.Table, file: BinaryIO) -> None:
    """Write every column of every example as one JSON object per line, in UTF-8."""
    import orjson

    names = tuple(EXAMPLE_COLUMNS)
    for rows in batches(table, names):
        file.write(b"".join(orjson.dumps(dict(zip(names, row, strict=True))) + b"\n" for row in rows))


def batches(table: pa.Table, names: tuple[str, ...]) -> Iterator[Iterator[tuple[Any, ...]]]:
    """Yield the rows of some columns as tuples, a few thousand at once, in flat memory."""
    chosen = table.select(list(names))
    for start in range(0, chosen.num_rows, _ROWS_AT_ONCE):
        piece = chosen.slice(start, _ROWS_AT_ONCE).combine_chunks()
        yield zip(*(column.to_pylist() for column in piece.columns), strict=True)
