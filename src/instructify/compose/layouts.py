"""Few-shot layouts: how exemplars and query stand one after the other in a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from instructify.compose.texts import glued
from instructify.compose.words import Words

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Layout:
    """Texts around the parts of a few-shot prompt; names of words in braces are filled in.

    {n} is the number of an exemplar, from 1, or of the query after them. `last` stands before the query and
    `ending` after it.
    """

    before: str
    between: str
    after: str
    last: str
    ending: str


LAYOUTS: Mapping[str, Layout] = {
    "blank_lines": Layout("", "\n", "\n\n", "", ""),
    "question_answer": Layout("{question}: ", "\n{answer}: ", "\n\n", "{question}: ", "\n{answer}:"),
    "input_output": Layout("{given}: ", "\n{gives}: ", "\n\n", "{given}: ", "\n{gives}:"),
    "numbered_examples": Layout("{example} {n}\n", "\n{answer}: ", "\n\n", "{turn}\n", "\n{answer}:"),
    "problem_solution": Layout("{task}:\n", "\n{solution}:\n", "\n\n", "{task}:\n", "\n{solution}:"),
    "headings": Layout("### {given}\n", "\n### {gives}\n", "\n\n", "### {given}\n", "\n### {gives}"),
    "ruled": Layout("", "\n{answer}: ", "\n-----\n", "", "\n{answer}:"),
    "numbered_list": Layout("{n}. ", "\n-> ", "\n", "{n}. ", "\n->"),
    "brackets": Layout("[{question}] ", "\n[{answer}] ", "\n\n", "[{question}] ", "\n[{answer}]"),
    "stars": Layout("***\n", "\n* {answer}: ", "\n", "***\n", "\n* {answer}:"),
}
"""The few-shot layouts, by name."""


def few_shot(
    exemplars: Sequence[tuple[pa.Array, pa.Array]], queries: pa.Array, layout: Layout, words: Words
) -> pa.Array:
    """Return prompts made of exemplars (inputs and targets, one pair of columns a shot) and a query each."""
    pieces: list[pa.Array | str] = []
    for number, (inputs, targets) in enumerate(exemplars, 1):
        fill = _filling(words, number)
        pieces += [layout.before.format_map(fill), inputs, layout.between.format_map(fill), targets]
        pieces.append(layout.after.format_map(fill))
    fill = _filling(words, len(exemplars) + 1)
    pieces += [layout.last.format_map(fill), queries, layout.ending.format_map(fill)]
    return glued(*pieces)


def _filling(words: Words, number: int) -> dict[str, str]:
    return {
        "question": words.question,
        "answer": words.answer,
        "given": words.given,
        "gives": words.gives,
        "task": words.task,
        "solution": words.solution,
        "example": words.example,
        "turn": words.turn,
        "n": str(number),
    }
