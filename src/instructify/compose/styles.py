"""The tables of few-shot layouts and of styles of answer options, by the names that recipes use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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
