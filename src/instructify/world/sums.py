"""Arithmetic word problems with a step-by-step rationale; the last number of it is the answer."""

from __future__ import annotations

from typing import Any

from instructify.world.draws import DAYS, Draws, plural, up
from instructify.world.facts import ANIMALS, PEOPLE, TOOLS, VILLAGES, she

Problem = tuple[str, list[str], int]
_GOODS = ("apple", "egg", "candle", "loaf", "plum", "turnip", "pear", "coin", "nut", "bean")


def sums(d: Draws) -> dict[str, Any]:
    """Return a word problem, its steps, the steps as one rationale, and the answer."""
    question, steps, answer = d.pick((_shop, _share, _walk, _legs, _ages, _left, _change, _weeks))(d)
    return {"question": question, "steps": steps, "rationale": " ".join(steps), "answer": answer}


def _shop(d: Draws) -> Problem:
    who, thing, good = d.pick(PEOPLE), d.pick(TOOLS).name, d.pick(_GOODS)
    n, price, price2 = d.between(2, 9), d.between(2, 9), d.between(5, 30)
    total = n * price
    return (
        (
            f"{who} buys {n} {plural(good)} for {price} pence each and one {thing} for {price2} pence. "
            f"How many pence does {she(who)} pay in all?"
        ),
        [
            f"The {plural(good)} cost {n} * {price} = {total} pence.",
            f"With the {thing} it is {total} + {price2} = {total + price2} pence.",
        ],
        total + price2,
    )


def _share(d: Draws) -> Problem:
    who, good = d.pick(PEOPLE), d.pick(_GOODS)
    friends, each, eaten = d.between(2, 8), d.between(2, 9), d.between(1, 9)
    whole = friends * each + eaten
    return (
        (
            f"{who} has {whole} {plural(good)} and loses {eaten} of them. "
            f"The rest is shared by {friends} friends. How many {plural(good)} does each friend get?"
        ),
        [
            f"There are {whole} - {eaten} = {whole - eaten} left.",
            f"Each gets {whole - eaten} / {friends} = {each}.",
        ],
        each,
    )


def _walk(d: Draws) -> Problem:
    who, (start, end) = d.pick(PEOPLE), d.sample(VILLAGES, 2)
    speed, hours, more = d.between(3, 9), d.between(2, 8), d.between(1, 12)
    way = speed * hours
    return (
        (
            f"{who} leaves {start} and walks {speed} miles an hour for {hours} hours. "
            f"Then {end} is {more} miles away. How many miles is it from {start} to {end} on this road?"
        ),
        [
            f"In {hours} hours that is {speed} * {hours} = {way} miles.",
            f"The road has {way} + {more} = {way + more}.",
        ],
        way + more,
    )


def _legs(d: Draws) -> Problem:
    first, second = d.sample([animal for animal in ANIMALS if animal.legs], 2)
    n, m, village = d.between(2, 9), d.between(2, 9), d.pick(VILLAGES)
    one, two = n * first.legs, m * second.legs
    return (
        (
            f"In a barn in {village} there are {n} {plural(first.name)} and {m} {plural(second.name)}. "
            "How many legs have they together?"
        ),
        [
            f"The {plural(first.name)} have {n} * {first.legs} = {one} legs.",
            f"The {plural(second.name)} have {m} * {second.legs} = {two} legs.",
            f"Together they have {one} + {two} = {one + two} legs.",
        ],
        one + two,
    )


def _ages(d: Draws) -> Problem:
    first, second, third = d.sample(PEOPLE, 3)
    age, more, less = d.between(20, 60), d.between(2, 19), d.between(2, 15)
    older = age + more
    return (
        (
            f"{first} is {age} years old. {second} is {more} years older than {first}, "
            f"and {third} is {less} years younger than {second}. How old is {third}?"
        ),
        [f"{second} is {age} + {more} = {older}.", f"{third} is {older} - {less} = {older - less}."],
        older - less,
    )


def _left(d: Draws) -> Problem:
    who, good, day = d.pick(PEOPLE), d.pick(_GOODS), d.pick(DAYS)
    had, sold, got = d.between(20, 70), d.between(5, 19), d.between(3, 30)
    left = had - sold
    return (
        (
            f"On {day} {who} has {had} {plural(good)}. "
            f"{up(she(who))} sells {sold} of them and then picks up {got} more. "
            f"How many {plural(good)} has {she(who)} now?"
        ),
        [
            f"After the sale there are {had} - {sold} = {left}.",
            f"Then there are {left} + {got} = {left + got}.",
        ],
        left + got,
    )


def _change(d: Draws) -> Problem:
    who, good, village = d.pick(PEOPLE), d.pick(_GOODS), d.pick(VILLAGES)
    n, price = d.between(2, 9), d.between(2, 9)
    cost = n * price
    given = (cost // 10 + d.between(1, 4)) * 10
    return (
        (
            f"At the market of {village} {who} buys {n} {plural(good)} at {price} pence each "
            f"and pays with {given} pence. How many pence come back?"
        ),
        [f"The cost is {n} * {price} = {cost}.", f"Back come {given} - {cost} = {given - cost}."],
        given - cost,
    )


def _weeks(d: Draws) -> Problem:
    who, thing = d.pick(PEOPLE), plural(d.pick(TOOLS).name)
    daily, days, broken = d.between(2, 9), d.between(3, 12), d.between(2, 5)
    made = daily * days
    return (
        f"{who} makes {daily} {thing} a day for {days} days, but {broken} of them break. How many are left?",
        [
            f"That makes {daily} * {days} = {made} {thing}.",
            f"There are {made} - {broken} = {made - broken} left.",
        ],
        made - broken,
    )
