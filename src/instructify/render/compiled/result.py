"""What a template makes of a batch, as Arrow columns, put together from rows rendered in different ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.checks import Checked
from instructify.keys import I64

if TYPE_CHECKING:
    import pyarrow as pa

Choices = Any
"""A list column, or one tuple for choices that are the same in every row, or None."""


@dataclass(frozen=True, slots=True)
class RenderedBatch:
    """The examples a batch makes, by index of their row in the batch, and the rows that fell, by reason.

    The columns are as long as `kept` and in the same order, which need not be that of the rows. `choices` is
    one tuple where the template's choices are constant; it, `labels` and `rationales` are None where there
    are none. `by_kernels` and `by_reference` count the rows that Arrow kernels and the reference rendered;
    the generated function rendered the others.
    """

    kept: I64
    inputs: pa.Array
    targets: pa.Array
    choices: Choices
    labels: pa.Array | None
    rationales: pa.Array | None
    dropped: dict[str, list[int]]
    by_kernels: int = 0
    by_reference: int = 0


@dataclass(slots=True)
class Settled:
    """Rows that were looked at one by one: the examples they make, or the reasons they fall for."""

    examples: dict[int, Checked] = field(default_factory=dict)
    dropped: dict[str, list[int]] = field(default_factory=dict)
    by_reference: int = 0


@dataclass(frozen=True, slots=True)
class Columns:
    """Examples in columns, with the batch rows they come from; the same conventions as RenderedBatch."""

    rows: I64
    inputs: Any
    targets: Any
    choices: Any
    labels: Any
    rationales: Any


def put_together(
    columns: Sequence[Columns], settled: Settled, constant: tuple[str, ...] | None, by_kernels: int
) -> RenderedBatch:
    """Return the examples of all columns and of the settled rows as one batch."""
    parts = [part for part in columns if len(part.rows)]
    if settled.examples:
        parts.append(_of_settled(settled))
    return RenderedBatch(
        np.concatenate([part.rows for part in parts]) if parts else np.empty(0, np.int64),
        _stack([part.inputs for part in parts], "text"),
        _stack([part.targets for part in parts], "text"),
        constant if constant is not None else _or_none([part.choices for part in parts], "lists", parts),
        _or_none([part.labels for part in parts], "labels", parts),
        _or_none([part.rationales for part in parts], "text", parts),
        {reason: sorted(rows) for reason, rows in settled.dropped.items()},
        by_kernels,
        settled.by_reference,
    )


def _of_settled(settled: Settled) -> Columns:
    rows = sorted(settled.examples)
    examples = [settled.examples[row] for row in rows]
    return Columns(
        np.array(rows, np.int64),
        [example.inputs for example in examples],
        [example.targets for example in examples],
        [example.choices for example in examples],
        [example.label for example in examples],
        [example.rationale for example in examples],
    )


def _stack(values: Sequence[Any], kind: str) -> pa.ChunkedArray:
    import pyarrow as pa

    types = {"text": pa.large_string(), "lists": pa.large_list(pa.large_string()), "labels": pa.int32()}
    arrays = [
        value.cast(types[kind])
        if isinstance(value, (pa.Array, pa.ChunkedArray))
        else pa.array(value, types[kind])
        for value in values
    ]
    flat = [
        chunk
        for array in arrays
        for chunk in (array.chunks if isinstance(array, pa.ChunkedArray) else [array])
    ]
    return pa.chunked_array(flat, types[kind])


def _or_none(values: Sequence[Any], kind: str, parts: Sequence[Columns]) -> pa.ChunkedArray | None:
    """Return the values as one column, nulls where a part has none; None where no part has any."""
    given = [value for value in values if value is not None]
    if not given or all(isinstance(value, list) and not any(v is not None for v in value) for value in given):
        return None
    return _stack(
        [
            [None] * len(part.rows) if value is None else value
            for value, part in zip(values, parts, strict=True)
        ],
        kind,
    )
