"""The names a generated function may use: filters and tests that count nothing, globals, and its helpers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from jinja2 import Undefined
from jinja2 import filters as jinja_filters
from jinja2.runtime import Context
from jinja2.tests import TESTS
from jinja2.utils import Namespace

from instructify.compose.marks import FIT_CLOSE, FIT_OPEN
from instructify.errors import RowError
from instructify.render import filters
from instructify.render.compiled import fast
from instructify.render.compiled.fast import plain
from instructify.render.compiled.runtime import (
    DICT_ATTRIBUTES,
    Slow,
    State,
    add,
    changed,
    check_short,
    div,
    draw,
    floordiv,
    grown,
    items,
    listed,
    mod,
    mul,
    owner,
    pairs,
    pick,
    pieces,
    set_attribute,
    settled,
    short_range,
    small_range,
    split_choices,
    sub,
    text,
    turn,
)
from instructify.render.meter import SMALL_BITS, Choices, Meter
from instructify.render.sandbox import Dialect, Sandbox


class _Free(Meter):
    """A meter that asks for nothing, for filters of the reference that pay."""

    __slots__ = ()

    def spend(self, units: int) -> None:
        """Ask for nothing."""


def _printing(function: Callable[..., Any], of_text: Callable[[str], Any] | None) -> Callable[..., Any]:
    """Return a filter or test that prints what it is given, for values that have a text of their own.

    `of_text` is what the filter does to a text without arguments.
    """

    def printing(value: Any, *args: Any) -> Any:
        if value.__class__ is not str:
            check_short(value)
        elif of_text is not None and not args:
            return of_text(value)
        return function(value, *args)

    return printing


def _string(value: Any) -> str:
    if value is None:
        raise Slow  # printing None is noted where it happens, and by the reference alone
    check_short(value)
    return str(value)


def _noting(meter: Meter, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter of the reference that notes a printed None, for values that are none."""
    return lambda value, *args: function(meter, _string(value), *args)


def _int(value: Any, *args: Any) -> Any:
    number = jinja_filters.do_int(value, *args)
    if isinstance(number, int) and number.bit_length() > SMALL_BITS:
        raise Slow
    return number


def _reversed(value: Any) -> Any:
    if value.__class__ is bytes:
        raise Slow  # a byte costs as much as a whole element
    return jinja_filters.do_reverse(value)


def _fit(value: Any) -> str:
    if value.__class__ is not str:
        raise Slow  # printing a null is noted by the reference alone
    return FIT_OPEN + str(value) + FIT_CLOSE


def _choice(values: Any) -> Any:
    raise Slow  # a draw through another filter: its number is the reference's affair


PRINTING: Mapping[str, Callable[[str], Any] | None] = {
    "capitalize": str.capitalize,
    "lower": str.lower,
    "title": None,
    "trim": str.strip,
    "upper": str.upper,
    "wordcount": None,
}


_OWN: tuple[Callable[..., Any], ...] = (
    text,
    grown,
    changed,
    owner,
    add,
    sub,
    mul,
    div,
    floordiv,
    mod,
    pick,
    draw,
    items,
    pairs,
    pieces,
    settled,
    short_range,
    small_range,
    turn,
    set_attribute,
    split_choices,
    listed,
)
"""What generated functions call by its own name."""
WALKING = "join list map max min most_frequent reject rejectattr select selectattr sort unique".split()
COMPARING = ("eq", "equalto", "ge", "gt", "in", "le", "lt", "ne", "sameas")


@lru_cache(maxsize=2)
def plain_sandbox(dialect: Dialect) -> Sandbox:
    """Return an environment whose filters and tests count nothing, for filters that call others."""
    env = Sandbox(dialect)
    env.meter = _Free()
    env.filters.clear()
    env.filters.update({name: jinja_filters.FILTERS[name] for name in filters.FROM_JINJA})
    env.filters.update({name: partial(function, env.meter) for name, function in filters.OWN.items()})
    env.filters.update(choice=_choice, random=_choice, string=_string, fit=_fit, int=_int, reverse=_reversed)
    env.filters.update({name: _noting(env.meter, filters.OWN[name]) for name in ("josa", "nfc")})
    env.tests.clear()
    tests: dict[str, Any] = TESTS
    env.tests.update(tests)
    env.tests.update({name: _printing(tests[name], None) for name in filters.TEXTUAL & tests.keys()})
    return env


@lru_cache(maxsize=2)
def namespace_for(dialect: Dialect) -> Mapping[str, Any]:
    """Return the names that a generated function of this dialect may use."""
    env = plain_sandbox(dialect)
    context = Context(env, env.globals, None, {})
    slow = {name: plain(env, context, function) for name, function in env.filters.items()}
    names: dict[str, Any] = {f"filter_{name}": function for name, function in slow.items()}
    for name, of_text in PRINTING.items():
        names[f"filter_{name}"] = _printing(slow[name], of_text)
    names["filter_round"] = _checked(filters.CHECKS["round"], slow["round"])
    quick = {"join": fast.join, "replace": fast.replace, "format": fast.format_numbers, "list": list}
    quick |= {
        "truncate": partial(fast.truncate, slow["truncate"]),
        "first": partial(fast.first, slow["first"]),
    }
    quick |= fast.sequence_filters(env, context, slow)
    names |= {f"filter_{name}": function for name, function in quick.items()}
    names |= {f"filter_{name}": fast.sparing(names[f"filter_{name}"]) for name in WALKING}
    names |= {f"test_{name}": plain(env, context, function) for name, function in env.tests.items()}
    names |= {f"test_{name}": _settled(names[f"test_{name}"]) for name in COMPARING}
    names |= {f"global_{name}": value for name, value in env.globals.items()}
    names |= {function.__name__: function for function in _OWN}
    names |= {
        name: partial(f, env) for name, f in (("attribute", _attribute), ("item", _item), ("index", _index))
    }
    names["replace_text"] = fast.replace_text
    names |= {"Slow": Slow, "Choices": Choices}
    names["no_item"] = partial(env.undefined, "there is no such item")
    names["no_else"] = partial(Undefined, "no else")  # Jinja's own, even where others are strict
    names["again"] = partial(_again, env)
    return names


def _settled(test: Callable[..., bool]) -> Callable[..., bool]:
    def tested(value: Any, other: Any) -> bool:
        settled(other)  # the reference hands on another iterator, which counts
        return test(value, other)

    return tested


def _again(env: Sandbox, value: Any) -> Undefined:
    return env.undefined(name=value._undefined_name)


def _checked(check: Callable[..., None], function: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*args: Any, **kwargs: Any) -> Any:
        check(*args, **kwargs)
        return function(*args, **kwargs)

    return checked


def _attribute(env: Sandbox, value: Any, name: str) -> Any:
    kind = value.__class__
    if kind is dict and name not in DICT_ATTRIBUTES and name in value:
        return value[name]
    if kind is Namespace and name[:1] != "_":
        held = object.__getattribute__(value, "_Namespace__attrs")
        if name in held:
            return _data(held[name])
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
    kind = container.__class__
    if (kind is list or kind is Choices) and key.__class__ is int and 0 <= key < len(container):
        return container[key]
    if kind is Choices and (key is None or (isinstance(key, int) and key < 0)):
        state.flagged = state.unlabelled = True
        if env.strict:
            raise Slow
    try:
        return filters.index(env.meter, env.strict, container, key, partial(_item, env))
    except RowError:
        raise Slow from None
