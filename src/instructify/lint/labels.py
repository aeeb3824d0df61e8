"""The rule on answer choices against the names of a ClassLabel."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jinja2 import nodes

from instructify.lint.choices import OFTEN, fixed_choices
from instructify.lint.model import Found, Sample, Subject, share

MAX_NAMES = 8
"""Names of a label that a message lists."""
ABBREVIATED = 3
"""Letters with which a word and its abbreviation begin alike."""

_SENSES = {
    "+": "pos positive good great favourable favorable acceptable grammatical wellformed equivalent same "
    "paraphrase identical entailment entails entailed implied follows supports 긍정 긍정적 좋음 좋다 호평 "
    "함의 같음 같다 자연스러움",
    "0": "neutral neither inconclusive undetermined unknown 중립 중립적 무관",
    "-": "neg negative bad terrible unfavourable unfavorable unacceptable ungrammatical illformed different "
    "contradiction contradicts contradicted contradictory conflicts 부정 부정적 나쁨 나쁘다 혹평 모순 "
    "다름 다르다 어색함",
    "yes": "yes true correct right 예 네 참 맞음 맞다 그렇다 맞습니다",
    "no": "no false incorrect wrong 아니요 아니오 거짓 틀림 틀리다 아니다 아닙니다",
}
SENSES: Mapping[str, str] = {word: sense for sense, words in _SENSES.items() for word in words.split()}
"""Words that labels and answer choices use -> which pole they stand for; yes and no hang on the question."""
_OPPOSITE = {"+": "-", "-": "+", "yes": "no", "no": "yes"}
_NOT = re.compile(r"^(not|non|no) (?=\w)")
_NEGATED = re.compile(
    r"\b(not|no|un\w+|in(?:correct|valid)|any|problem|mistake|error|fail\w*)\b|n't\b|[않안못]|아니"
)
_ASKS = re.compile(r"[^.?!\n]*\?")


def choices_against_labels(subject: Subject) -> Iterator[Found]:
    """Choices differ from the names of a ClassLabel in number or order, or a target has the wrong name."""
    for piece, node in subject.body.expressions():
        if not isinstance(node, nodes.Getitem) or not isinstance(node.arg, nodes.Name):
            continue
        column = node.arg.name
        names = subject.labels.get(column)
        listed = _listed(subject, node.node)
        if not names or listed is None:
            continue
        expected = f"the names of {column}: {_named(names)}"
        if len(listed) > len(names) or _falls_short(subject, column, len(listed)):
            yield Found(f"{len(listed)} choices for {len(names)} labels", expected, piece.line)
            return
        meant = _meant(subject, listed, names)
        if meant is not None and meant != list(range(len(names))):
            yield Found("the choices are in another order than the labels", expected, piece.line)
            return
    yield from _wrong_names(subject)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def _falls_short(subject: Subject, column: str, count: int) -> bool:
    """Tell whether the template takes a label for which it has no choice, as a condition may prevent."""
    size = len(subject.labels[column])
    is_guarded = any(piece.kind == "test" for piece in subject.body.pieces)
    if not subject.samples:
        return count < size and not is_guarded
    # promptsource's dialect prints nothing for the choice that there is not
    reasons = {"index-out-of-range"} | (set() if is_guarded else {"blank-target"})
    beyond = (sample for sample in subject.samples if _is_label(sample.row.get(column), count, size))
    return any(sample.reason in reasons for sample in beyond)


def _is_label(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and low <= value < high


def _wrong_names(subject: Subject) -> Iterator[Found]:
    """Find targets that are the name of another label than the row has; a task of its own may ask for it."""
    if _is_other_task(subject):
        return
    read = subject.body.names()
    for column in (name for name in subject.labels if name in read):
        names = subject.labels[column]
        said = _said(subject, names)
        wrong = [s for s in subject.examples if _wrongly_named(s, s.row.get(column), said, len(names))]
        if len(wrong) > OFTEN * len(subject.examples):
            first = wrong[0]
            right = names[int(first.row[column])]
            what = f"the target names another label in {share(len(wrong), subject.examples)}"
            yield Found(
                f"{what}, as in row {first.number}: {_cut(repr(first.target))}", f"{right!r}, by {column}"
            )
            return


def _is_other_task(subject: Subject) -> bool:
    return subject.template.kind == "inverted" or subject.template.original_task is False


def _said(subject: Subject, names: Sequence[str]) -> Mapping[str, int]:
    """Return the targets that name a label, and which."""
    folded = [_folded(name) for name in names]
    targets = sorted({sample.target for sample in subject.examples})
    spelt = {target: folded.index(_folded(target)) for target in targets if _folded(target) in folded}
    named = {target: label for target, label in spelt.items() if not _folded(target).isdigit()}
    texts = fixed_choices(subject.template) or targets
    meant = _meant(subject, texts, names) if len(texts) == len(names) else None
    return named or (dict(zip(texts, meant, strict=True)) if meant else {})


def _wrongly_named(sample: Sample, label: Any, said: Mapping[str, int], count: int) -> bool:
    return _is_label(label, 0, count) and said.get(sample.target, label) != label


def _listed(subject: Subject, node: nodes.Node) -> Sequence[str] | None:
    """Return the texts of a list that is fixed: a literal, or the answer choices."""
    if isinstance(node, nodes.Name) and node.name == "answer_choices":
        return fixed_choices(subject.template)
    if isinstance(node, (nodes.List, nodes.Tuple)):
        values = [item.value for item in node.items if isinstance(item, nodes.Const)]
        if len(values) == len(node.items) and all(isinstance(value, str) for value in values):
            return values
    return None


def _meant(subject: Subject, texts: Sequence[str], names: Sequence[str]) -> list[int] | None:
    """Return which label each text stands for, where that is clear for all of them and each has one.

    Texts that are spelt as the names are; others count by their first word or their sense, unless the
    template poses another task than the labels are for.
    """
    folded, labels = [_folded(text) for text in texts], [_folded(name) for name in names]
    if sorted(folded) == sorted(labels):
        return [labels.index(text) for text in folded] if len(set(labels)) == len(labels) else None
    if _is_other_task(subject) or len(folded) != len(labels):
        return None
    asked = _by_question(subject, folded, labels)
    return _by_abbreviation(folded, labels) or _by_sense(folded, labels) or asked


def _one_each(found: Sequence[Sequence[int]]) -> list[int] | None:
    """Return the labels that were found for each text, where there is one each and none comes twice."""
    labels = [one[0] for one in found if len(one) == 1]
    return labels if len(labels) == len(found) == len(set(labels)) else None


def _by_abbreviation(texts: Sequence[str], labels: Sequence[str]) -> list[int] | None:
    return _one_each([[n for n, label in enumerate(labels) if _abbreviates(text, label)] for text in texts])


def _abbreviates(one: str, other: str) -> bool:
    """Tell whether one text is the other, its beginning, or its first letters with some of the rest."""
    short, long = sorted((one, other), key=len)
    if short == long:
        return True
    if not short[:ABBREVIATED].isalpha() or len(short) < ABBREVIATED:
        return False
    rest = iter(long.split(" ")[0] if " " not in short else long)
    return short[:ABBREVIATED] == long[:ABBREVIATED] and all(letter in rest for letter in short)


def _by_sense(texts: Sequence[str], labels: Sequence[str]) -> list[int] | None:
    known = [_sense(label) for label in labels]
    if any(sense not in ("+", "0", "-") for sense in known):
        return None
    return _one_each([[n for n, sense in enumerate(known) if sense == _sense(text)] for text in texts])


def _by_question(subject: Subject, texts: Sequence[str], labels: Sequence[str]) -> list[int] | None:
    """Return the labels of yes and no, where the one question of the prompt names one label's sense."""
    replies, known = [_sense(text) for text in texts], [_sense(label) for label in labels]
    if sorted(map(str, replies)) != ["no", "yes"] or sorted(map(str, known)) != ["+", "-"]:
        return None
    asked = [q for p in subject.body.texts("prompt") for q in _ASKS.findall(p.text.casefold())]
    if len(asked) != 1 or _NEGATED.search(asked[0]):
        return None
    senses = {SENSES[word] for word in re.findall(r"\w+", asked[0]) if word in SENSES} & {"+", "-"}
    if len(senses) != 1:
        return None
    sense = senses.pop()
    return [known.index(sense if reply == "yes" else _OPPOSITE[sense]) for reply in replies]


def _sense(text: str) -> str | None:
    """Return the pole that a folded text stands for, None where it is not known."""
    bare = _NOT.sub("", text)
    sense = SENSES.get(bare.replace(" ", ""))
    return _OPPOSITE.get(sense or "") if bare != text else sense


def _folded(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()


def _cut(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
