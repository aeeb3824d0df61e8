"""Elements of lists and dictionaries, and attributes of `loop`, for a whole batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from instructify.keys import I64
from instructify.render.compiled.kernels.values import (
    Batch,
    Column,
    Lists,
    NotVector,
    Turns,
    Value,
    from_numpy,
    list_lengths,
)
from instructify.render.compiled.rows import BoolArray, is_string
from instructify.render.meter import Choices


def element(batch: Batch, container: Value, key: Value, is_constant: bool) -> Value:
    """Return what an index gives: a constant one, or one of its own for every row."""
    if isinstance(key, np.ndarray):
        key = Column(from_numpy(key.astype(np.int64)))
    if isinstance(container, dict) and isinstance(key, Column):
        return _mapped(batch, container, key)
    if isinstance(key, int) and not isinstance(key, bool) and (key >= 0 or is_constant):
        return _constant_element(batch, container, key)
    if isinstance(key, Column) and not is_string(key.array.type):
        return computed_element(batch, container, key.array.to_numpy(zero_copy_only=False).astype(np.int64))
    raise NotVector("an index")


def turn(turns: Turns, name: str | None) -> Value:
    """Return an attribute of `loop`."""
    if name == "index":
        return Column(from_numpy(turns.numbers + 1))
    if name == "index0":
        return Column(from_numpy(turns.numbers))
    if name == "first":
        return turns.numbers == 0
    raise NotVector(f"loop.{name}")


def _mapped(batch: Batch, table: Mapping[str | int, str | int], key: Column) -> Column:
    import pyarrow as pa
    import pyarrow.compute as pc

    textual = is_string(key.array.type)
    if textual != all(isinstance(name, str) for name in table):
        raise NotVector("a key of another type")
    known = pa.array(list(table) if textual else [*map(int, table)], pa.string() if textual else pa.int64())
    codes = pc.index_in(key.array.cast(known.type), known)
    batch.harden(codes.is_null().to_numpy(zero_copy_only=False))
    return Column(pa.array(list(table.values())).take(pc.fill_null(codes, 0)))


def sliced(container: Value, bounds: Sequence[Value]) -> Value:
    """Return a slice with constant bounds, of constants or from the beginning of texts."""
    import pyarrow.compute as pc

    if not all(bound is None or type(bound) is int for bound in bounds):
        raise NotVector("a computed slice")
    if isinstance(container, (str, list)):
        return container[slice(*bounds)] if isinstance(container, str) else [*container[slice(*bounds)]]
    start, stop, step = bounds
    is_column = isinstance(container, Column) and is_string(container.array.type)
    if not is_column or step is not None or (start or 0) < 0 or (stop or 0) < 0:
        raise NotVector("a slice")
    return Column(pc.utf8_slice_codeunits(container.array, start or 0, stop))


def _constant_element(batch: Batch, container: Value, place: int) -> Value:
    import pyarrow.compute as pc

    if isinstance(container, list) and -len(container) <= place < len(container):
        return container[place]
    if not isinstance(container, Lists):
        raise NotVector("an element")
    if container.array is None and -len(container.places) <= place < len(container.places):
        return container.places[place]
    if container.array is None or container.owners is not None:
        raise NotVector("an element")
    lengths = list_lengths(container.array)
    short = lengths < max(place + 1, -place)
    if place >= 0 and not short.any():
        return Column(pc.list_element(container.array, place))
    batch.harden(short)
    return _picked(container, np.where(short, -1, place if place >= 0 else lengths + place))


def computed_element(batch: Batch, container: Value, places: I64) -> Value:
    """Return the element at a computed place; rows where there is none are hard.

    A negative place in the answer choices counts from their end and leaves the row unlabelled.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(container, Lists) and container.array is not None:
        lengths = list_lengths(container.array)
        lengths = lengths if container.owners is None else lengths[container.owners]
        if container.are_choices:
            places = _from_the_end(batch, places, lengths)
        outside = (places < 0) | (places >= lengths)
        batch.harden(outside)
        return _picked(container, np.where(outside, -1, places))
    items = container if isinstance(container, list) else _places(container)
    if isinstance(container, Choices) or (isinstance(container, Lists) and container.are_choices):
        places = _from_the_end(batch, places, np.int64(len(items)))
    outside = (places < 0) | (places >= len(items))
    batch.harden(outside)
    inside = np.where(outside, 0, places)
    if all(isinstance(item, str) for item in items):
        return Column(pa.array(items).take(pa.array(inside)))
    # choose reads past the end where string and large_string columns are mixed (PyArrow 26)
    columns = [
        item.array.cast(pa.large_string()) if isinstance(item, Column) else pa.scalar(item, pa.large_string())
        for item in items
    ]
    return Column(pc.choose(pa.array(inside), *columns))


def _from_the_end(batch: Batch, places: I64, lengths: I64 | np.int64) -> I64:
    negative: BoolArray = places < 0
    if not negative.any():
        return places
    batch.unlabelled |= negative
    return np.where(negative, places + lengths, places)


def _places(container: Value) -> tuple[Any, ...]:
    if isinstance(container, Lists) and container.places:
        return container.places
    raise NotVector("an index into something else")


def _picked(lists: Lists, places: I64) -> Column:
    """Return one element of each list; an empty string where the place is -1."""
    import pyarrow as pa
    import pyarrow.compute as pc

    assert lists.array is not None  # noqa: S101  (the callers asked)
    lengths = list_lengths(lists.array)
    starts = np.cumsum(lengths) - lengths
    if lists.owners is not None:
        starts = starts[lists.owners]
    flat = lists.array.flatten()
    wanted = starts + places
    missing = places < 0
    if len(flat) == len(wanted) and not missing.any() and np.array_equal(wanted, np.arange(len(flat))):
        return Column(flat)
    picked = flat.take(pa.array(wanted, mask=missing))
    return Column(pc.fill_null(picked, "") if picked.null_count else picked)
