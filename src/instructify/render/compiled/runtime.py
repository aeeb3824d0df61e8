"""What generated functions call: the filters, tests and conversions of the reference, without its counting.

Every function either does exactly what the reference does or raises, and a row that raises is rendered by
the reference.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jinja2.utils import Namespace

from instructify.keys import Key
from instructify.render.meter import _PRINTABLE, MAX_BITS, NESTING, SMALL_BITS, TUPLE, Choices
from instructify.render.reference import PIPES, PROTECTOR

MAX_GROWN = 200_000
_ATOMS = frozenset({int, float, bool, type(None)})
MAX_RANGE = 1_000
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
        "strict",
        "unlabelled",
        "unlabelled_rows",
    )

    def __init__(self, strict: bool, key: Key, numbers: Any) -> None:
        self.strict = strict
        self.key = key
        self.numbers = numbers
        self.drawn = self.grown = 0
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


def grown(state: State, value: Any) -> Any:
    """Count the size of a value the row has made, as printing or comparing it would cost."""
    if value.__class__ is str:
        state.grown += len(value)
    elif value.__class__ is list:
        try:
            state.grown += 1 + len(value) + (len("".join(value)) >> 4)
        except TypeError:
            _grow_nested(state, value)
    elif isinstance(value, str):
        state.grown += len(value)
    elif isinstance(value, int):
        if value.bit_length() > SMALL_BITS:
            raise Slow
    elif isinstance(value, NESTING):
        _grow_nested(state, value)
    if state.grown > MAX_GROWN:
        raise Slow
    return value


def _grow_nested(state: State, value: Any) -> None:
    grown = state.grown
    stack: list[Any] = [value]
    while stack and grown <= MAX_GROWN:
        top = stack.pop()
        grown += 1 + len(top) + (TUPLE << 3 if isinstance(top, tuple) else 0)
        for item in (*top, *top.values()) if isinstance(top, dict) else top:
            kind = item.__class__
            if kind is str:
                grown += len(item) >> 4
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
    for arg in args:
        grown(state, arg)
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
    return grown(state, left + right)


def mul(state: State, left: Any, right: Any) -> Any:
    """Return left * right, unless the result may be large."""
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
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return grown(state, left - right)
    raise Slow


def small_range(*args: Any) -> range:
    """Return a range of so few numbers that making a list of it costs little."""
    numbers = range(*args)
    if len(numbers) > MAX_RANGE:
        raise Slow
    return numbers


def mod(state: State, left: Any, right: Any) -> Any:
    """Return left % right for numbers."""
    if isinstance(left, str):
        raise Slow
    return left % right


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
