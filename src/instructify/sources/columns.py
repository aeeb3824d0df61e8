"""Renames, strict casts and label names: from stored columns to those that templates see."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from instructify.errors import InstructifyError, Problem, nearest
from instructify.recipe.models import Cast, Columns
from instructify.sources.block import Block

if TYPE_CHECKING:
    import pyarrow as pa

Where = Callable[[int], str]

WHOLE = re.compile(r"[+-]?[0-9]+")
REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
TRUTH = {"true": True, "false": False, "1": True, "0": False}


def maybe_raw(spec: Columns) -> frozenset[str]:
    """Return every stored name that the recipe may cast, before the columns are known."""
    renamed = {new: old for old, new in spec.rename.items()}
    return frozenset(renamed.get(name, name) for name in spec.cast)


def check_columns(spec: Columns, stored: Sequence[str], where: str) -> None:
    """Raise one InstructifyError with every rename, cast or label list that does not fit the columns."""
    problems = [
        _unknown(f"rename: the source has no column {old!r}", old, stored, where)
        for old in spec.rename
        if old not in stored
    ]
    visible = [spec.rename.get(name, name) for name in stored]
    problems += [
        Problem(f"rename: two columns would be called {name!r}", where)
        for name in sorted({name for name in visible if visible.count(name) > 1})
    ]
    for option, names in (("cast", spec.cast), ("label_names", spec.label_names)):
        problems += [
            _unknown(f"{option}: there is no column {name!r}", name, visible, where)
            for name in names
            if name not in visible
        ]
    for name, labels in spec.label_names.items():
        if not labels or len(set(labels)) < len(labels):
            problems.append(Problem(f"label_names: those of {name!r} are empty or not all different", where))
    if problems:
        raise InstructifyError(*problems)


def cast_type(cast: Cast) -> pa.DataType:
    """Return the Arrow type of a cast."""
    import pyarrow as pa

    kinds = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
    return kinds[cast]


def visible_types(types: Mapping[str, pa.DataType | None], spec: Columns) -> dict[str, pa.DataType]:
    """Return the types that `visible_block` produces, by visible name.

    Raises:
        InstructifyError: label names are given for a column that is neither integers nor strings.
    """
    import pyarrow as pa

    found: dict[str, pa.DataType] = {}
    problems = []
    for stored, kind in types.items():
        name = spec.rename.get(stored, stored)
        final = cast_type(spec.cast[name]) if name in spec.cast else kind
        assert final is not None  # noqa: S101  readers leave out only the types of cast columns
        if name in spec.label_names:
            if pa.types.is_string(final) or pa.types.is_large_string(final):
                final = pa.int64()
            elif not pa.types.is_integer(final):
                problems.append(
                    Problem(f"label_names: column {name!r} is {final}", expected="integers or strings")
                )
        found[name] = final
    if problems:
        raise InstructifyError(*problems)
    return found


def visible_block(block: Block, spec: Columns, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Apply renames, casts and label names to a block.

    Raises:
        InstructifyError: a value does not fit its cast or its label names; it names the place.
    """
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for stored, values in block.columns.items():
        name = spec.rename.get(stored, stored)
        if name in spec.cast:
            values = _cast(values, spec.cast[name], name, block.where)
        if name in spec.label_names:
            values = _labelled(values, spec.label_names[name], name, block.where)
        columns[name] = values
    schema = pa.schema(list(types.items()))
    return pa.Table.from_arrays([_array(columns[name], kind) for name, kind in types.items()], schema=schema)


def parquet_labels(metadata: Mapping[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """Return the ClassLabel names that `datasets` left in a Parquet file's schema metadata."""
    try:
        info = json.loads((metadata or {}).get(b"huggingface", b"{}"))
        info = info.get("info", info)
        features = info.get("features") or {}
        named = features.items() if isinstance(features, dict) else [(f.get("name"), f) for f in features]
        found = {name: _class_names(feature) for name, feature in named}
    except (ValueError, AttributeError, TypeError):
        return {}  # the key is no part of the Parquet format, so anything may stand there
    return {name: names for name, names in found.items() if names}


def _class_names(feature: Any) -> tuple[str, ...]:
    if not isinstance(feature, dict):
        return ()
    names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    dtype = feature.get("dtype")
    if isinstance(dtype, dict):
        names = (dtype.get("class_label") or {}).get("names")
    if isinstance(names, dict):
        names = [names[key] for key in sorted(names, key=int)]
    return tuple(map(str, names or ()))


def _unknown(what: str, name: str, known: Collection[str], where: str) -> Problem:
    return Problem(what, where, f"one of {', '.join(known)}", nearest(name, known))


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if isinstance(values, pa.Array | pa.ChunkedArray):
        array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        return array if array.type == kind else array.cast(kind)
    return pa.array(values, kind)


def _listed(values: Any) -> list[Any]:
    return list(values.to_pylist() if hasattr(values, "to_pylist") else values)


def _cast(values: Any, cast: Cast, name: str, where: Where) -> list[Any]:
    convert = CASTS[cast]
    found = []
    for row, value in enumerate(_listed(values)):
        try:
            found.append(None if value is None else convert(value))
        except (ValueError, OverflowError):
            raise InstructifyError(
                Problem(
                    f"column {name!r} holds {_shown(value)}, which is no {cast}",
                    where(row),
                    _hint(value, cast),
                )
            ) from None
    return found


def _labelled(values: Any, labels: Sequence[str], name: str, where: Where) -> list[Any]:
    indices = {label: index for index, label in enumerate(labels)}
    found: list[int | None] = []
    for row, value in enumerate(_listed(values)):
        index = indices.get(value) if isinstance(value, str) else value
        if value is not None and (index is None or not -1 <= index < len(labels)):
            expected = (
                f"one of {', '.join(labels[:20])}" if isinstance(value, str) else f"-1 to {len(labels) - 1}"
            )
            near = nearest(value, labels) if isinstance(value, str) else ""
            raise InstructifyError(
                Problem(f"column {name!r} holds {_shown(value)}, no label", where(row), expected, near)
            )
        found.append(index)
    return found


def _hint(value: Any, cast: Cast) -> str:
    if value == "":
        return 'a value, or null_values: [""] in the recipe'
    return {"int64": "a whole number of 64 bits", "bool": "true, false, 0 or 1"}.get(cast, f"a {cast}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _to_string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError
    if isinstance(value, int | float | Decimal):
        return str(value)
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    raise ValueError


def _to_int(value: Any) -> int:
    if isinstance(value, str) and not (len(value) <= 100 and WHOLE.fullmatch(value)):
        raise ValueError
    if not isinstance(value, str | int | float | Decimal):
        raise ValueError
    number = int(value)
    if not -(2**63) <= number < 2**63 or (not isinstance(value, str) and number != value):
        raise ValueError
    return number


def _to_float(value: Any) -> float:
    if isinstance(value, str) and not REAL.fullmatch(value):
        raise ValueError
    if not isinstance(value, str | int | float | Decimal):
        raise ValueError
    number = float(value)
    if (math.isinf(number) and not isinstance(value, float)) or (isinstance(value, int) and number != value):
        raise ValueError
    return number


def _to_bool(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in TRUTH:
        return TRUTH[value.lower()]
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    raise ValueError


CASTS: Mapping[Cast, Callable[[Any], Any]] = {
    "string": _to_string,
    "int64": _to_int,
    "float64": _to_float,
    "bool": _to_bool,
}
