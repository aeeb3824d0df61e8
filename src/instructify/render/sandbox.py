"""The Jinja environment of each dialect: sandboxed, paid for by one meter, nothing folded at compile time."""

from __future__ import annotations

import operator
import string
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from instructify.errors import RowError
from instructify.render import filters, rewrite
from instructify.render.meter import MAX_BITS, MAX_RANGE, VIEWS, Meter, over

Dialect = Literal["strict", "promptsource"]

METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset(
        "capitalize casefold center count endswith expandtabs find format index isalnum isalpha isdigit "
        "islower isnumeric isspace istitle isupper join ljust lower lstrip partition removeprefix "
        "removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith "
        "strip swapcase title upper zfill".split()
    ),
    list: frozenset("append clear copy count extend index insert pop remove reverse sort".split()),
    tuple: frozenset({"count", "index"}),
    dict: frozenset("clear copy get items keys pop popitem setdefault update values".split()),
}
"""Methods of row values that a template may call; nothing else of a built-in type is callable."""

WIDTHS = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs"})
QUADRATIC = frozenset({"rfind", "rindex", "rsplit", "rpartition", "strip", "lstrip", "rstrip"})
"""Methods of texts whose time is the product of the two lengths at worst."""
GLOBALS = frozenset({"range", "dict", "zip", "namespace", "cycler", "joiner"})
MUTATORS = frozenset("append clear extend insert pop remove reverse sort popitem setdefault update".split())


class Cut(str):
    """The mark between prompt and target; recognised by identity, so no row text can forge it."""

    __slots__ = ()

    def __str__(self) -> str:
        return self


CUT = Cut()


class Sandbox(SandboxedEnvironment):
    """Jinja for one dialect and one thread at a time, with the meter of the row in progress."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})

    def __init__(self, dialect: Dialect) -> None:
        strict = dialect == "strict"
        self.meter = Meter()
        self.strict = strict
        self.may_mutate = False
        super().__init__(
            undefined=StrictUndefined if strict else Undefined,
            trim_blocks=strict,
            lstrip_blocks=strict,
            finalize=self._printed,
            cache_size=0,
        )
        self.filters.clear()
        self.filters.update(filters.filter_table(self.meter), **self._hooks())
        self.tests.clear()
        self.tests.update(filters.test_table(self.meter))
        self.globals = {
            "range": _bounded_range,
            "dict": dict,
            "zip": zip,
            "namespace": self.globals["namespace"],
            "cycler": self.globals["cycler"],
            "joiner": self.globals["joiner"],
        }

    @pass_context  # a finalize that takes the context is never run at compile time
    def _printed(self, context: Context, value: Any) -> Any:
        if value is CUT:
            return value
        text = filters.text_of(self.meter, value)
        if value is None and self.strict:
            raise RowError("none-printed", "the template prints None")
        return text

    def _hooks(self) -> dict[str, Callable[..., Any]]:
        meter = self.meter

        @pass_context
        def tick(context: Context, price: int) -> None:
            meter.spend(price)

        @pass_context
        def tested(context: Context, value: Any) -> Any:
            meter.spend(20)
            return value

        @pass_context
        def weighed(context: Context, value: Any) -> Any:
            meter.weigh(value)
            return value

        @pass_context
        def concat(context: Context, *values: Any) -> str:
            result = filters.concat(meter, *values)
            meter.text(len(result))
            return result

        @pass_context
        def index(context: Context, container: Any, key: Any) -> Any:
            return filters.index(meter, self.strict, container, key, self.getitem)

        @pass_context
        def cut(context: Context, value: Any) -> Cut:
            return CUT

        return {
            rewrite.TICK: tick,
            rewrite.TESTED: tested,
            rewrite.WEIGHED: weighed,
            rewrite.CONCAT: concat,
            rewrite.INDEX: index,
            rewrite.CUT: cut,
        }

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Apply an arithmetic operator, refusing results of absurd size before they are made."""
        if isinstance(left, (*VIEWS, bytes)) or isinstance(right, VIEWS):
            raise SecurityError(f"{operator} is not for a {type(left).__name__}")  # a set has no order
        if operator == "*":
            self._check_product(left, right)
        elif operator == "**":
            self._check_power(left, right)
        elif operator == "%" and isinstance(left, str):
            filters.check_percent(self.meter, left, right)
        self.meter.weigh(left)
        self.meter.weigh(right)
        result = _OPERATORS[operator](left, right)
        self.meter.weigh(result)
        return result

    def _check_product(self, left: Any, right: Any) -> None:
        for value, times in ((left, right), (right, left)):
            if isinstance(value, (str, bytes, list, tuple)) and isinstance(times, int):
                self.meter.text(len(value) * max(times, 0))
        if (
            isinstance(left, int)
            and isinstance(right, int)
            and left.bit_length() + right.bit_length() > MAX_BITS
        ):
            over("an integer of too many digits")

    def _check_power(self, left: Any, right: Any) -> None:
        if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > MAX_BITS:
            over("an integer of too many digits")

    def call(self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a function or a method of a row value, paying for its arguments and its result."""
        meter = self.meter
        meter.spend(5 + len(args) + len(kwargs))
        args = tuple([meter.each(arg) if isinstance(arg, Iterator) else arg for arg in args])
        if isinstance(__obj, types.BuiltinMethodType) and not isinstance(__obj.__self__, types.ModuleType):
            if __obj.__name__ == "join":
                args = tuple([arg if isinstance(arg, str) else list(meter.each(iter(arg))) for arg in args])
            named = {name: arg for name, arg in kwargs.items() if not name.startswith("_")}
            self._check_method(__obj.__self__, __obj.__name__, (*args, *named.values()), named)
        for arg in args:
            meter.weigh(arg)
        for name, arg in kwargs.items():
            if not name.startswith("_"):  # Jinja passes its own bookkeeping by such names
                meter.weigh(arg)
        result = super().call(__context, __obj, *args, **kwargs)
        if isinstance(result, str):
            meter.spend(len(result) >> 4)
        elif isinstance(result, list):
            meter.spend(len(result))
        return result

    def _check_method(self, owner: Any, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        allowed = next((names for kind, names in METHODS.items() if isinstance(owner, kind)), frozenset())
        if name not in allowed:
            raise SecurityError(f"{type(owner).__name__}.{name} may not be called in a template")
        if isinstance(owner, str):
            self._check_text_method(owner, name, args)
            return
        if name in MUTATORS and not self.may_mutate:  # a row is copied only where the text shows a change
            raise SecurityError(f"{name} may only be called by its plain name")
        if named.get("key") is not None and name == "sort":
            raise SecurityError("sort takes no key in a template")
        if name in ("index", "count", "remove", "sort"):
            self.meter.weigh(owner)
        elif name in ("extend", "copy", "reverse", "insert", "update"):
            self.meter.spend(len(owner))
        elif name == "pop":
            self.meter.spend(len(owner) >> 6)

    def _check_text_method(self, owner: str, name: str, args: tuple[Any, ...]) -> None:
        self.meter.text(len(owner))
        if name in WIDTHS:
            width = args[0] if args and isinstance(args[0], int) else 8
            pieces = owner.count("\t") + 1 if name == "expandtabs" else 1
            self.meter.text(len(owner) + pieces * max(width, 0))
        elif name in QUADRATIC and args and isinstance(args[0], str):
            self.meter.spend((len(owner) * len(args[0])) >> 8)
        elif name == "replace" and len(args) >= 2:
            filters.check_replace(owner, str(args[0]), str(args[1]))
        elif name == "join" and args:
            self.meter.text(len(owner) * len(args[0]))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Return a checked stand-in for `str.format`: plain fields and small widths only."""
        if not isinstance(value, types.BuiltinMethodType) or value.__name__ not in ("format", "format_map"):
            return None
        template = value.__self__
        if not isinstance(template, str):
            return None
        if value.__name__ == "format_map":
            raise SecurityError("str.format_map may not be called in a template")
        meter = self.meter

        def safe_format(*args: Any, **kwargs: Any) -> str:
            widths = 0
            for _, field, spec, _ in string.Formatter().parse(template):
                meter.spend(4)
                if field and ("." in field or "[" in field):
                    raise SecurityError("a format field may not reach into its value")
                widths += 0 if field is None else filters.check_spec(spec or "")
            filters.check_fields(meter, len(template), widths, (*args, *kwargs.values()))
            result = template.format(*args, **kwargs)
            meter.text(len(result))
            return result

        return safe_format


def _bounded_range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > MAX_RANGE:
        over(f"a range of {len(numbers):,} numbers")
    return numbers


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "**": operator.pow,
    "%": operator.mod,
}
