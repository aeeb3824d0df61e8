"""Rows that repeat an earlier row of their own task, exactly or nearly.

A row's fate depends on itself and the rows before it alone: more rows after it, or more tasks beside it,
change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from instructify.keys import I64, U64, Key
from instructify.overlap import minhash
from instructify.overlap.fields import Leaves, other_values, text_leaves
from instructify.overlap.fold import Folded, fold
from instructify.overlap.minhash import U32, Sketches
from instructify.overlap.units import Limits, Units

if TYPE_CHECKING:
    import pyarrow as pa

_KEY = Key.of("instructify.overlap", "rows")


@dataclass(frozen=True, slots=True)
class Prints:
    """Fingerprints of rows: 8 bytes each, and 56 more for those long enough for near copies.

    `exact` is equal where every column is, but for case and spacing. `bands`, shape (BANDS, near rows), are
    band keys of all texts of a row together; rows whose numbers differ share none.
    """

    exact: U64
    near_rows: I64
    bands: U32

    @classmethod
    def join(cls, parts: list[Prints]) -> Prints:
        """Return the prints of consecutive lots of rows as one."""
        return cls(
            np.concatenate([np.zeros(0, np.uint64), *(part.exact for part in parts)]),
            np.concatenate([np.zeros(0, np.int64), *(part.near_rows for part in parts)]),
            np.concatenate([np.zeros((minhash.BANDS, 0), np.uint32), *(part.bands for part in parts)], 1),
        )


def prints(table: pa.Table, texts: Leaves, first_row: int, near: bool, limits: Limits) -> Prints:
    """Return the prints of consecutive rows, `near` ones only if asked for; `texts` are the table's."""
    others = other_values(table)
    exact = others.copy()
    near_rows, bands = [np.zeros(0, np.int64)], [np.zeros((minhash.BANDS, 0), np.uint32)]
    for leaves in texts.batches():
        folded = fold(leaves.texts, "printed")
        hashes = folded.characters.spans(folded.texts[:-1], folded.texts[1:])
        np.add.at(exact, leaves.rows - first_row, _KEY.draws(hashes ^ leaves.places))
        if near:
            folded = fold(leaves.texts)
            row, of = _rows(leaves, folded)
            chosen = np.flatnonzero(of.length >= limits.near_characters)
            row, of = row[chosen], of.take(chosen)
            keys = _KEY.draws(minhash.bands(minhash.shingles(folded), of) ^ others[row - first_row], 1)
            near_rows.append(row)
            bands.append((keys >> np.uint64(32)).astype(np.uint32))
    return Prints(exact, np.concatenate(near_rows), np.concatenate(bands, 1))


def repeated(exact: U64, out: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Tell of each row whether an earlier one is the same; rows that are `out` are no earlier ones."""
    order = np.argsort(exact[~out], kind="stable")
    left = np.flatnonzero(~out)[order]
    again = np.zeros(len(exact), np.bool_)
    again[left[1:]] = exact[left[1:]] == exact[left[:-1]]
    return again


def candidates(of: Prints, out: npt.NDArray[np.bool_], first_row: int) -> tuple[I64, I64]:
    """Return (earlier row, later row) of the pairs that may be near copies; each is to be verified.

    Of the rows that share a band key, each is paired with the first and with the one before it, so that the
    number of pairs is at most twice that of rows and bands. `out` starts at row `first_row`.
    """
    left = np.flatnonzero(~out[of.near_rows - first_row])
    rows = of.near_rows[left]
    pairs = [np.zeros((0, 2), np.int64)]
    for band in of.bands:
        keys = band[left]
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(keys[order][1:] == keys[order][:-1]) + 1
        starts = np.flatnonzero(np.r_[True, keys[order][1:] != keys[order][:-1]]) if len(order) else same
        first = starts[np.searchsorted(starts, same, "right") - 1]
        later = rows[order[same]]
        pairs.append(np.column_stack((rows[order[first]], later)))
        pairs.append(np.column_stack((rows[order[same - 1]], later)))
    found = np.unique(np.concatenate(pairs), axis=0)
    return found[:, 0], found[:, 1]


def row_sketches(table: pa.Table) -> Sketches:
    """Return the sketch of all texts of each row together; every row must have some."""
    parts = []
    for leaves in text_leaves(table, np.arange(table.num_rows)).batches():
        folded = fold(leaves.texts)
        parts.append(minhash.sketches(minhash.shingles(folded), _rows(leaves, folded)[1]))
    return minhash.join(parts)


def _rows(leaves: Leaves, folded: Folded) -> tuple[I64, Units]:
    """Return the rows of a batch, each as one unit of all its texts."""
    row, first = np.unique(leaves.rows, return_index=True)
    edges = np.append(first, len(leaves.rows))
    return row, Units(first, folded.texts[edges[:-1]], folded.texts[edges[1:]])
