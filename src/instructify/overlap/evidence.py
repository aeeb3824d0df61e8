"""The passages that a match is about, for people to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from instructify.keys import U64
from instructify.overlap import minhash
from instructify.overlap.fields import text_leaves
from instructify.overlap.fold import Folded, fold
from instructify.overlap.units import Units, whole

if TYPE_CHECKING:
    import pyarrow as pa


def passage(row: pa.Table, unit: int) -> str:
    """Return the text field of a row, or the line of one, that has the hash `unit`."""
    texts = _passages(row)
    _, hashes = _as_units(texts)
    return texts[int(np.flatnonzero(hashes == np.uint64(unit))[0])]


def closest(row: pa.Table, to: str) -> str:
    """Return the text field of a row, or the line of one, that is most like `to`."""
    texts = [*_passages(row), to]
    folded, of = fold(texts), np.arange(len(texts) - 1)
    units = Units(np.arange(len(texts)), folded.texts[:-1], folded.texts[1:])
    found = minhash.sketches(minhash.shingles(folded), units)
    return texts[int(np.argmax(minhash.jaccard(found, of, found, np.full(len(of), len(of)))))]


def _passages(row: pa.Table) -> list[str]:
    leaves = text_leaves(row, np.zeros(1, np.int64)).texts
    lines = [line for text in leaves for line in text.splitlines() if line.strip() != text.strip()]
    return leaves + lines


def _as_units(texts: list[str]) -> tuple[Folded, U64]:
    folded = fold(texts)
    return folded, whole(folded, Units(np.arange(len(texts)), folded.texts[:-1], folded.texts[1:]))
