"""Exemplars: which rows of the pool stand before a query, never the query itself nor a copy of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.compose.texts import Texts
from instructify.keys import I64, Key

if TYPE_CHECKING:
    import pyarrow as pa

TRIES = 24
"""Draws beyond the number of shots, to replace exemplars that cannot stand where they were drawn; when they
are used up, the pool is gone through."""
NONE = -1


@dataclass(frozen=True, slots=True)
class Pool:
    """Rendered rows that may be exemplars, sorted by label where they have one.

    `prints` are columns of texts that are the same for copies of an example, and `first` says for each of
    them where in the pool a text stands first. `starts` says where each label begins, and behind the last one
    where the pool ends.
    """

    texts: Texts
    prints: tuple[pa.Array, ...]
    first: tuple[I64, ...]
    starts: I64


def make_pool(texts: Texts, prints: tuple[pa.Array, ...]) -> Pool:
    """Return a pool of rendered rows; two of them are copies if they share one of their prints."""
    import pyarrow as pa
    import pyarrow.compute as pc

    labels = np.zeros(len(texts), np.int64)
    if texts.labels is not None:
        labels = pc.fill_null(texts.labels, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    order = np.argsort(labels, kind="stable")
    texts, labels = texts.take(order), labels[order]
    prints = tuple(column.take(pa.array(order)) for column in prints)
    first = tuple(_places(column, column) for column in prints)
    starts = np.flatnonzero(np.diff(labels, prepend=NONE)) if len(labels) else np.zeros(0, np.int64)
    return Pool(texts, prints, first, np.append(starts, len(labels)).astype(np.int64))


def draw_exemplars(
    pool: Pool, rows: I64, prints: tuple[pa.Array, ...], shots: I64, most: int, key: Key, *, balanced: bool
) -> I64:
    """Return indices into the pool, one row a query and one column a shot; NONE where there is no exemplar.

    `rows` and `prints` are those of the queries, which ask for `shots` exemplars each and for no more than
    `most`. No exemplar is a copy of its query or of another one, and a query has fewer than it asks for only
    where the pool has no more for it. `balanced` takes labels in turn, from one that is drawn, as long as
    they have examples left.
    """
    chosen = np.full((len(rows), most), NONE, np.int64)
    size = len(pool.texts)
    if not size or not most:
        return chosen
    own = [_places(known, column) for known, column in zip(pool.prints, prints, strict=True)]
    counts, turns = np.zeros(len(rows), np.int64), key.draws(rows, 0)
    attempts = most + TRIES
    for attempt in range(attempts + size):
        todo = np.flatnonzero(counts < shots)
        if not len(todo):
            break
        drawn = key.draws(rows[todo], min(attempt, attempts) + 1) >> np.uint64(32)
        if attempt >= attempts:
            candidates = (_below(drawn, size) + attempt) % size
        elif balanced:
            # a label may have run out: then the others have their turn, too
            turn = counts[todo] if attempt < attempts - TRIES // 2 else np.full_like(todo, attempt)
            candidates = _of_labels(pool, drawn, turns[todo], turn)
        else:
            candidates = _below(drawn, size)
        fits = pool.texts.rows[candidates] != rows[todo]
        for first, places in zip(pool.first, own, strict=True):
            fits &= first[candidates] != places[todo]
            fits &= ~_stands_already(first, chosen[todo], candidates)
        places = todo[fits]
        chosen[places, counts[places]] = candidates[fits]
        counts[places] += 1
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
