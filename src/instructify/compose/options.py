"""Answer options: how the choices are laid out where a template asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from instructify.compose.marks import OPTIONS
from instructify.compose.texts import Texts, glued, lists_of
from instructify.compose.words import Words
from instructify.keys import I64

if TYPE_CHECKING:
    import pyarrow as pa

Marker = Literal["capitals", "small", "numbers"]


@dataclass(frozen=True, slots=True)
class Style:
    """How options look: `opening`, the marker, `closing` and the choice, with `between` in between.

    `head` names the word that stands in a line of its own above them. `or_last` puts the language's "or"
    before the last one instead.
    """

    opening: str = ""
    marker: Marker | None = None
    closing: str = ""
    between: str = "\n"
    head: Literal["options", "choices"] | None = None
    or_last: bool = False


STYLES: Mapping[str, Style] = {
    "capitals_in_brackets": Style("(", "capitals", ") ", head="options"),
    "capitals_with_dot": Style("", "capitals", ". ", head="choices"),
    "capitals_with_bracket": Style("", "capitals", ") "),
    "capitals_in_square_brackets": Style("[", "capitals", "] ", head="options"),
    "small_in_brackets": Style("(", "small", ") "),
    "small_with_bracket": Style("", "small", ") ", head="choices"),
    "numbers_with_dot": Style("", "numbers", ". ", head="options"),
    "numbers_in_brackets": Style("(", "numbers", ") "),
    "numbers_with_colon": Style("", "numbers", ": ", head="choices"),
    "dashes": Style("- ", head="options"),
    "stars": Style("* "),
    "lines": Style(head="choices"),
    "in_a_sentence": Style(between=", ", or_last=True, head="options"),
    "with_slashes": Style(between=" / "),
    "with_semicolons": Style(between="; ", head="options"),
    "capitals_in_a_row": Style("(", "capitals", ") ", between=" "),
}
"""The marker styles, by name."""


def laid_out(texts: Texts, style: Style, words: Words) -> pa.Array:
    """Return the options of every example as one text each."""
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
    """Return the examples with the options where the template marked their place."""
    import pyarrow.compute as pc

    has = pc.match_substring(texts.inputs, OPTIONS)
    parts = pc.split_pattern(texts.inputs, OPTIONS, max_splits=1)
    front = pc.list_element(parts, 0)
    behind = pc.if_else(has, _second(parts), "")
    block = pc.if_else(has, laid_out(texts, style, words), "")
    return replace(texts, inputs=glued(front, block, behind))


def without_options(texts: Texts) -> Texts:
    """Return the examples without the options: their line is gone where they had one of their own."""
    import pyarrow.compute as pc

    gone = pc.replace_substring_regex(texts.inputs, rf"\n[ \t]*{OPTIONS}|^{OPTIONS}\n|{OPTIONS}", "")
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
    return (letters[over - 1] if over else "") + letters[rest]


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


def _second(parts: pa.Array) -> pa.Array:
    """Return the second element of each list, null where there is only one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    sliced = pc.list_slice(parts, 1, 2)
    return pc.binary_join(sliced, pa.scalar("", pa.large_string()))
