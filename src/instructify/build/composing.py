"""Composing inside a shard: the rendered rows of one window become the examples of its variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.compose.budget import Budget
from instructify.compose.composition import Composed, Composer
from instructify.compose.exemplars import Pool, make_pool
from instructify.compose.schedule import schedule
from instructify.compose.texts import Texts, glued, normalised
from instructify.errors import InstructifyError, Problem
from instructify.keys import I64, Key
from instructify.recipe.variants import Variant
from instructify.render.compiled import BatchTemplate, RenderedBatch, Rows
from instructify.render.compiled.rows import is_string
from instructify.templates import Template

if TYPE_CHECKING:
    import pyarrow as pa

ROW = "row"
"""Column of a pool file that holds the row numbers; the others are the row's own."""


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
    texts = _texts(rows, batch)
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
            texts.take(members), None if sources is None else _taken(sources, own), _Longest(rows, own)
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
    """The longest text among the columns of a row: what is cut where a template marks nothing."""

    def __init__(self, rows: Rows, indices: I64) -> None:
        self._table, self._indices = rows.table, indices

    def __call__(self, place: int) -> str | None:
        row = int(self._indices[place])
        values = (self._table[name][row].as_py() for name in self._table.column_names)
        texts = [value for value in values if isinstance(value, str) and value]
        return max(texts, key=len).strip() if texts else None


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
    choices = batch.choices
    if isinstance(choices, tuple):
        choices = pa.array([choices], kind).take(pa.array(np.zeros(len(batch.kept), np.int64)))
    return Texts(
        rows.numbers[batch.kept],
        _flat(batch.inputs),
        _flat(batch.targets),
        None if choices is None else _flat(choices.cast(kind)),
        None if batch.labels is None else _flat(batch.labels),
        None if batch.rationales is None else _flat(batch.rationales),
    )


def _flat(column: Any) -> pa.Array:
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks()
    return column


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
    pieces: list[pa.Array | str] = []
    for column in columns:
        pieces += [column, "\n"]
    return normalised(glued(*pieces))


@lru_cache(maxsize=256)
def _composer(
    template: Template, variant: str, draws: Key, pool: PoolFile | None, budget: Budget | None
) -> Composer:
    made = Variant.model_validate_json(variant)
    key = Key.of("variant", draws.low, draws.high, made.name)
    drawn_from = _pool(template, draws, pool) if made.shot_range[1] and pool is not None else None
    return Composer(template, made, key, drawn_from, budget)


@lru_cache(maxsize=256)
def _pool(template: Template, draws: Key, pool: PoolFile) -> Pool:
    import pyarrow as pa

    try:
        with pa.OSFile(str(pool.path)) as file:
            table = pa.ipc.open_file(file).read_all()
    except (OSError, pa.ArrowException) as error:
        raise InstructifyError(Problem(f"the exemplars cannot be read: {error}", str(pool.path))) from error
    rows = Rows(table.drop_columns([ROW]), table[ROW].to_numpy().astype(np.int64))
    batch = compiled(template).render(rows, draws)
    return make_pool(_texts(rows, batch), _taken(_row_texts(rows), batch.kept))
