"""Arrow's view types, as newer writers leave them in files, read as plain text and bytes."""

from __future__ import annotations

from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from instructify.recipe.models import DiskSource
from instructify.sources import open_source, read_rows, source_schema
from sources_kit import everything, opened, rows

LONG = "a text that is too long to be kept within the view itself"
PLAIN = pa.schema(
    {"s": pa.string(), "b": pa.binary(), "l": pa.list_(pa.string()), "k": pa.struct({"x": pa.string()})}
)


def views() -> pa.Table:
    words = pa.array(["a", None, LONG], pa.string_view())
    return pa.table(
        {
            "s": words,
            "b": pa.array([b"a", None, LONG.encode()], pa.binary_view()),
            "l": pa.ListArray.from_arrays([0, 1, 2, 3], words),
            "k": pa.StructArray.from_arrays([words], names=["x"]),
        }
    )


def test_view_columns_of_parquet_are_read_as_plain_ones(tmp_path: Path) -> None:
    pq.write_table(views(), tmp_path / "a.parquet")
    assert pq.read_schema(tmp_path / "a.parquet").field("s").type == pa.string_view()
    source = opened(tmp_path, "a.parquet")
    assert source_schema(source) == PLAIN
    found = read_rows(source, 0, 3, source.columns)
    assert found.schema == PLAIN
    assert found.to_pylist() == views().to_pylist()
    assert found.take([2, 0])["b"].to_pylist() == [LONG.encode(), b"a"]


def test_view_columns_are_converted_beside_a_cast(tmp_path: Path) -> None:
    table = views().append_column("n", [["1", "2", "3"]])
    pq.write_table(table, tmp_path / "a.parquet")
    assert rows(tmp_path, "a.parquet", cast={"n": "int64"}) == [
        {**row, "n": number} for number, row in enumerate(views().to_pylist(), 1)
    ]


def test_view_columns_of_a_saved_dataset_are_read_as_plain_ones(tmp_path: Path) -> None:
    table = views().select(["s", "b"])
    datasets.Dataset(table).save_to_disk(tmp_path / "d")
    source = open_source(DiskSource(kind="disk", path="d"), "train", tmp_path, tmp_path / "work")
    assert source_schema(source) == pa.schema({"s": pa.string(), "b": pa.binary()})
    assert everything(source) == table.to_pylist()


def test_maps_lose_views_and_dictionaries_too(tmp_path: Path) -> None:
    words = pa.array(["a", "b"]).dictionary_encode()
    made = pa.table({"m": pa.MapArray.from_arrays([0, 2], pa.array(["x", "y"], pa.string_view()), words)})
    pq.write_table(made, tmp_path / "a.parquet")
    source = opened(tmp_path, "a.parquet")
    assert source_schema(source) == pa.schema({"m": pa.map_(pa.string(), pa.string())})
    assert everything(source) == [{"m": [("x", "a"), ("y", "b")]}]
