"""Few-shot layouts: how exemplars and query stand one after the other in a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from instructify.compose.styles import Layout
from instructify.compose.texts import glued
from instructify.compose.words import Words

if TYPE_CHECKING:
    import pyarrow as pa


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
