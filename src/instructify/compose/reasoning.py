"""Chain of thought: targets that reason and answer, and the check that the reasoning comes to the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from instructify.compose.texts import Texts, glued
from instructify.compose.words import Words
from instructify.metrics import cot_answer_accuracy, stated_answer

if TYPE_CHECKING:
    import pyarrow as pa

Order = Literal["before", "after"]
"""Whether the reasoning stands before the answer or after it."""
STATES = r"(?i)answers?(\s+is|\s+are|\s*[:=])|####|답(은|\s*[:=])"
"""Finds reasoning that may state an answer of its own; `stated_answer` has the last word."""


@dataclass(frozen=True, slots=True)
class Reasoned:
    """Examples with reasoning in their targets; the answer of each stands at [start, stop), in characters."""

    texts: Texts
    starts: pa.Array
    stops: pa.Array


def reasoned(texts: Texts, order: Order, phrase: int, words: Words) -> Reasoned:
    """Return the examples with a request after the prompt and reasoning in the target."""
    import pyarrow.compute as pc

    assert texts.rationales is not None  # noqa: S101  (only templates with a rationale get here)
    forms, requests = phrases(order, words)
    form, request = forms[phrase % len(forms)], requests[phrase % len(requests)]
    pieces: list[pa.Array | str] = []
    start: pa.Array | None = None
    stop: pa.Array | None = None
    for piece in _pieces(form):
        if piece == "{answer}":
            start = pc.utf8_length(glued(*pieces)) if _columns(pieces) else sum(map(len, pieces))
            pieces.append(texts.targets)
            stop = pc.add(pc.cast(pc.utf8_length(texts.targets), "int32"), pc.cast(start, "int32"))
        else:
            pieces.append(_closed(texts.rationales) if piece == "{rationale}" else piece)
    starts = pc.subtract(stop, pc.cast(pc.utf8_length(texts.targets), "int32"))
    asked = replace(texts, inputs=glued(texts.inputs, "\n", request), targets=glued(*pieces))
    return Reasoned(asked, starts, stop)


def phrases(order: Order, words: Words) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the forms of a target that reasons in this order, and the requests for one."""
    if order == "before":
        return words.before, words.asking_before
    return words.after, words.asking_after


def mismatched(texts: Texts) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which examples have reasoning that states another answer than the target."""
    import pyarrow.compute as pc

    assert texts.rationales is not None  # noqa: S101
    found = np.zeros(len(texts), bool)
    states = pc.match_substring_regex(texts.rationales, STATES).to_numpy(zero_copy_only=False)
    for place in np.flatnonzero(states):
        rationale, target = texts.rationales[int(place)].as_py(), texts.targets[int(place)].as_py()
        if stated_answer(rationale) != rationale.strip():
            found[place] = not cot_answer_accuracy(rationale, target)
    return found


def _pieces(form: str) -> list[str]:
    """Return the form cut at what is to be filled in."""
    pieces = [form]
    for name in ("{rationale}", "{answer}"):
        pieces = [part for piece in pieces for part in _around(piece, name) if part]
    return pieces


def _around(piece: str, name: str) -> tuple[str, str, str]:
    front, found, behind = piece.partition(name)
    return front, found, behind


def _columns(pieces: list[pa.Array | str]) -> bool:
    return any(not isinstance(piece, str) for piece in pieces)


def _closed(rationales: pa.Array) -> pa.Array:
    """Return the rationales with a full stop where they end without any mark."""
    import pyarrow.compute as pc

    open_ended = pc.match_substring_regex(rationales, r"[\p{L}\p{N}]$")
    return pc.if_else(open_ended, glued(rationales, "."), rationales)
