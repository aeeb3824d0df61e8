"""What generated functions call: the filters, tests and conversions of the reference, without its counting.

Every function either does exactly what the reference does or raises, and a row that raises is rendered by
the reference.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
from jinja2.utils import Namespace

from instructify.keys import Key
from instructify.render.compiled.trees import ITEM
from instructify.render.meter import (
    _PRINTABLE,
    MAX_BITS,
    NESTING,
    SMALL_BITS,
    TUPLE,
    WORK_LIMIT,
    Choices,
)
from instructify.render.reference import PIPES, PROTECTOR

MAX_GROWN = 200_000
_ATOMS = frozenset({int, float, bool, type(None)})
MAX_RANGE = 1_000
ELEMENT = 4
"""What the reference takes at most of its budget for an element that is passed by."""
MAX_DIGITS = 1_000
"""Places before or behind the point that a decimal number may have."""
DICT_ATTRIBUTES = frozenset(dir(dict))
OWNERS = (str, list, dict, tuple, Choices)
VECTOR_DRAWS = 8
"""So many draws are made for all rows at once, where they are made under conditions; later ones singly."""


class Slow(Exception):  # noqa: N818  (a signal: the reference takes this row)
    """The row is for the reference renderer."""


class State:
    """What a row does besides printing: flags, draws, and the size of values it makes."""

    __slots__ = (
        "drawn",
        "draws",
        "flagged",
        "grown",
        "key",
        "none_rows",
        "numbers",
        "paid",
        "strict",
        "unlabelled",
        "unlabelled_rows",
        "walks",
    )

    def __init__(self, strict: bool, key: Key, numbers: Any, walks: int) -> None:
        """`walks` is the number of expressions that may look at every element of a value."""
        self.strict = strict
        self.walks = walks
        self.key = key
        self.numbers = numbers
        self.drawn = self.grown = self.paid = 0
        self.flagged = self.unlabelled = False
        self.draws: list[list[int]] = []
        self.none_rows: list[int] = []
        self.unlabelled_rows: list[int] = []

    def note(self, row: int) -> None:
        """Remember the flags of a row and clear them."""
        (self.unlabelled_rows if self.unlabelled else self.none_rows).append(row)
        self.flagged = self.unlabelled = False


def text(state: State, value: Any) -> str:
    """Return the printed form of a value."""
    kind = value.__class__
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is int or kind is float or kind is bool:
        return str(value)
    if value is None:
        if state.strict:
            raise Slow
        state.flagged = True
        return "None"
    check_printable(value)
    return str(value)


def check_printable(value: Any) -> None:
    """Raise Slow for a value that has no text of its own, or too much of it."""
    stack: list[Any] = [value]
    seen = 0
    while stack:
        top = stack.pop()
        seen += 1
        if seen > MAX_GROWN or not isinstance(top, _PRINTABLE):
            raise Slow
        if isinstance(top, dict):
            stack += [*top.keys(), *top.values()]
        elif isinstance(top, NESTING):
            stack.extend(top)


def check_short(value: Any) -> None:
    """Raise Slow also for a value whose text may be far longer than the value is large."""
    if isinstance(value, (*NESTING, bytes)):
        raise Slow
    check_printable(value)


def grown(state: State, value: Any) -> Any:
    """Count the size of a value the row has made, as printing or comparing it would cost."""
    if value.__class__ is str:
        state.grown += len(value)
    elif value.__class__ is list:
        try:
            state.grown += (1 + len(value)) * ITEM + len("".join(value))
        except TypeError:
            _grow_nested(state, value)
    elif isinstance(value, str):
        state.grown += len(value)
    elif isinstance(value, int):
        if value.bit_length() > SMALL_BITS:
            raise Slow
    elif isinstance(value, NESTING):
        _grow_nested(state, value)
    elif isinstance(value, range):
        state.grown += len(value) * ITEM
    elif isinstance(value, decimal.Decimal) and not (
        value.is_finite() and abs(value.adjusted()) < MAX_DIGITS
    ):
        raise Slow
    if state.grown > MAX_GROWN:
        raise Slow
    return value


def _pay(state: State, elements: int, price: int) -> None:
    """Pay for elements that filters may walk without a loop, as if each of them did."""
    state.paid += elements * price * state.walks
    if state.paid > WORK_LIMIT:
        raise Slow


def pieces(state: State, parts: list[str]) -> list[str]:
    """Return the pieces of a text, paid for."""
    _pay(state, len(parts), ELEMENT)
    return parts


def pairs(state: State, *columns: Any) -> Any:
    """Return the elements of some lists as tuples, paid for."""
    _pay(state, min(map(len, columns), default=0), TUPLE + ELEMENT)
    return zip(*columns, strict=False)


def items(state: State, view: Any) -> Any:
    """Return the pairs of a dictionary, paid for."""
    _pay(state, len(view), TUPLE + ELEMENT)
    return view


def settled(value: Any) -> None:
    """Raise Slow for what is used up by being looked at: somebody else may look at it meanwhile."""
    held = (
        object.__getattribute__(value, "_Namespace__attrs").values() if value.__class__ is Namespace else ()
    )
    if isinstance(value, Iterator) or any(isinstance(item, (Iterator, Namespace)) for item in held):
        raise Slow


def turn(state: State, number: int, most: int, most_grown: int) -> bool:
    """Return True for the next turn of a loop's condition, if there is room for it."""
    if number > most or number * state.grown > most_grown:
        raise Slow
    return True


def _grow_nested(state: State, value: Any) -> None:
    grown = state.grown
    stack: list[Any] = [value]
    while stack and grown <= MAX_GROWN:
        top = stack.pop()
        grown += (1 + len(top)) * ITEM + (TUPLE << 3 if isinstance(top, tuple) else 0)
        for item in (*top, *top.values()) if isinstance(top, dict) else top:
            kind = item.__class__
            if kind is str:
                grown += len(item)
            elif kind is int and item.bit_length() > SMALL_BITS:
                raise Slow
            elif kind in _ATOMS:
                continue
            elif isinstance(item, NESTING):
                stack.append(item)
            elif not isinstance(item, _PRINTABLE):
                raise Slow
    state.grown = grown


def changed(state: State, target: Any, name: str, *args: Any) -> Any:
    """Call a method that changes a list or dictionary; what it takes in may hold no container of its own.

    So nothing can come to hold itself, or grow by more than a turn adds.
    """
    if target.__class__ is Choices and any(arg.__class__ is not str for arg in args if name != "pop"):
        raise Slow
    for arg in args:
        grown(state, arg)
        if not isinstance(arg, _PRINTABLE):
            raise Slow
        if isinstance(arg, NESTING) and not (arg is not target and _is_flat(arg, name == "update")):
            raise Slow
    return getattr(owner(target), name)(*args)


def _is_flat(value: Any, may_nest: bool) -> bool:
    if value.__class__ not in (list, tuple, dict):
        return False
    items = value.values() if isinstance(value, dict) else value
    return all(
        not isinstance(item, NESTING) or (may_nest and item is not value and _is_flat(item, False))
        for item in items
    )


def owner(value: Any) -> Any:
    """Return the owner of a method call, if it is of a kind whose methods may be called."""
    if value.__class__ not in OWNERS:
        raise Slow
    return value


def add(state: State, left: Any, right: Any) -> Any:
    """Return left + right."""
    if left.__class__ is bytes:
        raise Slow
    return grown(state, left + right)


def mul(state: State, left: Any, right: Any) -> Any:
    """Return left * right, unless the result may be large."""
    if left.__class__ is bytes or right.__class__ is bytes:
        raise Slow
    for value, times in ((left, right), (right, left)):
        if (
            isinstance(value, (str, list, tuple))
            and isinstance(times, int)
            and len(value) * times > MAX_GROWN
        ):
            raise Slow
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > MAX_BITS:
        raise Slow
    return grown(state, left * right)


def sub(state: State, left: Any, right: Any) -> Any:
    """Return left - right for numbers; the difference of two views would be a set, which has no order."""
    return grown(state, left - right) if _are_numbers(left, right) else _leave()


def short_range(*args: Any) -> range:
    """Return a range of so few numbers that making a list of it costs little."""
    numbers = range(*args)
    if len(numbers) > MAX_RANGE:
        raise Slow
    return numbers


def small_range(state: State, *args: Any) -> range:
    """Return such a range, paid for."""
    numbers = short_range(*args)
    _pay(state, len(numbers), ELEMENT)
    return numbers


def div(state: State, left: Any, right: Any) -> Any:
    """Return left / right for numbers."""
    return left / right if _are_numbers(left, right) else _leave()


def floordiv(state: State, left: Any, right: Any) -> Any:
    """Return left // right for numbers."""
    return left // right if _are_numbers(left, right) else _leave()


def mod(state: State, left: Any, right: Any) -> Any:
    """Return left % right for numbers."""
    return left % right if _are_numbers(left, right) else _leave()


def _are_numbers(left: Any, right: Any) -> bool:
    return isinstance(left, (int, float)) and isinstance(right, (int, float))


def _leave() -> NoReturn:
    raise Slow


def pick(values: Any, draw: int) -> Any:
    """Return the element that a 32-bit draw falls on."""
    return values[(draw * len(values)) >> 32]


def draw(state: State, row: int, values: Any) -> Any:
    """Return an element by the row's next draw."""
    size = len(values)
    if not size:
        raise Slow
    number = state.drawn
    state.drawn += 1
    if number >= VECTOR_DRAWS:
        return values[state.key.below(size, int(state.numbers[row]), number)]
    if number == len(state.draws):
        state.draws.append((state.key.draws(state.numbers, number) >> np.uint64(32)).tolist())
    return values[(state.draws[number][row] * size) >> 32]


def set_attribute(namespace: Any, name: str, value: Any) -> None:
    """Set an attribute of a namespace."""
    if namespace.__class__ is not Namespace:
        raise Slow
    namespace[name] = value


def split_choices(text: str) -> Choices:
    """Return the answer choices of a text that separates them by |||."""
    parts = [part.strip() for part in text.split(PIPES)]
    return Choices([part.replace(PROTECTOR, PIPES) for part in parts] if PROTECTOR in text else parts)


def listed(values: Any) -> Choices:
    """Return a list of texts as answer choices."""
    if not isinstance(values, (list, tuple)):
        raise Slow
    for value in values:
        if value.__class__ is not str:
            raise Slow
    return Choices([value.strip() for value in values])
