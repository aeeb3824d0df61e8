"""Chat messages: prompts as the user's turns, targets as the assistant's; exemplars are turns too."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from instructify.writers.jsonl import batches

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ("id", "inputs", "targets", "task", "cluster", "template", "turns")
_ROLES = ("user", "assistant")


def write_chat(table: pa.Table, file: BinaryIO) -> None:
    """Write one conversation per example and line, in UTF-8.

    The column `turns`, where there is one and it is not empty, lists prompt and target of every exemplar and
    the bare prompt of the query.
    """
    import orjson
    import pyarrow as pa

    if "turns" not in table.column_names:
        table = table.append_column("turns", pa.nulls(table.num_rows))
    for rows in batches(table, _COLUMNS):
        lines = []
        for name, inputs, targets, task, cluster, template, turns in rows:
            said = [*(turns or [inputs]), targets]
            messages = [{"role": _ROLES[n % 2], "content": text} for n, text in enumerate(said)]
            origin = {"task": task, "cluster": cluster, "template": template}
            lines.append(orjson.dumps({"id": name, "messages": messages, **origin}))
        lines.append(b"")
        file.write(b"\n".join(lines))
