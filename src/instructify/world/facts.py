# ruff: noqa: E501 - the tables hold whole sentences
"""The micro-world: who lives where, what things are made of, what eats what.

Everything is invented or common knowledge. The facts never change from row to row or from split to
split, so that several datasets speak of the same world.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from instructify.world.draws import NUMBERS, a, up

VILLAGES = (
    *("Oakfold", "Brindle", "Harrowmere", "Pellow", "Stonewick", "Larkhill", "Fenby", "Ashcombe"),
    *("Tarrow", "Millbeck", "Quenby", "Rushford", "Dunmere", "Elmstow", "Copwell", "Wexlow"),
    *("Birchmoor", "Saltrow", "Thornlea", "Hollin", "Marrin", "Greenlow", "Yarrow", "Kestle"),
)
WOMEN = (
    *("Mira", "Tess", "Nora", "Wren", "Ida", "Elsie", "Petra", "Hana", "Lotte", "Greta", "Juno", "Della"),
    *("Freya", "Ines", "Kaya", "Maud", "Opal", "Rhea", "Sana", "Una", "Vera", "Willa", "Yuna", "Zara"),
)
MEN = (
    *("Tomas", "Bram", "Otto", "Felix", "Hugo", "Ivo", "Jonas", "Karl", "Leo", "Milo", "Nils", "Oscar"),
    *("Pavel", "Rafe", "Silas", "Theo", "Ugo", "Viktor", "Wilf", "Yann", "Arlo", "Dario", "Emil", "Gus"),
)
PEOPLE = WOMEN + MEN
REGIONS = ("in the hills", "on the coast", "in the forest", "on the plain")
RIVERS = ("Linn", "Arrow", "Teme", "Wash", "Corve", "Isk")


@dataclass(frozen=True, slots=True)
class Trade:
    """What someone of a trade does, with which tool, and where."""

    name: str
    does: str
    tool: str
    place: str


@dataclass(frozen=True, slots=True)
class Animal:
    """An animal; `size` is a rank from 1 (an ant) to 9, the same for animals of like size."""

    name: str
    kind: str
    home: str
    eats: str
    legs: int
    size: int


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, what it is made of and what it is used for."""

    name: str
    material: str
    use: str


@dataclass(frozen=True, slots=True)
class Food:
    """A food, how it tastes and what it is made from."""

    name: str
    taste: str
    source: str


def _table(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]


TRADES = tuple(
    Trade(*cells)
    for cells in _table("""
baker     | bakes bread      | oven      | bakery
potter    | shapes bowls     | wheel     | pottery
smith     | forges nails     | anvil     | forge
weaver    | weaves cloth     | loom      | weaving shed
fisher    | catches fish     | net       | harbour
beekeeper | gathers honey    | smoker    | orchard
carpenter | builds chairs    | saw       | workshop
farmer    | grows wheat      | plough    | field
tailor    | sews coats       | needle    | tailor's shop
miller    | grinds flour     | millstone | mill
shepherd  | keeps sheep      | crook     | meadow
teacher   | teaches children | chalk     | school
painter   | paints signs     | brush     | studio
clockmaker| mends clocks     | lens      | clock tower
gardener  | grows apples     | spade     | garden
cobbler   | mends shoes      | awl       | cobbler's shop
""")
)
ANIMALS = tuple(
    Animal(name, kind, home, eats, int(legs), int(size))
    for name, kind, home, eats, legs, size in _table("""
hen     | bird   | coop   | grain     | 2 | 4
duck    | bird   | pond   | pondweed  | 2 | 4
goose   | bird   | yard   | clover    | 2 | 5
owl     | bird   | barn   | mice      | 2 | 4
robin   | bird   | hedge  | worms     | 2 | 3
swan    | bird   | lake   | reeds     | 2 | 5
heron   | bird   | marsh  | frogs     | 2 | 5
gull    | bird   | harbour | shrimps   | 2 | 4
horse   | mammal | stable | oats      | 4 | 8
cow     | mammal | cowshed| grass     | 4 | 8
pig     | mammal | sty    | turnips   | 4 | 7
goat    | mammal | pen    | thistles  | 4 | 6
sheep   | mammal | fold   | clover    | 4 | 6
dog     | mammal | kennel | bones     | 4 | 6
cat     | mammal | basket | mice      | 4 | 5
rabbit  | mammal | burrow | carrots   | 4 | 4
fox     | mammal | den    | eggs      | 4 | 5
badger  | mammal | sett   | worms     | 4 | 5
squirrel| mammal | tree   | nuts      | 4 | 3
mouse   | mammal | hole   | cheese    | 4 | 2
bat     | mammal | cave   | moths     | 2 | 3
otter   | mammal | riverbank | fish   | 4 | 5
bee     | insect | hive   | nectar    | 6 | 1
ant     | insect | ant hill | crumbs  | 6 | 1
beetle  | insect | log    | leaves    | 6 | 1
moth    | insect | wardrobe | wool    | 6 | 1
trout   | fish   | stream | flies     | 0 | 4
pike    | fish   | deep pool | frogs  | 0 | 5
spider  | spider | web    | flies     | 8 | 1
frog    | amphibian | ditch | slugs   | 4 | 2
""")
)
TOOLS = tuple(
    Tool(*cells)
    for cells in _table("""
hammer  | iron    | drive nails
saw     | iron    | cut planks
kettle  | copper  | boil water
bowl    | clay    | hold soup
jug     | clay    | pour milk
bottle  | glass   | keep oil
lamp    | glass   | light a room
basket  | straw   | carry eggs
hat     | straw   | keep off the sun
ladder  | wood    | reach the roof
spoon   | wood    | stir soup
barrel  | wood    | store apples
rake    | wood    | gather leaves
needle  | iron    | sew cloth
anchor  | iron    | hold a boat
bell    | copper  | call children
coin    | copper  | pay for things
blanket | wool    | keep warm
scarf   | wool    | cover the neck
boot    | leather | walk in mud
saddle  | leather | ride a horse
belt    | leather | hold up trousers
mirror  | glass   | see a face
brick   | clay    | build a wall
""")
)
FOODS = tuple(
    Food(*cells)
    for cells in _table("""
bread       | plain  | flour
honey       | sweet  | nectar
plum jam    | sweet  | plums
apple cake  | sweet  | apples
butter      | plain  | cream
cheese      | salty  | milk
ham         | salty  | pork
pickle      | sour   | cucumbers
lemonade    | sour   | lemons
vinegar     | sour   | cider
mustard     | hot    | mustard seeds
ginger tea  | hot    | ginger
pepper stew | hot    | peppers
onion soup  | salty  | onions
porridge    | plain  | oats
noodle soup | plain  | wheat
berry pie   | sweet  | berries
smoked fish | salty  | trout
dark ale    | bitter | barley
coffee      | bitter | beans
nettle tea  | bitter | nettles
pear tart   | sweet  | pears
yoghurt     | sour   | goat's milk
rice pudding| sweet  | rice
""")
)
# what an inn serves, and what of it is eaten rather than drunk
SERVED = tuple(food for food in FOODS if food.name not in ("vinegar", "mustard"))
DISHES = tuple(
    food for food in SERVED if food.name not in ("lemonade", "ginger tea", "dark ale", "coffee", "nettle tea")
)
# what materials do, for the materials where nobody would argue
SINKS = ("iron", "copper", "clay", "glass")
FLOATS = ("straw", "wood")
BREAKS = ("clay", "glass")
BURNS = ("straw", "wood")
PETS = tuple(
    animal.name for animal in ANIMALS if animal.name in ("dog", "cat", "goat", "rabbit", "duck", "hen")
)


# People and villages get their facts by coprime strides, so that every value is used about equally often.
def home(person: str) -> str:
    """Return the village someone lives in; two people live in each."""
    return VILLAGES[(PEOPLE.index(person) * 5 + 3) % len(VILLAGES)]


def trade(person: str) -> Trade:
    """Return someone's trade; three people follow each."""
    return TRADES[(PEOPLE.index(person) * 7 + 2) % len(TRADES)]


def liking(person: str) -> str:
    """Return someone's favourite food."""
    return FOODS[(PEOPLE.index(person) * 11 + 1) % len(FOODS)].name


def pet(person: str) -> str:
    """Return someone's pet."""
    return PETS[(PEOPLE.index(person) * 5 + PEOPLE.index(person) // 6) % len(PETS)]


def region(village: str) -> str:
    """Return where a village lies, preposition included."""
    return REGIONS[VILLAGES.index(village) * 3 % len(REGIONS)]


def river(village: str) -> str:
    """Return the river of a village."""
    return RIVERS[VILLAGES.index(village) * 5 // 4 % len(RIVERS)]


def speciality(village: str) -> str:
    """Return the food a village is known for."""
    return FOODS[(VILLAGES.index(village) * 13 + 5) % len(FOODS)].name


def she(person: str) -> str:
    """Return the pronoun of a person."""
    return "she" if person in WOMEN else "he"


@dataclass(frozen=True, slots=True)
class Relation:
    """One kind of fact: subjects with their values, a statement with `{s}` and `{v}`, questions with `{s}`."""

    topic: str
    facts: Mapping[str, str]
    statement: str
    questions: tuple[str, ...]

    @property
    def values(self) -> list[str]:
        """The different values, in order of first use."""
        return list(dict.fromkeys(self.facts.values()))

    def say(self, subject: str, value: str | None = None) -> str:
        """Return the statement for a subject, with its true value unless another is given."""
        return up(self.statement.format(s=subject, v=value or self.facts[subject]))


def _of(items: tuple[str, ...], value: Callable[[str], str]) -> dict[str, str]:
    return {item: value(item) for item in items}


RELATIONS: tuple[Relation, ...] = (
    Relation("animals", {a(x.name): a(x.home) for x in ANIMALS}, "{s} lives in {v}.",
             ("Where does {s} live?", "What is the home of {s}?", "In what place does {s} live?")),
    Relation("animals", {a(x.name): x.eats for x in ANIMALS}, "{s} eats {v}.",
             ("What does {s} eat?", "What is the food of {s}?", "What would you feed to {s}?")),
    Relation("animals", {a(x.name): a(x.kind) for x in ANIMALS}, "{s} is {v}.",
             ("What kind of animal is {s}?", "Which kind of creature is {s}?", "What sort of animal is {s}?")),
    Relation("animals", {a(x.name): NUMBERS[x.legs] for x in ANIMALS}, "{s} has {v} legs.",
             ("How many legs has {s}?", "What is the number of legs of {s}?", "On how many legs does {s} go?")),
    Relation("tools", {a(x.name): x.material for x in TOOLS}, "{s} is made of {v}.",
             ("What is {s} made of?", "Which material is {s} made of?", "From what does one make {s}?")),
    Relation("tools", {a(x.name): "to " + x.use for x in TOOLS}, "{s} is used {v}.",
             ("What is {s} used for?", "For what does one need {s}?", "What is the use of {s}?")),
    Relation("food", {x.name: x.taste for x in FOODS}, "{s} tastes {v}.",
             ("How does {s} taste?", "What is the taste of {s}?", "What taste has {s}?")),
    Relation("food", {x.name: x.source for x in FOODS}, "{s} is made from {v}.",
             ("What is {s} made from?", "What do you need to make {s}?", "Which thing does {s} come from?")),
    Relation("villages", _of(VILLAGES, region), "{s} lies {v}.",
             ("Where does {s} lie?", "In which part of the land is {s}?", "Where is the village of {s}?")),
    Relation("villages", _of(VILLAGES, lambda v: "the " + river(v)), "{s} stands on {v}.",
             ("On which river does {s} stand?", "Which river flows through {s}?", "What is the river of {s}?")),
    Relation("villages", _of(VILLAGES, speciality), "{s} is known for its {v}.",
             ("What is {s} known for?", "Which food is {s} known for?", "What food do people buy in {s}?")),
    Relation("people", _of(PEOPLE, home), "{s} lives in {v}.",
             ("Where does {s} live?", "In which village does {s} live?", "What is the village of {s}?")),
    Relation("people", _of(PEOPLE, lambda p: a(trade(p).name)), "{s} is {v}.",
             ("What is the trade of {s}?", "What does {s} do for a living?", "What work does {s} do?")),
    Relation("people", _of(PEOPLE, liking), "{s} likes {v}.",
             ("What does {s} like best?", "Which food does {s} like?", "What is the favourite food of {s}?")),
    Relation("people", _of(PEOPLE, lambda p: a(pet(p))), "{s} keeps {v}.",
             ("What animal does {s} keep?", "Which pet has {s}?", "What pet does {s} keep?")),
    Relation("trades", {a(x.name): x.does for x in TRADES}, "{s} {v}.",
             ("What does {s} do?", "What is the work of {s}?", "What is it that {s} does all day?")),
    Relation("trades", {a(x.name): a(x.tool) for x in TRADES if x.tool != "chalk"}, "{s} works with {v}.",
             ("What does {s} work with?", "Which tool does {s} use?", "What tool belongs to {s}?")),
    Relation("trades", {a(x.name): a(x.place) for x in TRADES}, "{s} works in {v}.",
             ("Where does {s} work?", "What is the place of work of {s}?", "In what place does {s} work?")),
)  # fmt: skip
FACTS = tuple((relation, subject) for relation in RELATIONS for subject in relation.facts)
