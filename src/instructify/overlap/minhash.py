"""MinHash over character shingles, banded for lookup, and sketches that a match is verified with.

Broder 1997, "On the resemblance and containment of documents"; banding as in Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", section 3.4. With 12 bands of 6, two texts with a Jaccard index of 0.9, 0.8 or
0.7 share a band with probability 0.9999, 0.97 or 0.78.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from instructify.keys import I64, U64, Key
from instructify.overlap.fold import Folded, ragged
from instructify.overlap.units import Units

U32 = npt.NDArray[np.uint32]

SHINGLE = 5  # characters
BANDS = 12
ROWS = 6
SKETCH = 256  # smallest shingle hashes kept of a unit

_KEY = Key.of("instructify.overlap", "minhash")
_ODD = (_KEY.draws(np.arange(BANDS * ROWS)) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
_ADD = (_KEY.draws(np.arange(BANDS * ROWS), 1) >> np.uint64(32)).astype(np.uint32)


def shingles(folded: Folded) -> U32:
    """Return the hash of the shingle that begins at each character, and one more that stands for none."""
    found = (folded.characters.windows(SHINGLE) >> np.uint64(32)).astype(np.uint32)
    return np.append(found, np.uint32(0xFFFFFFFF))


def bands(found: U32, of: Units) -> U64:
    """Return the band keys, shape (BANDS, units); every unit must be longer than a shingle."""
    if not len(of.start):
        return np.zeros((BANDS, 0), np.uint64)
    edges = np.column_stack((of.start, of.stop - SHINGLE + 1)).ravel()
    keys = np.zeros((BANDS, len(of.start)), np.uint64)
    for number in range(BANDS * ROWS):
        least = np.minimum.reduceat(found * _ODD[number] + _ADD[number], edges)[::2]
        band = number // ROWS
        keys[band] = keys[band] * np.uint64(0xD1342543DE82EF95) + least
    for band in range(BANDS):
        keys[band] = _KEY.draws(keys[band], 2 + band)
    return keys


@dataclass(frozen=True, slots=True)
class Sketches:
    """The distinct shingles of each unit, ascending, at most the SKETCH smallest.

    Unit i has `hashes[edges[i]:edges[i+1]]`.
    """

    hashes: U32
    edges: I64


def sketches(found: U32, of: Units) -> Sketches:
    """Return the sketches of units."""
    place, unit = ragged(of.start, of.stop - SHINGLE + 1)
    pairs = np.unique((unit.astype(np.uint64) << np.uint64(32)) | found[place])
    unit = (pairs >> np.uint64(32)).astype(np.int64)
    edges = np.searchsorted(unit, np.arange(len(of.start) + 1))
    kept = np.arange(len(pairs)) - edges[unit] < SKETCH
    counts = np.minimum(np.diff(edges), SKETCH)
    return Sketches(pairs[kept].astype(np.uint32), np.concatenate((np.zeros(1, np.int64), np.cumsum(counts))))


def join(parts: Sequence[Sketches]) -> Sketches:
    """Return the sketches of several lots of units as one."""
    counts = [np.diff(part.edges) for part in parts]
    edges = np.cumsum(np.concatenate([np.zeros(1, np.int64), *counts]))
    return Sketches(np.concatenate([np.zeros(0, np.uint32), *(part.hashes for part in parts)]), edges)


def jaccard(one: Sketches, ones: I64, other: Sketches, others: I64) -> npt.NDArray[np.float64]:
    """Return the Jaccard index of unit `ones[i]` of one side and `others[i]` of the other, for every i.

    It is exact where both have fewer than SKETCH shingles; else it is estimated from the smallest ones of
    both, with a standard error of at most 0.032.
    """
    limit = np.minimum(_limit(one, ones), _limit(other, others))
    left, right = _expand(one, ones, limit), _expand(other, others, limit)
    both = np.sort(np.concatenate((left, right)))
    pair = (both >> np.uint64(32)).astype(np.int64)
    shared = np.bincount(pair[1:][both[1:] == both[:-1]], minlength=len(ones))
    union = np.bincount(pair, minlength=len(ones)) - shared
    return np.asarray(shared / np.maximum(union, 1), np.float64)


def _limit(of: Sketches, chosen: I64) -> U32:
    """Return the hash up to which each sketch is complete."""
    full = of.edges[chosen + 1] - of.edges[chosen] == SKETCH
    last = of.hashes[np.maximum(of.edges[chosen + 1] - 1, 0)]
    return np.where(full, last, np.uint32(0xFFFFFFFF))


def _expand(of: Sketches, chosen: I64, limit: U32) -> U64:
    place, pair = ragged(of.edges[chosen], of.edges[chosen + 1])
    hashes = of.hashes[place]
    kept = hashes <= limit[pair]
    return (pair[kept].astype(np.uint64) << np.uint64(32)) | hashes[kept]
