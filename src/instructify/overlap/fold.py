"""Texts as one array of kept characters, from which any stretch can be hashed in constant time.

A text is normalised to NFKD and case-folded; then everything but letters, marks and digits is dropped, so
that case, punctuation, spacing and the way a corpus was tokenised do not count. (NFKD makes the same texts
equal as NFKC does, and takes Hangul apart, so that lengths mean the same as in alphabets.)

Stretches are hashed by polynomial prefix sums over 64-bit integers (Karp and Rabin 1987, "Efficient
randomized pattern-matching algorithms"), whose value is the same wherever the stretch stands.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from instructify.keys import I64, U64, Key

Kept = Literal["words", "printed"]

_KEY = Key.of("instructify.overlap")
_BASE = 0xD6E8FEB86659FD95  # odd, so that it has an inverse modulo 2**64
_LENGTH = np.uint64(0x9E3779B97F4A7C15)
_LINE_ENDS = "\n\x0b\x0c\r\x1c\x1d\x1e\x85\u2028\u2029"  # those of str.splitlines
_PLANES = (0, 1, 2, 3, 14)  # all others are unassigned or for private use, category C
_NOTHING, _SPACE, _LINE, _TEXT, _LETTER, _ALONE = range(6)


@dataclass(frozen=True, slots=True)
class Sums:
    """Polynomial prefix sums of n values: `sums[i]` is that of the first i, `sums` has n + 1 entries."""

    sums: U64

    @classmethod
    def of(cls, values: U64) -> Sums:
        """Return the sums of `values`, which should be well mixed."""
        sums = np.zeros(len(values) + 1, np.uint64)
        np.cumsum(values * _powers(_BASE, len(values)), out=sums[1:])
        return cls(sums)

    def bare(self, start: I64, stop: I64, at: I64 | int = 0) -> U64:
        """Return each stretch's sum as if it stood at `at`, not after its start; such sums can be added."""
        bare: U64 = (self.sums[stop] - self.sums[start]) * _inverses(len(self.sums))[start - at]
        return bare

    def spans(self, start: I64, stop: I64) -> U64:
        """Return the hash of the values in each stretch [start, stop)."""
        return finish(self.bare(start, stop), stop - start)

    def windows(self, size: int) -> U64:
        """Return the hash of every `size` values in a row, by first position; high bits are best."""
        count = max(0, len(self.sums) - size)
        return (self.sums[size:] - self.sums[:count]) * _inverses(len(self.sums))[:count]


def finish(bare: U64, length: npt.NDArray[np.integer]) -> U64:
    """Return the hash of stretches from their bare sums and their lengths."""
    return _KEY.draws(bare + length.astype(np.uint64) * _LENGTH)


@dataclass(frozen=True, slots=True)
class Folded:
    """A batch of texts as their kept characters, one after another; positions count kept characters.

    `texts` has one entry more than there are texts: text i is [texts[i], texts[i+1]); `lines` likewise, for
    lines that keep at least one character, and `words` for words. A word is what stands
    between spaces, or one ideograph or kana, which are written without them.
    """

    characters: Sums
    texts: I64
    lines: I64
    words: I64


def fold(texts: Sequence[str], kept: Kept = "words") -> Folded:
    """Return the texts folded; `printed` keeps every character but spaces and controls."""
    joined = "\0".join(texts)
    if joined.count("\0") >= max(1, len(texts)):
        joined = "\0".join(text.replace("\0", " ") for text in texts)
    code = _code_points(unicodedata.normalize("NFKD", joined).casefold())
    kind = _kinds(kept)[code]
    keeps = kind >= _LETTER
    place = np.zeros(len(code) + 1, np.int32)
    np.cumsum(keeps, out=place[1:])
    total = place[-1:].astype(np.int64)
    alone = kind[keeps] == _ALONE
    word = np.cumsum((kind >= _SPACE) & (kind <= _TEXT), dtype=np.int32)[keeps]
    begins = np.ones(len(word), np.bool_)
    begins[1:] = (word[1:] != word[:-1]) | alone[1:] | alone[:-1]
    breaks = place[:-1][(kind == _LINE) | (kind == _TEXT)]
    lines = np.concatenate((np.zeros(1, np.int64), breaks, total))
    lines = lines[np.append(lines[1:] != lines[:-1], True)]  # they ascend
    ends = place[:-1][kind == _TEXT]
    return Folded(
        characters=Sums.of(_values()[code[keeps]]),
        texts=np.concatenate((np.zeros(1, np.int64), ends, total if len(texts) else total[:0])),
        lines=lines,
        words=np.append(np.flatnonzero(begins), total),
    )


def ragged(start: I64, stop: I64) -> tuple[I64, I64]:
    """Return every integer of the ranges [start, stop), range after range, and the range each comes from."""
    counts = np.maximum(stop - start, 0)
    owner = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    return np.arange(len(owner)) - first[owner] + start[owner], owner


def _code_points(text: str) -> npt.NDArray[Any]:
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


@lru_cache(maxsize=2)
def _kinds(kept: Kept) -> npt.NDArray[np.uint8]:
    """Return what each code point is, by its Unicode category."""
    category = _categories()
    kinds = np.full(len(category), _LETTER, np.uint8)
    kinds[np.isin(category, [ord("C"), ord("Z")])] = _SPACE
    if kept == "words":
        kinds[np.isin(category, [ord("P"), ord("S")])] = _NOTHING
    for first, last in ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x3134F)):
        part = kinds[first : last + 1]
        part[part == _LETTER] = _ALONE
    kinds[[ord(character) for character in _LINE_ENDS]] = _LINE
    kinds[0] = _TEXT
    return kinds


@lru_cache(maxsize=1)
def _categories() -> npt.NDArray[np.uint8]:
    """Return the first letter of each code point's Unicode category."""
    found = np.full(0x110000, ord("C"), np.uint8)
    for plane in _PLANES:
        start, stop = plane << 16, (plane + 1) << 16
        letters = "".join(unicodedata.category(chr(n))[0] for n in range(start, stop))
        found[start:stop] = np.frombuffer(letters.encode(), np.uint8)
    return found


@lru_cache(maxsize=1)
def _values() -> U64:
    return _KEY.draws(np.arange(0x110000), 1)


def _powers(base: int, count: int) -> U64:
    """Return base**0 to base**(count-1) modulo 2**64."""
    return _table_of_powers(base, max(1 << 16, 1 << max(count - 1, 0).bit_length()))[:count]


def _inverses(count: int) -> U64:
    return _powers(pow(_BASE, -1, 1 << 64), count)


@lru_cache(maxsize=8)
def _table_of_powers(base: int, count: int) -> U64:
    table = np.full(count, base, np.uint64)
    table[0] = 1
    return np.cumprod(table, dtype=np.uint64)
