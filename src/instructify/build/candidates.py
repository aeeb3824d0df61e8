"""Candidates: the examples of a shard as an Arrow table, those of each template and variant together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from instructify.build.tables import take
from instructify.compose.composition import Composed
from instructify.compose.texts import Texts
from instructify.keys import I64, U64, Key

if TYPE_CHECKING:
    import pyarrow as pa


def candidates(
    slot: int,
    ids: Key,
    share: Key,
    order: Key,
    composed: Composed,
    places: I64,
    epoch: int = 0,
    with_turns: bool = False,
) -> pa.Table:
    """Return the candidates of one template and variant; what none of them has is no column of the table.

    `places` are those of the rendered rows. `share` draws which published file a row goes to, and where it
    lies there, elsewhere in each `epoch`; `order` draws the place of an example among those near it.
    `with_turns` says that exemplars are wanted one by one as well.
    """
    import pyarrow as pa

    texts, shown = composed.texts, composed.shown
    rows = texts.rows
    low, high = ids.draws(rows, 0), ids.draws(rows, 1)
    columns = {
        "share": pa.array(share.draws(rows)),
        "epoch": pa.array(np.full(len(rows), epoch, np.uint64)) if epoch else None,
        "order": pa.array(order.draws(low)),
        "place": pa.array(places[composed.kept]),
        "slot": pa.array(np.full(len(rows), slot, np.int16)),
        "id": _hexadecimal(high, low),
        "row": pa.array(rows),
        "inputs": texts.inputs,
        "targets": texts.targets,
        "answer_choices": texts.choices,
        "label": texts.labels,
        "rationale": texts.rationales,
        "answer_start": composed.starts,
        "answer_end": composed.stops,
        "cut": composed.cut,
        "shots": shown and shown.shots,
        "exemplars": shown and shown.exemplars,
        "turns": shown.turns if shown and with_turns else None,
    }
    return pa.table({name: column for name, column in columns.items() if column is not None})


def text_bytes(texts: pa.Array) -> int:
    """Return the bytes of all texts together."""
    import pyarrow.compute as pc

    return pc.sum(pc.binary_length(texts)).as_py() or 0


def together(tables: Sequence[pa.Table], in_order: bool) -> pa.Table:
    """Return all candidates: one table after the other, or in one chunk, in the order of their share keys."""
    import pyarrow as pa

    table = pa.concat_tables(tables or [_none()], promote_options="default")
    return take(table, np.argsort(table["share"].to_numpy(), kind="stable")) if in_order else table


def _none() -> pa.Table:
    import pyarrow as pa

    texts, rows = pa.array([], pa.large_string()), np.zeros(0, np.int64)
    nothing = Composed(Texts(rows, texts, texts), rows, {})
    return candidates(0, Key(0, 0), Key(0, 0), Key(0, 0), nothing, rows)


def _hexadecimal(high: U64, low: U64) -> pa.Array:
    import pyarrow as pa

    data = np.stack([high, low], axis=1).astype(">u8").tobytes().hex()
    offsets = np.arange(0, len(data) + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(high), pa.py_buffer(offsets), pa.py_buffer(data.encode()))
