"""A sorted table of 64-bit keys, each with the numbers of those that have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from instructify.keys import I64, U64
from instructify.overlap.fold import ragged

I32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Postings:
    """`keys` ascend; `owners[i]` has `keys[i]`.

    `seen` is a filter, a power of two of bits in bytes: the bit that a key's highest bits number is set.
    """

    keys: U64
    owners: I32
    seen: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, keys: U64, owners: npt.NDArray[np.integer]) -> Postings:
        """Return the postings of keys and owners in any order; a pair given twice counts once."""
        order = np.lexsort((owners, keys))
        keys, numbers = keys[order], owners[order].astype(np.int32)
        new = np.ones(len(keys), np.bool_)
        new[1:] = (keys[1:] != keys[:-1]) | (numbers[1:] != numbers[:-1])
        keys, numbers = keys[new], numbers[new]
        seen = np.zeros(1 << min(24, max(7, len(keys).bit_length())), np.uint8)
        place, bit = _bit(keys, seen)
        np.bitwise_or.at(seen, place, bit)
        return cls(keys, numbers, seen)

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays to save, under names that begin with `name`."""
        return {f"{name}_keys": self.keys, f"{name}_owners": self.owners, f"{name}_seen": self.seen}

    @classmethod
    def from_arrays(cls, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Postings:
        """Return the postings whose arrays were saved under `name`."""
        return cls(arrays[f"{name}_keys"], arrays[f"{name}_owners"], arrays[f"{name}_seen"])

    def find(self, keys: U64) -> tuple[I64, I64]:
        """Return (position in `keys`, owner) for every match, by position and then owner."""
        place, bit = _bit(keys, self.seen)
        maybe = np.flatnonzero(self.seen[place] & bit)
        low = np.searchsorted(self.keys, keys[maybe], "left")
        known = low < len(self.keys)
        known[known] = self.keys[low[known]] == keys[maybe[known]]
        maybe, low = maybe[known], low[known]
        places, number = ragged(low, np.searchsorted(self.keys, keys[maybe], "right"))
        return maybe[number], self.owners[places].astype(np.int64)


def firsts(keys: U64, owners: npt.NDArray[np.integer], groups: npt.NDArray[np.integer], most: int) -> I64:
    """Return which entries to keep so that each key has its `most` lowest owners of each group."""
    order = np.lexsort((owners, groups, keys))
    keys, groups = keys[order], groups[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (keys[1:] != keys[:-1]) | (groups[1:] != groups[:-1])
    place = np.arange(len(order))
    return order[place - np.maximum.accumulate(np.where(new, place, 0)) < most]


def _bit(keys: U64, seen: npt.NDArray[np.uint8]) -> tuple[U64, npt.NDArray[np.uint8]]:
    """Return the byte of the filter and the bit in it that each key has."""
    number = keys >> np.uint64(64 - (8 * len(seen) - 1).bit_length())
    return number >> np.uint64(3), np.left_shift(1, number & np.uint64(7), dtype=np.uint64).astype(np.uint8)
