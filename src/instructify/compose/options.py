"""Answer options: how the choices are laid out where a template asks for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from instructify.compose.marks import BETWEEN_BLANK_LINES, OPTIONS, WITH_ITS_LINE
from instructify.compose.styles import STYLES, Marker, Style
from instructify.compose.texts import Texts, glued, lists_of
from instructify.compose.words import Words
from instructify.keys import I64

if TYPE_CHECKING:
    import pyarrow as pa

SENTENCE_END = r"[.?!…。？！][\"'”’」』)]*$"
"""How a choice ends that a comma or semicolon cannot follow."""


def laid_out(texts: Texts, style: Style, words: Words) -> pa.Array:
    """Return the options of every example as one text each.

    Choices that would run into each other in one line of a style without markers get a line each.
    """
    import pyarrow.compute as pc

    made = _block(texts, style, words)
    if style.marker is not None or "\n" in style.between:
        return made
    crowded = _crowded(texts, style, words)
    if not pc.any(crowded).as_py():
        return made
    return pc.if_else(crowded, _block(texts, STYLES["lines"], words), made)


def _crowded(texts: Texts, style: Style, words: Words) -> pa.Array:
    """Tell of every example whether a choice ends as a sentence does, or holds what parts the choices."""
    import pyarrow as pa
    import pyarrow.compute as pc

    assert texts.choices is not None  # noqa: S101  (as in _block)
    flat, lengths = texts.choices.flatten(), _lengths(texts.choices)
    crowded = pc.match_substring_regex(flat, SENTENCE_END)
    for parting in (style.between, words.last) if style.or_last else (style.between,):
        crowded = pc.or_(crowded, pc.match_substring(flat, parting))
    rows = np.repeat(np.arange(len(lengths)), lengths)
    counts = np.bincount(rows[crowded.to_numpy(zero_copy_only=False)], minlength=len(lengths))
    return pa.array(counts > 0)


def _block(texts: Texts, style: Style, words: Words) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    assert texts.choices is not None  # noqa: S101  (only templates with choices may ask for options)
    lengths = _lengths(texts.choices)
    places = _places(lengths)
    last = places == np.repeat(lengths, lengths) - 1
    before = [_before(style, words, place, is_last) for place in range(_most(lengths)) for is_last in (0, 1)]
    prefixes = pa.array(before, pa.large_string()).take(pa.array(places * 2 + last))
    items = glued(prefixes, texts.choices.flatten())
    block = pc.binary_join(lists_of(lengths, items), pa.scalar("", pa.large_string()))
    if style.head is None:
        return block
    return glued(words.options if style.head == "options" else words.choices, "\n", block)


def with_options(texts: Texts, style: Style, words: Words) -> Texts:
    """Return the examples with the options wherever the template marked a place for them."""
    import pyarrow.compute as pc

    parts = pc.split_pattern(texts.inputs, OPTIONS)
    return replace(texts, inputs=pc.binary_join(parts, laid_out(texts, style, words)))


def without_options(texts: Texts) -> Texts:
    """Return the examples without the options: their line is gone where they had one of their own."""
    import pyarrow.compute as pc

    gone = pc.replace_substring_regex(texts.inputs, BETWEEN_BLANK_LINES, r"\1")
    gone = pc.replace_substring_regex(gone, WITH_ITS_LINE, "")
    return replace(texts, inputs=pc.utf8_trim_whitespace(gone))


def answered_by_marker(texts: Texts, style: Style) -> Texts:
    """Return the examples with the markers as choices and the right one as target."""
    import pyarrow as pa

    if style.marker is None or texts.choices is None or texts.labels is None:
        return texts
    lengths = _lengths(texts.choices)
    markers = pa.array([_marker(style.marker, place) for place in range(_most(lengths))], pa.large_string())
    choices = lists_of(lengths, markers.take(pa.array(_places(lengths))))
    return replace(texts, choices=choices, targets=markers.take(texts.labels))


def _before(style: Style, words: Words, place: int, is_last: int) -> str:
    marker = _marker(style.marker, place) if style.marker else ""
    between = "" if place == 0 else words.last if style.or_last and is_last else style.between
    return between + style.opening + marker + style.closing


def _marker(kind: Marker, place: int) -> str:
    if kind == "numbers":
        return str(place + 1)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if kind == "capitals" else "abcdefghijklmnopqrstuvwxyz"
    over, rest = divmod(place, 26)
    return (_marker(kind, over - 1) if over else "") + letters[rest]


def _lengths(lists: pa.Array) -> I64:
    import pyarrow.compute as pc

    lengths: I64 = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths


def _places(lengths: I64) -> I64:
    """Return for every element of lists of these lengths its place in its list."""
    starts = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum()), dtype=np.int64) - np.repeat(starts, lengths)


def _most(lengths: I64) -> int:
    return int(lengths.max()) if len(lengths) else 0
