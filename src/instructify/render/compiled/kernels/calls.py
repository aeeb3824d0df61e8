"""Filters and methods for a whole batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jinja2.filters import do_int

from instructify.compose.marks import FIT_CLOSE, FIT_OPEN
from instructify.render.compiled.kernels.elements import computed_element
from instructify.render.compiled.kernels.values import (
    Batch,
    Column,
    Lists,
    NotVector,
    Value,
    bounded,
    from_numpy,
    is_text,
    joined,
    lengths,
    list_lengths,
    plain_string,
    refuse,
    trimmed,
    trimmed_value,
)
from instructify.render.compiled.rows import is_string
from instructify.render.compiled.trees import DRAWS, ITEM

BY_VALUE: Mapping[str, Callable[[str], str]] = {
    "capitalize": str.capitalize,
    "lower": str.lower,
    "upper": str.upper,
}


def called(batch: Batch, name: str, value: Value, args: Sequence[Value]) -> Value:
    """Return what a string method gives, with constant arguments."""
    import pyarrow.compute as pc

    if isinstance(value, str) and name in BY_VALUE and not args:
        return BY_VALUE[name](value)
    if isinstance(value, str) and name == "join" and len(args) == 1:
        return _join(batch, args[0], value)
    if not isinstance(value, Column) or not is_string(value.array.type):
        raise NotVector("a method of something else")
    if name == "replace" and len(args) == 2 and _is_replacement(args):
        return bounded(batch, pc.replace_substring(value.array, args[0], args[1]))
    if name == "strip" and not args:
        return Column(trimmed(value.array))
    if name == "split" and len(args) == 1 and isinstance(args[0], str) and args[0]:
        pieces = pc.split_pattern(plain_string(value.array), args[0])
        batch.harden(ITEM * list_lengths(pieces) > batch.most)
        return Lists(pieces)
    if name in BY_VALUE and not args:
        return _by_value(value, BY_VALUE[name])
    raise NotVector(name)


def _by_value(value: Column, function: Callable[[str], str]) -> Column:
    """Return what a function of texts gives, for which Arrow's kernels follow another version of Unicode."""
    import pyarrow as pa

    return Column(pa.array([function(text) for text in value.array.to_pylist()], value.array.type))


def _integers(value: Column) -> Column:
    import pyarrow as pa

    if not is_string(value.array.type):
        return value
    return Column(pa.array([do_int(text) for text in value.array.to_pylist()], pa.int64()))


def _is_replacement(args: Sequence[Value]) -> bool:
    return all(isinstance(arg, str) for arg in args) and args[0] != ""


def filtered(batch: Batch, name: str, value: Value, args: Sequence[Value]) -> Value:
    """Return what a filter gives."""
    if name == "fit" and not args and is_text(value):
        return Column(joined(batch, [FIT_OPEN, value, FIT_CLOSE]))
    if name in DRAWS and not args:
        return _drawn(batch, value)
    if name == "join" and len(args) <= 1 and all(isinstance(arg, str) for arg in args):
        return _join(batch, value, args[0] if args else "")
    if name == "trim" and not args and is_text(value):
        return trimmed_value(value)
    if name == "string" and not args and is_text(value):
        return value
    if name == "replace" and len(args) == 2 and _is_replacement(args) and is_text(value):
        return value.replace(*args) if isinstance(value, str) else called(batch, "replace", value, args)
    if name in BY_VALUE and not args and is_text(value):
        return called(batch, name, value, args)
    if name == "int" and not args and isinstance(value, Column):
        return _integers(value)
    if isinstance(value, Lists) and value.owners is not None:
        raise NotVector("a list of the batch around a loop")
    if name in ("length", "count") and not args and isinstance(value, Lists) and value.array is not None:
        return Column(from_numpy(list_lengths(value.array)))
    if name == "truncate" and args == [2048] and is_text(value):
        return _short_enough(batch, value)
    raise NotVector(name)


def _drawn(batch: Batch, value: Value) -> Value:
    if not batch.draws_known:
        raise NotVector("a draw after a draw in a branch")
    draws = (batch.key.draws(batch.rows.numbers, batch.draws) >> np.uint64(32)).astype(np.int64)
    batch.draws += 1
    if isinstance(value, list) and value:
        return computed_element(batch, value, (draws * len(value)) >> 32)
    if isinstance(value, Lists) and value.array is not None:
        lengths = list_lengths(value.array)
        batch.harden(lengths == 0)
        return computed_element(batch, value, np.where(lengths == 0, 0, (draws * lengths) >> 32))
    raise NotVector("a draw from something else")


def _join(batch: Batch, value: Value, separator: str) -> Value:
    import pyarrow.compute as pc

    if isinstance(value, Lists) and value.owners is not None:
        raise NotVector("a list of the batch around a loop")
    if isinstance(value, list):
        return separator.join(value)
    if isinstance(value, Lists) and value.array is not None:
        return bounded(batch, pc.binary_join(value.array, separator))
    if isinstance(value, Lists):
        pieces: list[Value] = []
        for place in value.places:
            pieces += [separator, place]
        return bounded(batch, joined(batch, pieces[1:]))
    raise NotVector("join of something else")


def _short_enough(batch: Batch, value: Value) -> Value:
    """Return the text itself; rows where truncation would cut it are hard (bytes bound characters)."""
    if isinstance(value, str):
        return value if len(value) <= 2048 else refuse("a long constant")
    batch.harden(lengths(value.array) > 2048)
    return value
