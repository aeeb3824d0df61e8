"""Composing inside a shard: the rendered rows of one window become the examples of its variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.build.tables import map_table
from instructify.compose.budget import Budget
from instructify.compose.composition import Composed, Composer, prints
from instructify.compose.exemplars import make_pool
from instructify.compose.marks import MARKS
from instructify.compose.reasoning import mismatched
from instructify.compose.schedule import schedule
from instructify.compose.texts import Texts, glued, normalised
from instructify.errors import InstructifyError, Problem
from instructify.keys import I64, Key
from instructify.recipe.variants import Variant
from instructify.render.compiled import BatchTemplate, RenderedBatch, Rows
from instructify.render.compiled.rows import bare_rows, holds, is_string, rows_that_hold
from instructify.templates import Template

if TYPE_CHECKING:
    import pyarrow as pa

ROW = "row"
"""The last column of a pool file, with the row numbers; the others are the row's own."""


@dataclass(frozen=True, slots=True)
class PoolFile:
    """An Arrow file of the rows that may be exemplars of a task; it names its content."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """The examples of one variant; `composed.kept` are indices into the rows that were rendered."""

    variant: int
    composed: Composed


@lru_cache(maxsize=512)
def compiled(template: Template) -> BatchTemplate:
    """Return this process's compiled form of a template."""
    return BatchTemplate(template)


def compose_rows(
    template: Template,
    variants: Sequence[Variant],
    rows: Rows,
    places: I64,
    batch: RenderedBatch,
    draws: Key,
    pool: PoolFile | None,
    budget: Budget | None,
) -> list[Part]:
    """Return the examples of every variant; `places` are the rows' places in the template's keyed order."""
    rows = _read_by(template, rows)
    texts, reserved = _texts(rows, batch), _reserved(rows)[batch.kept]
    _check_targets(template, texts.take(np.flatnonzero(~reserved)))
    which = schedule([variant.share for variant in variants], places[batch.kept])
    needs_sources = any(variant.shot_range[1] for variant in variants)
    sources = _row_texts(rows) if needs_sources and len(rows) else None
    parts = []
    for number, variant in enumerate(variants):
        members = np.flatnonzero(which == number)
        if not len(members):
            continue
        composer = _composer(template, variant.model_dump_json(), draws, pool, budget)
        own = batch.kept[members]
        composed = composer.compose(
            texts.take(members),
            None if sources is None else _taken(sources, own),
            reserved[members],
            _Longest(rows, own),
        )
        parts.append(Part(number, _placed(composed, own)))
    return parts


def is_plain(template: Template, variants: Sequence[Variant], budget: Budget | None) -> bool:
    """Tell whether rendered rows are examples as they stand."""
    return (
        budget is None
        and not template.leaves_marks
        and len(variants) == 1
        and variants[0].reasoning == "none"
        and not variants[0].shot_range[1]
    )


class _Longest:
    """The texts of a row, the longest first: what is cut where a template marks nothing."""

    def __init__(self, rows: Rows, indices: I64) -> None:
        self._table, self._indices = rows.table, indices

    def __call__(self, place: int) -> list[str]:
        row = int(self._indices[place])
        values = (self._table[name][row].as_py() for name in self._table.column_names)
        texts = [value.strip() for value in values if isinstance(value, str)]
        return sorted(filter(None, texts), key=len, reverse=True)


def _read_by(template: Template, rows: Rows) -> Rows:
    """Return the rows with the columns that the template reads, whatever its neighbours read."""
    variables = compiled(template).reference.variables
    names = [name for name in rows.table.column_names if name in variables]
    return Rows(rows.table.select(names) if names else bare_rows(len(rows)), rows.numbers)


def _reserved(rows: Rows) -> Any:
    """Return which rows hold a character that is a mark."""
    found = np.zeros(len(rows), bool)
    for name in rows.table.column_names:
        array = rows.array((name,))
        for mark in MARKS:
            if array is not None and holds(array, mark):
                found |= rows_that_hold(array, mark)
    return found


def _check_targets(template: Template, texts: Texts) -> None:
    """Raise InstructifyError where the template itself has marked something in what is to be answered."""
    import pyarrow.compute as pc

    for column in (texts.targets, texts.rationales):
        if column is not None and pc.any(pc.match_substring_regex(column, f"[{''.join(MARKS)}]")).as_py():
            what = f"template {template.name!r} uses the filter options or fit in its target or rationale"
            raise InstructifyError(Problem(what, template.where, "in the prompt only"))


def _taken(column: pa.Array, indices: I64) -> pa.Array:
    import pyarrow as pa

    return column.take(pa.array(indices))


def _placed(composed: Composed, own: I64) -> Composed:
    """Return the examples with indices into the rendered rows instead of into the variant's."""
    from dataclasses import replace

    dropped = {reason: own[rows] for reason, rows in composed.dropped.items()}
    return replace(composed, kept=own[composed.kept], dropped=dropped)


def _texts(rows: Rows, batch: RenderedBatch) -> Texts:
    import pyarrow as pa

    kind = pa.large_list(pa.large_string())
    choices = _choices(batch.choices, len(batch.kept))
    return Texts(
        rows.numbers[batch.kept],
        _flat(batch.inputs.cast(pa.large_string())),
        _flat(batch.targets.cast(pa.large_string())),
        None if choices is None else _flat(choices.cast(kind)),
        None if batch.labels is None else _flat(batch.labels),
        None if batch.rationales is None else _flat(batch.rationales.cast(pa.large_string())),
    )


def _choices(choices: pa.Array | tuple[str, ...] | None, count: int) -> pa.Array | None:
    """Return the choices as a column; a tuple stands for the same choices in every row."""
    import pyarrow as pa

    if isinstance(choices, tuple):
        kind = pa.large_list(pa.large_string())
        return pa.array([choices], kind).take(pa.array(np.zeros(count, np.int64)))
    return choices


def _flat(column: Any) -> pa.Array:
    import pyarrow as pa

    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _row_texts(rows: Rows) -> pa.Array:
    """Return the normalised text of every row: its text columns, or all columns where it has no text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    arrays = [array for name in rows.table.column_names if (array := rows.array((name,))) is not None]
    texts = [array for array in arrays if is_string(array.type)]
    nested = [array for array in arrays if pa.types.is_nested(array.type)]
    columns = [pc.fill_null(array.cast(pa.large_string()), "") for array in texts]
    columns += [pa.array(map(repr, array.to_pylist()), pa.large_string()) for array in nested]
    if not columns:
        columns = [pc.fill_null(array.cast(pa.large_string()), "") for array in arrays]
    if not columns:
        return pa.array([""] * len(rows), pa.large_string())
    pieces: list[pa.Array | str] = []
    for column in columns:
        pieces += [column, "\n"]
    return normalised(glued(*pieces))


@lru_cache(maxsize=128)
def _composer(
    template: Template, variant: str, draws: Key, pool: PoolFile | None, budget: Budget | None
) -> Composer:
    made = Variant.model_validate_json(variant)
    key = Key.of("variant", draws.low, draws.high, made.name)
    if not made.shot_range[1] or pool is None:
        return Composer(template, made, key, None, budget)
    texts, sources = _pool(template, draws, pool)
    return Composer(template, made, key, make_pool(texts, prints(texts, sources, template, made)), budget)


@lru_cache(maxsize=64)
def _pool(template: Template, draws: Key, pool: PoolFile) -> tuple[Texts, pa.Array]:
    """Return the rendered rows of a pool that can be exemplars, and their normalised texts."""
    table = map_table(pool.path)
    last = table.num_columns - 1
    values = table.select(range(last)) if last else bare_rows(table.num_rows)
    rows = Rows(values, table.column(last).to_numpy().astype(np.int64))
    batch = compiled(template).render(rows, draws)
    rows = _read_by(template, rows)
    texts = _texts(rows, batch)
    good = ~_reserved(rows)[batch.kept]
    if template.rationale is not None:
        good &= ~mismatched(texts)
    places = np.flatnonzero(good)
    return texts.take(places), _taken(_row_texts(rows), batch.kept[places])
