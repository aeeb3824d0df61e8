"""Small stories with questions: spans to extract, endings to choose, records to put into words, chats."""

from __future__ import annotations

from typing import Any

from instructify.world.draws import DAYS, NUMBERS, Draws, a, plural, up
from instructify.world.facts import DISHES, FOODS, PEOPLE, RIVERS, SERVED, TOOLS, TRADES, VILLAGES, she

_PLACES = ("inn", "mill", "market", "school", "forge", "stable", "garden", "harbour", "bakery", "well")
_BEDS = ("inn", "mill", "stable", "barn", "forge", "bakery", "old farm", "ferry house")
_WEATHER = ("rain", "snow", "fog", "hail", "wind", "sunshine")


def notes(d: Draws) -> dict[str, Any]:
    """Return a short context and a question whose answer is a span of it."""
    person, friend = d.sample(PEOPLE, 2)
    start, end = d.sample(VILLAGES, 2)
    day, thing, food = d.pick(DAYS), a(d.pick(TOOLS).name), d.pick(DISHES).name
    place, weather, pence = d.pick(_BEDS), d.pick(_WEATHER), f"{d.between(13, 60)} pence"
    hour, river = f"{NUMBERS[d.between(1, 12)]} o'clock", d.pick(RIVERS)
    lines = (  # (sentence, answer, questions)
        (
            f"On {day} {person} walked from {start} to {end}.",
            (
                (day, f"On which day did {person} walk to {end}?"),
                (end, f"Where did {person} walk?"),
                (start, f"From where did {person} start?"),
                (person, f"Who walked to {end}?"),
            ),
        ),
        (f"In a bag {she(person)} carried {thing}.", ((thing, f"What did {person} carry in a bag?"),)),
        (f"There was {weather} all day.", ((weather, "What was the weather like?"),)),
        (
            f"At {hour} {she(person)} met {friend} by the river {river}.",
            (
                (friend, f"Whom did {person} meet by the river?"),
                (hour, f"At what time did {person} meet someone?"),
                (river, "By which river did they meet?"),
            ),
        ),
        (f"On the way {she(person)} ate some {food}.", ((food, f"What did {person} eat?"),)),
        (
            f"The night at the {place} cost {pence}.",
            (
                (pence, "How much did the night cost?"),
                (f"the {place}", f"Where did {person} spend the night?"),
            ),
        ),
    )
    kept = [line for number, line in enumerate(lines) if number == 0 or d.chance(70)]
    sentence, asked = d.pick(kept)
    answer, question = d.pick(asked)
    context = " ".join(line for line, _ in kept)
    return {
        "title": f"A walk to {end}",
        "context": context,
        "question": question,
        "answers": {"text": [answer], "answer_start": [context.index(sentence) + sentence.index(answer)]},
    }


def story_choice(d: Draws) -> dict[str, Any]:
    """Return a story of a thing that changes hands, a question, three options and the right one's index."""
    people, places = d.sample(PEOPLE, 4), d.sample(_PLACES, 4)
    thing, village = d.pick(TOOLS).name, d.pick(VILLAGES)
    first, second, third, _ = people
    keeper_asked = d.chance(50)
    story = [
        f"{first} of {village} took the {thing} from the {places[0]}.",
        f"{up(she(first))} carried it to the {places[1]} and gave it to {second}.",
    ]
    keeper, place = second, places[1]
    if d.chance(60):
        story.append(f"{second} gave it to {third} at the {places[2]}.")
        keeper, place = third, places[2]
    if not keeper_asked and d.chance(50):
        story.append(f"{keeper} brought it to the {places[3]}.")
        place = places[3]
    if keeper_asked:
        question, right = f"Who has the {thing} in the end?", keeper
        others: list[str] = [person for person in people if person != keeper]
    else:
        question, right = f"Where is the {thing} in the end?", f"at the {place}"
        others = [f"at the {other}" for other in places if other != place]
    options = d.shuffled([right, *d.sample(others, 2)])
    return {"story": " ".join(story), "question": question, "options": options, "label": options.index(right)}


def records(d: Draws) -> dict[str, Any]:
    """Return fields of a record, two ways to say them, and their values as a list of concepts."""
    fields, sentences = d.pick((_inn, _person, _journey, _sale))(d)
    return {
        "fields": [{"name": name, "value": value} for name, value in fields],
        "concepts": [value for _, value in fields],
        "target": sentences[0],
        "references": sentences,
    }


Record = tuple[list[tuple[str, str]], list[str]]


def _inn(d: Draws) -> Record:
    who, village, food = d.pick(PEOPLE), d.pick(VILLAGES), d.pick(SERVED).name
    pence, beds = str(d.between(5, 40)), str(d.between(2, 30))
    fields = [
        ("village", village),
        ("keeper", who),
        ("beds", beds),
        ("price", f"{pence} pence"),
        ("food", food),
    ]
    return fields, [
        f"The inn of {village}, kept by {who}, has {beds} beds at {pence} pence and serves {food}.",
        f"{who} keeps an inn in {village} with {beds} beds at {pence} pence, where {food} is served.",
    ]


def _person(d: Draws) -> Record:
    who, village, work = d.pick(PEOPLE), d.pick(VILLAGES), d.pick(TRADES)
    age, food = str(d.between(18, 79)), d.pick(FOODS).name
    fields = [("name", who), ("age", age), ("village", village), ("trade", work.name), ("likes", food)]
    return fields, [
        f"{who} is a {age} year old {work.name} from {village} who likes {food}.",
        f"At {age}, {who} works as {a(work.name)} in {village} and likes {food}.",
    ]


def _journey(d: Draws) -> Record:
    who, (start, end) = d.pick(PEOPLE), d.sample(VILLAGES, 2)
    day, hours, means = (
        d.pick(DAYS),
        d.between(2, 12),
        d.pick(("on foot", "by coach", "by boat", "on a horse")),
    )
    time = f"{hours} hours"
    fields = [
        ("traveller", who),
        ("from", start),
        ("to", end),
        ("day", day),
        ("means", means),
        ("time", time),
    ]
    return fields, [
        f"On {day} {who} went from {start} to {end} {means} in {time}.",
        f"{who} travelled {means} from {start} to {end} on {day}, which took {time}.",
    ]


def _sale(d: Draws) -> Record:
    seller, buyer = d.sample(PEOPLE, 2)
    count, day = d.between(2, 12), d.pick(DAYS)
    things, pence = f"{count} {plural(d.pick(TOOLS).name)}", f"{d.between(5, 90)} pence"
    fields = [("seller", seller), ("buyer", buyer), ("goods", things), ("price", pence), ("day", day)]
    return fields, [
        f"On {day} {seller} sold {things} to {buyer} for {pence}.",
        f"{buyer} bought {things} from {seller} for {pence} on {day}.",
    ]


INTENTS = ("buy", "ask the way", "find a bed", "ask about the weather", "complain")


def chats(d: Draws) -> dict[str, Any]:
    """Return the turns of a short talk, the reply that ends it, and what the guest wants."""
    label = d.below(len(INTENTS))
    village, food, tool = d.pick(VILLAGES), d.pick(FOODS).name, a(d.pick(TOOLS).name)
    pence, hours, day = d.between(2, 60), NUMBERS[d.between(2, 9)], d.pick(DAYS)
    keeper, who = d.pick(PEOPLE), d.pick(PEOPLE)
    asks, replies = (
        (
            (f"I would like {tool}, please.", f"Do you sell {food}?", f"How much is {tool}?"),
            (f"That will be {pence} pence.", f"You can have it for {pence} pence."),
        ),
        (
            (
                f"Which road goes to {village}?",
                f"How far is it to {village}?",
                f"I am looking for {village}.",
            ),
            (f"Follow the river for {hours} hours.", f"Turn left; {village} is {hours} hours away."),
        ),
        (
            (
                f"Have you a bed until {day}?",
                f"I need a room for {hours} nights.",
                f"May I sleep here on {day}?",
            ),
            (f"We have a room for {pence} pence.", f"Yes, a bed costs {pence} pence."),
        ),
        (
            (
                f"Will it rain in {village} on {day}?",
                f"Is a storm coming to {village}?",
                f"Will {day} be sunny?",
            ),
            (f"I expect fog until {day}.", f"No, the sky over {village} is clear."),
        ),
        (
            (
                f"The {food} you sold me is bad.",
                f"{up(tool)} from your shop broke on {day}.",
                f"The {food} is cold.",
            ),
            (f"I am sorry; here are {pence} pence.", "I am sorry; I will bring you another one."),
        ),
    )[label]
    turns = [
        d.pick((f"Good morning, I am {who}.", "Excuse me.", f"Hello, {keeper}.", f"Good {day} to you.")),
        d.pick(("What can I do for you?", f"Welcome to {d.pick(VILLAGES)}.", f"Yes? I am {keeper}.")),
        d.pick(asks),
    ]
    return {"turns": turns, "reply": d.pick(replies), "intent": label}
