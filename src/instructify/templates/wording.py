"""A template's own words: which they are, whether they ask, tell or state, and how much they repeat."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

from jinja2.exceptions import TemplateSyntaxError

from instructify.errors import InstructifyError, Problem
from instructify.render.reference import sandbox
from instructify.templates.model import Template

Form = Literal["question", "instruction", "statement"]
SEPARATOR = "|||"
ORDERS = 2
"""Longest n-grams of self-BLEU: many a template has no more than a few words of its own."""
_WORD = re.compile(r"\w+")
_QUESTION = re.compile(r"[?？]")
_CLAUSE = re.compile(r"[\s\-–—*]*([^.!:;,\n()\"“”]+)([.!:;,\n()\"“”]|$)")
_OF_FIELD = (":", "(")
"""What stands behind the name of a field, as in `Answer:`."""
_OPENING = re.compile(r"^(?:please|now|then|first|next|finally|and|or|just|also|so|carefully|briefly)\s+")
_IMPERATIVE = frozenset(
    """act add advise analyse analyze answer apply arrange ask assign assume base bear begin break build
    calculate carry categorise categorize check choose circle cite classify combine come compare
    complete compose compress compute condense connect consider construct continue convert copy correct
    count create decide deduce define describe detect determine devise discuss distil do draft draw
    elaborate end enumerate estimate evaluate examine expand explain express extract fill find finish
    follow form formulate generate get give go guess help identify imagine indicate infer inspect invent
    judge keep label let list look make mark match mention name note number order output paraphrase pay
    pick place play point pose predict prepare present produce propose provide put quote rank rate read
    reason recall recognise recommend reconstruct recount reduce refer render reorder rephrase replace
    reply report respond restate retell return reverse review reword rewrite round say score see select
    sell separate set shorten show simplify sketch solve sort specify spell spot start state sum
    summarise summarize supply suppose take talk tell think title translate treat try turn underline use
    verify warn weigh work write""".split()
)
_IMPERATIVE_KO = re.compile(
    r"(?:세요|십시오|시오|해라|하라|어라|아라|여라|하자|보자|다오|줘|달라|[기것])(?=[\s.!:\n)]|$)"
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


def words_of(pieces: Sequence[str]) -> list[str]:
    """Return the words of all pieces in order, without case."""
    return [word for piece in pieces for word in _WORD.findall(piece.casefold())]


def form_of(template: Template, pieces: Sequence[str]) -> Form:
    """Return whether a prompt's own words ask a question, or else give an instruction, or else only state.

    A question has a question mark. An instruction has a clause that begins with a verb of a list (English) or
    ends as requests do (Korean). What remains states something, names a field or leaves a gap to fill. The
    question in a row's own text does not count.
    """
    if any(_QUESTION.search(piece) for piece in pieces):
        return "question"
    if template.language.startswith("ko"):
        return "instruction" if any(map(_IMPERATIVE_KO.search, pieces)) else "statement"
    return "instruction" if any(_is_instruction(piece.casefold()) for piece in pieces) else "statement"


def _is_instruction(text: str) -> bool:
    """Tell whether a clause begins with a verb of the list; `Answer:` alone is the name of a field."""
    for clause, end in _CLAUSE.findall(text):
        verb, *others = _OPENING.sub("", clause.strip()).split() or [""]
        if verb in _IMPERATIVE and (others or end not in _OF_FIELD):
            return True
    return False


def self_bleu(texts: Sequence[Sequence[str]]) -> list[float]:
    """Return the BLEU of each text against all the others: 1 where it repeats one, 0 where no pair is shared.

    Zhu et al. 2018, "Texygen: A Benchmarking Platform for Text Generation Models" (arXiv:1802.01886), section
    on Self-BLEU. BLEU is that of Papineni et al. 2002 (ACL, section 2.3): brevity penalty times the geometric
    mean of modified n-gram precisions, here of n = 1 and 2. Texts of fewer than two words are left out.
    """
    counted = [[Counter(_ngrams(text, n)) for n in range(1, ORDERS + 1)] for text in texts]
    long = [n for n, text in enumerate(texts) if len(text) >= ORDERS]
    scores = []
    for own in long:
        others = [n for n in long if n != own]
        if others:
            precisions = [
                _precision(counted[own][order], [counted[n][order] for n in others])
                for order in range(ORDERS)
            ]
            penalty = _brevity(len(texts[own]), [len(texts[n]) for n in others])
            scores.append(penalty * math.prod(precisions) ** (1 / ORDERS))
    return scores


def _ngrams(words: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(n)), strict=False)


def _precision(own: Counter[tuple[str, ...]], others: Sequence[Counter[tuple[str, ...]]]) -> float:
    """Return the modified precision: each n-gram counts as often as it comes in some one other text."""
    clipped = sum(min(count, max(other[gram] for other in others)) for gram, count in own.items())
    return clipped / own.total()


def _brevity(length: int, others: Sequence[int]) -> float:
    """Return the brevity penalty against the other text that is nearest in length, the shorter of two."""
    nearest = min(others, key=lambda other: (abs(other - length), other))
    return 1.0 if length > nearest else math.exp(1 - nearest / length)
