"""Rendered text against held-out rendered text, by n-grams of words.

As in Brown et al. 2020, "Language models are few-shot learners", appendix C: 13 words, lower case, no
punctuation, and n-grams that are too common do not count. There an n-gram is common that is frequent in
training; here one that many held-out rows share under one template, or that is mostly the template's words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from instructify.keys import I64, U64
from instructify.overlap.fold import Sums
from instructify.overlap.postings import I32, Postings
from instructify.overlap.words import batches, words

if TYPE_CHECKING:
    import pyarrow as pa

WORDS = 13
OWN_WORDS = 8  # words of an n-gram that have to be the row's, not the template's
MOST_ROWS = 10
SAMPLE_ROWS = 1_000  # rows by which a template's own words are told
_SMALL = 3  # words in a row by which they are told


@dataclass(frozen=True, slots=True)
class Ngrams:
    """Distinct n-grams of one held-out task, each with the first row it is in."""

    keys: U64
    rows: I64


def template_ngrams(said: Iterable[tuple[pa.Array, I64]], phrases: Sequence[str] = ()) -> Ngrams:
    """Return what one held-out task's rows say under one template: their n-grams, not the template's.

    `said` are rendered texts (`large_string`) with their row numbers. A word is the template's where three in
    a row are in more than half of the first rows; an n-gram counts with OWN_WORDS others, and in at most
    MOST_ROWS rows. Words in `phrases` are the template's as well. With a single row nothing else can be told
    apart.
    """
    lots = iter(lot for texts, rows in said for lot in _lots(texts, rows))
    first: list[_Lot] = []
    for lot in lots:
        first.append(lot)
        if sum(len(each.starts) - 1 for each in first) >= SAMPLE_ROWS:
            break
    known = np.union1d(_template_words(first), _small_ngrams(phrases))
    parts = [lot.ngrams(known) for lot in chain(first, lots)]
    keys = np.concatenate([np.zeros(0, np.uint64), *(part[0] for part in parts)])
    rows = np.concatenate([np.zeros(0, np.int64), *(part[1] for part in parts)])
    distinct, least, counts = _rows_of(keys, rows)
    kept = counts <= MOST_ROWS
    return Ngrams(distinct[kept], least[kept])


def _template_words(lots: Sequence[_Lot]) -> U64:
    """Return the small n-grams that more than half of the rows have, if there are two rows or more."""
    inside = [np.flatnonzero(lot.inside(_SMALL)) for lot in lots]
    small = [lot.words.windows(_SMALL)[places] for lot, places in zip(lots, inside, strict=True)]
    row = [lot.row[places] for lot, places in zip(lots, inside, strict=True)]
    none = np.zeros(0, np.int64)
    distinct, _, counts = _rows_of(
        np.concatenate([none.astype(np.uint64), *small]), np.concatenate([none, *row])
    )
    every = np.unique(np.concatenate([none, *(lot.rows for lot in lots)]))
    return distinct[counts > max(1, len(every) / 2)]


def _small_ngrams(texts: Sequence[str]) -> U64:
    import pyarrow as pa

    lots = _lots(pa.array(texts, pa.large_string()), np.arange(len(texts)))
    return np.concatenate(
        [np.zeros(0, np.uint64), *(lot.words.windows(_SMALL)[lot.inside(_SMALL)] for lot in lots)]
    )


def _rows_of(keys: U64, rows: I64) -> tuple[U64, I64, I64]:
    """Return the distinct keys, the lowest row that has each, and how many rows do."""
    order = np.lexsort((rows, keys))
    keys, rows = keys[order], rows[order]
    new = np.ones(len(keys), np.bool_)
    new[1:] = (keys[1:] != keys[:-1]) | (rows[1:] != rows[:-1])
    distinct, first, counts = np.unique(keys[new], return_index=True, return_counts=True)
    return distinct, rows[new][first], counts


@dataclass(frozen=True, slots=True)
class NgramIndex:
    """The n-grams of all held-out tasks; `task` and `rows` say what each owner is."""

    tasks: tuple[str, ...]
    task: I32
    rows: I64
    postings: Postings

    @classmethod
    def of(cls, found: Iterable[tuple[str, Ngrams]]) -> NgramIndex:
        """Return the index of n-grams given with the name of their task, in any number of lots a task."""
        named = list(found)
        tasks = tuple(dict.fromkeys(name for name, _ in named))
        none = np.zeros(0, np.int64)
        task = np.concatenate([none, *(np.full(len(n.keys), tasks.index(name)) for name, n in named)])
        row = np.concatenate([none, *(ngrams.rows for _, ngrams in named)])
        keys = np.concatenate([none.astype(np.uint64), *(ngrams.keys for _, ngrams in named)])
        most = int(row.max(initial=0)) + 1
        pairs, owner = np.unique(task * most + row, return_inverse=True)
        return cls(tasks, (pairs // most).astype(np.int32), pairs % most, Postings.of(keys, owner))

    def find(self, texts: pa.Array) -> tuple[I64, I64]:
        """Return (position, owner) of each text that shares an n-gram, with the first row that has one.

        `texts` are a `large_string` array without nulls.
        """
        positions, owners = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for lot in _lots(texts, np.arange(len(texts))):
            keys, position = lot.every()
            place, owner = self.postings.find(keys)
            positions.append(position[place])
            owners.append(owner)
        position, owner = np.concatenate(positions), np.concatenate(owners)
        order = np.lexsort((owner, position))
        found, first = np.unique(position[order], return_index=True)
        return found, owner[order][first]


@dataclass(frozen=True, slots=True)
class _Lot:
    """The words of some texts: their sums, the row of each word, where each text starts, and its row."""

    words: Sums
    row: I64
    starts: I64
    rows: I64

    def inside(self, size: int) -> npt.NDArray[np.bool_]:
        """Tell of every window of words whether it lies within one text."""
        count = max(0, len(self.row) - size + 1)
        stops = np.repeat(self.starts[1:], np.diff(self.starts))[:count]
        return np.arange(size, size + count) <= stops

    def every(self) -> tuple[U64, I64]:
        """Return all n-grams, and the row of each."""
        kept = np.flatnonzero(self.inside(WORDS))
        return self.words.windows(WORDS)[kept], self.row[kept]

    def ngrams(self, template_words: U64) -> tuple[U64, I64]:
        """Return the n-grams that have enough words of their own, and the row of each."""
        small = self.words.windows(_SMALL)
        hit = np.flatnonzero(np.isin(small, template_words) & self.inside(_SMALL))
        of_template = np.zeros(len(self.row) + 1, np.int64)
        of_template[1 + (hit[:, None] + np.arange(_SMALL)).ravel()] = 1
        sums = np.cumsum(of_template)
        count = max(0, len(self.row) - WORDS + 1)
        kept = self.inside(WORDS) & (sums[WORDS:] - sums[:count] <= WORDS - OWN_WORDS)
        return self.words.windows(WORDS)[kept], self.row[:count][kept]


def _lots(texts: pa.Array, rows: I64) -> Iterator[_Lot]:
    """Yield the words of texts in parts."""
    for start, some in batches(texts):
        found = words(some)
        row = rows[start : start + len(some)]
        yield _Lot(Sums.of(found.hashes), np.repeat(row, np.diff(found.starts)), found.starts, row)
