"""Rules on what a template makes of sample rows; some change a row and look at what follows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from instructify.lint.choices import FEW, fixed_choices
from instructify.lint.leaks import PROBES
from instructify.lint.model import Found, Sample, Subject, share

OWN_RULE = frozenset({"unlabelled", "none-printed", "target-not-in-choices", "ambiguous-target"})
"""Reasons for dropping a row that say something of the row, or have a rule of their own."""
BLANK = frozenset({"blank-prompt", "blank-target", "not-two-parts"})
"""Reasons by which a template with a condition skips a row on purpose."""
MAX_DROPPED = 0.01

_RUN = re.compile(r"\n[^\S\n]*\n[^\S\n]*\n")
_DOUBLED = re.compile(r"(?<![.?!…,])(?:[.!?][.,]|[,;:][.,])(?![.?!,])|(?<=\w)\s[,.](?=\s|$)")
_OWN_DOUBLED = re.compile(r"[^\s.?!,;:]+(?:[.,;:][?!]|[?!][.,;:]|\.\.[?!]?|,,)(?![.,;:?!)])")
_ABBREVIATION = re.compile(r"(^|\W)\w\.$|\.\w+\.$|^(etc|Inc|Co|Corp|Ltd|Jr|Sr|al)\.$")
_STATED = re.compile(
    r"(?:####|\bthe (?:final |correct )?answer(?: is)?:?|정답은|답은)\s*(.+?)\s*$",
    re.IGNORECASE | re.MULTILINE,
)


def no_example(subject: Subject) -> Iterator[Found]:
    """No sample row makes an example."""
    reasons = Counter(sample.reason for sample in subject.samples).most_common()
    if reasons and not subject.examples and reasons[0][0] not in OWN_RULE:
        told = ", ".join(f"{reason} {count}" for reason, count in reasons)
        detail = next((s.detail for s in subject.samples if s.detail), "")
        what = f"none of {len(subject.samples)} sample rows makes an example: {told}"
        yield Found(what + (f" ({detail})" if detail else ""), "examples")


def dropped_rows(subject: Subject) -> Iterator[Found]:
    """Rows are dropped for reasons of the template."""
    below = [s for s in subject.samples if s.reason == "unlabelled" and _is_labelled(subject, s)]
    if len(below) > MAX_DROPPED * len(subject.samples):
        what = f"{share(len(below), subject.samples)} are dropped, as row {below[0].number}"
        cause = "an index into the answer choices is below 0 or null, though no label of the row is"
        yield Found(f"{what}: {cause}", "an index that counts from 0")
    excused = OWN_RULE | (BLANK if _may_skip(subject) else set())
    dropped = [s for s in subject.samples if s.reason and s.reason not in excused]
    if subject.examples and len(dropped) > MAX_DROPPED * len(subject.samples):
        first = dropped[0]
        detail = f": {first.detail}" if first.detail else ""
        what = f"{share(len(dropped), subject.samples)} are dropped, as row {first.number} for {first.reason}"
        yield Found(what + detail, "rows that the template can use, or a condition around the body")


def _is_labelled(subject: Subject, sample: Sample) -> bool:
    """Tell whether no value that the template reads is such as stands for a label that is not given."""
    return not any(map(_is_no_label, (sample.row.get(name) for name in subject.variables)))


def _is_no_label(value: Any) -> bool:
    return value in (None, "", "-", "-1") or (isinstance(value, (int, float)) and not value >= 0)


def _may_skip(subject: Subject) -> bool:
    return any(piece.kind in ("test", "loop") for piece in subject.body.pieces)


def none_printed(subject: Subject) -> Iterator[Found]:
    """A null of the data is printed as the text None."""
    printed = [s for s in subject.samples if s.none_printed or s.reason == "none-printed"]
    if len(printed) > MAX_DROPPED * len(subject.samples):
        what = f"None is printed in {share(len(printed), subject.samples)}, as in row {printed[0].number}"
        yield Found(what, "a condition around the value")


def unguarded_label(subject: Subject) -> Iterator[Found]:
    """A row without a label, whose label is -1, makes an example all the same."""
    for name in sorted(set(subject.labels) & subject.variables):
        for sample in subject.examples[:PROBES]:
            changed = subject.render({**sample.row, name: -1}, sample.number)
            if not changed.reason and _texts(_relabelled(subject, sample, name)) != _texts(sample):
                what = f"a row whose {name} is -1 makes an example with the target {_cut(changed.target)!r}"
                yield Found(what, f"{{% if {name} >= 0 %}}, or answer_choices[{name}]")
                return


def _relabelled(subject: Subject, sample: Sample, name: str) -> Sample:
    """Return the sample under some other label, or itself where the label changes nothing."""
    count = len(subject.labels[name])
    others = (subject.render({**sample.row, name: label}, sample.number) for label in range(count))
    return next((other for other in others if _texts(other) != _texts(sample)), sample)


def _texts(sample: Sample) -> tuple[str, str]:
    return sample.prompt, sample.target


def constant_target(subject: Subject) -> Iterator[Found]:
    """Every sample row has the same target."""
    targets = {example.target for example in subject.examples}
    if len(targets) == 1 and len(subject.examples) >= FEW:
        yield Found(
            f"the target is {_cut(targets.pop())!r} in all {len(subject.examples)} examples",
            "one that varies",
        )


def random_target(subject: Subject) -> Iterator[Found]:
    """The target hangs on a draw that the prompt does not show, so that it is right only by luck."""
    probes = [example for example in subject.examples if example.choices][:PROBES]
    lucky = [(one, other) for one in probes if (other := _other_target(subject, one))]
    if len(lucky) > len(probes) // 2:
        one, other = lucky[0]
        what = f"under one prompt the target is {_cut(one.target)!r} or {_cut(other.target)!r}, by the draw"
        yield Found(f"{what}, as in row {one.number}", "the drawn value in the prompt")


def _other_target(subject: Subject, sample: Sample) -> Sample | None:
    """Return what the row makes under other draws, where only the target differs."""
    for number in range(sample.number + 1, sample.number + PROBES):
        other = subject.render(sample.row, number)
        is_same = (other.prompt, other.choices) == (sample.prompt, sample.choices)
        if is_same and not other.reason and other.target != sample.target:
            return other
    return None


def constant_prompt(subject: Subject) -> Iterator[Found]:
    """Every sample row has the same prompt."""
    prompts = {example.prompt for example in subject.examples}
    if len(prompts) == 1 and len(subject.examples) >= FEW:
        yield Found(
            f"the prompt is the same in all {len(subject.examples)} examples", "the row in the prompt"
        )


def blank_lines(subject: Subject) -> Iterator[Found]:
    """Two or more blank lines in a row that are not the data's."""
    runs = [sample for sample in subject.examples if _has_run(sample)]
    own = [s for s in runs if _is_own_run(subject, s)]
    if len(own) > MAX_DROPPED * len(subject.examples):
        what = f"two or more blank lines in a row in {share(len(own), subject.examples)}"
        yield Found(f"{what}, as in row {own[0].number}", "one at most, or {%- ... -%}")


def _is_own_run(subject: Subject, sample: Sample) -> bool:
    """Tell whether a run of blank lines is the template's: it does not come from a text of the row."""
    if not any(map(_RUN.search, _leaves(sample.row))):
        return True
    return _has_run(subject.render(_collapsed(sample.row), sample.number))


def _has_run(sample: Sample) -> bool:
    return not sample.reason and any(map(_RUN.search, _texts(sample)))


def _collapsed(value: Any) -> Any:
    """Return a value with every run of white space in its texts as one space."""
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, Mapping):
        return {name: _collapsed(item) for name, item in value.items()}
    return [_collapsed(item) for item in value] if isinstance(value, list) else value


def doubled_punctuation(subject: Subject) -> Iterator[Found]:
    """A punctuation mark of the template meets one of the data or of its own, or a blank stands before it."""
    for piece in subject.body.texts("prompt"):
        if (own := _OWN_DOUBLED.search(piece.text)) and not _ABBREVIATION.search(own[0].rstrip("?!,;:")):
            line = piece.line + piece.text[: own.start()].count("\n")
            yield Found(f"punctuation meets punctuation: {own[0]!r}", "one mark", line)
            return
    bad = [(sample, found) for sample in subject.examples if (found := _doubled(sample))]
    if len(bad) > 0.1 * len(subject.examples):
        sample, found = bad[0]
        place = sample.prompt[max(0, found.start() - 20) : found.end() + 5]
        what = (
            f"punctuation meets punctuation in {share(len(bad), subject.examples)}, as in row {sample.number}"
        )
        yield Found(f"{what}: {place!r}", "one mark, or a line break between")


def _doubled(sample: Sample) -> re.Match[str] | None:
    leaves: str | None = None
    for found in _DOUBLED.finditer(sample.prompt):
        leaves = "\0".join(_leaves(sample.row)) if leaves is None else leaves
        word = sample.prompt[: found.start() + 1].rsplit(None, 1)[-1]
        if found[0] not in leaves and not _ABBREVIATION.search(word):
            return found
    return None


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(item)


def inverted_original(subject: Subject) -> Iterator[Found]:
    """An inverted template claims to pose the original task."""
    if subject.template.kind == "inverted" and subject.template.original_task:
        yield Found("inverted, yet original_task is true", "original_task: false")


def inverted_target(subject: Subject) -> Iterator[Found]:
    """An inverted template asks for the label, as the task itself does."""
    if subject.template.kind != "inverted":
        return
    for name in sorted(set(subject.labels) & subject.variables):
        probes = subject.examples[:PROBES]
        changed = [_relabelled(subject, probe, name) for probe in probes]
        if probes and all(
            new.target != old.target and not new.reason for new, old in zip(changed, probes, strict=True)
        ):
            yield Found(
                f"inverted, yet the target changes with {name}", "an input as the target, or kind: task"
            )
            return
    if fixed_choices(subject.template) is not None and subject.examples:
        yield Found("inverted, yet the target is one of fixed answer choices", "an input as the target")


def rationale_in_prompt(subject: Subject) -> Iterator[Found]:
    """The rationale stands in the prompt."""
    seen = [s for s in subject.examples if s.rationale and len(s.rationale) >= 20 and s.rationale in s.prompt]
    if len(seen) > 0.5 * len(subject.examples):
        what = f"the prompt holds the rationale in {share(len(seen), subject.examples)}"
        yield Found(f"{what}, as in row {seen[0].number}", "the rationale in its own place only")


def rationale_in_target(subject: Subject) -> Iterator[Found]:
    """The rationale stands in the target, where composition would put it again."""
    seen = [s for s in subject.examples if s.rationale and len(s.rationale) >= 20 and s.rationale in s.target]
    if len(seen) > 0.5 * len(subject.examples):
        what = f"the target holds the rationale in {share(len(seen), subject.examples)}"
        yield Found(f"{what}, as in row {seen[0].number}", "the bare answer as the target")


def rationale_disagrees(subject: Subject) -> Iterator[Found]:
    """The answer that the rationale states is not the target."""
    stated = [
        (s, said[-1]) for s in subject.examples if s.rationale and (said := _STATED.findall(s.rationale))
    ]
    wrong = [(s, said) for s, said in stated if _bare(s.target) not in _bare(said)]
    if len(wrong) > 0.02 * max(1, len(subject.examples)):
        sample, said = wrong[0]
        what = f"the rationale states another answer in {share(len(wrong), subject.examples)}"
        yield Found(
            f"{what}: row {sample.number} says {_cut(said)!r}, the target is {_cut(sample.target)!r}",
            "one answer",
        )


def _bare(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
