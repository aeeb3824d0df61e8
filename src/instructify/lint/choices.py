"""Rules on answer choices: defined, shown and right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from jinja2 import nodes

from instructify.lint.model import Found, Sample, Subject, share
from instructify.templates.model import Template

_SPEAKS_OF_OPTIONS = re.compile(
    r"\b(options|choices|alternatives)\b\s*(are\b|:)"
    r"|\b(choose|pick|select)\b[^.?!\n]{0,30}\b(from|between|among|of the following)\b"
    r"|\b(which|one) of (these|the following|the options|the choices)\b"
    r"|보기(?=[ :에중])|다음 중|선택지(?![가는도를]? ?없)",
    re.IGNORECASE,
)

FEW = 30
"""Fewer examples than this do not show that something is constant."""
OFTEN = 0.05
"""Share of rows from which a fault of choices made from the row is not the data's alone."""


def choices_undefined(subject: Subject) -> Iterator[Found]:
    """The body uses answer_choices, and none are defined."""
    if subject.template.choices is None and "answer_choices" in subject.body.names():
        yield Found("answer_choices is used and not defined", "answer_choices in the head")


def choices_unused(subject: Subject) -> Iterator[Found]:
    """Fixed answer choices are defined, and the target spells its own words."""
    fixed = fixed_choices(subject.template)
    if fixed is None or "answer_choices" in subject.body.names():
        return
    constants = (
        node.value for _, node in subject.body.expressions("target") if isinstance(node, nodes.Const)
    )
    own = [piece.text for piece in subject.body.texts("target")] + [
        text for text in constants if text in fixed
    ]
    if any(text.strip() for text in own):
        yield Found("answer_choices is defined and never used", "answer_choices[...] in the target")


def duplicate_choices(subject: Subject) -> Iterator[Found]:
    """An answer choice comes twice, so that a target has no one label."""
    fixed = fixed_choices(subject.template)
    if fixed is not None:
        for choice, count in Counter(fixed).items():
            if count > 1:
                yield Found(f"{choice!r} is {count} times among the answer choices", "each choice once")
        return
    twice = [s for s in subject.samples if s.choices and len(set(s.choices)) < len(s.choices)]
    if len(twice) > OFTEN * len(subject.samples):
        times = share(len(twice), subject.samples)
        yield Found(
            f"an answer choice comes twice in {times}, as in row {twice[0].number}", "each choice once"
        )


def blank_choice(subject: Subject) -> Iterator[Found]:
    """An answer choice is blank."""
    fixed = fixed_choices(subject.template)
    if fixed is not None and not all(fixed):
        yield Found("an answer choice is blank", "a text, or no such choice")
        return
    blank = [s for s in subject.samples if s.choices and not all(s.choices)]
    if len(blank) > OFTEN * len(subject.samples):
        times = share(len(blank), subject.samples)
        yield Found(f"an answer choice is blank in {times}, as in row {blank[0].number}", "a text for each")


def single_choice(subject: Subject) -> Iterator[Found]:
    """There is only one answer choice."""
    fixed = fixed_choices(subject.template)
    one = [s for s in subject.examples if s.choices is not None and len(s.choices) == 1]
    if (fixed is not None and len(fixed) == 1) or len(one) > OFTEN * len(subject.samples):
        yield Found("there is only one answer choice", "several choices, or none")


def target_outside_choices(subject: Subject) -> Iterator[Found]:
    """The target of a sample row is none of its answer choices."""
    outside = [s for s in subject.samples if s.reason == "target-not-in-choices"]
    if outside:
        first = outside[0]
        what = f"the target is none of the answer choices in {share(len(outside), subject.samples)}"
        yield Found(f"{what}, as in row {first.number}: {_cut(first.detail)}", "one of the answer choices")


def choice_never_right(subject: Subject) -> Iterator[Found]:
    """A fixed answer choice is the target of no sample row."""
    fixed = fixed_choices(subject.template)
    examples = subject.examples
    if fixed is None or subject.template.kind == "inverted" or len(examples) < FEW * len(fixed):
        return
    targets = {example.target for example in examples}
    never = [choice for choice in fixed if choice not in targets]
    if never and len(targets) > 1:
        what = f"never the target in {len(examples)} examples: {', '.join(map(repr, never))}"
        yield Found(what, "choices that the data use")


def constant_position(subject: Subject) -> Iterator[Found]:
    """Choices made from the row have the right one always in the same place."""
    examples = [e for e in subject.examples if e.choices and len(e.choices) > 1]
    if fixed_choices(subject.template) is not None or len(examples) < FEW:
        return
    places = {example.choices.index(example.target) for example in examples if example.choices}
    if len(places) == 1:
        what = f"the right choice is number {places.pop() + 1} in all {len(examples)} examples"
        yield Found(what, "choices in an order that does not tell")


def choices_missing(subject: Subject) -> Iterator[Found]:
    """choices_in_prompt is true, but the prompt does not show every choice."""
    if subject.template.choices_in_prompt is not True or subject.template.kind == "inverted":
        return
    examples = [example for example in subject.examples if example.choices]
    hidden = [(example, choice) for example in examples if (choice := _hidden(example))]
    if examples and len(hidden) > 0.5 * len(examples):
        example, absent = hidden[0]
        what = f"choices_in_prompt is true, but not every choice is shown in {share(len(hidden), examples)}"
        yield Found(
            f"{what}, as {absent!r} in row {example.number}", "the choices, or choices_in_prompt: false"
        )


def _hidden(sample: Sample) -> str | None:
    """Return a choice that the prompt does not show, not even as a Korean predicate in another form."""
    for choice in sample.choices or ():
        stem = re.sub(r"(?<=[가-힣])[다음함됨]$", "", choice)
        if not shows(sample, choice) and stem not in sample.prompt:
            return choice
    return None


def choices_undeclared(subject: Subject) -> Iterator[Found]:
    """choices_in_prompt is false, but the prompt lists the choices."""
    if subject.template.choices_in_prompt is not False or subject.template.kind == "inverted":
        return
    examples = [example for example in subject.examples if example.choices]
    fixed = fixed_choices(subject.template)
    lists_them = any(_takes_all(piece.node) for piece in subject.body.pieces if piece.side == "prompt")
    if examples and (lists_them or fixed is not None) and all(map(shows_all, examples)):
        yield Found(
            "choices_in_prompt is false, but the prompt shows every choice", "choices_in_prompt: true"
        )


def _takes_all(node: nodes.Node | None) -> bool:
    """Tell whether an expression uses the whole list of choices, as join, options and for do."""
    if node is None:
        return False
    if _is_choices(node):
        return True
    filters = (n for n in (node, *node.find_all(nodes.Filter)) if isinstance(n, nodes.Filter))
    return any(n.name in ("join", "options") and n.node is not None and _is_choices(n.node) for n in filters)


def _is_choices(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "answer_choices"


def options_absent(subject: Subject) -> Iterator[Found]:
    """The prompt speaks of options and shows none of them."""
    examples = [example for example in subject.examples if example.choices]
    if not examples or subject.template.kind == "inverted":
        return
    for piece in subject.body.texts("prompt"):
        spoken = _SPEAKS_OF_OPTIONS.search(piece.text)
        if spoken:
            bare = [e for e in examples if not any(shows(e, choice) for choice in e.choices or ())]
            if len(bare) > 0.5 * len(examples):
                line = piece.line + piece.text[: spoken.start()].count("\n")
                what = f"{spoken[0].strip()!r} announces options, but the prompt shows none"
                yield Found(f"{what} in {share(len(bare), examples)}", "the options, or other words", line)
            return


def label_number(subject: Subject) -> Iterator[Found]:
    """The target is the number of a label, which says nothing to a reader."""
    for name in subject.labels:
        numbers = [s for s in subject.examples if s.target == str(s.row.get(name)) and not shows(s, s.target)]
        if numbers and len(numbers) == len(subject.examples) and name in subject.body.names("target"):
            yield Found(f"the target is the number of the label {name}", "a word for each label")


def fixed_choices(template: Template) -> tuple[str, ...] | None:
    """Return the answer choices that are the same for every row, or None."""
    if isinstance(template.choices, tuple):
        is_fixed = not any("{{" in choice or "{%" in choice for choice in template.choices)
        return tuple(choice.strip() for choice in template.choices) if is_fixed else None
    if (
        template.dialect == "promptsource"
        and template.choices
        and not re.search(r"\{[{%#]", template.choices)
    ):
        return tuple(choice.strip() for choice in template.choices.split("|||"))
    return None


def shows_all(sample: Sample) -> bool:
    """Tell whether the prompt shows every answer choice."""
    return all(shows(sample, choice) for choice in sample.choices or ())


def shows(sample: Sample, choice: str) -> bool:
    """Tell whether the prompt shows an answer choice."""
    return sample.has_options or _holds(sample.prompt, choice)


def _holds(text: str, choice: str) -> bool:
    """Tell whether a choice stands in a text, as whole words where it begins or ends with Latin letters."""
    text, choice = " ".join(text.casefold().split()), " ".join(choice.casefold().split())
    choice = choice.rstrip(".!?") or choice
    before = r"(?<![a-z0-9])" if re.match("[a-z0-9]", choice) else ""
    after = r"(?![a-z0-9])" if re.search("[a-z0-9]$", choice) else ""
    return re.search(before + re.escape(choice) + after, text) is not None


def _cut(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
