"""What generated functions call: the filters, tests and conversions of the reference, without its counting.

Every function either does exactly what the reference does or raises, and a row that raises is rendered by
the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from jinja2 import Undefined
from jinja2 import filters as jinja_filters
from jinja2.runtime import Context
from jinja2.tests import TESTS
from jinja2.utils import Namespace, _PassArg

from instructify.errors import RowError
from instructify.keys import Key
from instructify.render import filters
from instructify.render.meter import _PRINTABLE, MAX_BITS, NESTING, SMALL_BITS, TUPLE, Choices, Meter
from instructify.render.reference import PROTECTOR
from instructify.render.sandbox import Dialect, Sandbox

MAX_GROWN = 200_000
MAX_RANGE = 1_000
DICT_ATTRIBUTES = frozenset(dir(dict))
OWNERS = (str, list, dict, tuple)


class Slow(Exception):  # noqa: N818  (a signal: the reference takes this row)
    """The row is for the reference renderer."""


class _Free(Meter):
    """A meter that asks for nothing, for filters of the reference that pay."""

    __slots__ = ()

    def spend(self, units: int) -> None:
        """Ask for nothing."""


class State:
    """What a row does besides printing: flags, draws, and the size of values it makes."""

    __slots__ = (
        "drawn",
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
    _check_printable(value)
    return str(value)


def _check_printable(value: Any) -> None:
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
    if isinstance(value, str):
        state.grown += len(value)
    elif isinstance(value, int):
        if value.bit_length() > SMALL_BITS:
            raise Slow
    elif isinstance(value, NESTING):
        stack: list[Any] = [value]
        while stack and state.grown <= MAX_GROWN:
            top = stack.pop()
            state.grown += 1 + len(top) + (TUPLE << 3 if isinstance(top, tuple) else 0)
            for item in [*top.keys(), *top.values()] if isinstance(top, dict) else top:
                if isinstance(item, str):
                    state.grown += len(item) >> 4
                elif isinstance(item, NESTING):
                    stack.append(item)
                elif not isinstance(item, _PRINTABLE):
                    raise Slow
    if state.grown > MAX_GROWN:
        raise Slow
    return value


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
    return values[state.key.below(size, int(state.numbers[row]), number)]


def set_attribute(namespace: Any, name: str, value: Any) -> None:
    """Set an attribute of a namespace."""
    if namespace.__class__ is not Namespace:
        raise Slow
    namespace[name] = value


def split_choices(text: str) -> Choices:
    """Return the answer choices of a text that separates them by |||."""
    if PROTECTOR in text:
        raise Slow
    return Choices([part.strip() for part in text.split("|||")])


def listed(values: Any) -> Choices:
    """Return a list of texts as answer choices."""
    if not isinstance(values, (list, tuple)):
        raise Slow
    for value in values:
        if value.__class__ is not str:
            raise Slow
    return Choices([value.strip() for value in values])


def _join(value: Any, separator: Any = "", attribute: Any = None, *, fallback: Callable[..., Any]) -> Any:
    if attribute is not None or separator.__class__ is not str:
        raise Slow
    items = value if value.__class__ is list else list(value)
    if len(separator) * len(items) > MAX_GROWN:
        raise Slow
    for item in items:
        if item.__class__ is not str:
            _check_printable(item)
    return separator.join(map(str, items))


def _replace(value: Any, old: Any, new: Any, count: Any = None, *, fallback: Callable[..., Any]) -> Any:
    if count is None and value.__class__ is old.__class__ is new.__class__ is str:
        if (value.count(old) if old else len(value) + 1) * len(new) > MAX_GROWN:
            raise Slow
        return value.replace(old, new)
    raise Slow


def _truncate(value: Any, length: Any = 255, *rest: Any, fallback: Callable[..., Any], **named: Any) -> Any:
    fits = value.__class__ is str and length.__class__ is int and max(3, len(value)) <= length
    if fits and not rest and not named:
        return value
    _check_printable(value)
    return fallback(value, length, *rest, **named)


def _printing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that prints what it is given, for values that have a text of their own."""

    def printing(value: Any, *args: Any) -> Any:
        if value.__class__ is not str:
            _check_printable(value)
        return function(value, *args)

    return printing


def _string(value: Any) -> str:
    if value is None:
        raise Slow  # printing None is noted where it happens, and by the reference alone
    _check_printable(value)
    return str(value)


def _choice(values: Any) -> Any:
    raise Slow  # a draw through another filter: its number is the reference's affair


PRINTING = ("capitalize", "lower", "title", "trim", "upper", "wordcount")
FAST: Mapping[str, Callable[..., Any]] = {"join": _join, "replace": _replace, "truncate": _truncate}


@lru_cache(maxsize=2)
def plain_sandbox(dialect: Dialect) -> Sandbox:
    """Return an environment whose filters and tests count nothing, for filters that call others."""
    env = Sandbox(dialect)
    env.meter = _Free()
    env.filters.clear()
    env.filters.update({name: jinja_filters.FILTERS[name] for name in filters.FROM_JINJA})
    env.filters.update({name: partial(function, env.meter) for name, function in filters.OWN.items()})
    env.filters.update(choice=_choice, random=_choice, string=_string)
    env.tests.clear()
    env.tests.update(TESTS)
    return env


@lru_cache(maxsize=2)
def namespace_for(dialect: Dialect) -> Mapping[str, Any]:
    """Return the names that a generated function of this dialect may use."""
    env = plain_sandbox(dialect)
    context = Context(env, env.globals, None, {})
    names: dict[str, Any] = {f"filter_{name}": _plain(env, context, f) for name, f in env.filters.items()}
    for name in PRINTING:
        names[f"filter_{name}"] = _printing(names[f"filter_{name}"])
    names["filter_round"] = _checked(filters.CHECKS["round"], names["filter_round"])
    for name, fast in FAST.items():
        names[f"filter_{name}"] = partial(fast, fallback=names[f"filter_{name}"])
    names |= {f"test_{name}": _plain(env, context, function) for name, function in TESTS.items()}
    names |= {f"global_{name}": value for name, value in env.globals.items()}
    own = (text, grown, changed, owner, add, sub, mul, mod, pick, draw, set_attribute, split_choices, listed)
    names |= {function.__name__: function for function in own}
    names |= {
        name: partial(f, env) for name, f in (("attribute", _attribute), ("item", _item), ("index", _index))
    }
    names |= {"Slow": Slow, "Choices": Choices, "global_range": small_range}
    names |= {"NO_ITEM": env.undefined("there is no such item"), "NO_ELSE": env.undefined("no else")}
    return names


def _checked(check: Callable[..., None], function: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*args: Any, **kwargs: Any) -> Any:
        check(*args, **kwargs)
        return function(*args, **kwargs)

    return checked


def _plain(env: Sandbox, context: Context, function: Any) -> Callable[..., Any]:
    passed = _PassArg.from_obj(function)
    if passed is _PassArg.context:
        return partial(function, context)
    if passed is _PassArg.environment:
        return partial(function, env)
    if passed is _PassArg.eval_context:
        return partial(function, context.eval_ctx)
    return function  # type: ignore[no-any-return]


def _attribute(env: Sandbox, value: Any, name: str) -> Any:
    if value.__class__ is dict and name not in DICT_ATTRIBUTES and name in value:
        return value[name]
    return _data(env.getattr(value, name))


def _item(env: Sandbox, value: Any, key: Any) -> Any:
    try:
        return value[key]
    except (TypeError, LookupError):
        return _data(env.getitem(value, key))


def _data(value: Any) -> Any:
    if callable(value) and not isinstance(value, Undefined):
        raise Slow
    return value


def _index(env: Sandbox, state: State, container: Any, key: Any) -> Any:
    if container.__class__ is Choices and (key is None or (isinstance(key, int) and key < 0)):
        state.flagged = state.unlabelled = True
        if env.strict:
            raise Slow
    try:
        return filters.index(env.meter, env.strict, container, key, partial(_item, env))
    except RowError:
        raise Slow from None
