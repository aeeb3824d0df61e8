"""Filters that templates use most, without Jinja's detours: each does what Jinja's does, or raises Slow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import filterfalse
from typing import Any

from jinja2.runtime import Context
from jinja2.utils import _PassArg

from instructify.render.compiled.runtime import MAX_GROWN, Slow, check_printable, check_short
from instructify.render.meter import SMALL_BITS
from instructify.render.sandbox import Sandbox

PLAIN = (str, int, float, bool, type(None))
"""Kinds of values that are always printed as `str` prints them."""
Lookup = Callable[[Any], Any]
MAX_LISTED = 16
"""Elements of a list that every element of another may be compared with."""
MAX_WALKED = 64
"""Characters of a text that a filter may walk through one by one; each costs as much as a whole element."""


def join(value: Any, separator: Any = "", attribute: Any = None) -> str:
    """Return the printed elements, joined."""
    if attribute is not None or separator.__class__ is not str:
        raise Slow
    items = value if value.__class__ is list else list(value)
    if len(separator) * len(items) > MAX_GROWN:
        raise Slow
    try:
        return separator.join(items)
    except TypeError:
        for item in items:
            if item.__class__ not in PLAIN:
                check_printable(item)
        return separator.join(map(str, items))


def replace(value: Any, old: Any, new: Any, count: Any = None) -> str:
    """Return the printed value with one text replaced by another."""
    if value.__class__ is old.__class__ is new.__class__ is str:
        return replace_text(value, old, new, count)
    if any(given.__class__ not in PLAIN for given in (value, old, new)):
        raise Slow
    return replace_text(str(value), str(old), str(new), count)


def replace_text(value: Any, old: Any, new: Any, count: Any = None) -> str:
    """Return a text with one text replaced by another, as the method of texts does."""
    if count is not None or not (value.__class__ is old.__class__ is new.__class__ is str):
        raise Slow
    if (len(value) + 1) * len(new) > MAX_GROWN and (
        (value.count(old) if old else len(value) + 1) * len(new) > MAX_GROWN
    ):
        raise Slow
    return value.replace(old, new)


def format_numbers(value: str, *args: Any) -> str:
    """Return `value % args` for small numbers; the format is a constant that was looked at before."""
    for arg in args:
        if arg.__class__ not in (int, float) or (arg.__class__ is int and arg.bit_length() > SMALL_BITS):
            raise Slow
    return value % args


def truncate(slow: Callable[..., Any], value: Any, length: Any = 255, *rest: Any, **named: Any) -> Any:
    """Return the text cut at a length, by `slow` where it has to be cut."""
    fits = value.__class__ is str and length.__class__ is int and max(3, len(value)) <= length
    if fits and not rest and not named:
        return value
    check_short(value)
    return slow(value, length, *rest, **named)


def sparing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that walks through what it is given, for anything but texts of many characters."""

    def walking(value: Any, *args: Any, **named: Any) -> Any:
        if value.__class__ in (str, bytes) and len(value) > MAX_WALKED:
            raise Slow
        return function(value, *args, **named)

    return walking


def _check_small(given: Iterable[Any]) -> None:
    """Raise Slow unless every element of a list may be compared with all of this."""
    for arg in given:
        listed = arg if arg.__class__ in (list, tuple) and len(arg) <= MAX_LISTED else (arg,)
        if not all(map(_is_small, listed)):
            raise Slow


def _is_small(value: Any) -> bool:
    return len(value) <= MAX_WALKED if value.__class__ is str else value.__class__ in PLAIN


def first(slow: Callable[..., Any], value: Any) -> Any:
    """Return the first element."""
    return value[0] if value.__class__ is list and value else slow(value)


def sequence_filters(
    env: Sandbox, context: Context, slow: Mapping[str, Any]
) -> dict[str, Callable[..., Any]]:
    """Return map, select, reject, selectattr and rejectattr; what they do not know they leave to `slow`."""

    def getter(path: Any) -> Lookup | None:
        if path.__class__ is not str or "." in path or path.isdigit():
            return None

        def get(item: Any) -> Any:
            if item.__class__ is dict and path in item:
                return item[path]
            return env.getitem(item, path)

        return get

    def tester(test: tuple[Any, ...]) -> Lookup | None:
        if not test:
            return bool
        function: Any = env.tests.get(test[0]) if test[0].__class__ is str else None
        if function is None or _PassArg.from_obj(function) is not None:
            return None
        given = test[1:]
        return lambda item: function(item, *given)

    def mapped(value: Any, *args: Any, **named: Any) -> Any:
        apply: Lookup | None = None
        if not args and named.keys() == {"attribute"}:
            apply = getter(named["attribute"])
        elif len(args) == 1 and not named and args[0].__class__ is str and args[0] in env.filters:
            apply = plain(env, context, env.filters[args[0]])
        return slow["map"](value, *args, **named) if apply is None else _each(apply, value)

    def chosen(name: str, by_attribute: bool, value: Any, *args: Any, **named: Any) -> Any:
        _check_small((*args, *named.values()))
        get = getter(args[0]) if by_attribute and args else None
        test = tester(args[by_attribute:])
        if named or test is None or (by_attribute and get is None):
            return slow[name](value, *args, **named)
        asked = test if get is None else _composed(test, get)
        return _only(filterfalse if name.startswith("reject") else filter, asked, value)

    names = (("select", False), ("reject", False), ("selectattr", True), ("rejectattr", True))
    return {"map": mapped} | {name: partial(chosen, name, by) for name, by in names}


def _composed(outer: Lookup, inner: Lookup) -> Lookup:
    return lambda item: outer(inner(item))


def _each(function: Lookup, values: Iterable[Any]) -> Iterator[Any]:
    if values:  # asked when the first element is, as Jinja does: an undefined value has its own answer
        for value in values:
            yield function(value)


def _only(keep: Callable[[Lookup, Iterable[Any]], Iterable[Any]], test: Lookup, values: Any) -> Iterator[Any]:
    if values:
        yield from keep(test, values)


def plain(env: Sandbox, context: Context, function: Any) -> Callable[..., Any]:
    """Return a filter or test with what Jinja passes to it first already given."""
    passed = _PassArg.from_obj(function)
    if passed is _PassArg.context:
        return partial(function, context)
    if passed is _PassArg.environment:
        return partial(function, env)
    if passed is _PassArg.eval_context:
        return partial(function, context.eval_ctx)
    return function  # type: ignore[no-any-return]
