"""Counted budgets and keyed draws for one rendering row.

Templates are programs by strangers. A sandbox stops escapes, not exhaustion, so every loop, call, filter
and string that a template makes is paid for from one counted budget. Counting, unlike a clock, gives every
row the same fate on every machine.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from typing import Any, NoReturn

from jinja2.runtime import Undefined
from markupsafe import Markup

from instructify.errors import RowError
from instructify.keys import Key

WORK_LIMIT = 1_000_000
"""Units of work for one row; a loop turn costs 20 or more, a container item 1, 16 characters 1."""
MAX_TEXT = 4_000_000
"""Most characters in one value that a template makes."""
MAX_BITS = 16_384
"""Most bits in an integer that a template computes."""
MAX_RANGE = 100_000
SMALL_BITS, BIG_INTEGER, TUPLE = 64, 100, 100
"""Integers of up to 64 bits share their hash with few others; larger ones and tuples can be made to collide
in dictionaries, where each then meets all the others, so they cost 100 each."""
MAX_EXPONENT = 10_000

VIEWS: tuple[type[Any], ...] = (type({}.keys()), type({}.values()), type({}.items()))
NESTING: tuple[type[Any], ...] = (list, tuple, dict, *VIEWS)
_ATOMS = (str, int, float, bool, type(None), Undefined)
_PRINTABLE: tuple[type, ...] = (
    *_ATOMS,
    Markup,
    list,
    tuple,
    dict,
    range,
    *VIEWS,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    bytes,
)


class Choices(list[str]):
    """The answer choices of a row; a list that indexing can recognise."""

    __slots__ = ()


class Meter:
    """Budget, draw counter and observations of the row being rendered; one for each environment."""

    __slots__ = ("draw_number", "key", "none_printed", "row", "spent", "unlabelled")

    def __init__(self) -> None:
        self.start(Key(0, 0), 0)

    def start(self, key: Key, row: int) -> None:
        """Forget the last row and begin this one."""
        self.key = key
        self.row = row
        self.draw_number = 0
        self.spent = 0
        self.none_printed = False
        self.unlabelled = False

    def draw(self, limit: int) -> int:
        """Return the row's next keyed draw in [0, limit)."""
        value = self.key.below(limit, self.row, self.draw_number)
        self.draw_number += 1
        return value

    def spend(self, units: int) -> None:
        """Pay for work; raise RowError when the row has used up its budget."""
        self.spent += units
        if self.spent > WORK_LIMIT:
            over("more work than one row may do")

    def text(self, length: int) -> None:
        """Pay for a string of this length, refusing one that is too long to make."""
        if length > MAX_TEXT:
            over(f"a text of {length:,} characters")
        self.spend(length >> 4)

    def weigh(self, value: Any) -> None:
        """Pay for a value by its expanded size, as comparing or printing it would cost."""
        if isinstance(value, (str, bytes)):
            self.text(len(value))
        elif isinstance(value, int):
            self._integer(value)
        elif isinstance(value, range):
            self.spend(len(value))
        elif isinstance(value, NESTING):
            self._walk(value)
        elif isinstance(value, decimal.Decimal) and abs(value.adjusted()) > MAX_EXPONENT:
            over("a number of too many digits")

    def printable(self, value: Any) -> None:
        """Pay for a value, refusing what has no text of its own (functions, generators, loop objects)."""
        self.weigh(value)
        if not isinstance(value, _PRINTABLE):
            raise RowError("unprintable", f"a {type(value).__name__} has no text of its own")

    def _integer(self, value: int) -> None:
        bits = value.bit_length()
        if bits > MAX_BITS:
            over("an integer of too many digits")
        if bits > SMALL_BITS:
            self.spend(BIG_INTEGER + (bits >> 6))

    def _walk(self, value: Any) -> None:
        stack: list[Any] = [value]
        while stack:
            top = stack.pop()
            items = [*top.keys(), *top.values()] if isinstance(top, dict) else top
            self.spend(1 + len(items) + (TUPLE if isinstance(top, tuple) else 0))
            for item in items:
                if isinstance(item, str):
                    self.text(len(item))
                elif isinstance(item, int):
                    self._integer(item)
                elif isinstance(item, NESTING):
                    stack.append(item)
                elif not isinstance(item, _PRINTABLE):
                    raise RowError("unprintable", f"a {type(item).__name__} in a list has no text of its own")

    def each(self, items: Iterator[Any]) -> Iterator[Any]:
        """Pass items through, paying for each by its size."""
        for item in items:
            self.spend(2)
            self.weigh(item)
            yield item


def over(what: str) -> NoReturn:
    """Raise the RowError of a spent budget."""
    raise RowError("over-budget", f"the template makes {what}")
