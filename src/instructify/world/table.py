"""Rows of a world dataset as an Arrow table that looks like one the `datasets` library wrote.

A row depends on (dataset, split, row) and nothing else. Which split a text may appear in is decided by a
hash of the text itself, so that no text is shared between splits except where one is planted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from instructify.errors import InstructifyError, Problem, nearest
from instructify.keys import Key, digest
from instructify.world.draws import Draws

if TYPE_CHECKING:
    import pyarrow as pa

# "string", "int64" and so on; a tuple of label names; a list of one feature; a struct of features
Feature: TypeAlias = "str | tuple[str, ...] | list[Any] | Mapping[str, Any]"
Row: TypeAlias = dict[str, Any]

SPLITS: Mapping[str, int] = {"train": 2000, "validation": 400, "test": 400}
_SHARES = (("train", 192), ("validation", 224), ("test", 256))  # of the first byte of the text's hash
_ATTEMPTS = 400

# Faults that real datasets have, at fixed places: row modulo 1000 in train, row in the other splits.
DIRT: Mapping[str, Mapping[int, str]] = {
    "train": {
        17: "unlabelled",  # label -1, or an empty answer
        117: "blank",  # the text is three spaces
        217: "missing",  # the text is null
        317: "trailing",  # the text ends in two spaces
        417: "bars",  # ||| inside the text
        517: "braces",  # {{ label }} inside the text
        617: "long",  # the text three hundred times
        717: "duplicate",  # the same row as the one before
        817: "unanswered",  # no answers in a list of answers
    },
    "validation": {17: "unlabelled", 57: "leak"},  # a leak is the row of the same number in train
    "test": {17: "unlabelled"},
}


@dataclass(frozen=True, slots=True)
class Column:
    """Type and meaning of one column."""

    feature: Feature
    doc: str


@dataclass(frozen=True, slots=True)
class WorldDataset:
    """One small dataset of the offline world.

    `text` are the columns that make a row's text, the first of which takes the dirt; `label` is the
    column that is unset in an unlabelled row; `dirt` are the kinds of fault planted, of those in DIRT.
    """

    name: str
    cluster: str
    metric: str
    description: str
    columns: Mapping[str, Column]
    text: tuple[str, ...]
    make: Callable[[Draws], Row]
    language: str = "en"
    label: str | None = None
    dirt: tuple[str, ...] = ()

    @property
    def label_names(self) -> dict[str, tuple[str, ...]]:
        """Label names of every class-label column."""
        return {name: c.feature for name, c in self.columns.items() if isinstance(c.feature, tuple)}


def dirty_rows(dataset: WorldDataset, split: str, rows: int) -> dict[int, str]:
    """Return the kind of fault planted in each dirty row of the first `rows` rows."""
    plan = DIRT.get(split, {})
    places = {row: plan.get(row % 1000 if split == "train" else row) for row in range(rows)}
    return {row: kind for row, kind in places.items() if kind in dataset.dirt}


def make_rows(dataset: WorldDataset, split: str, rows: int) -> list[Row]:
    """Return the first `rows` rows of a split as plain data."""
    dirty = dirty_rows(dataset, split, rows)
    out = []
    for number in range(rows):
        kind = dirty.get(number)
        if kind is None:
            out.append(_clean(dataset, split, number))
        else:
            out.append(_soiled(dataset, split, number, kind))
    return out


def _clean(dataset: WorldDataset, split: str, number: int) -> Row:
    key = Key.of("world", dataset.name, split)
    for attempt in range(_ATTEMPTS):
        row = dataset.make(Draws(key, number, attempt))
        if _split_of(dataset, row) == split:
            return row
    raise AssertionError(f"{dataset.name} makes too few texts for its {split} split")


def _split_of(dataset: WorldDataset, row: Row) -> str:
    parts = (row[name] for name in dataset.text)
    byte = digest(dataset.name, *("\n".join(part) if isinstance(part, list) else part for part in parts))[0]
    return next(split for split, limit in _SHARES if byte < limit)


def _soiled(dataset: WorldDataset, split: str, number: int, kind: str) -> Row:
    if kind == "duplicate":
        return _clean(dataset, split, number - 1)
    if kind == "leak":
        return _clean(dataset, "train", number)
    row = _clean(dataset, split, number)
    if kind == "unlabelled":
        assert dataset.label is not None  # noqa: S101 - a fault of the table of datasets, not of a user
        return {**row, dataset.label: "" if isinstance(row[dataset.label], str) else -1}
    if kind == "unanswered":
        return {**row, "answers": {"text": [], "answer_start": []}}
    column = dataset.text[0]
    text = row[column]
    soiled = {
        "blank": "   ",
        "missing": None,
        "trailing": text + "  ",
        "bars": text.replace(" ", " ||| ", 1),
        "braces": text + " {{ label }}",
        "long": " ".join([text] * 300),
    }
    return {**row, column: soiled[kind]}


def arrow_type(feature: Feature) -> pa.DataType:
    """Return the Arrow type of a feature."""
    import pyarrow as pa

    if isinstance(feature, str):
        return pa.bool_() if feature == "bool" else getattr(pa, feature)()
    if isinstance(feature, tuple):
        return pa.int64()
    if isinstance(feature, list):
        return pa.list_(arrow_type(feature[0]))
    return pa.struct([pa.field(name, arrow_type(part)) for name, part in feature.items()])


def feature_json(feature: Feature) -> dict[str, Any]:
    """Return a feature as the `datasets` library describes it in a schema's metadata."""
    if isinstance(feature, str):
        return {"dtype": feature, "_type": "Value"}
    if isinstance(feature, tuple):
        return {"names": list(feature), "_type": "ClassLabel"}
    if isinstance(feature, list):
        return {"feature": feature_json(feature[0]), "_type": "List"}
    return {name: feature_json(part) for name, part in feature.items()}


def schema(dataset: WorldDataset) -> pa.Schema:
    """Return the Arrow schema of a dataset, label names in its metadata."""
    import pyarrow as pa

    features = {name: feature_json(column.feature) for name, column in dataset.columns.items()}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    fields = [pa.field(name, arrow_type(column.feature)) for name, column in dataset.columns.items()]
    return pa.schema(fields, metadata=metadata)


def table(dataset: WorldDataset, split: str, rows: int | None = None) -> pa.Table:
    """Return the first `rows` rows of a split (by default all of SPLITS) as an Arrow table.

    Raises:
        InstructifyError: there is no such split, or `rows` is negative.
    """
    import pyarrow as pa

    if split not in SPLITS:
        raise InstructifyError(
            Problem(
                what=f"the world dataset {dataset.name} has no split {split!r}",
                expected=f"one of {', '.join(SPLITS)}",
                nearest=nearest(split, SPLITS),
            )
        )
    count = SPLITS[split] if rows is None else rows
    if count < 0:
        raise InstructifyError(Problem(what=f"{count} rows of {dataset.name}", expected="0 rows or more"))
    return pa.Table.from_pylist(make_rows(dataset, split, count), schema=schema(dataset))
