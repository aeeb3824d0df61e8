"""The words of many texts as hashes; a word that is said often is folded but once.

Rendered prompts say the same words again and again. So texts are cut at plain spaces and line ends, Arrow
tells what pieces there are, and of these `fold` makes words: none, one or, as of ideographs, several.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from instructify.keys import I64, U64
from instructify.overlap.fold import fold, ragged

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 1 << 21
_SPACE = 0x20  # this and all below it are spaces or controls, which part words


@dataclass(frozen=True, slots=True)
class Words:
    """The hash of every word, text after text; those of text i are [starts[i], starts[i+1])."""

    hashes: U64
    starts: I64


def words(texts: pa.Array) -> Words:
    """Return the words of texts: `large_string`, one or more, none null, less than two gigabytes in all."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ended = pc.binary_join_element_wise(texts, pa.scalar("", texts.type), pa.scalar("\n", texts.type))
    _, offsets, data = ended.buffers()
    borders = np.frombuffer(offsets, np.int64)[: len(ended) + 1]  # each text ends with an end of its own
    stops = np.flatnonzero(np.frombuffer(data, np.uint8)[: borders[-1]] <= _SPACE) + 1
    cuts = np.zeros(len(stops) + 1, np.int32)
    cuts[1:] = stops
    pieces = pa.StringArray.from_buffers(len(stops), pa.py_buffer(cuts), data).dictionary_encode()
    folded = fold(pieces.dictionary.to_pylist())
    known = folded.characters.spans(folded.words[:-1], folded.words[1:])
    first = np.searchsorted(folded.words[:-1], folded.texts)
    piece = np.asarray(pieces.indices)
    counts = np.diff(first)[piece]
    before = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
    word = np.repeat(first[piece], counts)
    several = np.flatnonzero(counts > 1)
    later, of = ragged(before[several] + 1, before[several + 1])
    word[later] += later - before[several[of]]
    return Words(known[word], before[np.searchsorted(cuts, borders)])


def batches(texts: pa.Array, most: int = BATCH_BYTES) -> Iterator[tuple[int, pa.Array]]:
    """Yield the texts in parts of at most so many bytes or of one text, each with the place it starts at."""
    if not len(texts):
        return
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    start = 0
    while start < len(texts):
        stop = int(np.searchsorted(offsets, offsets[start] + most, "right")) - 1
        stop = max(start + 1, stop)
        yield start, texts.slice(start, stop - start)
        start = stop
