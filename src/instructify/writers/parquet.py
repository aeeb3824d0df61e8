"""Parquet, compressed with Zstandard, every page with a checksum, made for `datasets` to open."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

from instructify.types import example_schema

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_GROUP = 16_384
LOW_CARDINALITY = (
    "task",
    "cluster",
    "dataset",
    "subset",
    "split",
    "template",
    "template_hash",
    "variant",
    "language",
    "licence",
)
# a reader can skip row groups by these; of long texts and random ids the extremes tell nothing
_WITH_STATISTICS = (*LOW_CARDINALITY, "label", "row", "shots")
_RANDOM = ("id",)
"""Columns that hold nothing to be found: a higher level takes twice the time and comes out larger."""


def write_parquet(table: pa.Table, file: BinaryIO) -> None:
    """Write a table of examples; the bytes depend on its rows and the PyArrow version alone.

    Raises ValueError unless the columns are those of `example_schema`.
    """
    import pyarrow.parquet as pq

    schema = example_schema()
    described = schema.with_metadata({"huggingface": _features(schema)})
    pq.write_table(
        table.cast(described).combine_chunks(),
        file,
        row_group_size=ROWS_PER_GROUP,
        compression="zstd",
        compression_level={_leaf(field): 1 if field.name in _RANDOM else 3 for field in schema},
        use_dictionary=list(LOW_CARDINALITY),
        write_statistics=list(_WITH_STATISTICS),
        write_page_checksum=True,
    )


def _leaf(field: pa.Field) -> str:
    """Return the path that Parquet has for the values of a column: PyArrow takes levels by these alone."""
    import pyarrow.types as kinds

    return f"{field.name}.list.element" if kinds.is_list(field.type) else field.name


def _features(schema: pa.Schema) -> str:
    features = {field.name: _feature(field.type) for field in schema}
    return json.dumps({"info": {"features": features}})


def _feature(kind: pa.DataType) -> dict[str, Any]:
    import pyarrow.types as kinds

    if kinds.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": str(kind), "_type": "Value"}
