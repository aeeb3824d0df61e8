"""The value of an expression for a whole batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import nodes

from instructify.compose.marks import OPTIONS
from instructify.render.compiled.kernels.calls import called, filtered
from instructify.render.compiled.kernels.elements import element, sliced, turn
from instructify.render.compiled.kernels.values import (
    Batch,
    Column,
    Lists,
    NotThisBatch,
    NotVector,
    Turns,
    Value,
    bounded,
    choose,
    is_text,
    joined,
    lifted,
    printed,
    refuse,
    truth,
)
from instructify.render.compiled.rows import BoolArray, is_string
from instructify.render.compiled.trees import is_constant, path_of
from instructify.render.meter import Choices


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
        raise NotThisBatch(f"no column {'.'.join(path)}")  # or it is in a struct that has nulls
    kind = array.type
    if array.null_count:
        batch.harden(array.is_null().to_numpy(zero_copy_only=False))
        if not (is_string(kind) or kinds.is_integer(kind) or kinds.is_boolean(kind)):
            raise NotThisBatch("nulls in a nested column")
        array = pc.fill_null(array, "" if is_string(kind) else False if kinds.is_boolean(kind) else 0)
    if is_string(kind):
        return Column(array)
    if kinds.is_boolean(kind):
        return array.to_numpy(zero_copy_only=False)
    if kinds.is_integer(kind) and not kinds.is_uint64(kind):
        return Column(array)
    if (kinds.is_list(kind) or kinds.is_large_list(kind)) and is_string(kind.value_type):
        if array.flatten().null_count:
            raise NotThisBatch("nulls in a list")
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
    table = dict(pairs) if all(isinstance(key, (str, int)) for key, _ in pairs) else {}
    kinds = {*map(type, table.values())}
    if kinds in ({str}, {int}) and len({isinstance(key, str) for key in table}) == 1:
        return table
    raise NotVector("a dict")


def _item(batch: Batch, node: nodes.Getitem | nodes.Getattr) -> Value:
    container = expression(batch, node.node)
    if isinstance(node, nodes.Getattr):
        return turn(container, node.attr) if isinstance(container, Turns) else refuse("an attribute")
    if isinstance(node.arg, nodes.Slice):
        bounds = (node.arg.start, node.arg.stop, node.arg.step)
        given = [None if bound is None else expression(batch, bound) for bound in bounds]
        return sliced(container, given)
    return element(batch, container, expression(batch, node.arg), is_constant(node.arg))


def _call(batch: Batch, node: nodes.Call) -> Value:
    if not isinstance(node.node, nodes.Getattr) or node.kwargs or node.dyn_args or node.dyn_kwargs:
        raise NotVector("a call")
    value = expression(batch, node.node.node)
    return called(batch, node.node.attr, value, [expression(batch, arg) for arg in node.args])


def _filter(batch: Batch, node: nodes.Filter) -> Value:
    if node.node is None or node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
        raise NotVector(node.name)
    if node.name == "options" and not node.args and _is_the_choices(batch, node.node):
        return OPTIONS
    value = expression(batch, node.node)
    return filtered(batch, node.name, value, [expression(batch, arg) for arg in node.args])


def _is_the_choices(batch: Batch, node: nodes.Node) -> bool:
    if path_of(node) != ("answer_choices",) or "answer_choices" not in batch.names:
        return False
    held = batch.names["answer_choices"]  # which the template may have assigned
    return isinstance(held, Choices) or (isinstance(held, Lists) and held.are_choices)


def _arithmetic(batch: Batch, node: nodes.BinExpr) -> Value:
    """Return the sum or difference of integers, of which at least one has its own value in every row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    sides = [expression(batch, side) for side in (node.left, node.right)]
    for side in sides:
        if not isinstance(side, (int, Column)) or isinstance(side, bool) or is_text(side):
            raise NotVector("arithmetic with something else")
    if not any(isinstance(side, Column) for side in sides):
        raise NotVector("arithmetic with constants")
    kernel = pc.add_checked if isinstance(node, nodes.Add) else pc.subtract_checked
    left, right = (
        side.array.cast(pa.int64()) if isinstance(side, Column) else pa.scalar(side, pa.int64())
        for side in sides
    )
    return Column(kernel(left, right))


def _compare(batch: Batch, node: nodes.Compare) -> Value:
    import pyarrow.compute as pc

    if len(node.ops) != 1:
        raise NotVector("a chain of comparisons")
    left, right = expression(batch, node.expr), expression(batch, node.ops[0].expr)
    kernel = _COMPARISONS.get(node.ops[0].op)
    if kernel is None:
        raise NotVector(node.ops[0].op)
    if not isinstance(left, Column):
        left, right, kernel = right, left, _MIRRORED.get(kernel, kernel)
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


def condition(batch: Batch, node: nodes.Node) -> BoolArray:
    """Return the truth of an expression for every row."""
    if isinstance(node, nodes.Not):
        return ~condition(batch, node.node)
    if not isinstance(node, (nodes.And, nodes.Or)):
        return truth(batch, expression(batch, node))
    left = condition(batch, node.left)
    before, draws = batch.marks(), batch.draws
    right = condition(batch, node.right)
    if batch.draws != draws:
        raise NotVector("a draw after and, or")
    batch.only(left if isinstance(node, nodes.And) else ~left, before)
    return left & right if isinstance(node, nodes.And) else left | right


def _not(batch: Batch, node: nodes.Not) -> Value:
    return condition(batch, node)


def _conditional(batch: Batch, node: nodes.CondExpr) -> Value:
    if node.expr2 is None:
        raise NotVector("a conditional without else")
    draws = batch.draws
    mask = condition(batch, node.test)
    before = batch.marks()
    taken = expression(batch, node.expr1)
    batch.only(mask, before)
    before = batch.marks()
    other = expression(batch, node.expr2)
    batch.only(~mask, before)
    if batch.draws != draws:
        raise NotVector("a draw in a conditional")
    if not (is_text(taken) and is_text(other)):
        raise NotVector("a conditional number")  # as text, 0 would be true
    return choose(batch, mask, [taken], [other])


def _concat(batch: Batch, node: nodes.Concat) -> Value:
    return bounded(batch, joined(batch, [printed(batch, expression(batch, part)) for part in node.nodes]))


_COMPARISONS = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "lteq": "less_equal",
    "gt": "greater",
    "gteq": "greater_equal",
}

_MIRRORED = {"less": "greater", "greater": "less", "less_equal": "greater_equal"}
_MIRRORED["greater_equal"] = "less_equal"

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
    nodes.Add: _arithmetic,
    nodes.Sub: _arithmetic,
}
