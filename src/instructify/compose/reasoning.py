"""Chain of thought: targets that reason and answer, and the check that the reasoning comes to the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from instructify.compose.marks import FIT_CLOSE, FIT_OPEN
from instructify.compose.texts import Texts, glued
from instructify.compose.words import Words
from instructify.metrics import cot_answer_accuracy, states_answer

if TYPE_CHECKING:
    import pyarrow as pa

Order = Literal["before", "after"]
"""Whether the reasoning stands before the answer or after it."""
SENTENCE_END = r"[.!?。][\"'”’)]*$"
CUE = rf"(?s)\A(|.*\n)((?:[^\n{FIT_OPEN}{FIT_CLOSE}]|{FIT_OPEN}[^\n{FIT_CLOSE}]*{FIT_CLOSE})*[:=：])\z"
"""Finds a last line that waits for the answer, unless text that may be cut reaches into it from above."""
MAY_STATE = r"(?i)answer|####"
"""Finds ASCII text that may state an answer of its own; `states_answer` has the last word."""


@dataclass(frozen=True, slots=True)
class Reasoned:
    """Examples with reasoning in their targets; the answer of each stands at [start, stop), in characters."""

    texts: Texts
    starts: pa.Array
    stops: pa.Array


def reasoned(texts: Texts, order: Order, phrase: int, words: Words) -> Reasoned:
    """Return the examples with a request in the prompt and reasoning in the target."""
    import pyarrow.compute as pc

    assert texts.rationales is not None  # noqa: S101  (only templates with a rationale get here)
    forms, requests = phrases(order, words)
    form, request = forms[phrase % len(forms)], requests[phrase % len(requests)]
    answers = texts.targets
    before, behind = _around(form, texts)
    if not _takes_sentences(form):
        others = [other for other in forms if _takes_sentences(other)]
        whole = pc.match_substring_regex(answers, SENTENCE_END)
        apart = _around(others[phrase % len(others)], texts)
        before, behind = pc.if_else(whole, apart[0], before), pc.if_else(whole, apart[1], behind)
    behind = _without_second_stop(answers, behind)
    starts = pc.cast(pc.utf8_length(before), "int32")
    stops = pc.add(starts, pc.cast(pc.utf8_length(answers), "int32"))
    asked = replace(texts, inputs=_asked(texts.inputs, request), targets=glued(before, answers, behind))
    return Reasoned(asked, starts, stops)


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
    may = pc.or_(
        pc.match_substring_regex(texts.rationales, MAY_STATE), pc.invert(pc.string_is_ascii(texts.rationales))
    )
    for place in np.flatnonzero(may.to_numpy(zero_copy_only=False)):
        rationale, target = texts.rationales[int(place)].as_py(), texts.targets[int(place)].as_py()
        found[place] = states_answer(rationale) and not cot_answer_accuracy(rationale, target)
    return found


def _asked(prompts: pa.Array, request: str) -> pa.Array:
    """Return the prompts with a request in a line of its own: the last, or the last but one before a cue."""
    import pyarrow.compute as pc

    before = pc.replace_substring_regex(prompts, CUE, f"\\1{request}\n\\2")
    return pc.if_else(pc.match_substring_regex(prompts, CUE), before, glued(prompts, "\n", request))


def _takes_sentences(form: str) -> bool:
    """Tell whether a form has its answer where a whole sentence may stand."""
    front = form.partition("{answer}")[0]
    return not front or front.rstrip().endswith(":")


def _around(form: str, texts: Texts) -> tuple[pa.Array, pa.Array]:
    """Return what a form puts before the answers and after them, as columns."""
    front, _, back = form.partition("{answer}")
    return _filled(front, texts), _filled(back, texts)


def _filled(form: str, texts: Texts) -> pa.Array:
    """Return a part of a form with the rationales in it, as a column."""
    import pyarrow.compute as pc

    front, found, back = form.partition("{rationale}")
    rationales = _closed(texts.rationales) if found else pc.utf8_slice_codeunits(texts.targets, 0, 0)
    return glued(front, rationales, back)


def _without_second_stop(answers: pa.Array, behind: pa.Array) -> pa.Array:
    """Return what follows the answers, without its full stop where an answer ends its own sentence."""
    import pyarrow.compute as pc

    ends = pc.match_substring_regex(answers, SENTENCE_END)
    return pc.if_else(ends, pc.replace_substring_regex(behind, r"^\.", ""), behind)


def _closed(rationales: pa.Array) -> pa.Array:
    """Return the rationales with a full stop where they end without any mark."""
    import pyarrow.compute as pc

    open_ended = pc.match_substring_regex(rationales, r"[\p{L}\p{N}]$")
    return pc.if_else(open_ended, glued(rationales, "."), rationales)
