"""Tables of examples for tests: a fixed one with every kind of cell, and a Hypothesis strategy."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from instructify.types import example_schema

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_KINDS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): TEXTS,
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.list_(pa.string()): st.lists(TEXTS, max_size=4),
    pa.list_(pa.int64()): st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
}


def examples(rows: int, start: int = 0) -> pa.Table:
    """Return examples numbered from `start`, with Korean text, quotes, nulls and line separators."""
    return pa.Table.from_pylist([_example(number) for number in range(start, start + rows)], example_schema())


def tables(max_rows: int = 8) -> st.SearchStrategy[pa.Table]:
    """Generate tables of examples with any text and any numbers."""
    schema = example_schema()
    cells = {
        field.name: st.none() | _KINDS[field.type] if field.nullable else _KINDS[field.type]
        for field in schema
    }
    rows = st.lists(st.fixed_dictionaries(cells), max_size=max_rows)
    return rows.map(lambda values: pa.Table.from_pylist(values, schema))


def _example(number: int) -> dict[str, Any]:
    chosen = number % 3
    return {
        "id": f"{number:032x}",
        "inputs": f'{number}: "좋은 영화"\u2028인가요? \\ / é\n\t<b>{{{{ no }}}}|||',
        "targets": ["yes", "no", "아니요"][chosen],
        "answer_choices": None if chosen == 2 else ["yes", "no", ""],
        "label": None if chosen == 2 else chosen,
        "rationale": "" if chosen else None,
        "answer_start": 0 if chosen else None,
        "answer_end": 2 if chosen else None,
        "task": "films/short",
        "cluster": "sentiment",
        "dataset": "films",
        "subset": None if number % 2 else "short",
        "split": "train",
        "row": number,
        "template": "ask",
        "template_hash": "0123456789abcdef",
        "variant": "zero_shot",
        "shots": 0,
        "exemplars": [number, number + 1] if number % 5 == 0 else None,
        "cut": number % 4,
        "language": "en",
        "licence": None if number % 7 else "CC0-1.0",
    }
