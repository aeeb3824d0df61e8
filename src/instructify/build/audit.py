"""The sampled audit: some rows of every real build are rendered by the reference too, and must agree."""

from __future__ import annotations

from typing import Any

import numpy as np

from instructify.checks import check
from instructify.errors import InstructifyError, Problem, RowError
from instructify.keys import I64, Key
from instructify.render.compiled import BatchTemplate, RenderedBatch, Rows
from instructify.render.compiled.rows import rows_at

RATE = 1_024
"""One row in so many is audited, and the first of every batch."""


def audit(template: BatchTemplate, rows: Rows, key: Key, batch: RenderedBatch) -> int:
    """Return the number of rows compared; raises InstructifyError naming the first that differs."""
    if template.refusal is not None:
        return 0
    chosen = np.flatnonzero(key.draws(rows.numbers, 1 << 32) % np.uint64(RATE) == 0)
    chosen = np.unique(np.append(chosen, 0)) if len(rows) else chosen
    values = rows_at(rows.table, chosen).to_pylist()
    fallen = {row: reason for reason, dropped in batch.dropped.items() for row in dropped}
    places = _places(batch.kept, chosen)
    for row, value in zip(chosen.tolist(), values, strict=True):
        number = int(rows.numbers[row])
        expected: Any
        try:
            example = check(template.reference.render(value, key, number))
            expected = (example.inputs, example.targets, example.choices, example.label, example.rationale)
        except RowError as error:
            expected = error.reason
        got = fallen.get(row) if row not in places else _example(batch, places[row])
        if got != expected:
            what = (
                f"row {number} under template {template.template.name!r} differs from the reference rendering"
            )
            raise InstructifyError(
                Problem(
                    what, template.template.where, f"{expected!r:.300}; got {got!r:.300}; please report this"
                )
            )
    return len(chosen)


def _places(kept: I64, rows: I64) -> dict[int, int]:
    """Return where each of the rows stands among the kept ones."""
    order = np.argsort(kept, kind="stable")
    at = np.searchsorted(kept, rows, sorter=order)
    found = {}
    for row, place in zip(rows.tolist(), at.tolist(), strict=True):
        if place < len(kept) and kept[order[place]] == row:
            found[row] = int(order[place])
    return found


def _example(batch: RenderedBatch, place: int) -> tuple[Any, ...]:
    choices = batch.choices
    if choices is not None and not isinstance(choices, tuple):
        choices = choices[place].as_py()
    return (
        batch.inputs[place].as_py(),
        batch.targets[place].as_py(),
        None if choices is None else tuple(choices),
        None if batch.labels is None else batch.labels[place].as_py(),
        None if batch.rationales is None else batch.rationales[place].as_py(),
    )
