"""Outcomes of rows on every path of the renderer, and Hypothesis strategies for templates and rows."""

from __future__ import annotations

import importlib
import math
import pkgutil
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

import instructify.render.compiled as compiled
from instructify.checks import check
from instructify.errors import InstructifyError, RowError
from instructify.keys import I64, Key
from instructify.render.compiled import BatchTemplate, RenderedBatch, Rows
from instructify.render.reference import PROTECTOR, ReferenceTemplate
from instructify.templates import Template

Path = Literal["kernels", "function"]
PATHS: tuple[Path, ...] = ("kernels", "function")
Outcome = str | tuple[str, str, tuple[str, ...] | None, int | None, str | None]
"""The reason of a drop; or inputs, targets, choices, label and rationale."""

KEY = Key.of("the key of every comparison")
NUMBERS_FROM = 2**32 - 3
"""Row numbers of the comparisons lie on both sides of 2**32."""


def make(
    body: str,
    dialect: Literal["strict", "promptsource"] = "promptsource",
    choices: str | tuple[str, ...] | None = None,
    rationale: str | None = None,
    truncate: bool = False,
) -> Template:
    """Return a template of these texts."""
    return Template("d", "t", dialect, body, choices, rationale, truncate=truncate)


def outcomes_by_reference(template: Template, table: pa.Table, numbers: I64, key: Key = KEY) -> list[Outcome]:
    """Return what the reference and the row checks make of every row."""
    reference = ReferenceTemplate(template)
    outcomes: list[Outcome] = []
    for row, number in zip(table.to_pylist(), numbers.tolist(), strict=True):
        try:
            example = check(reference.render(row, key, number))
        except RowError as error:
            outcomes.append(error.reason)
            continue
        parts = example.inputs, example.targets
        outcomes.append((*parts, example.choices, example.label, example.rationale))
    return outcomes


def outcomes_compiled(template: Template, table: pa.Table, numbers: I64, key: Key = KEY) -> list[Outcome]:
    """Return what the compiled path makes of every row."""
    return outcomes_of(BatchTemplate(template).render(Rows(table, numbers), key), table.num_rows)


def outcomes_of(batch: RenderedBatch, count: int) -> list[Outcome]:
    """Return a batch's outcomes in row order, once it is sure that every row has exactly one."""
    kept = batch.kept.tolist()
    columns = [_listed(column, len(kept)) for column in (batch.inputs, batch.targets, batch.choices)]
    columns += [_listed(column, len(kept)) for column in (batch.labels, batch.rationales)]
    found: dict[int, Outcome] = {}
    for row, inputs, targets, choices, label, rationale in zip(kept, *columns, strict=True):
        assert row not in found
        found[row] = inputs, targets, None if choices is None else tuple(choices), label, rationale
    for reason, rows in batch.dropped.items():
        for row in rows:
            assert row not in found
            found[row] = reason
    assert sorted(found) == list(range(count))
    assert batch.by_kernels + batch.by_reference <= count
    return [found[row] for row in range(count)]


def _listed(column: Any, count: int) -> list[Any]:
    if column is None or isinstance(column, tuple):
        return [column] * count
    values: list[Any] = column.to_pylist()
    return values


@contextmanager
def force(path: Path) -> Iterator[None]:
    """Try Arrow kernels on batches of any size, or on none."""
    names = [found.name for found in pkgutil.iter_modules(compiled.__path__, compiled.__name__ + ".")]
    homes = [vars(importlib.import_module(name)) for name in names]
    homes = [home for home in homes if "MIN_KERNEL_ROWS" in home]
    assert homes
    before = [home["MIN_KERNEL_ROWS"] for home in homes]
    for home in homes:
        home["MIN_KERNEL_ROWS"] = 0 if path == "kernels" else sys.maxsize
    try:
        yield
    finally:
        for home, value in zip(homes, before, strict=True):
            home["MIN_KERNEL_ROWS"] = value


def compare(
    template: Template, table: pa.Table, numbers: I64 | None = None, paths: Sequence[Path] = PATHS
) -> list[Outcome]:
    """Return the outcomes of every row, once both compiled paths agree with the reference on them."""
    if numbers is None:
        numbers = np.arange(NUMBERS_FROM, NUMBERS_FROM + table.num_rows)
    wanted = outcomes_by_reference(template, table, numbers)
    for path in paths:
        with force(path):
            assert outcomes_compiled(template, table, numbers) == wanted, path
    return wanted


def is_template(template: Template) -> bool:
    """Tell whether the reference takes a template at all."""
    try:
        ReferenceTemplate(template)
    except InstructifyError:
        return False
    return True


# rows

SPACES = (
    "\x85",
    "\xa0",
    "\u2028",
    "\u3000",
    "\u200b",
    "\x1c",
    "\x1f",
    "\u180e",
    "\ufeff",
    "\u1680",
    "\t",
    " ",
)
NASTY_TEXTS = (
    *("", " ", "a", "B", "yes", "no ", " x y ", "1", "-2", "3.50", "None", "True", "a, b"),
    *("|", "||", "|||", "a|||b", "|||a", "a||", "|| |", "a|"),
    *(PROTECTOR, PROTECTOR[:7], PROTECTOR[7:], f"x{PROTECTOR}y"),
    *("{{ text }}", "{% if %}", "}}", "{#", "%s %d", "{0}", "\\n", '"', "'", "\x00", "a\x00b"),
    *("שלום", "مرحبا", "😀", "e\u0301", "ﬁ", "ß", "İ", "한국어", "\U0010ffff", "\ue000"),
    *(f"{space}a{space}" for space in SPACES),
    *("\r\n", "a\r\nb\r", "\n\na\n\n", "a\tb", "choice", "upper", "a.b c.d"),
    *("é" * 1024, "x" * 2048, "x" * 2049, "y" * 2053, "y" * 2054, "z " * 1500),
)
NASTY_INTEGERS = (0, 1, 2, 3, -1, -2, 5, 60, 255, 10**6, 2**31, 2**53 + 1, 2**63 - 1, -(2**63))
NASTY_FLOATS = (0.0, -0.0, 0.5, 1.0, 2.5, -1.0, 1e16, 1e-7, 1.1, math.nan, math.inf, -math.inf, 1e308)

PLAIN_TEXTS = ("a", "b", "one", "two words", "Yes", "no", "x", "A long line.")
PLAIN_INTEGERS = (0, 0, 1, 1, 2, 3)
PLAIN_FLOATS = (0.5, 1.0, 2.0)

SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "other": pa.string(),
        "num": pa.int64(),
        "label": pa.int64(),
        "real": pa.float64(),
        "flag": pa.bool_(),
        "words": pa.list_(pa.string()),
        "nums": pa.list_(pa.int64()),
        "nested": pa.list_(pa.list_(pa.string())),
        "rec": pa.struct(
            {
                "name": pa.string(),
                "n": pa.int64(),
                "tags": pa.list_(pa.string()),
                "items": pa.string(),
                "inner": pa.struct({"x": pa.string(), "ys": pa.list_(pa.int64())}),
            }
        ),
        "recs": pa.list_(pa.struct({"k": pa.string(), "v": pa.int64()})),
        "class": pa.string(),
        "range": pa.string(),
    }
)
"""Columns of every generated table; the last two are named like things of Python and Jinja."""


@st.composite
def tables(draw: st.DrawFn, max_rows: int = 7) -> pa.Table:
    """Generate tables of SCHEMA: plain ones that kernels settle, ones with some nasty cells, wild ones."""
    share = draw(st.sampled_from((0.0, 0.08, 0.5)))
    seeds = draw(st.lists(st.integers(0, 2**20), max_size=max_rows))
    rows = [row_of(random.Random(seed), share) for seed in seeds]
    return shaped(pa.Table.from_pylist(rows, SCHEMA), draw(st.sampled_from(tuple(SHAPES))))


def row_of(rng: random.Random, share: float) -> dict[str, Any]:
    """Return a row of SCHEMA in which about this share of the columns is nasty."""
    row = {field.name: _value(field.type, rng, rng.random() < share) for field in SCHEMA}
    if row["label"] is not None and rng.random() < 0.9:
        row["label"] = row["label"] % 2
    return row


def _value(kind: pa.DataType, rng: random.Random, nasty: bool) -> Any:
    if nasty and rng.random() < 0.15:
        return None
    if pa.types.is_struct(kind):
        return {field.name: _value(field.type, rng, nasty) for field in kind}
    if pa.types.is_list(kind):
        return [_value(kind.value_type, rng, nasty) for _ in range(rng.randrange(0 if nasty else 1, 4))]
    if pa.types.is_boolean(kind):
        return rng.random() < 0.5
    if pa.types.is_string(kind):
        return rng.choice(NASTY_TEXTS if nasty else PLAIN_TEXTS)
    if pa.types.is_integer(kind):
        return rng.choice(NASTY_INTEGERS if nasty else PLAIN_INTEGERS)
    return rng.choice(NASTY_FLOATS if nasty else PLAIN_FLOATS)


def _sliced(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table, table]).combine_chunks().slice(table.num_rows, table.num_rows)


def _large(table: pa.Table) -> pa.Table:
    kinds = {pa.string(): pa.large_string(), pa.list_(pa.string()): pa.large_list(pa.large_string())}
    return table.cast(pa.schema([(field.name, kinds.get(field.type, field.type)) for field in table.schema]))


def _encoded(table: pa.Table) -> pa.Table:
    for name in ("text", "class"):
        table = table.set_column(table.schema.get_field_index(name), name, table[name].dictionary_encode())
    return table


def _small(table: pa.Table) -> pa.Table:
    """Return the table with labels of one byte, where they fit."""
    place = table.schema.get_field_index("label")
    if any(label is not None and not -128 <= label < 128 for label in table["label"].to_pylist()):
        return table
    return table.set_column(place, "label", table["label"].cast(pa.int8()))


SHAPES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "plain": lambda table: table,
    "chunked": lambda table: pa.concat_tables([table.slice(0, 2), table.slice(2)]),
    "sliced": _sliced,
    "large": _large,
    "encoded": _encoded,
    "small": _small,
}
"""Ways in which the same rows may lie in memory."""


def shaped(table: pa.Table, shape: str) -> pa.Table:
    """Return the same rows in another physical form."""
    return SHAPES[shape](table)


# templates

LITERALS = (
    *("a", "b", "Yes", "no", "x", ", ", " ", "", "|", "|||", "||", "{{", "é", "%s", "two words", "\\n", "1"),
    *("\u00a0", "\\u2028", "0", "-1", "None"),
)
DATA = (
    *("", " ", "a", "Text: ", "\n", "  \n", " x ", "{", "}", "{ }", "|", "||", "{'a'}", "%", "\\", '"', "é"),
    *(
        "\u00a0",
        "\u3000",
        "\x85",
        "{# note #}",
        "\n  ",
        "{{ '{{' }}",
        "\t",
        "\r\n",
        "{% raw %}{{ x }}{% endraw %}",
    ),
)
TEXT_FILTERS = (
    "lower", "upper", "trim", "title", "capitalize", "string", "truncate(2)", "truncate(2048)", "truncate(3, true, '')",
    "replace('a', 'b')", "replace('', '-')", "replace('a', '')", "default('d')", "default('d', true)", "center(6)",
    "indent(2)", "reverse", "replace('o', text)", "trim('a')", "e", "tojson", "d(other)",
)  # fmt: skip
TEXT_METHODS = (
    "lower()", "upper()", "strip()", "strip('a ')", "lstrip()", "rstrip('.')", "replace('a', 'b')", "title()",
    "replace('', 'x')", "replace('|', '/')", "join(words)", "capitalize()", "ljust(5)", "replace(other, '<>')",
    "removeprefix('a')", "format(1)", "replace('a', 'b', 1)",
)  # fmt: skip
LIST_FILTERS = (
    "list", "sort", "unique | list", "reverse | list", "map('upper') | list", "map('length') | list",
    "select | list", "reject('none') | list", "select('string') | list", "map('string') | list", "most_frequent",
    "map('default', 'd') | list", "select('equalto', text) | list", "map('int') | list", "batch(2) | list",
    "map(text) | list", "map('choice') | list", "select('in', words) | list", "sort(reverse=true)", "list | sort",
)  # fmt: skip
TESTS = (
    "none", "not none", "defined", "not defined", "string", "number", "mapping", "iterable", "sequence", "odd",
    "even", "boolean", "integer", "float", "true", "eq('a')", "in(words)", "divisibleby(2)", "gt 1", "ne(num)",
    "lower", "sameas none", "undefined", "escaped",
)  # fmt: skip
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "in", "not in", "==", "==")
LOOP = (
    "index",
    "index0",
    "first",
    "last",
    "length",
    "revindex",
    "previtem",
    "nextitem",
    "revindex0",
    "depth",
)
KINDS = ("text", "number", "truth", "items", "record")


class Grammar:
    """Writes random template texts; every choice is Hypothesis's, so that it can shrink them."""

    def __init__(self, draw: st.DrawFn, strict: bool, has_choices: bool) -> None:
        self._draw = draw
        self._strict = strict
        self._has_choices = has_choices
        self._names: list[tuple[str, str]] = []
        self._loops = 0

    def _pick(self, values: Sequence[str]) -> str:
        return self._draw(st.sampled_from(tuple(values)))

    def _chance(self, one_in: int) -> bool:
        return self._draw(st.integers(1, one_in)) == one_in

    def expression(self, kind: str, depth: int) -> str:
        """Return an expression that mostly has a value of this kind."""
        if self._chance(14):
            kind = self._pick(KINDS)
        names = [name for name, known in self._names if known in (kind, "any")]
        if names and self._chance(3):
            return self._pick(names)
        written: str = getattr(self, f"_{kind}")(depth)
        return written

    def _text(self, depth: int) -> str:
        simple = [
            "text",
            "other",
            "rec.name",
            "rec['name']",
            "words[0]",
            "rec.inner.x",
            "rec['inner'].x",
            "class",
        ]
        simple += [
            "recs[0].k",
            "words[-1]",
            "text[:2]",
            "rec.tags[1]",
            "nested[0][0]",
            "rec['items']",
            "text[0]",
        ]
        if self._has_choices:
            simple += [
                "answer_choices[label]",
                "answer_choices[0]",
                "answer_choices[1]",
                "answer_choices[num]",
            ]
        if depth <= 0 or self._chance(2):
            return self._pick(simple) if not self._chance(5) else self._literal()
        return self._made_text(depth - 1)

    def _made_text(self, depth: int) -> str:
        write = self.expression
        form = self._draw(st.integers(0, 14))
        if form <= 1:
            return f"{self._argument('text', depth)} | {self._pick(TEXT_FILTERS)}"
        if form == 2:
            return f"{self._argument('text', depth)}.{self._pick(TEXT_METHODS)}"
        if form == 3:
            return f"({write('text', depth)} ~ {write(self._pick(KINDS), depth)})"
        if form == 4:
            return f"({write('text', depth)} if {write('truth', depth)} else {write('text', depth)})"
        if form == 5:
            return f"({write('text', depth)} if {write('truth', depth)})"
        if form in (6, 7):
            return f"{self._argument('items', depth)} | join({self._literal() if self._chance(2) else ''})"
        if form == 8:
            return f"{self._argument('items', depth)} | {self._pick(('first', 'last', 'choice', 'random'))}"
        if form == 9:
            return f"{self._argument('items', depth)}[{write('number', depth)}]"
        if form == 10:
            return f"{{'a': 'first', 'b': {write('text', depth)}, 1: 'n'}}[{write('text', depth)}]"
        if form == 11:
            return f"({write('text', depth)} + {write('text', depth)})"
        if form == 12:
            return f"{self._argument('text', depth)} | string"
        if form == 13:
            return f"'%s and %s' % ({write('text', depth)}, {write('number', depth)})"
        return f"({write('text', depth)} {self._pick(('or', 'and'))} {write('text', depth)})"

    def _number(self, depth: int) -> str:
        simple = [
            "num",
            "label",
            "0",
            "1",
            "2",
            "-1",
            "rec.n",
            "nums[0]",
            "recs[0].v",
            "3.5",
            "rec['n']",
            "real",
        ]
        simple += ["none", "99999999999999999999", "true", "text | length", "words | length", "1.0"]
        if self._loops:
            simple += [f"loop.{name}" for name in LOOP]
        if depth <= 0 or self._chance(2):
            return self._pick(simple)
        write, form = self.expression, self._draw(st.integers(0, 9))
        if form <= 1:
            operator = self._pick(("+", "-", "*", "/", "//", "%", "**"))
            return f"({write('number', depth - 1)} {operator} {write('number', depth - 1)})"
        if form == 2:
            return f"{self._argument('items', depth - 1)} | {self._pick(('length', 'sum', 'max', 'min', 'count'))}"
        if form == 3:
            filters = (
                "int",
                "float",
                "round",
                "round(1)",
                "abs",
                "int(-1)",
                "round(0, 'floor')",
                "default(1)",
            )
            return f"{self._argument('number', depth - 1)} | {self._pick(filters)}"
        if form == 4:
            return (
                f"{self._argument('text', depth - 1)} | {self._pick(('int', 'float', 'length', 'wordcount'))}"
            )
        if form == 5:
            methods = ("find('a')", "index('a')", "count('o')", "split().index('x')", "split(' ') | length")
            return f"{self._argument('text', depth - 1)}.{self._pick(methods)}"
        if form == 6:
            return f"{self._argument('items', depth - 1)}.index({write('text', depth - 1)})"
        if form == 7:
            return f"{{'a': 0, 'b': 1, 'one': 2}}[{write('text', depth - 1)}]"
        if form == 8:
            return f"(-{write('number', depth - 1)})"
        return (
            f"({write('number', depth - 1)} if {write('truth', depth - 1)} else {write('number', depth - 1)})"
        )

    def _truth(self, depth: int) -> str:
        if depth <= 0:
            simple = [
                "flag",
                "text",
                "words",
                "num",
                "label == 0",
                "label == 1",
                "text == 'a'",
                "real > 1",
                "nums",
            ]
            if self._loops:
                simple += ["loop.first", "loop.last", "not loop.last", "loop.index == 2"]
            return self._pick(simple)
        write, form = self.expression, self._draw(st.integers(0, 9))
        if form <= 3:
            kinds = ("text", "text", "number", "number", "items", "truth")
            kind = self._pick(kinds)
            other = kind if not self._chance(4) else self._pick(kinds)
            operator = self._pick(COMPARISONS)
            if operator.endswith("in"):
                other = self._pick(("items", "text"))
            return f"({write(kind, depth - 1)} {operator} {write(other, depth - 1)})"
        if form == 4:
            operators = self._pick(COMPARISONS), self._pick(COMPARISONS)
            first, second, third = (write("number", depth - 1) for _ in range(3))
            return f"({first} {operators[0]} {second} {operators[1]} {third})"
        if form == 5:
            return f"({write('truth', depth - 1)} {self._pick(('and', 'or'))} {write('truth', depth - 1)})"
        if form == 6:
            return f"(not {write('truth', depth - 1)})"
        if form <= 8:
            return f"({self._argument(self._pick(KINDS), depth - 1)} is {self._pick(TESTS)})"
        return f"({self._pick(('missing', 'text', 'self', 'rec.missing', 'loop'))} is {self._pick(TESTS)})"

    def _items(self, depth: int) -> str:
        simple = [
            "words",
            "nums",
            "rec.tags",
            "rec['tags']",
            "nested[0]",
            "rec.inner.ys",
            "recs | map(attribute='k')",
        ]
        simple += [
            "['A', 'B']",
            "[text, other]",
            "['a', 'b', 'one']",
            "range(3)",
            "range(num)",
            "(text, 'x')",
            "[]",
        ]
        simple += ["words[1:]", "words[:num]", "words[::-1]", "nums[1:2]", "recs | map(attribute='v') | list"]
        if self._has_choices:
            simple += ["answer_choices", "answer_choices"]
        if depth <= 0 or self._chance(2):
            return self._pick(simple)
        write, form = self.expression, self._draw(st.integers(0, 7))
        if form <= 1:
            return f"{self._argument('items', depth - 1)} | {self._pick(LIST_FILTERS)}"
        if form == 2:
            arguments = ("", "' '", "'a'", "'|'", "'o', 1")
            return f"{self._argument('text', depth - 1)}.split({self._pick(arguments)})"
        if form == 3:
            return f"[{write('text', depth - 1)}, {write(self._pick(KINDS), depth - 1)}]"
        if form == 4:
            test = self._pick(("'k', 'equalto', text", "'v'", "'v', 'gt', num", "'k', 'none'", "'missing'"))
            return f"recs | {self._pick(('selectattr', 'rejectattr'))}({test}) | list"
        if form == 5:
            return f"({write('items', depth - 1)} + {write('items', depth - 1)})"
        if form == 6:
            start, stop = write("number", depth - 1), write("number", depth - 1)
            return f"{self._argument('items', depth - 1)}[{start}:{stop}]"
        return f"[{write('items', depth - 1)}, {write('items', depth - 1)}] | choice"

    def _record(self, depth: int) -> str:
        simple = (
            "rec",
            "recs[0]",
            "rec.inner",
            "{'a': 1, 'b': text}",
            "recs",
            "nested",
            "missing",
            "rec.missing",
        )
        return self._pick(
            (*simple, "dict(a=num, b=text)", "text.x", "none", "rec.items", "rec.keys() | list")
        )

    def _argument(self, kind: str, depth: int) -> str:
        """Return an expression that an operator of any precedence may follow."""
        text = self.expression(kind, depth)
        return (
            text
            if text.replace("_", "").replace(".", "").isalnum() and not text[0].isdigit()
            else f"({text})"
        )

    def _literal(self) -> str:
        text = self._pick(LITERALS).replace("'", "")
        return f"'{text}'"

    # statements

    def body(self) -> str:
        """Return a body that mostly prints two parts."""
        before = self.block(2, top=True)
        after = self._after()
        separator = (
            self._pick(("|||", " ||| ", "\n|||\n", "|||", "|||"))
            if self._strict or not self._chance(16)
            else ""
        )
        if not self._strict and self._chance(8):
            truth = self.expression("truth", 1)
            return f"{before}{{% if {truth} %}} a {separator} b{{% else %}} c {separator}{after}{{% endif %}}"
        return before + separator + after

    def _after(self) -> str:
        if self._has_choices and not self._chance(5):
            index = self._pick(
                ("label", "label", "num", "0", "1", "label - 1", "rec.n", "nums[0]", "-1", "none")
            )
            return f"{{{{ answer_choices[{index}] }}}}"
        return self.block(2) if self._chance(2) else f"t{{{{ {self.expression('text', 1)} }}}}"

    def block(self, depth: int, top: bool = False) -> str:
        """Return a few statements."""
        count = self._draw(st.integers(1, 3 if depth == 2 else 2))
        return "".join(self._statement(depth, top) for _ in range(count))

    def _statement(self, depth: int, top: bool) -> str:
        form = self._draw(st.integers(0, 15 if depth else 6))
        if form <= 1:
            return self._pick(DATA)
        if form <= 6:
            left, right = ("{{-" if self._chance(8) else "{{"), ("-}}" if self._chance(8) else "}}")
            kind = self._pick(("text", "text", "text", "number", "items", "truth", "record"))
            return f"{left} {self.expression(kind, 2)} {right}"
        if form <= 8:
            return self._if(depth)
        if form <= 11:
            return self._for(depth)
        if form <= 13:
            return self._set(depth)
        if form == 14:
            return self._change()
        return f"{{% set {self._bind('text')} %}}{self.block(depth - 1)}{{% endset %}}"

    def _if(self, depth: int) -> str:
        text = f"{{% if {self.expression('truth', 2)} %}}{self.block(depth - 1)}"
        if self._chance(4):
            text += f"{{% elif {self.expression('truth', 1)} %}}{self.block(depth - 1)}"
        if not self._chance(3):
            text += (
                f"{{%- else %}}{self.block(depth - 1)}"
                if self._chance(6)
                else f"{{% else %}}{self.block(depth - 1)}"
            )
        return text + "{% endif %}"

    def _for(self, depth: int) -> str:
        forms = (
            ("{0}", "items"), ("{0}, {1}", "zip(words, nums)"), ("{0}", "range(words | length)"),
            ("{0}, {1}", "rec.items()"), ("{0}", "recs"), ("{0}, {1}", "zip(words, answer_choices)"),
            ("{0}", "rec"), ("({0}, {1}), text", "zip(zip(words, words), nums)"), ("{0}", "text"), ("{0}", "items"),
            ("{0}", "words"), ("{0}", "answer_choices"), ("{0}", "range(num)"), ("{0}", "dict(a=1, b=text)"),
        )  # fmt: skip
        target, iterable = self._draw(st.sampled_from(forms))
        iterable = self.expression("items", 1) if iterable == "items" else iterable
        known = len(self._names)
        target = target.format(self._bind("any"), self._bind("text"))
        condition = f" if {self.expression('truth', 1)}" if self._chance(5) else ""
        self._loops += 1
        body = self.block(depth - 1)
        self._loops -= 1
        del self._names[known:]
        other = f"{{% else %}}{self.block(depth - 1)}" if self._chance(5) else ""
        return f"{{% for {target} in {iterable}{condition} %}}{body}{other}{{% endfor %}}"

    def _set(self, depth: int) -> str:
        if self._chance(5):
            change = (
                f"{{% set ns.v = {self._pick(('ns.v ~ text', 'ns.v + 1', 'num', 'words', 'loop.index'))} %}}"
            )
            loop = (
                f"{{% for w in words %}}{change}{{{{ ns.v }}}}{{% endfor %}}" if self._chance(2) else change
            )
            return f"{{% set ns = namespace(v={self.expression('number', 0)}) %}}{loop}{{{{ ns.v }}}}"
        if self._chance(6):
            return f"{{% set {self._bind('text')}, {self._bind('number')} = text, num %}}"
        kind = self._pick(KINDS)
        value = self.expression(kind, 2)
        return f"{{% set {self._bind(kind)} = {value} %}}"

    def _bind(self, kind: str) -> str:
        name = self._pick(("x", "y", "z", "item", "text", "w"))
        self._names.append((name, kind))
        return name

    def _change(self) -> str:
        changes = (
            "words.append(text)", "rec.tags.append('t')", "rec.update({'name': 'N'})", "words.pop()", "nums.sort()",
            "nums.pop(0)", "answer_choices.append('more')", "answer_choices.pop()", "words.insert(0, 'i')",
            "rec.pop('name')", "words.extend(words)", "recs.reverse()", "words.clear()", "rec['tags'].remove('a')",
        )  # fmt: skip
        return f"{{% set _ = {self._pick(changes)} %}}"

    # answer choices

    def choices(self) -> str | tuple[str, ...]:
        """Return answer choices of any kind that the dialect has."""
        if self._strict:
            if self._chance(2):
                lists = (
                    "words",
                    "['A', 'B']",
                    "[text, other]",
                    "rec.tags",
                    "words | unique | list",
                    "nested[0]",
                )
                return self._pick(lists) if self._chance(2) else self.expression("items", 2)
            texts = (
                "A",
                "B",
                "{{ text }}",
                " no ",
                "{{ other | trim }}",
                "{{ words[0] }}",
                "{{ rec.name }}",
                "A",
            )
            return tuple(self._pick(texts) for _ in range(self._draw(st.integers(1, 3))))
        forms = (
            "A ||| B", "A|||B|||A", " a |||", "{{ text }} ||| {{ other }}", "{{ words | join('|||') }}", "Yes",
            "{{ words | join(' ||| ') }}", "{% for w in words %}{{ w }}|||{% endfor %}z", "{{ [text, 'b'] | join('|||') }}",
            "A ||| {{ text }} ||| {{ rec.name }}", "{{ ['A', 'B'] | choice }} ||| C", "{{ text }}|||{{ num }}",
            "{% if flag %}A ||| B{% else %}B ||| A{% endif %}", "{{ rec.tags | join('|||') }}", "{{ nested[0] | join('|||') }}",
        )  # fmt: skip
        if self._chance(4):
            return f"{{{{ {self.expression('text', 2)} }}}} ||| {{{{ {self.expression('text', 1)} }}}}"
        return self._pick(forms)


@st.composite
def templates(draw: st.DrawFn) -> Template:
    """Generate templates of both dialects, most of which compile."""
    strict = draw(st.booleans())
    has_choices = draw(st.integers(0, 2)) == 0
    grammar = Grammar(draw, strict, has_choices)
    choices = grammar.choices() if has_choices else None
    rationale = None
    if strict and draw(st.integers(0, 7)) == 0:
        rationale = grammar.block(1)
    body = grammar.body()
    truncate = not strict and draw(st.integers(0, 5)) == 0
    return make(body, "strict" if strict else "promptsource", choices, rationale, truncate)
