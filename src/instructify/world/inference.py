"""Natural language inference and paraphrase: labels that follow from how the sentences are made."""

from __future__ import annotations

from typing import Any

from instructify.world.draws import DAYS, NUMBERS, Draws, a, plural, up
from instructify.world.facts import (
    ANIMALS,
    DISHES,
    MEN,
    PEOPLE,
    TOOLS,
    TRADES,
    VILLAGES,
    WOMEN,
    home,
    region,
    she,
)

_TIMES = ("at dawn", "at noon", "in the evening", "at midnight")
_COLOURS = ("white", "brown", "black", "grey", "spotted")
_PLACES = ("the market", "the bridge", "the inn", "the well", "the school", "the mill")
# deeds: (past form with {o}, what it comes to, what cannot be true beside it)
_DEEDS = (
    ("carried {o} to {p}", "took something to {p}", "left {o} behind at home"),
    ("sold {o} at {p}", "sold something at {p}", "kept {o} and did not sell it"),
    ("repaired {o} near {p}", "did some work near {p}", "did nothing but sleep"),
    ("found {o} behind {p}", "found something behind {p}", "found nothing at all"),
    ("bought {o} at {p}", "paid for something at {p}", "came home without buying anything"),
)
_ASIDES = ("was tired", "was thirsty", "had a new coat", "sang a song", "hoped for rain", "was in a hurry")


def entail3(d: Draws) -> dict[str, Any]:
    """Return a premise and hypothesis; entailment, neutral or contradiction."""
    label = d.below(3)
    premise, hypothesis = d.pick((_deed, _deed, _animals))(d, label)
    return {"premise": premise, "hypothesis": hypothesis, "label": label}


def _deed(d: Draws, label: int) -> tuple[str, str]:
    count, trade, time = d.between(2, 6), d.pick(TRADES).name, d.pick(_TIMES)
    place, village, thing = d.pick(_PLACES), d.pick(VILLAGES), d.pick(TOOLS).name
    past, general, denial = d.pick(_DEEDS)
    who = f"{NUMBERS[count]} {plural(trade)}"
    did = past.format(o=a(thing), p=place)
    premise = d.pick((f"{up(who)} from {village} {did} {time}.", f"{up(time)}, {who} from {village} {did}."))
    if label == 0:
        said = d.pick(
            (
                f"Some {plural(trade)} {general.format(p=place)}.",
                f"{up(who)} {did}.",
                f"{up(NUMBERS[count])} people from {village} {general.format(p=place)}.",
                f"{up(time)}, some people {general.format(p=place)}.",
            )
        )
    elif label == 1:
        said = d.pick(
            (
                f"The {plural(trade)} {d.pick(_ASIDES).replace('was', 'were')}.",
                f"The {plural(trade)} {did} because of {d.pick(PEOPLE)}.",
                f"The {plural(trade)} {did} in the rain.",
                f"{d.pick(PEOPLE)} is one of the {plural(trade)}.",
            )
        )
    else:
        anything = general.replace("some", "any")
        said = d.pick(
            (
                f"The {plural(trade)} {denial.format(o='the ' + thing)}.",
                f"Nobody from {village} {anything.format(p=place)}.",
                f"The {plural(trade)} were alone in bed {time}.",
                f"The {plural(trade)} all came from {d.other(VILLAGES, village)}, not from {village}.",
            )
        )
    return premise, said


def _animals(d: Draws, label: int) -> tuple[str, str]:
    animal, village, colour = d.pick(ANIMALS), d.pick(VILLAGES), d.pick(_COLOURS)
    owner, count, many = d.pick(PEOPLE), NUMBERS[d.between(3, 12)], plural(animal.name)
    premise = d.pick(
        (
            f"All {count} of {owner}'s {many} in {village} are {colour}.",
            f"In {village}, every one of {owner}'s {count} {many} is {colour}.",
        )
    )
    other = d.other(_COLOURS, colour)
    if label == 0:
        said = d.pick(
            (
                f"None of {owner}'s {many} in {village} is {other}.",
                f"{owner} has some {colour} {many}.",
                f"There are {colour} {many} in {village}.",
            )
        )
    elif label == 1:
        said = d.pick(
            (
                f"{owner} feeds the {many} at dawn.",
                f"All the {many} of {village} are {colour}.",
                f"{owner} bought the {many} in {d.other(VILLAGES, village)}.",
            )
        )
    else:
        said = d.pick(
            (
                f"Some of {owner}'s {many} in {village} are {other}.",
                f"{owner} has no {many}.",
                f"There are no {colour} {many} in {village}.",
            )
        )
    return premise, said


def entail2(d: Draws) -> dict[str, Any]:
    """Return a premise of two or three sentences and a hypothesis; entailment or not."""
    label = d.below(2)
    premise, hypothesis = d.pick((_order, _trade_off, _region, _either))(d, label == 0)
    return {"premise": premise, "hypothesis": hypothesis, "label": label}


_ORDERS = (("older", "younger"), ("taller", "shorter"), ("faster", "slower"), ("richer", "poorer"))


def _order(d: Draws, holds: bool) -> tuple[str, str]:
    first, second, third = d.sample(PEOPLE, 3)
    more, less = d.pick(_ORDERS)
    facts = d.shuffled((f"{first} is {more} than {second}.", f"{third} is {less} than {second}."))
    if d.chance(50):
        claim = f"{first} is {more} than {third}." if holds else f"{third} is {more} than {first}."
    else:
        claim = f"{third} is {less} than {first}." if holds else f"{first} is {less} than {third}."
    return " ".join(facts), claim


def _trade_off(d: Draws, holds: bool) -> tuple[str, str]:
    seller, buyer = d.sample(PEOPLE, 2)
    thing, pence, day = a(d.pick(TOOLS).name), NUMBERS[d.between(2, 12)], d.pick(DAYS)
    premise = f"On {day} {seller} sold {thing} to {buyer} in {d.pick(VILLAGES)}. The price was {pence} pence."
    if holds:
        return premise, d.pick(
            (
                f"{buyer} bought {thing} from {seller}.",
                f"{buyer} paid {pence} pence for {thing}.",
                f"{seller} received {pence} pence.",
            )
        )
    return premise, d.pick(
        (
            f"{seller} bought {thing} from {buyer}.",
            f"{seller} paid {pence} pence for {thing}.",
            f"{buyer} received {pence} pence.",
        )
    )


def _region(d: Draws, holds: bool) -> tuple[str, str]:
    person, day = d.pick(PEOPLE), d.pick(DAYS)
    village = home(person)
    thing = d.pick(DISHES).name
    premise = (
        f"{person} lives in {village}. {village} lies {region(village)}. On {day} {she(person)} ate {thing}."
    )
    if holds:
        return premise, d.pick((f"{person} lives {region(village)}.", f"{person} ate something on {day}."))
    return premise, d.pick(
        (
            f"{person} lives far from {village}.",
            f"{person} ate nothing on {day}.",
            f"{person} ate {thing} every day.",
        )
    )


def _either(d: Draws, holds: bool) -> tuple[str, str]:
    thing, (one, two), owner = d.pick(TOOLS).name, d.sample(VILLAGES, 2), d.pick(PEOPLE)
    premise = f"{owner} left the {thing} either in {one} or in {two}. The {thing} is not in {one}."
    return premise, f"{owner} left the {thing} in {two if holds else one}."


def same_meaning(d: Draws) -> dict[str, Any]:
    """Return two sentences that share most words; same (1) or different (0) meaning."""
    label = d.below(2)
    first, second = d.pick((_gave, _ordered, _compared, _made, _swapped))(d, label == 1)
    if d.chance(50):
        first, second = second, first
    return {"sentence1": first, "sentence2": second, "label": label}


def _gave(d: Draws, same: bool) -> tuple[str, str]:
    giver, taker = d.sample(PEOPLE, 2)
    thing, day = a(d.pick(TOOLS).name), d.pick(DAYS)
    verb, back = d.pick(
        (("sold", "bought {t} from"), ("gave", "got {t} from"), ("lent", "borrowed {t} from"))
    )
    one, two = (giver, taker) if same else (taker, giver)
    return f"On {day} {giver} {verb} {thing} to {taker}.", f"{two} {back.format(t=thing)} {one} on {day}."


def _ordered(d: Draws, same: bool) -> tuple[str, str]:
    person, (one, two) = d.pick(PEOPLE), d.sample(VILLAGES, 2)
    before, after = (one, two) if same else (two, one)
    return (
        f"{person} went to {one} before going to {two}.",
        f"{person} went to {after} after going to {before}.",
    )


def _compared(d: Draws, same: bool) -> tuple[str, str]:
    one, two = d.sample(PEOPLE, 2)
    more, less = d.pick(_ORDERS)
    low, high = (two, one) if same else (one, two)
    return f"{one} is {more} than {two}.", f"{low} is {less} than {high}."


def _made(d: Draws, same: bool) -> tuple[str, str]:
    person, thing, day = d.pick(PEOPLE), d.pick(TOOLS).name, d.pick(DAYS)
    verb = d.pick(("mended", "painted", "washed", "broke", "hid", "sold"))
    done = {"broke": "broken", "hid": "hidden"}.get(verb, verb)
    other = thing if same else d.other([tool.name for tool in TOOLS], thing)
    return f"{person} {verb} the {thing} on {day}.", f"On {day} the {other} was {done} by {person}."


def _swapped(d: Draws, same: bool) -> tuple[str, str]:
    woman, man, village = d.pick(WOMEN), d.pick(MEN), d.pick(VILLAGES)
    verb, done = d.pick(
        (("saw", "was seen"), ("helped", "was helped"), ("taught", "was taught"), ("led", "was led"))
    )
    where = f"near {d.pick(_PLACES)} of {village}"
    object_, agent = (man, woman) if same else (woman, man)
    return f"{up(where)} {woman} {verb} {man}.", f"{object_} {done} by {agent} {where}."
