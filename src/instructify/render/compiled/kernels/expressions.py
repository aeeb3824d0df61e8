"""The value of an expression for a whole batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jinja2 import nodes

from instructify.compose.marks import FIT_CLOSE, FIT_OPEN, OPTIONS
from instructify.keys import I64
from instructify.render.compiled.kernels.values import (
    Batch,
    Column,
    Lists,
    NotVector,
    Turns,
    Value,
    choose,
    from_numpy,
    is_text,
    joined,
    lengths,
    lifted,
    list_lengths,
    printed,
    refuse,
    trimmed,
    trimmed_value,
    truth,
)
from instructify.render.compiled.rows import BoolArray, is_string
from instructify.render.compiled.trees import DRAWS, path_of


def expression(batch: Batch, node: nodes.Node) -> Value:
    """Return the value of an expression for a batch."""
    path = path_of(node)
    if path is not None and path[0] not in batch.names:
        return _leaf(batch, path) if batch.outer is None else lifted(batch, expression(batch.outer, node))
    function = _EXPRESSIONS.get(type(node))
    if function is None:
        raise NotVector(type(node).__name__)
    return function(batch, node)


def _leaf(batch: Batch, path: tuple[str, ...]) -> Value:
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    array = batch.rows.array(path)
    if array is None:
        raise NotVector(f"no column {'.'.join(path)}")
    kind = array.type
    if array.null_count:
        batch.harden(array.is_null().to_numpy(zero_copy_only=False))
        if not (is_string(kind) or kinds.is_integer(kind)):
            raise NotVector("nulls in a nested column")
        array = pc.fill_null(array, "" if is_string(kind) else 0)
    if is_string(kind):
        return Column(array)
    if kinds.is_integer(kind) and not kinds.is_uint64(kind):
        return Column(array)
    if (kinds.is_list(kind) or kinds.is_large_list(kind)) and is_string(kind.value_type):
        if array.flatten().null_count:
            raise NotVector("nulls in a list")
        return Lists(array)
    raise NotVector(f"a column of type {kind}")


def _name(batch: Batch, node: nodes.Name) -> Value:
    return batch.names[node.name]


def _constant(batch: Batch, node: nodes.Const) -> Value:
    if isinstance(node.value, (str, int)):
        return node.value
    raise NotVector("a constant")


def _negative(batch: Batch, node: nodes.Neg) -> Value:
    value = expression(batch, node.node)
    return -value if isinstance(value, int) else refuse("a computed negative")


def _list(batch: Batch, node: nodes.List) -> Value:
    items = [expression(batch, item) for item in node.items]
    if all(isinstance(item, str) for item in items):
        return items
    if not all(map(is_text, items)):
        raise NotVector("a list")
    return Lists(places=tuple(items))


def _dict(batch: Batch, node: nodes.Dict) -> Value:
    pairs = [(expression(batch, pair.key), expression(batch, pair.value)) for pair in node.items]
    if all(isinstance(key, str) and isinstance(value, int) for key, value in pairs):
        return dict(pairs)
    raise NotVector("a dict")


def _item(batch: Batch, node: nodes.Getitem | nodes.Getattr) -> Value:
    container = expression(batch, node.node)
    key = node.attr if isinstance(node, nodes.Getattr) else None
    if isinstance(container, Turns):
        return _turn(container, key)
    if isinstance(node, nodes.Getitem):
        if isinstance(node.arg, nodes.Slice):
            raise NotVector("a slice")
        key = expression(batch, node.arg)
    if isinstance(container, dict) and isinstance(key, Column) and is_string(key.array.type):
        return _mapped(batch, container, key)
    if isinstance(key, int) and key >= 0:
        return _element(batch, container, key)
    if isinstance(key, Column) and not is_string(key.array.type):
        return computed_element(batch, container, key.array.to_numpy(zero_copy_only=False).astype(np.int64))
    raise NotVector("an index")


def _turn(turns: Turns, name: str | None) -> Value:
    if name == "index":
        return Column(from_numpy(turns.numbers + 1))
    if name == "index0":
        return Column(from_numpy(turns.numbers))
    if name == "first":
        return turns.numbers == 0
    raise NotVector(f"loop.{name}")


def _mapped(batch: Batch, table: Mapping[str, int], key: Column) -> Column:
    import pyarrow as pa
    import pyarrow.compute as pc

    codes = pc.index_in(key.array, pa.array(list(table), key.array.type))
    batch.harden(codes.is_null().to_numpy(zero_copy_only=False))
    values = pa.array(list(table.values()), pa.int64())
    return Column(values.take(pc.fill_null(codes, 0)))


def _element(batch: Batch, container: Value, place: int) -> Value:
    """Return the element at a constant place."""
    import pyarrow.compute as pc

    if isinstance(container, list) and place < len(container):
        return container[place]
    if isinstance(container, Lists) and container.array is None and place < len(container.places):
        return container.places[place]
    if isinstance(container, Lists) and container.array is not None and container.owners is None:
        short = list_lengths(container.array) <= place
        if not short.any():
            return Column(pc.list_element(container.array, place))
        batch.harden(short)
        return _picked(container, np.where(short, -1, place))
    raise NotVector("an element")


def computed_element(batch: Batch, container: Value, places: I64) -> Value:
    """Return the element at a computed place; rows where there is none are hard."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(container, Lists) and container.array is not None:
        lengths = list_lengths(container.array)
        outside = (places < 0) | (
            places >= (lengths if container.owners is None else lengths[container.owners])
        )
        batch.harden(outside)
        return _picked(container, np.where(outside, -1, places))
    items = container if isinstance(container, list) else _places(container)
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
    picked = lists.array.flatten().take(pa.array(starts + places, mask=places < 0))
    return Column(pc.fill_null(picked, "") if picked.null_count else picked)


def _call(batch: Batch, node: nodes.Call) -> Value:
    """Return what a string method gives: replace and strip with constant arguments."""
    import pyarrow.compute as pc

    called = node.node
    if not isinstance(called, nodes.Getattr) or node.kwargs or node.dyn_args is not None:
        raise NotVector("a call")
    value = expression(batch, called.node)
    args = [expression(batch, arg) for arg in node.args]
    if not isinstance(value, Column) or not is_string(value.array.type):
        raise NotVector("a method of something else")
    if called.attr == "replace" and len(args) == 2 and all(isinstance(arg, str) for arg in args) and args[0]:
        return Column(pc.replace_substring(value.array, args[0], args[1]))
    if called.attr == "strip" and not args:
        return Column(trimmed(value.array))
    raise NotVector(called.attr)


def _filter(batch: Batch, node: nodes.Filter) -> Value:
    if node.node is None or node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
        raise NotVector(node.name)
    if node.name == "options" and not node.args and _is_the_choices(batch, node.node):
        return OPTIONS
    value = expression(batch, node.node)
    args = [expression(batch, arg) for arg in node.args]
    if node.name == "fit" and not args and is_text(value):
        return Column(joined(batch, [FIT_OPEN, value, FIT_CLOSE]))
    if node.name in DRAWS and not args:
        return _drawn(batch, value)
    if isinstance(value, Lists) and value.owners is not None:
        raise NotVector("a list of the batch around a loop")
    if node.name == "join" and len(args) <= 1 and all(isinstance(arg, str) for arg in args):
        return _join(batch, value, args[0] if args else "")
    if node.name == "trim" and not args and is_text(value):
        return trimmed_value(value)
    if node.name == "string" and not args and is_text(value):
        return value
    if node.name in ("length", "count") and not args and isinstance(value, Lists) and value.array is not None:
        return Column(from_numpy(list_lengths(value.array)))
    if node.name == "truncate" and args == [2048] and is_text(value):
        return _short_enough(batch, value)
    raise NotVector(node.name)


def _is_the_choices(batch: Batch, node: nodes.Node) -> bool:
    return path_of(node) == ("answer_choices",) and batch.names.get("answer_choices") is not None


def _drawn(batch: Batch, value: Value) -> Value:
    if not batch.draws_known:
        raise NotVector("a draw after a draw in a branch")
    draws = (batch.key.draws(batch.rows.numbers, batch.draws) >> np.uint64(32)).astype(np.int64)
    batch.draws += 1
    if isinstance(value, list) and value:
        return computed_element(batch, value, (draws * len(value)) >> 32)
    if isinstance(value, Lists) and value.array is not None:
        lengths = list_lengths(value.array)
        return computed_element(batch, value, np.where(lengths == 0, -1, (draws * lengths) >> 32))
    raise NotVector("a draw from something else")


def _join(batch: Batch, value: Value, separator: str) -> Value:
    import pyarrow.compute as pc

    if isinstance(value, list):
        return separator.join(value)
    if isinstance(value, Lists) and value.array is not None:
        return Column(pc.binary_join(value.array, separator))
    if isinstance(value, Lists):
        pieces: list[Value] = []
        for place in value.places:
            pieces += [separator, place]
        return Column(joined(batch, pieces[1:]))
    raise NotVector("join of something else")


def _short_enough(batch: Batch, value: Value) -> Value:
    """Return the text itself; rows where truncation would cut it are hard (bytes bound characters)."""
    if isinstance(value, str):
        return value if len(value) <= 2048 else refuse("a long constant")
    batch.harden(lengths(value.array) > 2048)
    return value


def _compare(batch: Batch, node: nodes.Compare) -> Value:
    import pyarrow.compute as pc

    if len(node.ops) != 1:
        raise NotVector("a chain of comparisons")
    left, right = expression(batch, node.expr), expression(batch, node.ops[0].expr)
    kernel = _COMPARISONS.get(node.ops[0].op)
    if kernel is None:
        raise NotVector(node.ops[0].op)
    if not isinstance(left, Column):
        left, right = right, left
        if node.ops[0].op not in ("eq", "ne"):
            raise NotVector("a comparison with a constant on its left")
    if not isinstance(left, Column):
        raise NotVector("a comparison of constants")
    same = is_string(left.array.type) == (
        is_string(right.array.type) if isinstance(right, Column) else isinstance(right, str)
    )
    if not same or not isinstance(right, (Column, str, int)) or isinstance(right, bool):
        raise NotVector("a comparison of different types")
    found = getattr(pc, kernel)(left.array, right.array if isinstance(right, Column) else right)
    mask: BoolArray = found.to_numpy(zero_copy_only=False)
    return mask


def _not(batch: Batch, node: nodes.Not) -> Value:
    return ~truth(batch, expression(batch, node.node))


def _conditional(batch: Batch, node: nodes.CondExpr) -> Value:
    if node.expr2 is None:
        raise NotVector("a conditional without else")
    draws = batch.draws
    mask = truth(batch, expression(batch, node.test))
    hard = batch.hard.copy()
    taken = expression(batch, node.expr1)
    batch.hard = hard | (batch.hard & mask)
    hard = batch.hard.copy()
    other = expression(batch, node.expr2)
    batch.hard = hard | (batch.hard & ~mask)
    if batch.draws != draws:
        raise NotVector("a draw in a conditional")
    if not (is_text(taken) and is_text(other)):
        raise NotVector("a conditional number")  # as text, 0 would be true
    return choose(batch, mask, [taken], [other])


def _concat(batch: Batch, node: nodes.Concat) -> Value:
    return Column(joined(batch, [printed(batch, expression(batch, part)) for part in node.nodes]))


_COMPARISONS = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "lteq": "less_equal",
    "gt": "greater",
    "gteq": "greater_equal",
}

_EXPRESSIONS: Mapping[type, Callable[[Batch, Any], Value]] = {
    nodes.Name: _name,
    nodes.Const: _constant,
    nodes.Neg: _negative,
    nodes.List: _list,
    nodes.Dict: _dict,
    nodes.Getitem: _item,
    nodes.Getattr: _item,
    nodes.Filter: _filter,
    nodes.Call: _call,
    nodes.Compare: _compare,
    nodes.Not: _not,
    nodes.CondExpr: _conditional,
    nodes.Concat: _concat,
}
