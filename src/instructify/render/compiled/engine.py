"""Renders a batch of rows under one template: Arrow kernels, the generated function, then the reference."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from instructify.checks import check
from instructify.errors import RowError
from instructify.keys import I64, Key
from instructify.render.compiled.kernels import NotVector, Vectors, vectorises, vectors
from instructify.render.compiled.prepare import prepare
from instructify.render.compiled.python import PythonTemplate
from instructify.render.compiled.result import Columns, RenderedBatch, Settled, put_together
from instructify.render.compiled.rows import BoolArray, Rows, rows_at
from instructify.render.compiled.trees import CannotCompile
from instructify.render.meter import WORK_LIMIT
from instructify.render.reference import reference, sandbox

if TYPE_CHECKING:
    import pyarrow as pa

    from instructify.templates.model import Template

GIANT = 65_536
"""Rows larger than this many bytes are rendered by the reference."""
MIN_KERNEL_ROWS = 64
"""Batches smaller than this are not worth setting kernels up for."""
MAX_KERNEL_FAILURES = 3
"""Kernels are not tried again for a template after so many batches in which they failed."""


class BatchTemplate:
    """A template in all its forms; `refusal` tells why it has only the reference, if so."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.reference = reference(template)
        self.refusal: CannotCompile | None = None
        self.kernel_refusal = ""
        self._kernel_failures = 0
        env = sandbox(template.dialect)
        try:
            self._prepared = prepare(template, env)
            self._python = PythonTemplate(self._prepared, env, template.name)
            self._vectorises = not self._prepared.mutates and vectorises(self._prepared.steps)
        except CannotCompile as refusal:
            self.refusal = refusal
        except RecursionError:
            self.refusal = CannotCompile("it is nested too deeply", 1)

    @property
    def paths(self) -> frozenset[tuple[str, ...]] | None:
        """Every path of names that is read of a row; None where that cannot be told."""
        return None if self.refusal is not None or self._prepared.mutates else self._prepared.paths

    def render(self, rows: Rows, key: Key) -> RenderedBatch:
        """Render every row of a batch; draws depend on `key` and the rows' absolute numbers."""
        settled = Settled()
        protected = self.template.dialect == "promptsource"
        if self.refusal is not None:
            self._settle_by_reference(rows, key, range(len(rows)), settled)
            return put_together([], settled, None, 0)
        made = self._kernels(rows, key)
        columns: list[Columns] = []
        left = np.ones(len(rows), bool)
        if made is not None:
            left = made.hard | self._too_costly(rows, made)
            columns.append(_easy(made, ~left))
        giants = left & (rows.sizes > GIANT)
        if protected and left.any():
            giants |= left & rows.with_bars
        self._settle_by_reference(rows, key, np.flatnonzero(giants).tolist(), settled)
        columns.append(self._by_python(rows, key, np.flatnonzero(left & ~giants), settled))
        return put_together(columns, settled, self._prepared.constant, len(columns[0].rows) if made else 0)

    def _kernels(self, rows: Rows, key: Key) -> Vectors | None:
        """Return what the kernels make of the batch, or None where they are no use."""
        import pyarrow as pa

        given_up = self._kernel_failures >= MAX_KERNEL_FAILURES
        if not self._vectorises or given_up or len(rows) < MIN_KERNEL_ROWS:
            return None
        try:
            return vectors(rows, key, self._prepared)
        except (NotVector, pa.ArrowException, OverflowError, TypeError, ValueError) as refusal:
            self._kernel_failures += 1
            self.kernel_refusal = str(refusal)
            return None

    def _too_costly(self, rows: Rows, made: Vectors) -> BoolArray:
        """Return the rows that are giants or might spend the reference's budget."""
        import pyarrow.compute as pc

        out = pc.add(pc.binary_length(made.inputs), pc.binary_length(made.targets)).to_numpy()
        costly: BoolArray = self._prepared.size * (40 + ((rows.sizes + out) >> 3)) > WORK_LIMIT
        return costly | (rows.sizes > GIANT)

    def _by_python(self, rows: Rows, key: Key, indices: I64, settled: Settled) -> Columns:
        """Return the rows at `indices` that the generated function decides; the others are settled here."""
        prepared = self._prepared
        part = rows.take(indices)
        try:
            listed = self._python.run(part, key)
        except CannotCompile:  # for columns such as these
            self._settle_by_reference(rows, key, indices.tolist(), settled)
            return Columns(indices[:0], [], [], None, None, None)
        sure = listed.sure(prepared.varying, bool(listed.labels), prepared.has_rationale)
        for row, rendered in listed.doubtful.items():
            if rendered is None:
                continue
            try:
                settled.examples[int(indices[row])] = check(rendered)
            except RowError as error:
                settled.dropped.setdefault(error.reason, []).append(int(indices[row]))
        unknown = [int(indices[row]) for row, rendered in listed.doubtful.items() if rendered is None]
        self._settle_by_reference(rows, key, unknown, settled)
        return Columns(
            indices[sure.rows], sure.inputs, sure.targets, sure.choices, sure.labels, sure.rationales
        )

    def _settle_by_reference(self, rows: Rows, key: Key, indices: Iterable[int], settled: Settled) -> None:
        places = sorted(indices)
        settled.by_reference += len(places)
        values = rows_at(rows.table, np.array(places, np.int64)).to_pylist()
        for row, value in zip(places, values, strict=True):
            try:
                settled.examples[row] = check(self.reference.render(value, key, int(rows.numbers[row])))
            except RowError as error:
                settled.dropped.setdefault(error.reason, []).append(row)


def _easy(made: Vectors, easy: BoolArray) -> Columns:
    """Return the rows that the kernels settled."""
    import pyarrow as pa

    rows = np.flatnonzero(easy)
    every = len(rows) == len(easy)
    taken = pa.array(rows)

    def chosen(array: pa.Array | None) -> pa.Array | None:
        return array if every or array is None else array.take(taken)

    choices = None if isinstance(made.choices, tuple) else chosen(made.choices)
    labels = None if made.labels is None else pa.array(made.labels if every else made.labels[rows])
    return Columns(rows, chosen(made.inputs), chosen(made.targets), choices, labels, chosen(made.rationales))
