"""A row's own sequence of keyed draws, and the small words that sentences are glued with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from instructify.keys import Key

T = TypeVar("T")

NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_STRIDE = 256  # draw numbers kept for one attempt; no generator makes as many


class Draws:
    """Keyed draws for one attempt at one row, each with the next number."""

    __slots__ = ("_key", "_number", "_row")

    def __init__(self, key: Key, row: int, attempt: int = 0) -> None:
        self._key = key
        self._row = row
        self._number = attempt * _STRIDE

    def below(self, limit: int) -> int:
        """Return a number in [0, limit)."""
        self._number += 1
        return self._key.below(limit, self._row, self._number)

    def between(self, low: int, high: int) -> int:
        """Return a number in [low, high], both included."""
        return low + self.below(high - low + 1)

    def chance(self, percent: int) -> bool:
        """Return True in `percent` of a hundred cases."""
        return self.below(100) < percent

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[self.below(len(items))]

    def other(self, items: Sequence[T], *taken: T) -> T:
        """Return one of the items that is none of those taken."""
        return self.pick([item for item in items if item not in taken])

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """Return `count` different places' items in drawn order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(count)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return all items in drawn order."""
        return self.sample(items, len(items))


def a(noun: str) -> str:
    """Return the noun with its indefinite article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def up(text: str) -> str:
    """Return the text with its first letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]


def down(text: str) -> str:
    """Return the text with its first letter in lower case, the rest as it is."""
    return text[:1].lower() + text[1:]


def plural(noun: str, count: int = 2) -> str:
    """Return the regular plural of a noun of the world, or the noun itself for one."""
    if count == 1:
        return noun
    if noun in _PLURALS:
        return _PLURALS[noun]
    if noun.endswith(("s", "sh", "ch", "x")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


_PLURALS = {"sheep": "sheep", "fish": "fish", "mouse": "mice", "goose": "geese", "knife": "knives",
            "loaf": "loaves", "wolf": "wolves", "ox": "oxen", "calf": "calves"}  # fmt: skip
