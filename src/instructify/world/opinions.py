"""Sentiment: reviews of dishes, shows and books, and the reviews of inns that recipes hold out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instructify.world.draws import DAYS, Draws, up
from instructify.world.facts import DISHES, PEOPLE, VILLAGES

# what may be praised or blamed: (subject and verb, good words, bad words)
Aspect = tuple[str, tuple[str, ...], tuple[str, ...]]

ASPECTS: Mapping[str, tuple[Aspect, ...]] = {
    "dish": (
        (
            "the {thing} was",
            ("delicious", "fresh", "wonderful", "tasty"),
            ("stale", "burnt", "awful", "cold"),
        ),
        ("the sauce was", ("rich", "lovely", "perfect"), ("watery", "dreadful", "greasy")),
        ("the portion was", ("generous", "large"), ("tiny", "mean")),
        ("the price was", ("fair", "low"), ("far too high", "a bad joke")),
        ("the cook was", ("friendly", "skilful"), ("rude", "careless")),
        ("every bite tasted", ("wonderful", "fresh"), ("awful", "stale")),
    ),
    "show": (
        ("the singing was", ("beautiful", "lovely", "wonderful"), ("painful", "awful", "out of tune")),
        ("the dancers were", ("graceful", "brilliant"), ("clumsy", "half asleep")),
        ("the jokes were", ("funny", "clever"), ("tired", "not funny at all")),
        ("the costumes were", ("beautiful", "clever"), ("ugly", "cheap")),
        ("the ending was", ("moving", "perfect"), ("boring", "silly")),
        ("the crowd was", ("delighted", "full of joy"), ("bored", "angry")),
    ),
    "book": (
        ("the story was", ("gripping", "clever", "wonderful"), ("dull", "boring", "awful")),
        ("the hero was", ("charming", "brave"), ("tiresome", "flat")),
        ("the writing was", ("lively", "beautiful"), ("clumsy", "dreadful")),
        ("the pictures were", ("lovely", "beautiful"), ("ugly", "badly drawn")),
        ("the first chapter was", ("funny", "gripping"), ("slow", "dull")),
        ("the last page was", ("moving", "perfect"), ("silly", "a let-down")),
    ),
    "inn": (
        ("the room was", ("clean", "warm", "lovely"), ("dirty", "cold", "damp")),
        ("the bed was", ("soft", "perfect"), ("hard", "full of fleas")),
        ("breakfast was", ("delicious", "fresh", "generous"), ("stale", "cold", "awful")),
        ("the host was", ("friendly", "charming"), ("rude", "careless")),
        ("the view was", ("beautiful", "wonderful"), ("ugly", "dreadful")),
        ("the stable was", ("tidy", "clean"), ("filthy", "damp")),
        ("the bill was", ("fair", "low"), ("far too high", "a bad joke")),
    ),
}
OPENERS: Mapping[str, tuple[str, ...]] = {
    "dish": (
        "I ate {thing} at the {place} market.",
        "On {day} we tried the {thing} of {who}.",
        "{who} served us {thing}.",
        "We stopped in {place} for {thing}.",
    ),
    "show": (
        "We saw {who} on the stage in {place}.",
        "On {day} there was a show in {place}.",
        "{who} and friends played in {place}.",
        "I went to the {place} theatre on {day}.",
    ),
    "book": (
        "I read the new book by {who}.",
        "{who} wrote this book in {place}.",
        "On {day} I finished a book about {place}.",
        "This is a book about {who} of {place}.",
    ),
    "inn": (
        "We slept at the inn of {place}.",
        "On {day} I took a room in {place}.",
        "{who} keeps the inn at {place}.",
        "Our inn in {place} belonged to {who}.",
    ),
}
VERDICTS: tuple[tuple[str, ...], tuple[str, ...]] = (
    (
        "I will not come back.",
        "What a waste of money.",
        "I cannot recommend it.",
        "We were very disappointed.",
        "Never again.",
        "I am still angry about it.",
    ),
    (
        "I will gladly come back.",
        "It was worth every penny.",
        "I recommend it to everyone.",
        "We were very happy.",
        "I would do it again tomorrow.",
        "I am still smiling about it.",
    ),
)


def _opinions(d: Draws, kind: str, label: int, thing: str) -> list[str]:
    chosen = d.sample(ASPECTS[kind], d.between(2, 3))
    says = [f"{start.format(thing=thing)} {d.pick(good if label else bad)}" for start, good, bad in chosen]
    if len(says) == 3:
        return [up(f"{says[0]} and {says[1]}."), up(f"{says[2]}.")]
    if d.chance(35):  # one word for the other side, before the side the writer takes
        start, good, bad = d.other(ASPECTS[kind], *chosen)
        says[0] = f"{start.format(thing=thing)} {d.pick(bad if label else good)}, but {says[0]}"
        return [up(f"{says[0]}."), up(f"{says[1]}.")]
    return [up(f"{says[0]}, and {says[1]}.")]


def _text(d: Draws, kind: str, label: int) -> str:
    thing = d.pick(DISHES).name
    opener = d.pick(OPENERS[kind]).format(
        thing=thing, place=d.pick(VILLAGES), day=d.pick(DAYS), who=d.pick(PEOPLE)
    )
    parts = [opener, *_opinions(d, kind, label, thing)]
    if d.chance(60):
        verdict = d.pick(VERDICTS[label])
        parts = [verdict, *parts] if d.chance(20) else [*parts, verdict]
    return " ".join(parts)


def review(d: Draws) -> dict[str, Any]:
    """Return one review of a dish, a show or a book."""
    kind = d.pick(("dish", "show", "book"))
    label = d.below(2)
    return {"text": _text(d, kind, label), "kind": kind, "label": label}


def inn_review(d: Draws) -> dict[str, Any]:
    """Return one review of an inn; its stars agree with its label."""
    label = d.below(2)
    text = _text(d, "inn", label)
    mixed = " but " in text  # a word for the other side costs, or earns, a star
    return {"text": text, "stars": 5 - mixed if label else 1 + mixed, "label": label}
