"""Questions about the world's facts: multiple choice, closed book, and claims with a reason."""

from __future__ import annotations

from typing import Any

from instructify.world.draws import NUMBERS, Draws, a, down, plural, up
from instructify.world.facts import (
    ANIMALS,
    BREAKS,
    BURNS,
    FACTS,
    FLOATS,
    PEOPLE,
    SINKS,
    TOOLS,
    TRADES,
    VILLAGES,
    Trade,
    home,
    trade,
)

_SAYINGS = tuple(f"{person} is right to say that" for person in PEOPLE)
LETTERS = ("A", "B", "C", "D")


def facts(d: Draws) -> dict[str, Any]:
    """Return a question with three or four lettered choices, the letter of the right one and why."""
    relation, subject = d.pick(FACTS)
    right = relation.facts[subject]
    wrong = [value for value in relation.values if value != right]
    texts = d.shuffled([right, *d.sample(wrong, min(len(wrong), d.between(2, 3)))])
    return {
        "question": d.pick(relation.questions).format(s=subject),
        "choices": {"label": list(LETTERS[: len(texts)]), "text": texts},
        "answerKey": LETTERS[texts.index(right)],
        "explanation": f"{relation.say(subject)} So the right choice is {right}.",
    }


def almanac(d: Draws) -> dict[str, Any]:
    """Return a question about one or two facts, with its answer, other accepted answers and a topic."""
    place = d.below(len(FACTS))
    relation, subject = FACTS[place]
    question = d.pick(relation.questions).format(s=subject)
    answer = relation.facts[subject]
    spellings = [bare(answer)]
    if d.chance(78):
        second, subject2 = FACTS[(place + d.between(1, len(FACTS) - 1)) % len(FACTS)]
        question = f"{question} And {down(d.pick(second.questions).format(s=subject2))}"
        answer2 = second.facts[subject2]
        spellings = [f"{bare(answer)}; {bare(answer2)}", f"{answer}, {answer2}"]
        answer = f"{answer}; {answer2}"
    aliases = [spelling for spelling in spellings if spelling != answer]
    return {"question": question, "answer": {"value": answer, "aliases": aliases}, "topic": relation.topic}


def bare(value: str) -> str:
    """Return a value without its article."""
    first, _, rest = value.partition(" ")
    return rest if first in ("a", "an", "the") else value


def claims(d: Draws) -> dict[str, Any]:
    """Return a claim about the world, whether it is so, and the reason."""
    holds = d.chance(50)
    make = d.pick((_fact, _fact, _legs, _size, _village, _tool, _material, _kinds))
    claim, reason = make(d, holds)
    if d.chance(60):
        claim = f"{d.pick(('It is true that', *_SAYINGS))} {_inside(claim)}"
    return {"claim": claim, "answer": holds, "reason": reason}


def _fact(d: Draws, holds: bool) -> tuple[str, str]:
    relation, subject = d.pick(FACTS)
    truth = relation.facts[subject]
    said = truth if holds else d.pick([value for value in relation.values if value != truth])
    reason = relation.say(subject) if holds else f"No, for {_inside(relation.say(subject))}"
    return relation.say(subject, said), reason


def _inside(sentence: str) -> str:
    """Return a statement as it reads inside a sentence: names keep their capital."""
    return sentence if sentence.startswith(PEOPLE + VILLAGES) else down(sentence)


def _legs(d: Draws, holds: bool) -> tuple[str, str]:
    first = d.pick(ANIMALS)
    second = d.pick([other for other in ANIMALS if other.legs != first.legs])
    if (first.legs > second.legs) != holds:
        claim = f"{up(a(first.name))} has fewer legs than {a(second.name)}."
    else:
        claim = f"{up(a(first.name))} has more legs than {a(second.name)}."
    counts = [f"{a(x.name)} has {NUMBERS[x.legs]}" for x in (first, second)]
    return claim, up(f"{counts[0]} legs and {counts[1]}.")


def _size(d: Draws, holds: bool) -> tuple[str, str]:
    first = d.pick(ANIMALS)
    second = d.pick([other for other in ANIMALS if abs(other.size - first.size) > 1])
    word = "bigger" if (first.size > second.size) == holds else "smaller"
    big, small = (first, second) if first.size > second.size else (second, first)
    return (
        f"{up(a(first.name))} is {word} than {a(second.name)}.",
        f"{up(a(big.name))} is a large animal beside {a(small.name)}.",
    )


def _village(d: Draws, holds: bool) -> tuple[str, str]:
    first = d.pick(PEOPLE)
    second = d.pick([other for other in PEOPLE if other != first and (home(other) == home(first)) == holds])
    return (
        f"{first} and {second} live in the same village.",
        f"{first} lives in {home(first)} and {second} lives in {home(second)}.",
    )


def _tool(d: Draws, holds: bool) -> tuple[str, str]:
    person = d.pick(PEOPLE)
    own = trade(person)
    said = own if holds else d.other(TRADES, own)
    return (
        f"For work, {person} uses {_with(said)}.",
        f"{person} is {a(own.name)}, and {a(own.name)} uses {_with(own)}.",
    )


def _with(work: Trade) -> str:
    return work.tool if work.tool == "chalk" else a(work.tool)


def _material(d: Draws, holds: bool) -> tuple[str, str]:
    tools = [tool for tool in TOOLS if tool.material in SINKS + FLOATS]
    does, fails, kinds = d.pick(
        (
            ("would float", "would sink", FLOATS),
            ("could break into pieces", "would not break", BREAKS),
            ("would burn", "would not burn", BURNS),
        )
    )
    tool = d.pick(tools)
    really = tool.material in kinds
    place = {"would float": "in a pond", "would burn": "in a fire"}.get(does, "on hard stone")
    subject = d.pick((up(a(tool.name)), f"The {tool.name} of {d.pick(PEOPLE)}"))
    material_does = does if really else fails
    return (
        f"{subject} {does if really == holds else fails} {place}.",
        f"{up(a(tool.name))} is made of {tool.material}, and {tool.material} {material_does} {place}.",
    )


def _kinds(d: Draws, holds: bool) -> tuple[str, str]:
    first = d.pick(ANIMALS)
    same = [x for x in ANIMALS if x != first and x.kind == first.kind]
    if not same:  # the only one of its kind has no like
        first = ANIMALS[0]
        same = [x for x in ANIMALS[1:] if x.kind == first.kind]
    second = d.pick(same if holds else [x for x in ANIMALS if x.kind != first.kind])
    return (
        f"{up(a(first.name))} and {a(second.name)} are both {plural(first.kind)}.",
        f"{up(a(first.name))} is {a(first.kind)} and {a(second.name)} is {a(second.kind)}.",
    )
