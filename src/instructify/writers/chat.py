"""Chat messages: the prompt as the user's turn, the target as the assistant's."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from instructify.writers.jsonl import batches

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ("id", "inputs", "targets", "task", "cluster", "template")


def write_chat(table: pa.Table, file: BinaryIO) -> None:
    """Write one conversation of two messages per example and line, in UTF-8."""
    import orjson

    for rows in batches(table, _COLUMNS):
        lines = []
        for name, inputs, targets, task, cluster, template in rows:
            turns = [{"role": "user", "content": inputs}, {"role": "assistant", "content": targets}]
            origin = {"task": task, "cluster": cluster, "template": template}
            lines.append(orjson.dumps({"id": name, "messages": turns, **origin}))
        lines.append(b"")
        file.write(b"\n".join(lines))
