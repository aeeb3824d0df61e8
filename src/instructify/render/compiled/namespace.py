"""The names a generated function may use: filters and tests that count nothing, globals, and its helpers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from jinja2 import Undefined
from jinja2 import filters as jinja_filters
from jinja2.runtime import Context
from jinja2.tests import TESTS
from jinja2.utils import _PassArg

from instructify.compose.marks import FIT_CLOSE, FIT_OPEN
from instructify.errors import RowError
from instructify.render import filters
from instructify.render.compiled.runtime import (
    DICT_ATTRIBUTES,
    MAX_GROWN,
    Slow,
    State,
    add,
    changed,
    check_printable,
    draw,
    grown,
    listed,
    mod,
    mul,
    owner,
    pick,
    set_attribute,
    small_range,
    split_choices,
    sub,
    text,
)
from instructify.render.meter import Choices, Meter
from instructify.render.sandbox import Dialect, Sandbox


class _Free(Meter):
    """A meter that asks for nothing, for filters of the reference that pay."""

    __slots__ = ()

    def spend(self, units: int) -> None:
        """Ask for nothing."""


def _join(value: Any, separator: Any = "", attribute: Any = None, *, fallback: Callable[..., Any]) -> Any:
    if attribute is not None or separator.__class__ is not str:
        raise Slow
    items = value if value.__class__ is list else list(value)
    if len(separator) * len(items) > MAX_GROWN:
        raise Slow
    for item in items:
        if item.__class__ is not str:
            check_printable(item)
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
    check_printable(value)
    return fallback(value, length, *rest, **named)


def _printing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that prints what it is given, for values that have a text of their own."""

    def printing(value: Any, *args: Any) -> Any:
        if value.__class__ is not str:
            check_printable(value)
        return function(value, *args)

    return printing


def _string(value: Any) -> str:
    if value is None:
        raise Slow  # printing None is noted where it happens, and by the reference alone
    check_printable(value)
    return str(value)


def _noting(meter: Meter, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter of the reference that notes a printed None, for values that are none."""
    return lambda value, *args: function(meter, _string(value), *args)


def _fit(value: Any) -> str:
    if value.__class__ is not str:
        raise Slow  # printing a null is noted by the reference alone
    return FIT_OPEN + str(value) + FIT_CLOSE


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
    env.filters.update(choice=_choice, random=_choice, string=_string, fit=_fit)
    env.filters.update({name: _noting(env.meter, filters.OWN[name]) for name in ("josa", "nfc")})
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
