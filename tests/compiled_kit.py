"""Outcomes of rows on every path of the renderer, and Hypothesis strategies for templates and rows."""

from __future__ import annotations

import importlib
import math
import pkgutil
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

SPACES = ("\x85", "\xa0", "\u2028", "\u3000", "\u200b", "\x1c", "\x1f", "\u180e", "\ufeff", "\u1680", "\t", " ")
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

PLAIN_TEXTS = st.sampled_from(("a", "b", "one", "two words", "Yes", "no", "x", "A long line."))
TEXTS = st.one_of(PLAIN_TEXTS, PLAIN_TEXTS, st.sampled_from(NASTY_TEXTS))
INTEGERS = st.one_of(st.integers(0, 3), st.integers(0, 3), st.sampled_from(NASTY_INTEGERS))
FLOATS = st.sampled_from(NASTY_FLOATS)


def _some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return the values with a null now and then."""
    return st.one_of(*[values] * 7, st.none())


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

_INNER = st.fixed_dictionaries({"x": _some(TEXTS), "ys": _some(st.lists(INTEGERS, max_size=3))})
_NESTED_NULLS: dict[str, st.SearchStrategy[Any]] = {
    "text": _some(TEXTS),
    "other": _some(TEXTS),
    "num": _some(INTEGERS),
    "label": _some(st.sampled_from((0, 1, 1, 2, 0, -1, 3))),
    "real": _some(FLOATS),
    "flag": _some(st.booleans()),
    "words": _some(st.lists(_some(TEXTS), max_size=4)),
    "nums": _some(st.lists(_some(INTEGERS), max_size=4)),
    "nested": _some(st.lists(_some(st.lists(_some(TEXTS), max_size=2)), max_size=2)),
    "rec": _some(
        st.fixed_dictionaries(
            {
                "name": _some(TEXTS),
                "n": _some(INTEGERS),
                "tags": _some(st.lists(TEXTS, max_size=3)),
                "items": TEXTS,
                "inner": _some(_INNER),
            }
        )
    ),
    "recs": _some(st.lists(st.fixed_dictionaries({"k": _some(TEXTS), "v": _some(INTEGERS)}), max_size=3)),
    "class": TEXTS,
    "range": TEXTS,
}
_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "text": PLAIN_TEXTS,
    "other": PLAIN_TEXTS,
    "num": st.integers(0, 3),
    "label": st.integers(0, 1),
    "real": st.sampled_from((0.5, 1.0)),
    "flag": st.booleans(),
    "words": st.lists(PLAIN_TEXTS, min_size=1, max_size=4),
    "nums": st.lists(st.integers(0, 4), max_size=4),
    "nested": st.lists(st.lists(PLAIN_TEXTS, max_size=2), max_size=2),
    "rec": st.fixed_dictionaries(
        {
            "name": PLAIN_TEXTS,
            "n": st.integers(0, 3),
            "tags": st.lists(PLAIN_TEXTS, max_size=3),
            "items": PLAIN_TEXTS,
            "inner": st.fixed_dictionaries(
                {"x": PLAIN_TEXTS, "ys": st.lists(st.integers(0, 3), max_size=3)}
            ),
        }
    ),
    "recs": st.lists(
        st.fixed_dictionaries({"k": PLAIN_TEXTS, "v": st.integers(0, 3)}), min_size=1, max_size=3
    ),
    "class": PLAIN_TEXTS,
    "range": PLAIN_TEXTS,
}
SAMPLES_SEED = 4
SAMPLES = 400


def _pool(columns: dict[str, st.SearchStrategy[Any]]) -> dict[str, list[Any]]:
    """Return a fixed pool of values for each column, so that drawing a row costs one choice a column."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    pool: dict[str, list[Any]] = {name: [] for name in columns}

    @seed(SAMPLES_SEED)
    @settings(
        max_examples=SAMPLES,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.fixed_dictionaries(columns))
    def collect(row: dict[str, Any]) -> None:
        for name, value in row.items():
            pool[name].append(value)

    collect()
    return pool


@st.composite
def tables(draw: st.DrawFn, max_rows: int = 7) -> pa.Table:
    """Generate tables of SCHEMA: plain ones that kernels settle, ones with a few nasty cells, wild ones."""
    count = draw(st.integers(0, max_rows))
    nasty = draw(st.sampled_from((0, 1, 4)))
    rows = []
    for _ in range(count):
        rng = draw(st.randoms(use_true_random=False))
        rows.append(_row(rng, nasty))
    return shaped(pa.Table.from_pylist(rows, SCHEMA), draw(st.sampled_from(tuple(SHAPES))))


_POOLS: list[dict[str, list[Any]]] = []


def _row(rng: Any, nasty: int) -> dict[str, Any]:
    if not _POOLS:
        _POOLS.extend((_pool(_PLAIN), _pool(_NESTED_NULLS)))
    row = {}
    for name in SCHEMA.names:
        pool = _POOLS[rng.randrange(10) < nasty][name]
        row[name] = pool[rng.randrange(len(pool))]
    return row


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
    """Return the table with labels of one byte, and with unsigned numbers where they allow it."""
    place = table.schema.get_field_index("label")
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
