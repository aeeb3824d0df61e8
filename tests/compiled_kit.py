"""Outcomes of rows on every path of the renderer, and Hypothesis strategies for templates and rows."""

from __future__ import annotations

import importlib
import math
import pkgutil
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
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


_reference = lru_cache(maxsize=64)(ReferenceTemplate)


def outcomes_by_reference(template: Template, table: pa.Table, numbers: I64, key: Key = KEY) -> list[Outcome]:
    """Return what the reference and the row checks make of every row."""
    reference = _reference(template)
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
    names = [found.name for found in pkgutil.walk_packages(compiled.__path__, compiled.__name__ + ".")]
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
    }
)
"""Columns of every generated table; one is named by a Python keyword, one field by a method."""


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
