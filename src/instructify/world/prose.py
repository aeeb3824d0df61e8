"""Plain text of the offline world, for the pretraining of the tiny model: no prompt templates.

Every document stands for a row of a training split, or for facts that all splits share; no document is made
from a row of a validation or test split. What a tiny model could not know otherwise is said as prose: what
follows from what, what a pronoun means, which sense a word has, who has the thing in the end, what is good
and what is bad. The verdicts of reviews of inns are not told, but for what the writers say themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from instructify.keys import Key
from instructify.world.asking import claims
from instructify.world.catalogue import WORLD
from instructify.world.draws import Draws, down, up
from instructify.world.facts import DISHES, FACTS, PEOPLE, RELATIONS, VILLAGES
from instructify.world.meaning import SENSES
from instructify.world.news import TOPICS
from instructify.world.opinions import ASPECTS
from instructify.world.table import dirty_rows, make_rows
from instructify.world.telling import INTENTS

Row = Mapping[str, Any]
Writer = Callable[[Draws, Row], str]


def prose(seed: int, rows: int) -> Iterator[str]:
    """Yield plain-text documents: `rows` of each dataset of WRITERS, and some times as many of KNOWLEDGE.

    Dirty rows are left out, so there are a few less.
    """
    for name, write in WRITERS.items():
        dataset, key = WORLD[name], Key.of("prose", seed, name)
        dirty = dirty_rows(dataset, "train", rows)
        for number, row in enumerate(make_rows(dataset, "train", rows)):
            if number not in dirty:
                yield write(Draws(key, number), row)
    for name, (times, say) in KNOWLEDGE.items():
        key = Key.of("prose", seed, name)
        for number in range(times * rows):
            yield say(Draws(key, number))


def _inside(sentence: str) -> str:
    return sentence if sentence.startswith(PEOPLE + VILLAGES) else down(sentence)


def _inn_review(d: Draws, row: Row) -> str:
    return str(row["text"])


_VERDICTS = (
    ("In short, the {k} was bad.", "The writer was unhappy with the {k}.", "This is a complaint."),
    ("In short, the {k} was good.", "The writer was happy with the {k}.", "This is praise."),
)


def _review(d: Draws, row: Row) -> str:
    return f"{row['text']} {d.pick(_VERDICTS[row['label']]).format(k=row['kind'])}"


def _news(d: Draws, row: Row) -> str:
    return f"{row['title']}. {row['text']} That was news of {TOPICS[row['label']]}."


def _report(d: Draws, row: Row) -> str:
    return f"{row['title']}. {row['document']}"


def _note(d: Draws, row: Row) -> str:
    return f"{row['title']}. {row['context']}"


def _record(d: Draws, row: Row) -> str:
    return " ".join(row["references"])


def _sum(d: Draws, row: Row) -> str:
    return f"{row['question']} {row['rationale']}"


def _chat(d: Draws, row: Row) -> str:
    return " ".join([*row["turns"], row["reply"], f"The guest wished to {INTENTS[row['intent']]}."])


def _story(d: Draws, row: Row) -> str:
    right, question = row["options"][row["label"]], row["question"]
    if question.startswith("Who"):  # Who has the lamp in the end?
        return f"{row['story']} {question.replace('Who', f'In the end {right}', 1)[: -len(' in the end?')]}."
    thing = question.removeprefix("Where is ").removesuffix(" in the end?")
    return f"{row['story']} In the end {thing} is {right}."


def _paraphrase(d: Draws, row: Row) -> str:
    if d.chance(50):
        verdict = ("The two differ.", "Both say the same.")[row["label"]]
        return f"{row['sentence1']} {row['sentence2']} {verdict}"
    if row["label"] == 0:
        return f"{row['sentence1']} It is another matter that {_inside(row['sentence2'])}"
    return f"{row['sentence1']} In other words, {_inside(row['sentence2'])}"


_FOLLOWS = ("So we know that", "It follows that", "Hence")
_OPEN = ("We do not know whether", "Maybe")
_WRONG = ("It cannot be that", "It would be a lie that")
_UNFOUNDED = ("It does not follow that", "We have no reason to say that")


def _inference(d: Draws, row: Row, starts: tuple[tuple[str, ...], ...]) -> str:
    return f"{row['premise']} {d.pick(starts[row['label']])} {_inside(row['hypothesis'])}"


def _pronoun(d: Draws, row: Row) -> str:
    text, pronoun = row["text"], row["pronoun"]
    meant = row["option1"] if row["answer"] == "1" else row["option2"]
    clause = text[text.rindex(f" {pronoun} ") + len(pronoun) + 2 :]
    return f"{text} {up(meant)} {clause}"


def _cause(d: Draws, row: Row) -> str:
    right = row["choice2"] if row["label"] else row["choice1"]
    cause, effect = (right, row["premise"]) if row["question"] == "cause" else (row["premise"], right)
    links = ("That is why", "And then", "For that reason")
    return f"{cause} {d.pick(links)} {_inside(effect)}"


WRITERS: Mapping[str, Writer] = {
    "reviews": _review,
    "inn_reviews": _inn_review,
    "news": _news,
    "reports": _report,
    "notes": _note,
    "records": _record,
    "sums": _sum,
    "chats": _chat,
    "story_choice": _story,
    "same_meaning": _paraphrase,
    "entail3": lambda d, row: _inference(d, row, (_FOLLOWS, _OPEN, _WRONG)),
    "entail2": lambda d, row: _inference(d, row, (_FOLLOWS, _UNFOUNDED)),
    "pronouns": _pronoun,
    "because": _cause,
}


def _facts(d: Draws) -> str:
    """Return some facts about one subject, or one relation of several subjects, some as an answer."""
    if d.chance(50):
        _, subject = d.pick(FACTS)
        known = [relation for relation in RELATIONS if subject in relation.facts]
        pairs = [(relation, subject) for relation in d.shuffled(known)]
    else:
        relation = d.pick(RELATIONS)
        pairs = [(relation, subject) for subject in d.sample(list(relation.facts), 4)]
    said = [
        f"{d.pick(relation.questions).format(s=subject)} {relation.say(subject)}"
        if d.chance(35)
        else relation.say(subject)
        for relation, subject in pairs
    ]
    return " ".join(said)


def _claims(d: Draws) -> str:
    """Return a claim and its reason, the claim taken back where it is wrong."""
    made = claims(d)
    if d.chance(50):
        return f"{made['claim']} That is {'true' if made['answer'] else 'false'}. {made['reason']}"
    if made["answer"]:
        return f"{made['claim']} {made['reason']}"
    return f"It is wrong that {_inside(made['claim'])} {made['reason']}"


def _senses(d: Draws) -> str:
    """Return sentences with one word, each with the sense of it."""
    word = d.pick(tuple(SENSES))
    said = []
    for _ in range(2):
        gloss, forms = d.pick(SENSES[word])
        said.append(f"{d.pick(forms).format(p=d.pick(PEOPLE), v=d.pick(VILLAGES))} Here {word} is {gloss}.")
    return " ".join(said)


def _opinions(d: Draws) -> str:
    """Return what may be said of three things, and whether it is good or bad."""
    said = []
    for start, *words in d.sample([aspect for kind in ASPECTS.values() for aspect in kind], 3):
        good = d.below(2)
        remark = f"{start.format(thing=d.pick(DISHES).name)} {d.pick(words[1 - good])}"
        verdict = ("bad", "good")[good]
        opinion = f"it is {verdict} that {remark}." if d.chance(50) else f"{remark}, which is {verdict}."
        said.append(up(opinion))
    return " ".join(said)


# how many documents for one of each of WRITERS, and what they say: facts are many, each said once in a while
KNOWLEDGE: Mapping[str, tuple[int, Callable[[Draws], str]]] = {
    "facts": (6, _facts),
    "claims": (2, _claims),
    "senses": (1, _senses),
    "opinions": (2, _opinions),
}
