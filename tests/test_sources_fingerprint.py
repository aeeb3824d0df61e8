from __future__ import annotations

import itertools
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.sources.fingerprint import of_values

rows = st.lists(
    st.fixed_dictionaries(
        {
            "n": st.none() | st.integers(-5, 5),
            "t": st.none() | st.text("ab\0", max_size=2),
            "l": st.none() | st.lists(st.none() | st.text("ab", max_size=2), max_size=2),
            "s": st.none() | st.fixed_dictionaries({"x": st.none() | st.booleans()}),
        }
    ),
    max_size=6,
)
SCHEMA = pa.schema(
    {"n": pa.int64(), "t": pa.string(), "l": pa.list_(pa.string()), "s": pa.struct({"x": pa.bool_()})}
)


def mark(*tables: pa.Table) -> str:
    return of_values(SCHEMA, tables, {}, "")


@settings(deadline=None)
@given(rows, st.lists(st.integers(0, 6), max_size=3))
def test_cutting_a_table_leaves_its_fingerprint(found: list[dict[str, object]], cuts: list[int]) -> None:
    table = pa.Table.from_pylist(found, SCHEMA)
    edges = [0, *sorted(cut for cut in cuts if cut <= len(found)), len(found)]
    pieces = [table.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    assert mark(*pieces) == mark(table)


@settings(deadline=None)
@given(rows, rows)
def test_tables_have_one_fingerprint_exactly_when_their_rows_agree(
    one: list[dict[str, object]], two: list[dict[str, object]]
) -> None:
    marks = [mark(pa.Table.from_pylist(found, SCHEMA)) for found in (one, two)]
    assert (marks[0] == marks[1]) == (json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True))


def test_many_rows_in_odd_batches_have_one_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instructify.sources.fingerprint.HASH_ROWS", 4)
    table = pa.Table.from_pylist([{"n": n, "t": "x", "l": [], "s": None} for n in range(23)], SCHEMA)
    batches = [table.slice(0, 1), table.slice(1, 9), table.slice(10, 13)]
    assert mark(*batches) == mark(table)
