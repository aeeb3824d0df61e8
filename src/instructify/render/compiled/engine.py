"""Renders a batch of rows under one template: Arrow kernels, the generated function, then the reference."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from instructify.checks import check
from instructify.errors import RowError
from instructify.keys import I64, Key
from instructify.render.compiled.kernels import NotThisBatch, NotVector, Vectors, vectorises, vectors
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
        self._kernel_failures = 0
        env = sandbox(template.dialect)
        try:
            self._prepared = prepare(template, env)
            self._python = PythonTemplate(self._prepared, env, template.name)
            self._vectorises = vectorises(self._prepared)
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
        with _without_collections():
            return self._render(rows, key)

    def _render(self, rows: Rows, key: Key) -> RenderedBatch:
        settled = Settled()
        if self.template.dialect == "promptsource" and "answer_choices" in rows.names:
            settled.dropped["reserved-column"] = list(range(len(rows)))
            return put_together([], settled, None, 0)
        if self.refusal is not None:
            self._settle_by_reference(rows, key, range(len(rows)), settled)
            return put_together([], settled, None, 0)
        made = self._kernels(rows, key)
        columns: list[Columns] = []
        left = np.ones(len(rows), bool)
        if made is not None:
            left = made.hard | self._too_costly(rows, made)
            columns.append(_easy(made, left, settled))
        by_kernels = len(rows) - int(np.count_nonzero(left))
        if by_kernels < len(rows):
            giants = left & (rows.sizes > GIANT)
            self._settle_by_reference(rows, key, np.flatnonzero(giants).tolist(), settled)
            columns.append(self._by_python(rows, key, np.flatnonzero(left & ~giants), settled))
        return put_together(columns, settled, self._prepared.constant, by_kernels)

    def _kernels(self, rows: Rows, key: Key) -> Vectors | None:
        """Return what the kernels make of the batch, or None where they are no use."""
        import pyarrow as pa

        given_up = not self._vectorises or self._kernel_failures >= MAX_KERNEL_FAILURES
        if given_up or len(rows) < MIN_KERNEL_ROWS:
            return None
        try:
            return vectors(rows, key, self._prepared)
        except (NotThisBatch, pa.ArrowException, OverflowError, TypeError, ValueError):
            self._kernel_failures += 1
        except (NotVector, RecursionError):
            self._vectorises = False
        return None

    def _too_costly(self, rows: Rows, made: Vectors) -> BoolArray:
        """Return the rows that are giants or might spend the reference's budget."""
        import pyarrow.compute as pc

        printed = pc.add(pc.binary_length(made.inputs), pc.binary_length(made.targets)).to_numpy()
        nodes, text = self._prepared.size, self._prepared.text
        most = int(rows.sizes.max(initial=0)) + int(printed.max(initial=0))
        if most <= GIANT and nodes * (40 + ((most + text) >> 3)) <= WORK_LIMIT:
            return np.zeros(len(rows), bool)
        costly: BoolArray = nodes * (40 + ((rows.sizes + printed + text) >> 3)) > WORK_LIMIT
        return costly | (rows.sizes > GIANT)

    def _by_python(self, rows: Rows, key: Key, indices: I64, settled: Settled) -> Columns:
        """Return the rows at `indices` that the generated function decides; the others are settled here."""
        prepared = self._prepared
        part = rows.take(indices)
        part = part if prepared.strict else part.protected()
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


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keep the garbage collector from going through a batch's values, none of which form a cycle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _easy(made: Vectors, left: BoolArray, settled: Settled) -> Columns:
    """Return the rows that the kernels settled, but for those `left`; the rows that fall are noted."""
    import pyarrow as pa

    easy = ~left
    for reason, fallen in made.fallen.items():
        rows = np.flatnonzero(fallen & easy)
        if len(rows):
            settled.dropped[reason] = rows.tolist()
            easy[rows] = False
    rows = np.flatnonzero(easy)
    every = len(rows) == len(easy)
    kept = pa.array(easy)

    def chosen(array: pa.Array | None) -> pa.Array | None:
        return array if every or array is None else array.filter(kept)

    choices = None if isinstance(made.choices, tuple) else chosen(made.choices)
    labels = None if made.labels is None else pa.array(made.labels if every else made.labels[rows])
    return Columns(rows, chosen(made.inputs), chosen(made.targets), choices, labels, chosen(made.rationales))
