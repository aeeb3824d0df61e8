"""Rules on how a tokenizer reads prompts, targets and choices.

What T5's SentencePiece model loses was measured with its own file: 7 printable ASCII characters have no
token, and line breaks, tabs and runs of spaces become one space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations

from instructify.lint.choices import OFTEN, fixed_choices
from instructify.lint.model import Found, Sample, Subject, Tokens, share

_MARKED = re.compile(r"^\W|^\w{1,2}[.):]")
UNKNOWN, FOREIGN = 0.02, 0.2
"""Shares of unknown characters in all prompts: worth a warning; of a language that the tokenizer does not
read, so that nothing else is worth saying."""
RARE = 0.01
"""Share of rows up to which a fault is the data's."""


def _reads(subject: Subject) -> bool:
    """Tell whether there is a tokenizer that reads the language of the prompts at all."""
    text = "".join(sample.prompt for sample in subject.examples)
    tokens = subject.tokens
    return tokens is not None and _lost(tokens, text) <= FOREIGN * len(text)


def _lost(tokens: Tokens, text: str) -> int:
    """Return the number of characters that have no token."""
    unknown = set(_unknown(tokens, text))
    return sum(character in unknown for character in text)


def newline_lost(subject: Subject) -> Iterator[Found]:
    """Choices are parted by line breaks alone, and the tokenizer loses those."""
    if subject.tokens is None or "\n" in subject.tokens.decode(subject.tokens.encode("a\nb")):
        return
    for sample in subject.examples:
        lines = {line.strip() for line in sample.prompt.split("\n")}
        bare = [choice for choice in sample.choices or () if choice in lines and not _MARKED.search(choice)]
        if len(bare) > 1:
            what = f"the tokenizer loses line breaks, which alone part {bare[0]!r} from {bare[1]!r}"
            yield Found(f"{what} in row {sample.number}", "a mark before each choice, or commas")
            return


def unknown_words(subject: Subject) -> Iterator[Found]:
    """The tokenizer has no token for a character of the template's own text."""
    tokens = subject.tokens
    if tokens is None or not _reads(subject):
        return
    for piece in subject.body.texts():
        unknown = _unknown(tokens, piece.text)
        if unknown:
            place = piece.text.index(unknown[0])
            line = piece.line + piece.text[:place].count("\n")
            yield Found(
                f"the tokenizer has no token for {' '.join(unknown)}", "characters that it knows", line
            )
            return


def unknown_data(subject: Subject) -> Iterator[Found]:
    """The tokenizer has no token for many characters of the prompts."""
    tokens = subject.tokens
    text = "".join(sample.prompt for sample in subject.examples)
    if tokens is None or not text:
        return
    lost = _lost(tokens, text)
    if lost > UNKNOWN * len(text):
        what = f"the tokenizer has no token for {lost / len(text):.0%} of the characters of the prompts"
        yield Found(
            f"{what}, such as {' '.join(_unknown(tokens, text)[:5])}", "a tokenizer for this language"
        )


def special_token(subject: Subject) -> Iterator[Found]:
    """A text spells one of the tokenizer's special tokens, and would become a control id."""
    if subject.tokens is None:
        return
    for sample in subject.examples:
        for token in sorted(subject.tokens.specials):
            if token in sample.prompt or token in sample.target:
                yield Found(f"row {sample.number} spells the special token {token}", "a text without it")
                return


def target_roundtrip(subject: Subject) -> Iterator[Found]:
    """A target does not come back from the tokenizer, so that exact match can never succeed."""
    tokens = subject.tokens
    if tokens is None or subject.template.kind == "inverted" or not _reads(subject):
        return
    read = [(sample, tokens.decode(tokens.encode(sample.target))) for sample in subject.examples]
    changed = [(sample, back) for sample, back in read if back.split() != sample.target.split()]
    if len(changed) > RARE * len(subject.examples):
        sample, back = changed[0]
        lost = next((word for word in sample.target.split() if word not in back.split()), sample.target)
        what = f"the target does not survive the tokenizer in {share(len(changed), subject.examples)}"
        yield Found(f"{what}, as {lost!r} in row {sample.number}", "characters that it knows")


def choices_collide(subject: Subject) -> Iterator[Found]:
    """Two answer choices have the same tokens."""
    samples = _with_choices(subject)
    same = [(sample, pair) for sample in samples if (pair := _same(_ids(subject, sample)))]
    if len(same) > OFTEN * len(samples):
        sample, pair = same[0]
        what = f"{pair[0]!r} and {pair[1]!r} have the same tokens, as in row {sample.number}"
        yield Found(what, "choices that differ")


def _same(ids: Mapping[str, Sequence[int]]) -> tuple[str, str] | None:
    return next((pair for pair in combinations(ids, 2) if ids[pair[0]] == ids[pair[1]]), None)


def choice_prefix(subject: Subject) -> Iterator[Found]:
    """The tokens of one answer choice begin with all those of another, so that only the end decides."""
    if fixed_choices(subject.template) is None:
        return
    for sample in _with_choices(subject)[:1]:
        ids = _ids(subject, sample)
        for one, other in permutations(ids, 2):
            if len(ids[one]) < len(ids[other]) and ids[other][: len(ids[one])] == ids[one]:
                yield Found(
                    f"the tokens of {other!r} begin with those of {one!r}", "choices that begin differently"
                )
                return


def choice_length(subject: Subject) -> Iterator[Found]:
    """Fixed answer choices differ much in their number of tokens, which ranking by likelihood feels."""
    if fixed_choices(subject.template) is None or subject.template.kind == "inverted":
        return
    for sample in _with_choices(subject)[:1]:
        sizes = {choice: len(tokens) for choice, tokens in _ids(subject, sample).items()}
        short, long = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
        if sizes[long] >= 3 * sizes[short]:
            what = f"{long!r} has {sizes[long]} tokens, {short!r} {sizes[short]}"
            yield Found(what, "choices of like length, or a metric that allows for it")


def long_input(subject: Subject) -> Iterator[Found]:
    """Prompts are over the token budget, and what may be cut does not make them fit."""
    tokens = subject.tokens
    if tokens is None:
        return
    rigid = [len(tokens.encode(sample.rigid)) for sample in subject.examples]
    over = [size for size in rigid if size > subject.budget]
    if len(over) > RARE * len(rigid):
        what = f"{share(len(over), subject.examples)} are over the budget of {subject.budget} tokens"
        yield Found(
            f"{what}, by up to {max(over) - subject.budget}", "{{ text | fit }} around what may be cut"
        )


def _with_choices(subject: Subject) -> list[Sample]:
    return [s for s in subject.examples if s.choices] if _reads(subject) else []


def _ids(subject: Subject, sample: Sample) -> dict[str, list[int]]:
    assert subject.tokens is not None  # noqa: S101  (_with_choices has looked)
    return {choice: subject.tokens.encode(choice) for choice in sample.choices or ()}


def _unknown(tokens: Tokens, text: str) -> list[str]:
    return [c for c in dict.fromkeys(text) if not c.isspace() and not tokens.is_known(c)]
