"""Exemplars: which rows of the pool stand before a query, never the query itself nor a copy of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.compose.texts import Texts, normalised
from instructify.keys import I64, Key

if TYPE_CHECKING:
    import pyarrow as pa

TRIES = 8
"""Draws beyond the number of shots, to replace exemplars that cannot stand where they were drawn."""
NONE = -1


@dataclass(frozen=True, slots=True)
class Pool:
    """Rendered rows that may be exemplars, sorted by label where they have one.

    `known` are the normalised prompts and the normalised texts of the rows they were rendered from, and
    `first` for each of the two where in the pool a text stands first: copies have the same number. `starts`
    says where each label begins, and behind the last one where the pool ends.
    """

    texts: Texts
    known: tuple[pa.Array, pa.Array]
    first: tuple[I64, I64]
    starts: I64


def make_pool(texts: Texts, sources: pa.Array) -> Pool:
    """Return a pool of rendered rows; `sources` has a normalised text of each row it was rendered from."""
    import pyarrow as pa
    import pyarrow.compute as pc

    labels = np.zeros(len(texts), np.int64)
    if texts.labels is not None:
        labels = pc.fill_null(texts.labels, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    order = np.argsort(labels, kind="stable")
    texts, sources, labels = texts.take(order), sources.take(pa.array(order)), labels[order]
    known = (normalised(texts.inputs), sources)
    first = (_places(known[0], known[0]), _places(known[1], known[1]))
    starts = np.flatnonzero(np.diff(labels, prepend=NONE)) if len(labels) else np.zeros(0, np.int64)
    return Pool(texts, known, first, np.append(starts, len(labels)).astype(np.int64))


def draw_exemplars(
    pool: Pool, queries: Texts, sources: pa.Array, shots: I64, key: Key, *, balanced: bool
) -> I64:
    """Return indices into the pool, one row a query and one column a shot; NONE where there is no exemplar.

    `sources` has the normalised text of each query's row. No two exemplars of a query are copies of each
    other. `balanced` takes labels in turn, from one that is drawn.
    """
    most = int(shots.max()) if len(shots) else 0
    chosen = np.full((len(queries), most), NONE, np.int64)
    if not len(pool.texts) or not most:
        return chosen
    own = _places(pool.known[0], normalised(queries.inputs)), _places(pool.known[1], sources)
    rows, counts = queries.rows, np.zeros(len(queries), np.int64)
    turns = key.draws(rows, 0)
    everyone = np.arange(len(queries))
    for attempt in range(most + TRIES):
        drawn = key.draws(rows, attempt + 1) >> np.uint64(32)
        turn = counts if attempt < most + TRIES // 2 else np.full_like(counts, attempt)  # a label may run out
        candidates = _of_labels(pool, drawn, turns, turn) if balanced else _below(drawn, len(pool.texts))
        fits = (counts < shots) & (pool.texts.rows[candidates] != rows)
        for first_places, place in zip(pool.first, own, strict=True):
            fits &= first_places[candidates] != place
            fits &= ~_stands_already(first_places, chosen, candidates)
        chosen[everyone[fits], counts[fits]] = candidates[fits]
        counts[fits] += 1
    return chosen


def _of_labels(pool: Pool, drawn: Any, first: Any, turn: I64) -> I64:
    """Return a candidate of the label whose turn it is."""
    labels = len(pool.starts) - 1
    label = ((first % np.uint64(labels)).astype(np.int64) + turn) % labels
    sizes = pool.starts[label + 1] - pool.starts[label]
    found: I64 = pool.starts[label] + _below(drawn, sizes)
    return found


def _below(drawn: Any, size: Any) -> I64:
    below: I64 = ((drawn * np.asarray(size, np.uint64)) >> np.uint64(32)).astype(np.int64)
    return below


def _places(known: pa.Array, texts: pa.Array) -> I64:
    """Return for each text where it stands first among the known ones, or -2."""
    import pyarrow.compute as pc

    found: I64 = pc.fill_null(pc.index_in(texts, known), -2).to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _stands_already(first: I64, chosen: I64, candidates: I64) -> Any:
    taken = np.where(chosen >= 0, first[np.maximum(chosen, 0)], NONE)
    return (taken == first[candidates][:, None]).any(axis=1)
