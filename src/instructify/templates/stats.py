"""Numbers about collections of templates: how many, of which kinds, how long and how varied their words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from jinja2.exceptions import TemplateSyntaxError

from instructify.errors import InstructifyError, Problem
from instructify.render.reference import sandbox
from instructify.templates.model import Template

SEPARATOR = "|||"
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class TemplateStats:
    """Numbers about some templates.

    `prompt_characters` is the median length of the static text of a prompt. `distinct_2` is the number of
    different pairs of neighbouring words in all static texts, divided by the number of pairs; None where
    there is no pair.
    """

    templates: int
    task: int
    inverted: int
    languages: tuple[str, ...]
    with_choices: int
    choices_in_prompt: int
    prompt_characters: float
    distinct_2: float | None
    authors: tuple[str, ...]


def template_stats(templates: Sequence[Template]) -> TemplateStats:
    """Return the numbers about one or more templates; raises InstructifyError for text that is not Jinja."""
    texts = [static_prompt(template) for template in templates]
    pairs = [pair for pieces in texts for pair in bigrams(pieces)]
    inverted = sum(template.kind == "inverted" for template in templates)
    return TemplateStats(
        templates=len(templates),
        task=len(templates) - inverted,
        inverted=inverted,
        languages=tuple(sorted({language for template in templates for language in template.languages})),
        with_choices=sum(template.choices is not None for template in templates),
        choices_in_prompt=sum(template.choices_in_prompt is True for template in templates),
        prompt_characters=float(median(len("".join(pieces).strip()) for pieces in texts)),
        distinct_2=len(set(pairs)) / len(pairs) if pairs else None,
        authors=tuple(sorted({template.author for template in templates if template.author})),
    )


def static_prompt(template: Template) -> tuple[str, ...]:
    """Return the pieces of the prompt that are printed as they stand, every branch of it, without Jinja."""
    try:
        tokens = list(sandbox(template.dialect).lex(template.body))
    except TemplateSyntaxError as error:
        raise InstructifyError(Problem(error.message or "not valid Jinja", template.where)) from error
    pieces: list[str] = []
    for _, kind, text in tokens:
        if kind == "data":
            before, cut, _ = text.partition(SEPARATOR)
            pieces.append(before)
            if cut:
                break
    return tuple(pieces)


def bigrams(pieces: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of neighbouring words, without case; no pair reaches over a gap between pieces."""
    for piece in pieces:
        yield from pairwise(_WORD.findall(piece.casefold()))
