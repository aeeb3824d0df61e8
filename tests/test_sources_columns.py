from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructify.sources import source_schema
from instructify.sources.columns import CASTS
from sources_kit import complaint, opened, put, rows


def test_rename_cast_and_labels_apply_in_this_order(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "x,y,n\n007,pos,1.5\n8,neg,2\n")
    options: dict[str, Any] = {
        "rename": {"x": "id", "y": "label"},
        "cast": {"id": "int64", "n": "float64"},
        "label_names": {"label": ["neg", "pos"]},
    }
    assert rows(tmp_path, "a.csv", **options) == [
        {"id": 7, "label": 1, "n": 1.5},
        {"id": 8, "label": 0, "n": 2.0},
    ]
    source = opened(tmp_path, "a.csv", **options)
    assert source.labels == {"label": ("neg", "pos")}
    assert source_schema(source) == pa.schema({"id": pa.int64(), "label": pa.int64(), "n": pa.float64()})


@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "parquet"])
def test_every_format_casts_and_labels_alike(tmp_path: Path, form: str) -> None:
    contents = {
        "csv": "n,y\n1,no\n2,yes\n",
        "jsonl": '{"n": 1, "y": "no"}\n{"n": 2, "y": "yes"}\n',
        "json": '[{"n": 1, "y": "no"}, {"n": 2, "y": "yes"}]',
        "parquet": "",
    }
    put(tmp_path / f"a.{form}", contents[form])
    if form == "parquet":
        pq.write_table(pa.table({"n": [1, 2], "y": ["no", "yes"]}), tmp_path / "a.parquet")
    options: dict[str, Any] = {
        "cast": {"m": "string"},
        "rename": {"n": "m"},
        "label_names": {"y": ["no", "yes"]},
    }
    assert rows(tmp_path, f"a.{form}", **options) == [{"m": "1", "y": 0}, {"m": "2", "y": 1}]


def test_a_value_that_does_not_fit_a_cast_names_its_place(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "n\n1\n\n2\nx\n")
    put(tmp_path / "b.csv", "n,m\n1,1\n,2\n")
    put(tmp_path / "c.json", '[{"n": 1}, {"n": [2]}]')
    pq.write_table(pa.table({"n": [1.0, 2.5]}), tmp_path / "d.parquet")
    cast = {"n": "int64"}
    assert complaint(tmp_path, "a.csv", cast=cast).startswith(
        "a.csv:5: column 'n' holds 'x', which is no int64"
    )
    assert "b.csv:3: column 'n' holds '', which is no int64; expected a value, or null_values: [\"\"]" in (
        complaint(tmp_path, "b.csv", cast=cast)
    )
    assert "c.json row 1: column 'n' holds [2]" in complaint(tmp_path, "c.json", cast=cast)
    assert "d.parquet row 1: column 'n' holds 2.5" in complaint(tmp_path, "d.parquet", cast=cast)


@pytest.mark.parametrize(
    ("cast", "value", "expected"),
    [
        ("int64", "-12", -12),
        ("int64", "+007", 7),
        ("int64", 3.0, 3),
        ("int64", True, 1),
        ("int64", 2**63 - 1, 2**63 - 1),
        ("float64", "1e-3", 0.001),
        ("float64", ".5", 0.5),
        ("float64", 3, 3.0),
        ("bool", "TRUE", True),
        ("bool", "0", False),
        ("bool", 1, True),
        ("string", 1.5, "1.5"),
        ("string", False, "false"),
        ("string", 10**30, "1" + "0" * 30),
    ],
)
def test_a_cast_gives_this_value(cast: Any, value: object, expected: object) -> None:
    found = CASTS[cast](value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("cast", "value"),
    [
        ("int64", "1.0"),
        ("int64", " 1"),
        ("int64", "１"),
        ("int64", ""),
        ("int64", str(2**63)),
        ("int64", "9" * 5000),
        ("int64", 2.5),
        ("int64", math.nan),
        ("int64", math.inf),
        ("float64", "nan"),
        ("float64", "inf"),
        ("float64", "1_0"),
        ("float64", "1e999"),
        ("float64", 2**53 + 1),
        ("bool", "yes"),
        ("bool", 2),
        ("string", [1]),
        ("string", {"a": 1}),
        ("string", math.inf),
    ],
)
def test_a_cast_refuses_this_value(cast: Any, value: object) -> None:
    with pytest.raises((ValueError, OverflowError)):
        CASTS[cast](value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_survive_a_cast_to_text_and_back(number: int) -> None:
    assert CASTS["int64"](CASTS["string"](number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive_a_cast_to_text_and_back(number: float) -> None:
    assert CASTS["float64"](CASTS["string"](number)) == number


def test_a_text_that_is_no_label_names_its_place_and_the_nearest(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "y\nno\nyess\n")
    text = complaint(tmp_path, "a.csv", label_names={"y": ["no", "yes"]})
    assert text == "a.csv:3: column 'y' holds 'yess', no label; expected one of no, yes; did you mean 'yes'?"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_label_numbers_lie_from_minus_one_to_the_last_name(tmp_path: Path, form: str) -> None:
    for stem, numbers in (("good", [-1, 0, 1]), ("bad", [0, 2]), ("worse", [0, -2])):
        if form == "csv":
            put(tmp_path / f"{stem}.csv", "y\n" + "\n".join(map(str, numbers)))
        else:
            pq.write_table(pa.table({"y": numbers}), tmp_path / f"{stem}.parquet")
    names = {"y": ["no", "yes"]}
    assert [row["y"] for row in rows(tmp_path, f"good.{form}", label_names=names)] == [-1, 0, 1]
    assert "column 'y' holds 2, no label; expected -1 to 1" in complaint(
        tmp_path, f"bad.{form}", label_names=names
    )
    assert "column 'y' holds -2, no label" in complaint(tmp_path, f"worse.{form}", label_names=names)


def test_null_labels_stay_null(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", '{"y": "no"}\n{"y": null}\n')
    assert rows(tmp_path, "a.jsonl", label_names={"y": ["no", "yes"]}) == [{"y": 0}, {"y": None}]


def test_labels_on_a_column_of_another_type_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", '{"y": 1.5}\n')
    assert "label_names: column 'y' is double" in complaint(
        tmp_path, "a.jsonl", label_names={"y": ["no", "yes"]}
    )


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_every_wrong_column_option_is_reported_at_once(tmp_path: Path, form: str) -> None:
    put(tmp_path / "a.csv", "text,label\nx,1\n")
    pq.write_table(pa.table({"text": ["x"], "label": [1]}), tmp_path / "a.parquet")
    text = complaint(
        tmp_path,
        f"a.{form}",
        rename={"txt": "t"},
        cast={"labl": "string"},
        label_names={"other": ["a"], "label": ["a", "a"]},
    )
    assert len(text.splitlines()) == 4
    assert "rename: the source has no column 'txt'; expected one of text, label; did you mean 'text'?" in text
    assert "cast: there is no column 'labl'" in text
    assert "label_names: there is no column 'other'" in text
    assert "those of 'label' are empty or not all different" in text


def test_a_rename_onto_another_column_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "a,b\n1,2\n")
    assert "two columns would be called 'b'" in complaint(tmp_path, "a.csv", rename={"a": "b"})


def test_a_cast_to_the_same_type_copies_nothing(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1]}), tmp_path / "a.parquet")
    assert opened(tmp_path, "a.parquet", cast={"n": "int64"}).files[0].path == tmp_path / "a.parquet"
