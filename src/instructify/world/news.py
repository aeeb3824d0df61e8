"""Topic and summarisation: short news in seven topics, and reports with a one-sentence summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instructify.world.draws import DAYS, NUMBERS, Draws, a, plural, up
from instructify.world.facts import FOODS, MEN, PEOPLE, VILLAGES, WOMEN, river

TOPICS = ("sport", "weather", "farming", "trade", "school", "health", "travel")
# topic: (titles, the first sentence of each, further sentences)
NEWS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "sport": (
        ("{p} beats {q}", "{who} wins the race", "{who} scores against {q}"),
        (
            "The team of {p} beat {q} by {n} goals on {day}.",
            "{who} of {p} won the long race on {day}.",
            "{who} scored {n} goals against {q}.",
        ),
        (
            "The crowd cheered until dark.",
            "The next match is on {other}.",
            "The goalkeeper hurt a finger.",
            "The players carried the cup through {p}.",
        ),
    ),
    "weather": (
        ("Storm over {p}", "Much rain in {p}", "Fog on {day}"),
        (
            "A storm passed over {p} on {day}.",
            "Rain fell in {p} for {n} days.",
            "A thick fog lay on {p} from {day} to {other}.",
        ),
        (
            "The wind came from the north.",
            "More clouds are expected on {other}.",
            "The nights will be cold.",
            "Snow may follow before {other}.",
        ),
    ),
    "farming": (
        ("Good harvest in {p}", "{who} sows barley", "Less milk in {p}"),
        (
            "Farmers in {p} brought in {n} carts of wheat.",
            "{who} sowed barley on the fields of {p}.",
            "The cows of {p} give less milk than last spring.",
        ),
        (
            "The soil was dry.",
            "The hay will last the winter.",
            "The lambs are healthy.",
            "Worms have eaten half of the turnips.",
        ),
    ),
    "trade": (
        ("{food} gets dearer", "{who} opens a shop", "{food} sold out in {p}"),
        (
            "The price of {food} in {p} rose by {n} pence.",
            "{who} opened a shop in {p} and sold out of {food}.",
            "Merchants from {q} bought all the {food} in {p}.",
        ),
        (
            "Buyers complained about the cost.",
            "The shop is open until {other}.",
            "Sellers hope for more coins.",
            "The merchants paid in silver.",
        ),
    ),
    "school": (
        ("New teacher in {p}", "Exam in {p}", "Poems about {food}"),
        (
            "The school of {p} has a new teacher, {who}.",
            "{n} pupils passed the exam in {p} on {day}.",
            "Pupils in {p} wrote poems about {food}.",
        ),
        (
            "Lessons begin on {other}.",
            "The class clapped.",
            "The spelling test was hard.",
            "Every child received a new slate.",
        ),
    ),
    "health": (
        ("Fever reaches {p}", "Patients in {p}", "{who} in bed"),
        (
            "A fever has spread from {q} to {p}.",
            "The doctor of {p} treated {n} patients on {day}.",
            "{who} broke a leg in {p} and is in bed.",
        ),
        (
            "The medicine tastes bitter.",
            "Patients should drink much water.",
            "The nurse visits on {other}.",
            "Nobody else has fallen ill.",
        ),
    ),
    "travel": (
        ("New coach to {q}", "Bridge to {q} closed", "{who} walks to {q}"),
        (
            "The coach from {p} to {q} now leaves on {day}.",
            "The bridge between {p} and {q} is closed for {n} days.",
            "{who} walked from {p} to {q} in {n} hours.",
        ),
        (
            "Passengers must wait until {other}.",
            "The road is narrow.",
            "A ticket costs {n} pence.",
            "The ferry takes carts as well.",
        ),
    ),
}


def news(d: Draws) -> dict[str, Any]:
    """Return one news item with its title and topic."""
    label = d.below(len(TOPICS))
    titles, firsts, others = NEWS[TOPICS[label]]
    place, place2 = d.sample(VILLAGES, 2)
    day, other = d.sample(DAYS, 2)
    words = {
        "p": place,
        "q": place2,
        "who": d.pick(PEOPLE),
        "day": day,
        "other": other,
        "n": NUMBERS[d.between(2, 12)],
        "food": d.pick(FOODS).name,
    }
    story = d.below(len(firsts))
    sentences = [firsts[story], *d.sample(others, d.between(1, 2))]
    return {
        "title": up(titles[story].format(**words)),
        "text": " ".join(up(sentence.format(**words)) for sentence in sentences),
        "label": label,
    }


# plans: (noun, what it gives to the village, what it would cost it)
_PLANS = (
    ("bridge", "shorten the way to the market", "the noise of the carts"),
    ("well", "save a long walk with buckets", "the deep digging"),
    ("mill", "bring cheaper flour", "the loss of a meadow"),
    ("school", "teach the small children to read", "the need for a second teacher"),
    ("bell tower", "warn everyone of fire", "the ringing at night"),
    ("inn", "bring travellers and their coins", "the late singing"),
    ("bakery", "give fresh bread every morning", "the smoke of the oven"),
    ("bathhouse", "keep the village healthy", "the wood it would burn"),
)
_DAMAGES = (
    "barn",
    "roof of the school",
    "mill wheel",
    "garden wall",
    "stable",
    "bakery",
    "bridge",
    "well house",
)
_REASONS = ("a storm", "a fire", "a falling tree", "the flood", "a runaway cart", "heavy snow")


def report(d: Draws) -> dict[str, Any]:
    """Return a report of a meeting, a damage or a fair, with a title and a one-sentence summary."""
    return d.pick((_meeting, _damage, _fair))(d)


def _meeting(d: Draws) -> dict[str, Any]:
    noun, gain, cost = d.pick(_PLANS)
    place, day, months = d.pick(VILLAGES), d.pick(DAYS), NUMBERS[d.between(2, 11)]
    for_it, against = d.pick(WOMEN), d.pick(MEN)
    votes = d.between(21, 60)
    passed = d.chance(50)
    others = d.between(5, votes - 3)
    ayes, noes = (votes, others) if passed else (others, votes)
    sentences = [
        f"The people of {place} met on {day} to talk about a new {noun}.",
        f"{for_it} said that it would {gain}.",
        f"{against} worried about {cost}.",
        f"In the end {ayes} people voted for the plan and {noes} against it.",
        f"Work will begin in {months} months." if passed else f"The plan may come back in {months} months.",
    ]
    verb = "will build" if passed else "will not build"
    return {
        "title": f"Meeting in {place}",
        "document": " ".join(sentences),
        "summary": f"{place} {verb} a new {noun}.",
    }


def _damage(d: Draws) -> dict[str, Any]:
    what, why, place, day = d.pick(_DAMAGES), d.pick(_REASONS), d.pick(VILLAGES), d.pick(DAYS)
    helper, owner = d.sample(PEOPLE, 2)
    coins, people = d.between(20, 90), d.between(4, 30)
    hurt = d.chance(30)
    sentences = [
        f"People in {place} woke to a loud noise on {day}.",
        f"The {what} had been badly damaged by {why}.",
        f"{helper} ran along the river {river(place)} and called the neighbours.",
        f"{up(NUMBERS[people]) if people < 13 else people} of them came with ropes and ladders.",
        f"{owner} was slightly hurt." if hurt else "Nobody was hurt.",
        f"The repair will cost about {coins} silver coins.",
    ]
    end = f"hurt {owner}" if hurt else "hurt nobody"
    return {
        "title": f"Damage in {place}",
        "document": " ".join(sentences),
        "summary": f"In {place}, {why} damaged the {what} and {end}.",
    }


def _fair(d: Draws) -> dict[str, Any]:
    place, day, thing = d.pick(VILLAGES), d.pick(DAYS), d.pick(FOODS).name
    winner, second = d.sample(PEOPLE, 2)
    visitors, stalls = d.between(4, 19) * 50, d.between(8, 40)
    prize = d.pick(("silver spoon", "young goat", "barrel of cider", "warm blanket", "copper kettle"))
    sentences = [
        f"The yearly fair of {place} took place on {day}.",
        f"About {visitors} visitors walked among {stalls} {plural('stall', stalls)}.",
        f"The judges tasted the {thing} of every cook.",
        f"{second} came second and was pleased all the same.",
        f"The first prize, {a(prize)}, went to {winner}.",
        d.pick(
            (
                "Music played until midnight.",
                "It rained a little in the evening.",
                "Children slept in the carts.",
            )
        ),
    ]
    return {
        "title": f"Fair in {place}",
        "document": " ".join(sentences),
        "summary": f"{winner} won the first prize for {thing} at the fair of {place}.",
    }
