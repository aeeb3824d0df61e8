"""Units: the stretches of text that are compared, whole fields and their lines, and how they are keyed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from instructify.keys import I64, U64
from instructify.overlap.fold import Folded, finish, ragged


@dataclass(frozen=True, slots=True)
class Limits:
    """What is compared; lengths count letters and digits, without spaces and punctuation.

    `min_characters`: shorter units are never compared word for word. `near_characters`: shorter ones are
    never compared for near copies. `max_contexts`: a unit that stands beside more different texts than so
    many in one task is a common phrase and is ignored (see `contexts`). `jaccard`: least share of common
    shingles that makes a near copy.
    """

    min_characters: int = 25
    near_characters: int = 30
    max_contexts: int = 3
    jaccard: float = 0.7


MOST_WORDS = 48  # beyond this a changed word moves the Jaccard index by less than MinHash misses


@dataclass(frozen=True, slots=True)
class Units:
    """Stretches [start, stop) of a folded batch, ascending by start, and the text each belongs to."""

    text: I64
    start: I64
    stop: I64

    @property
    def length(self) -> I64:
        """Characters kept of each unit."""
        return self.stop - self.start

    def take(self, chosen: I64) -> Units:
        """Return some of the units."""
        return Units(self.text[chosen], self.start[chosen], self.stop[chosen])


def units(folded: Folded, min_characters: int) -> Units:
    """Return the texts, and the lines of texts that have several, that are long enough."""
    line_start, line_stop = folded.lines[:-1], folded.lines[1:]
    line_text = np.searchsorted(folded.texts, line_start, "right") - 1
    several = np.flatnonzero(np.bincount(line_text, minlength=len(folded.texts) - 1) > 1)
    text = np.concatenate((several, line_text))
    start = np.concatenate((folded.texts[several], line_start))
    stop = np.concatenate((folded.texts[several + 1], line_stop))
    chosen = np.flatnonzero(stop - start >= min_characters)
    chosen = chosen[np.argsort(start[chosen], kind="stable")]
    return Units(text[chosen], start[chosen], stop[chosen])


def whole(folded: Folded, of: Units) -> U64:
    """Return the hash of each unit."""
    return folded.characters.spans(of.start, of.stop)


def contexts(of: Units, hashes: U64, rows: I64) -> U64:
    """Return for each unit the hash of the longest unit of its row; `rows` says which row each stands in.

    A passage that comes with many questions is its own context each time; a question that is asked of many
    passages has many, and is a common phrase.
    """
    order = np.lexsort((-of.length, rows))
    row, first = np.unique(rows[order], return_index=True)
    return hashes[order[first]][np.searchsorted(row, rows)]


def common(unit: npt.NDArray[np.integer], context: U64, most: int) -> npt.NDArray[np.bool_]:
    """Tell of each entry whether its unit comes with more than `most` different contexts."""
    order = np.lexsort((context, unit))
    new_unit = np.ones(len(order), np.bool_)
    new_unit[1:] = unit[order][1:] != unit[order][:-1]
    new = new_unit.copy()
    new[1:] |= context[order][1:] != context[order][:-1]
    group = np.cumsum(new_unit) - 1
    found = np.zeros(len(order), np.bool_)
    found[order] = np.bincount(group, weights=new)[group] > most if len(order) else False
    return found


def without_a_word(folded: Folded, of: Units, near_characters: int) -> tuple[U64, I64]:
    """Return the hash of each unit without each one of its words, and the unit that each comes from.

    Two units that differ by one word, changed, added or left out, share one of these hashes or one's is the
    other's whole. What is left has to have `near_characters`, and a unit at most MOST_WORDS words.
    """
    first = np.searchsorted(folded.words, of.start)
    last = np.searchsorted(folded.words, of.stop)
    last = np.where((last - first > MOST_WORDS) | (of.length <= near_characters), first, last)
    word, unit = ragged(first, last)
    begin, end = folded.words[word], folded.words[word + 1]
    fits = of.length[unit] - (end - begin) >= near_characters
    begin, end, unit = begin[fits], end[fits], unit[fits]
    before = begin - of.start[unit]
    head = folded.characters.bare(of.start[unit], begin)
    tail = folded.characters.bare(end, of.stop[unit], at=before)
    return finish(head + tail, of.length[unit] - (end - begin)), unit
