"""Work tables: Arrow tables that one step of a build leaves for another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from instructify.errors import InstructifyError, Problem
from instructify.keys import I64
from instructify.publish.files import RERUN

if TYPE_CHECKING:
    import pyarrow as pa

MAX_VIEWED = (1 << 31) - 1
"""Bytes of text in one buffer that Arrow's views can point into."""
_END = bytes([255] * 4 + [0] * 4)
"""What a stream ends with; PyArrow takes one without it for whole."""


def write_table(table: pa.Table, file: BinaryIO) -> None:
    """Write a table in Arrow's stream format: it opens in a third of the time that its file format takes."""
    import pyarrow as pa

    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


def map_table(path: Path) -> pa.Table:
    """Return a table as it lies in its file, whose pages are read when they are looked at.

    Raises InstructifyError for a file that cannot be read or is cut short.
    """
    import pyarrow as pa

    try:
        file = pa.memory_map(str(path))
        file.seek(max(0, file.size() - len(_END)))
        if file.read() != _END:
            raise pa.ArrowInvalid("it is cut short")
        file.seek(0)
        return pa.ipc.open_stream(file).read_all()
    except (OSError, pa.ArrowException) as error:
        raise InstructifyError(Problem(f"a work file cannot be read: {error}{RERUN}", str(path))) from error


def take(table: pa.Table, places: I64) -> pa.Table:
    """Return rows of a table by their places, in one chunk.

    Arrow's own `take` joins the chunks of a column first; long texts are copied but once here.
    """
    import pyarrow as pa

    columns = [
        _taken(column.chunks, places)
        if _can_be_viewed(column)
        else column.combine_chunks().take(pa.array(places))
        for column in table.columns
    ]
    return pa.table(columns, table.column_names)


def _can_be_viewed(column: pa.ChunkedArray) -> bool:
    if column.type != "large_string" or column.null_count or not column.num_chunks:
        return False
    return all(
        (chunk.buffers()[2].size if chunk.buffers()[2] else 0) <= MAX_VIEWED for chunk in column.chunks
    )


def _taken(chunks: list[pa.Array], places: I64) -> pa.Array:
    """Return texts by their places in all chunks together: the pointers to them are moved, not the texts."""
    import pyarrow as pa

    views = pa.concat_arrays([chunk.cast(pa.string_view()) for chunk in chunks])
    _, pointers, *texts = views.buffers()
    moved = np.frombuffer(pointers, "V16", len(views))[places]
    views = pa.Array.from_buffers(pa.string_view(), len(places), [None, pa.py_buffer(moved), *texts])
    return views.cast(pa.large_string())
