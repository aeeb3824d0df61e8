"""Work tables: Arrow tables that one step of a build leaves for another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import pyarrow as pa


def write_table(table: pa.Table, file: BinaryIO) -> None:
    """Write a table in Arrow's file format."""
    import pyarrow as pa

    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def map_table(path: Path) -> pa.Table:
    """Return a table as it lies in its file, whose pages are read when they are looked at."""
    import pyarrow as pa

    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
