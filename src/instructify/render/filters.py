"""Filters and tests that templates may use: an allow-list, each paid for, none folded at compile time."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from jinja2 import Environment, pass_context, pass_environment
from jinja2 import filters as jinja_filters
from jinja2.runtime import Context, Undefined
from jinja2.tests import TESTS as JINJA_TESTS
from jinja2.utils import _PassArg

from instructify.compose.marks import FIT_CLOSE, FIT_OPEN, OPTIONS
from instructify.errors import RowError
from instructify.render import josa as particles
from instructify.render.meter import MAX_TEXT, Choices, Meter, over

MAX_WIDTH = 10_000
LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
MAX_MARKS = 30
"""Most combining marks on one character that are put in order, which takes the square of their number in
time; the limit is that of the Stream-Safe Text Format (Unicode Standard Annex 15)."""
FIELD = 350
"""Most characters of a number printed without a width: 1e308 has 309 digits before the point."""
_CONVERSION = re.compile(r"%(\([^()%]*\))?([#0\- +*.0-9]*)[hlL]?(.?)", re.DOTALL)


def choice(meter: Meter, values: Any) -> Any:
    """Return one element, drawn by the row's key; prompt and target of a row share its draws."""
    values = [] if isinstance(values, Undefined) else values
    size = len(values)
    if not size:
        raise IndexError("choice from an empty sequence")
    return values[meter.draw(size)]


def most_frequent(meter: Meter, items: Any) -> list[Any] | None:
    """Return the elements that occur most often, in order of first appearance; None for no elements."""
    if not items:
        return None
    counts = Counter(items).most_common()
    return [item for item, count in counts if count == counts[0][1]]


def to_json(meter: Meter, value: Any, indent: int | None = None) -> str:
    """Return the value as JSON text, Unicode left as it is."""
    if indent is not None and not 0 <= indent <= 16:
        raise ValueError("indent must lie in 0..16")
    if indent is None:
        return json.dumps(value, ensure_ascii=False)
    pieces = []
    for piece in json.JSONEncoder(ensure_ascii=False, indent=indent).iterencode(value):
        meter.text(len(piece) + 16)
        pieces.append(piece)
    return "".join(pieces)


def total(meter: Meter, values: Any, attribute: str | int | None = None, start: Any = 0) -> Any:
    """Return the sum of numbers, or of one attribute of each element."""
    result = start
    for value in values:
        if attribute is not None:
            value = value[attribute]
        if not isinstance(value, (int, float)) or not isinstance(result, (int, float)):
            raise TypeError("sum adds numbers only")
        result = result + value
    return result


def format_percent(meter: Meter, value: Any, *args: Any, **kwargs: Any) -> str:
    """Return `value % args`, with widths kept small."""
    check_percent(meter, str(value), kwargs or args)
    return str(value) % (kwargs or args)


def trim(meter: Meter, value: Any, chars: str | None = None) -> str:
    """Return the text without these characters, or blanks, at its ends."""
    text = str(value)
    meter.spend((len(text) * len(chars or "")) >> 8)
    return text.strip(chars)


def options(meter: Meter, choices: Any) -> str:
    """Return the mark of the place where the answer options are laid out once the row is rendered."""
    if not isinstance(choices, Choices):
        raise TypeError("options lays out answer_choices and nothing else")
    return OPTIONS


def fit(meter: Meter, value: Any) -> str:
    """Return the text with marks around it: it may be cut to fit a token budget."""
    return FIT_OPEN + text_of(meter, value) + FIT_CLOSE


def josa(meter: Meter, word: Any, particle: str) -> str:
    """Return the word with a Korean particle in the form that follows it, as in 사과를 or 귤을."""
    return particles.josa(text_of(meter, word), particle)


def nfc(meter: Meter, value: Any) -> str:
    """Return the text with its characters composed (Unicode's NFC), as decomposed Hangul should be."""
    text = text_of(meter, value)
    if text.isascii():
        return text
    meter.spend(len(text) >> 2)
    is_mark = [unicodedata.combining(character) > 0 for character in text]
    if max(sum(run) for _, run in groupby(is_mark)) > MAX_MARKS:
        over(f"more than {MAX_MARKS} combining marks in a row to be put in order")
    return unicodedata.normalize("NFC", text)


def check_percent(meter: Meter, text: str, values: Any) -> None:
    """Refuse a %-format that could give too long a text, or whose width is taken from an argument."""
    widths = 0
    for found in _CONVERSION.finditer(text):
        meter.spend(4)
        if found[3] == "(":
            raise ValueError("a key in a %-format may not hold brackets or %")
        widths += check_spec(found[2])
    meter.printable(values)
    each = values.values() if isinstance(values, dict) else values if isinstance(values, tuple) else [values]
    check_fields(meter, len(text), widths, each)


def check_spec(spec: str) -> int:
    """Return the most characters a plain field of this format has; refuse a large or computed width."""
    digits = "".join(c if c.isdigit() else " " for c in spec).split()
    if "*" in spec or "{" in spec or any(len(run) > 3 for run in digits):
        over("a format of too great a width")
    return FIELD + sum(map(int, digits))


def check_fields(meter: Meter, length: int, widths: int, values: Iterable[Any]) -> None:
    """Refuse a format that could give too long a text: each field may print the longest value."""
    longest = 0
    for value in values:
        meter.printable(value)
        longest = max(longest, len(str(value)))
    meter.text(length + widths + widths // FIELD * longest)


def concat(meter: Meter, first: Any, *rest: Any) -> str:
    """Return the texts joined, as the operator ~ does."""
    return "".join([text_of(meter, value) for value in (first, *rest)])


def text_of(meter: Meter, value: Any) -> str:
    """Return the text of a value, paying for it and noting a printed None."""
    meter.printable(value)
    if value is None:
        meter.none_printed = True
    return str(value)


def _check_join(value: Any, d: Any = "", attribute: Any = None) -> None:
    if isinstance(value, (list, tuple, str)) and len(str(d)) * len(value) > MAX_TEXT:
        over("too long a joined text")


def _check_replace(value: Any, old: Any, new: Any, count: Any = None) -> None:
    check_replace(str(value), str(old), str(new))


def check_replace(text: str, old: str, new: str) -> None:
    """Refuse a replacement whose result would be too long."""
    times = text.count(old) if old else len(text) + 1
    if len(text) + times * (len(new) - len(old)) > MAX_TEXT:
        over("too long a replaced text")


def _check_width(value: Any, width: Any = 0, *rest: Any, **named: Any) -> None:
    width = named.get("linecount", width)
    if isinstance(width, str):
        width = len(width)
    if not isinstance(width, int) or width > MAX_WIDTH:
        over("a text of too great a width")
    lines = sum(map(value.count, LINE_ENDS)) + 1 if isinstance(value, str) else 1
    if lines * max(width, 0) > MAX_TEXT:
        over("a text of too great a width")


def _check_round(value: Any, precision: Any = 0, *rest: Any, **named: Any) -> None:
    if not isinstance(precision, int) or abs(precision) > 300:
        over("a number of too many digits")


CHECKS: Mapping[str, Callable[..., None]] = {
    "join": _check_join,
    "replace": _check_replace,
    "center": _check_width,
    "indent": _check_width,
    "batch": _check_width,
    "round": _check_round,
}
"""Questions asked before a filter runs, where its result could be far larger than its input."""

FROM_JINJA = (
    "abs", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "first", "float", "indent",
    "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr",
    "replace", "reverse", "round", "select", "selectattr", "sort", "string", "title", "truncate", "unique",
    "upper", "wordcount",
)  # fmt: skip

OWN: Mapping[str, Callable[..., Any]] = {
    "choice": choice,
    "trim": trim,
    "most_frequent": most_frequent,
    "tojson": to_json,
    "sum": total,
    "format": format_percent,
    "options": options,
    "fit": fit,
    "josa": josa,
    "nfc": nfc,
}

CONSTANT_TIME = frozenset({"count", "d", "default", "first", "last", "length", "options", "string"})
"""Filters that do not look at the whole value, so nothing is paid for their input."""


TEXTUAL = frozenset(
    "capitalize center fit format indent join josa lower nfc replace title trim truncate upper "
    "wordcount".split()
)
"""Filters that print what they are given, which must have a text of its own."""

BY_CHARACTER = frozenset(
    "batch join list map max min most_frequent reject rejectattr select selectattr sort sum title unique "
    "wordcount".split()
)
"""Filters that look at a text character by character, or word by word."""


def filter_table(meter: Meter) -> dict[str, Callable[..., Any]]:
    """Return every filter that a template may name, bound to one meter."""
    table = {name: _guard(meter, name, jinja_filters.FILTERS[name]) for name in FROM_JINJA}
    table |= {name: _guard(meter, name, _bind(meter, function)) for name, function in OWN.items()}
    table["random"] = _guard(meter, "random", _random(meter))
    table["string"] = _guard(meter, "string", _bind(meter, text_of))
    return table


def test_table(meter: Meter) -> dict[str, Callable[..., Any]]:
    """Return every test that a template may name, bound to one meter."""
    return {name: _guard(meter, name, function) for name, function in JINJA_TESTS.items()}


def _random(meter: Meter) -> Callable[..., Any]:
    @pass_environment
    def random(environment: Environment, values: Any) -> Any:
        """Return one element, drawn as `choice` does; an undefined value when there is none."""
        if len(values):
            return choice(meter, values)
        return environment.undefined("there is nothing to draw from")

    return random


def _bind(meter: Meter, function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: function(meter, *args, **kwargs)


def _guard(meter: Meter, name: str, function: Any) -> Callable[..., Any]:
    passed = _PassArg.from_obj(function)
    check = CHECKS.get(name)
    pay = meter.printable if name in TEXTUAL else meter.weigh

    @pass_context  # a filter that takes the context is never folded into a constant
    def guarded(context: Context, *args: Any, **kwargs: Any) -> Any:
        meter.spend(3 + len(args) + len(kwargs))
        if name == "join" and isinstance(args[0], Iterable) and not isinstance(args[0], str):
            args = (list(meter.each(iter(args[0]))), *args[1:])
        if name not in CONSTANT_TIME:
            args = tuple([_paid(meter, pay, arg) for arg in args])
            for arg in kwargs.values():
                pay(arg)
        if name in BY_CHARACTER and isinstance(args[0], (str, bytes)):
            meter.spend(len(args[0]))
        if check is not None:
            check(*args, **kwargs)
        if passed is _PassArg.context:
            result = function(context, *args, **kwargs)
        elif passed is _PassArg.environment:
            result = function(context.environment, *args, **kwargs)
        elif passed is _PassArg.eval_context:
            result = function(context.eval_ctx, *args, **kwargs)
        else:
            result = function(*args, **kwargs)
        if isinstance(result, str):
            meter.text(len(result))
        elif isinstance(result, int):
            meter.weigh(result)
        return result

    return guarded


def _paid(meter: Meter, pay: Callable[[Any], None], value: Any) -> Any:
    if isinstance(value, Iterator) and pay == meter.weigh:
        return meter.each(value)
    pay(value)
    return value


def index(meter: Meter, strict: bool, container: Any, key: Any, getitem: Callable[[Any, Any], Any]) -> Any:
    """Return `container[key]` for a computed key.

    A negative or missing index into the answer choices marks the row as unlabelled: Python would take the
    last choice. In the strict dialect such an index ends the row, and so does any index out of range.
    """
    meter.weigh(key)
    if isinstance(container, Choices) and (key is None or (isinstance(key, int) and key < 0)):
        meter.unlabelled = True
        if strict:
            raise RowError("unlabelled", f"answer_choices[{key}]")
    elif (
        strict and isinstance(key, int) and isinstance(container, Sequence) and not 0 <= key < len(container)
    ):
        raise RowError("index-out-of-range", f"index {key} of {len(container)} elements")
    return getitem(container, key)
