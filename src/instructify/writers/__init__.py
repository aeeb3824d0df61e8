"""The formats a build can be published in: a new one is a function and a row of WRITERS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from instructify.writers.chat import write_chat
from instructify.writers.jsonl import write_jsonl
from instructify.writers.parquet import write_parquet

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Writer:
    """One format: the folder of its files in a build, the end of their names, and the function.

    `write` takes a table with the columns of `example_schema` and a file it writes to in order.
    """

    folder: str
    suffix: str
    write: Callable[[pa.Table, BinaryIO], None]


WRITERS: Mapping[str, Writer] = {
    "parquet": Writer("parquet", ".parquet", write_parquet),
    "jsonl": Writer("jsonl", ".jsonl", write_jsonl),
    "chat": Writer("chat", ".jsonl", write_chat),
}
