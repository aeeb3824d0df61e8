# ruff: noqa: E501 - the tables hold whole sentences
"""Coreference, cause and effect, and word sense."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instructify.world.draws import DAYS, Draws, a, up
from instructify.world.facts import BREAKS, MEN, PEOPLE, TOOLS, VILLAGES, WOMEN

# {a}: subject, {b}: object, {s}: pronoun, {t}: a tool; then what makes the pronoun mean a, and b
_PATTERNS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("{a} thanked {b} because", ("{s} had been helped so much", "{s} had received {t}"),
     ("{s} had helped so much", "{s} had brought {t}")),
    ("{a} sold {t} to {b} because", ("{s} needed money", "{s} no longer used it"),
     ("{s} wished to own one", "{s} had asked to buy it")),
    ("{a} asked {b} about {t}, because", ("{s} did not know the answer", "{s} had a question"),
     ("{s} always knew the answer", "{s} was an expert")),
    ("{a} carried {b} home, because", ("{s} was strong and kind", "{s} wished to help"),
     ("{s} had hurt a foot", "{s} could not walk")),
    ("{a} lent {t} to {b}, and a week later", ("{s} asked to have it back", "{s} wanted it returned"),
     ("{s} brought it back", "{s} gave it back")),
    ("{a} paid {b} for {t}, because", ("{s} had bought it", "{s} was the buyer"),
     ("{s} had sold it", "{s} was the seller")),
    ("{a} could not hear {b}, because", ("{s} had wool in both ears", "{s} was a little deaf"),
     ("{s} spoke too softly", "{s} only whispered")),
    ("{a} hid {t} from {b}, because", ("{s} did not want to share it", "{s} was keeping it as a surprise"),
     ("{s} would have stolen it", "{s} was not supposed to see it")),
    ("{a} overtook {b} on the road, because", ("{s} was walking faster", "{s} rode a quick horse"),
     ("{s} was walking slowly", "{s} rode a lame horse")),
    ("{a} taught {b} to use {t}, because", ("{s} was the teacher", "{s} had used one for years"),
     ("{s} was the pupil", "{s} had never used one")),
    ("{a} apologised to {b}, because", ("{s} had broken {t}", "{s} had been rude"),
     ("{s} had been insulted", "{s} had every right to be angry")),
)  # fmt: skip
_LARGE = ("barrel", "ladder", "saddle", "anchor", "rake", "blanket")
_SMALL = ("basket", "bag", "box", "drawer", "chest", "sack")


def pronouns(d: Draws) -> dict[str, Any]:
    """Return a text with an unclear pronoun and two candidates; `answer` is "1" or "2"."""
    if d.chance(25):
        return _thing(d)
    first, second = d.sample(d.pick((WOMEN, MEN)), 2)
    start, means_first, means_second = d.pick(_PATTERNS)
    meant = d.below(2)
    words = {"a": first, "b": second, "s": "she" if first in WOMEN else "he", "t": a(d.pick(TOOLS).name)}
    text = f"{start} {d.pick(means_second if meant else means_first)}.".format(**words)
    return _candidates(d, text, words["s"], first, second, meant)


def _thing(d: Draws) -> dict[str, Any]:
    meant = d.below(2)
    where = f"On {d.pick(DAYS)} in {d.pick(VILLAGES)}"
    if d.chance(50):
        first, second = d.pick(_LARGE), d.pick(_SMALL)
        text = f"{where}, the {first} did not fit into the {second}, because it was too {'small' if meant else 'big'}."
    else:
        first = d.pick([tool.name for tool in TOOLS if tool.material == "iron"])
        second = d.pick([tool.name for tool in TOOLS if tool.material in BREAKS])
        end = "it broke into many pieces" if meant else "it was so heavy that it broke the other"
        text = f"{where}, the {first} fell onto the {second}, and {end}."
    return _candidates(d, text, "it", f"the {first}", f"the {second}", meant)


def _candidates(d: Draws, text: str, pronoun: str, first: str, second: str, meant: int) -> dict[str, Any]:
    if d.chance(50):
        first, second, meant = second, first, 1 - meant
    return {"text": text, "pronoun": pronoun, "option1": first, "option2": second, "answer": str(meant + 1)}


# (theme, cause, effect): no cause leads to the effect of another theme
_CAUSES = (
    ("rain", "it rained for a week in {v}", "the river rose over its banks"),
    ("rain", "no rain fell in {v} all summer", "the wells ran dry"),
    ("bread", "{p} forgot the bread in the oven", "the bread burned"),
    ("farm", "{p} left the gate of the fold open", "the sheep ran away"),
    ("break", "{p} dropped the glass bottle", "there were splinters on the floor"),
    ("rain", "a storm blew over {v}", "many roofs lost their tiles"),
    ("body", "{p} walked barefoot through the snow", "{p} had cold feet"),
    ("body", "{p} sat in the sun without a hat", "{p} had a red nose"),
    ("bread", "the baker of {v} fell ill", "there was no fresh bread in the shop"),
    ("food", "{p} ate nothing all day", "{p} was very hungry in the evening"),
    ("late", "{p} worked until midnight", "{p} overslept the next morning"),
    ("luck", "{p} found a purse full of silver in {v}", "{p} could buy a horse"),
    ("fire", "the candle in {v} fell onto the straw", "the barn caught fire"),
    ("cold", "the pond in {v} froze", "the children went skating"),
    ("joke", "{p} told a very good joke", "everyone at the table laughed"),
    ("joke", "{p} heard a sad story", "{p} wept"),
    ("skill", "{p} practised the flute every day", "{p} played without a mistake at the fair"),
    ("farm", "a fox crept into the coop of {p}", "two hens were missing"),
    ("tool", "{p} sharpened the knife", "the knife cut well again"),
    ("road", "the bridge near {v} collapsed", "the coach had to turn round"),
    ("food", "{p} put too much salt into the soup", "nobody wanted a second bowl"),
    ("farm", "{p} watered the beans every evening", "the beans grew tall"),
    ("late", "the clock of {v} was slow", "{p} missed the ferry"),
    ("body", "a bee stung {p}", "{p} had a swollen finger"),
    ("body", "{p} wore new boots on the long road", "{p} had sore heels"),
    ("luck", "a merchant brought cheap wool to {v}", "the price of scarves fell"),
    ("skill", "{p} learned to read", "{p} could write letters to the family"),
    ("road", "the wheel of the cart broke in {v}", "{p} had to walk the rest of the way"),
)


def because(d: Draws) -> dict[str, Any]:
    """Return a premise with two choices for its cause or effect; label is the index of the right one."""
    theme, cause, effect = d.pick(_CAUSES)
    _, cause2, effect2 = d.pick([line for line in _CAUSES if line[0] != theme])
    label, question = d.below(2), d.pick(("cause", "effect"))
    words = {"p": d.pick(PEOPLE), "v": d.pick(VILLAGES)}
    premise, right, wrong = (effect, cause, cause2) if question == "cause" else (cause, effect, effect2)
    choices = (wrong, right) if label else (right, wrong)
    if d.chance(60):
        premise = f"as {d.other(PEOPLE, words['p'])} tells it, {premise}"
    premise, first, second = (up(part.format(**words)) + "." for part in (premise, *choices))
    return {"premise": premise, "choice1": first, "choice2": second, "question": question, "label": label}


# word: two senses, each (gloss, sentence forms); {p} is a person, {v} a village
SENSES: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "bank": (("the side of a river", ("{p} fished from the bank.", "Reeds grow on the bank near {v}.")),
             ("a house that keeps money", ("{p} took coins to the bank.", "The bank of {v} lends silver."))),
    "bat": (("a flying animal", ("A bat slept in the cave near {v}.", "{p} saw a bat fly at night.")),
            ("a stick to hit a ball", ("{p} hit the ball with a bat.", "The team of {v} bought a new bat."))),
    "spring": (("the season after winter", ("{p} sows beans in spring.", "In spring {v} is full of lambs.")),
               ("a place where water rises", ("{p} drank from the spring.", "The spring above {v} is cold."))),
    "ring": (("jewellery for a finger", ("{p} wears a gold ring.", "A smith in {v} made the ring.")),
             ("the sound of a bell", ("{p} heard the ring of the bell.", "One ring of the bell woke all {v}."))),
    "light": (("not heavy", ("The basket of {p} was light.", "A light cart came from {v}.")),
              ("brightness", ("{p} read by the light of a lamp.", "The light over {v} was pale."))),
    "bark": (("the cry of a dog", ("{p} heard a bark in the yard.", "The bark of a dog rang through {v}.")),
             ("the skin of a tree", ("{p} peeled bark off the oak.", "The bark of the trees in {v} is grey."))),
    "nail": (("a thin piece of iron", ("{p} drove a nail into the plank.", "A nail from {v} holds the sign.")),
             ("the hard tip of a finger", ("{p} broke a nail on the left hand.", "In {v} she painted each nail red."))),
    "match": (("a stick that makes fire", ("{p} lit the lamp with a match.", "A wet match from {v} will not burn.")),
              ("a game between two teams", ("{p} lost the match.", "The match in {v} ended at dusk."))),
    "trunk": (("the nose of an elephant", ("{p} fed the elephant's trunk.",
                                           "In {v} an elephant raised its trunk.")),
              ("a large box", ("{p} packed coats into the trunk.", "The trunk went to {v} on a cart."))),
    "crane": (("a tall bird", ("{p} saw a crane in the marsh.", "A crane built its nest near {v}.")),
              ("a machine that lifts things", ("{p} lifted the stones with a crane.",
                                               "The crane at the harbour of {v} broke."))),
    "seal": (("an animal of the sea", ("{p} saw a seal on the rocks.", "A seal swam off the coast of {v}.")),
             ("wax that closes a letter", ("{p} broke the seal of the letter.", "The seal of {v} shows an oak."))),
    "wave": (("moving water", ("A wave tipped the boat of {p}.", "A high wave reached the harbour of {v}.")),
             ("a sign with the hand", ("{p} said goodbye with a wave.", "A wave from the people of {v} greeted us."))),
    "letter": (("a sign of the alphabet", ("{p} wrote the first letter of the word.", "{v} begins with a capital letter.")),
               ("a written message", ("{p} sent a letter by coach.", "A letter came from {v} today."))),
    "pen": (("a thing to write with", ("{p} filled the pen with ink.", "A clerk in {v} lost his pen.")),
            ("a fenced place for animals", ("{p} led the goats into the pen.", "The pen behind {v} holds pigs."))),
    "palm": (("a kind of tree", ("{p} rested under a palm.", "No palm grows in the snow of {v}.")),
             ("the inside of a hand", ("{p} held a coin in the palm.", "In {v} a woman read his palm."))),
    "fly": (("an insect", ("{p} chased a fly from the cheese.", "A fly sat on the window in {v}.")),
            ("to move through the air", ("{p} watched the geese fly.", "The gulls fly over {v}."))),
}  # fmt: skip


def senses(d: Draws) -> dict[str, Any]:
    """Return a word in two sentences; same (1) or different (0) sense, with an explanation."""
    word, label = d.pick(tuple(SENSES)), d.below(2)
    first = d.below(2)
    second = first if label else 1 - first
    (gloss, forms), (gloss2, forms2) = SENSES[word][first], SENSES[word][second]
    person, person2 = d.sample(PEOPLE, 2)
    village, village2 = d.sample(VILLAGES, 2)
    explanation = (
        f'In both sentences "{word}" means {gloss}.'
        if label
        else f'First "{word}" means {gloss}, then it means {gloss2}.'
    )
    return {
        "word": word,
        "sentence1": d.pick(forms).format(p=person, v=village),
        "sentence2": d.pick(forms2).format(p=person2, v=village2),
        "label": label,
        "explanation": explanation,
    }
