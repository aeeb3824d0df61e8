"""Renders the plain part of a batch with Arrow kernels, without making Python strings of the columns.

A template's tree is walked once a batch and every expression becomes a whole column. What has no kernel here
raises NotVector, and the generated function takes the batch; single rows that a kernel cannot settle (a null,
a blank, an index out of range) are marked `hard`, and the generated function takes those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import nodes

from instructify.keys import I64, Key
from instructify.render.compiled.generate import DRAWS, Step, path_of
from instructify.render.compiled.rows import BoolArray, Rows, is_string
from instructify.render.reference import PIPES
from instructify.render.rewrite import CUT

if TYPE_CHECKING:
    import pyarrow as pa

MAX_TURNS = 256
MAX_HARD = 0.5
"""Share of hard rows above which the whole batch is better rendered by the generated function."""


class NotVector(Exception):  # noqa: N818  (a signal, not an error)
    """There is no kernel for this template, or not for this batch."""


@dataclass(frozen=True, slots=True)
class Column:
    """Strings or numbers, one a row and none null; or, in `lists`, a list of strings a row."""

    array: pa.Array


@dataclass(frozen=True, slots=True)
class Lists:
    """A list of strings a row: an Arrow list array without nulls, or one column for each place."""

    array: pa.Array | None = None
    places: tuple[Any, ...] = ()
    """Each a Column of strings or a str."""
    owners: I64 | None = None
    """Inside a loop: for each turn, the place of its list in `array`."""


Value = Any
"""A Python constant (str, int, list of str, dict), a Column or Lists."""


@dataclass(slots=True)
class Vectors:
    """The columns of a batch's examples and the rows that are settled by other means."""

    inputs: pa.Array
    targets: pa.Array
    choices: pa.Array | tuple[str, ...] | None
    labels: I64 | None
    rationales: pa.Array | None
    hard: BoolArray


@dataclass(slots=True)
class _Batch:
    rows: Rows
    key: Key
    strict: bool
    hard: BoolArray
    names: dict[str, Value] = field(default_factory=dict)
    draws: int = 0
    draws_known: bool = True
    outer: _Batch | None = None
    """Inside a loop: the batch around it. A row of this batch is then one turn of the loop."""
    owners: I64 | None = None
    """Inside a loop: for each turn, its row in the batch around it."""

    def __len__(self) -> int:
        return len(self.hard)

    def harden(self, mask: BoolArray) -> None:
        self.hard |= mask
        if len(self.hard) and self.hard.mean() > MAX_HARD:
            raise NotVector("too many rows that no kernel settles")


def vectors(
    rows: Rows, key: Key, steps: Sequence[Step], constant: tuple[str, ...] | None, strict: bool
) -> Vectors:
    """Return the examples of a batch; raises NotVector when kernels cannot make them.

    `steps` are those of the generated function; `constant` are the answer choices where they are constant.
    """
    batch = _Batch(rows, key, strict, np.zeros(len(rows), bool))
    batch.names["answer_choices"] = list(constant) if constant is not None else None
    chosen: Lists | None = None
    parts: list[list[Value]] = []
    places: list[Value] = []
    rationales: pa.Array | None = None
    if not strict:
        batch.harden(rows.with_bar)
    for step in steps:
        if step.result == "chosen":
            chosen = _split_choices(batch, step.tree) if not strict else _listed(batch, step.tree)
            batch.names["answer_choices"] = chosen
        elif step.result.startswith("choice_"):
            places.append(_trimmed_value(_only_text(batch, step.tree)))
            chosen = Lists(places=tuple(places))
            batch.names["answer_choices"] = chosen
        elif step.result == "rationale":
            rationales = _stripped_text(batch, [_only_text(batch, step.tree)])
            batch.harden(_lengths(rationales) == 0)
        else:
            parts = _parts(batch, _template(step.tree).body)
    if len(parts) != 2:
        raise NotVector("not two parts")
    inputs, targets = (_stripped_text(batch, part) for part in parts)
    batch.harden(_lengths(inputs) == 0)
    batch.harden(_lengths(targets) == 0)
    labels = None
    if constant is not None:
        labels = _label_in(targets, constant)
    elif chosen is not None:
        labels = _label_among(batch, targets, chosen)
    if labels is not None:
        batch.harden(labels < 0)
    choices = constant if chosen is None else _list_array(chosen, len(rows))
    return Vectors(inputs, targets, choices, labels, rationales, batch.hard)


def vectorises(steps: Sequence[Step]) -> bool:
    """Tell whether kernels may be tried: no statement or text here is beyond them from the start."""
    for step in steps:
        for node in step.tree.find_all(nodes.Node):
            if isinstance(node, (nodes.AssignBlock, nodes.Test, nodes.NSRef)):
                return False
            if isinstance(node, nodes.TemplateData) and "|" in node.data.replace(PIPES, ""):
                return False
            has_bar = isinstance(node, nodes.Const) and isinstance(node.value, str) and "|" in node.value
            if has_bar and not (step.result == "chosen" and _is_bars([node])):
                return False
    return True


# statements


def _template(tree: nodes.Node) -> nodes.Template:
    assert isinstance(tree, nodes.Template)  # noqa: S101  (what the step holds)
    return tree


def _only_text(batch: _Batch, tree: nodes.Node) -> Value:
    """Return the one text that a tree without separators prints."""
    parts = _parts(batch, _template(tree).body)
    if len(parts) != 1:
        raise NotVector("a separator")
    return parts[0][0] if len(parts[0]) == 1 else Column(_joined(batch, parts[0]))


def _listed(batch: _Batch, tree: nodes.Node) -> Lists:
    return _stripped(_lists(expression(batch, tree)))


def _parts(batch: _Batch, body: Sequence[nodes.Node]) -> list[list[Value]]:
    """Return the texts that statements print, cut at the separator."""
    parts: list[list[Value]] = [[]]
    for node in body:
        if isinstance(node, nodes.Output):
            for child in node.nodes:
                if isinstance(child, nodes.TemplateData):
                    _add_data(parts, child.data, batch.strict)
                elif isinstance(child, nodes.Filter) and child.name == CUT:
                    parts.append([])
                else:
                    parts[-1].append(_text(batch, expression(batch, child)))
        elif isinstance(node, nodes.If):
            _branch(batch, node, parts)
        elif isinstance(node, nodes.Assign) and isinstance(node.target, nodes.Name):
            batch.names[node.target.name] = expression(batch, node.node)
        elif isinstance(node, nodes.For):
            parts[-1].append(_loop(batch, node))
        else:
            raise NotVector(type(node).__name__)
    return parts


def _add_data(parts: list[list[Value]], data: str, strict: bool) -> None:
    first, *rest = [data] if strict else data.split(PIPES)
    parts[-1].append(first)
    parts += [[piece] for piece in rest]


def _branch(batch: _Batch, node: nodes.If, parts: list[list[Value]]) -> None:
    mask = _mask(batch, expression(batch, node.test))
    before = batch.names.copy(), batch.draws
    hard = batch.hard.copy()
    taken = _parts(batch, node.body)
    _same_names(before[0], batch)
    batch.draws_known = batch.draws_known and batch.draws == before[1]
    batch.hard = hard | (batch.hard & mask)  # what went wrong in rows that do not come here is no matter
    hard = batch.hard.copy()
    other = _otherwise(batch, node)
    batch.hard = hard | (batch.hard & ~mask)
    if len(taken) != len(other):
        # rows whose branch has no separator print one part only: for the row checks
        short, long = (~mask, taken) if len(taken) > len(other) else (mask, other)
        batch.harden(short)
        parts[-1] += long[0]
        parts += long[1:]
        return
    if len(taken) > 1:
        raise NotVector("separators in both branches")
    parts[-1].append(_choose(batch, mask, taken[0], other[0]))


def _otherwise(batch: _Batch, node: nodes.If) -> list[list[Value]]:
    if node.elif_:
        first, *rest = node.elif_
        nested = nodes.If(first.test, first.body, rest, node.else_, lineno=node.lineno)
        parts: list[list[Value]] = [[]]
        _branch(batch, nested, parts)
        return parts
    names, draws = batch.names.copy(), batch.draws
    parts = _parts(batch, node.else_)
    _same_names(names, batch)
    if draws != batch.draws:
        raise NotVector("a draw in a branch")
    return parts


def _same_names(names: dict[str, Value], batch: _Batch) -> None:
    if names.keys() != batch.names.keys() or any(names[name] is not batch.names[name] for name in names):
        raise NotVector("an assignment in a branch")


def _choose(batch: _Batch, mask: BoolArray, taken: list[Value], other: list[Value]) -> Column:
    import pyarrow as pa
    import pyarrow.compute as pc

    return Column(pc.if_else(pa.array(mask), _joined(batch, taken), _joined(batch, other)))


# loops


def _loop(batch: _Batch, node: nodes.For) -> Column:
    """Return what a loop prints: its body is rendered once for all turns of all rows, then joined by row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if node.else_ or node.test is not None or node.recursive or batch.outer is not None:
        raise NotVector("an unusual loop")
    lengths, bind = _iterated(batch, node)
    batch.harden(lengths > MAX_TURNS)
    lengths = np.where(lengths > MAX_TURNS, 0, lengths)
    owners = np.repeat(np.arange(len(batch)), lengths)
    turns = np.arange(len(owners)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    inner = _Batch(
        batch.rows, batch.key, batch.strict, np.zeros(len(owners), bool), outer=batch, owners=owners
    )
    inner.draws_known = False
    inner.names = {"loop": _Turns(turns), **bind(inner, turns)}
    parts = _parts(inner, node.body)
    if len(parts) != 1:
        raise NotVector("a separator in a loop")
    hard = np.zeros(len(batch), bool)
    hard[owners[inner.hard]] = True
    batch.harden(hard)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    return Column(pc.binary_join(pa.ListArray.from_arrays(offsets, _joined(inner, parts[0])), ""))


@dataclass(frozen=True, slots=True)
class _Turns:
    """The `loop` variable: the number of each turn in its own loop."""

    numbers: I64


Bind = Callable[[_Batch, I64], dict[str, Value]]


def _iterated(batch: _Batch, node: nodes.For) -> tuple[I64, Bind]:
    """Return how many turns each row takes, and what binds the loop's names."""
    target, iterable = node.target, node.iter
    if isinstance(iterable, nodes.Call) and isinstance(iterable.node, nodes.Name) and not iterable.kwargs:
        if iterable.node.name == "range" and len(iterable.args) == 1 and isinstance(target, nodes.Name):
            name = target.name
            return _counts(batch, expression(batch, iterable.args[0])), lambda inner, turns: {
                name: Column(_from_numpy(turns))
            }
        if iterable.node.name == "zip" and isinstance(target, nodes.Tuple):
            names = [item.name for item in target.items if isinstance(item, nodes.Name)]
            values = [expression(batch, arg) for arg in iterable.args]
            if len(names) != len(target.items) or len(names) != len(values) or not values:
                raise NotVector("an unusual zip")
            lengths = np.minimum.reduce([_counts(batch, value) for value in values])
            return lengths, lambda inner, turns: {
                name: _computed_element(inner, _lifted(inner, value), turns)
                for name, value in zip(names, values, strict=True)
            }
    if not isinstance(target, nodes.Name):
        raise NotVector("an unusual loop target")
    name, value = target.name, expression(batch, iterable)
    return _counts(batch, value), lambda inner, turns: {
        name: _computed_element(inner, _lifted(inner, value), turns)
    }


def _counts(batch: _Batch, value: Value) -> I64:
    """Return the number of elements of a list, or the number itself, for each row."""
    if isinstance(value, list):
        return np.full(len(batch), len(value), np.int64)
    if isinstance(value, Lists):
        return (
            np.full(len(batch), len(value.places), np.int64)
            if value.array is None
            else _list_lengths(value.array)
        )
    if isinstance(value, int):
        return np.full(len(batch), max(value, 0), np.int64)
    if isinstance(value, Column) and not is_string(value.array.type):
        return np.maximum(value.array.to_numpy(zero_copy_only=False).astype(np.int64), 0)
    raise NotVector("a loop over something else")


def _lifted(inner: _Batch, value: Value) -> Value:
    """Return a value of the batch around a loop as the turns of the loop see it."""
    import pyarrow as pa

    if isinstance(value, Column):
        return Column(value.array.take(pa.array(inner.owners)))
    if isinstance(value, np.ndarray):
        return value[inner.owners]
    if isinstance(value, Lists) and value.array is None:
        return Lists(places=tuple(_lifted(inner, place) for place in value.places))
    if isinstance(value, Lists):
        return Lists(value.array, owners=inner.owners)
    return value


# expressions


def expression(batch: _Batch, node: nodes.Node) -> Value:
    """Return the value of an expression for a batch."""
    path = path_of(node)
    if path is not None and path[0] not in batch.names:
        return _leaf(batch, path) if batch.outer is None else _lifted(batch, expression(batch.outer, node))
    function = _EXPRESSIONS.get(type(node))
    if function is None:
        raise NotVector(type(node).__name__)
    return function(batch, node)


def _leaf(batch: _Batch, path: tuple[str, ...]) -> Value:
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


def _name(batch: _Batch, node: nodes.Name) -> Value:
    return batch.names[node.name]


def _constant(batch: _Batch, node: nodes.Const) -> Value:
    if isinstance(node.value, (str, int)):
        return node.value
    raise NotVector("a constant")


def _negative(batch: _Batch, node: nodes.Neg) -> Value:
    value = expression(batch, node.node)
    return -value if isinstance(value, int) else _no("a computed negative")


def _list(batch: _Batch, node: nodes.List) -> Value:
    items = [expression(batch, item) for item in node.items]
    if all(isinstance(item, str) for item in items):
        return items
    return Lists(places=tuple(_text(batch, item) for item in items)) if _all_text(items) else _no("a list")


def _dict(batch: _Batch, node: nodes.Dict) -> Value:
    pairs = [(expression(batch, pair.key), expression(batch, pair.value)) for pair in node.items]
    if all(isinstance(key, str) and isinstance(value, int) for key, value in pairs):
        return dict(pairs)
    raise NotVector("a dict")


def _item(batch: _Batch, node: nodes.Getitem | nodes.Getattr) -> Value:
    container = expression(batch, node.node)
    key = node.attr if isinstance(node, nodes.Getattr) else None
    if isinstance(container, _Turns):
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
        return _computed_element(batch, container, key.array.to_numpy(zero_copy_only=False).astype(np.int64))
    raise NotVector("an index")


def _turn(turns: _Turns, name: str | None) -> Value:
    if name == "index":
        return Column(_from_numpy(turns.numbers + 1))
    if name == "index0":
        return Column(_from_numpy(turns.numbers))
    if name == "first":
        return turns.numbers == 0
    raise NotVector(f"loop.{name}")


def _mapped(batch: _Batch, table: Mapping[str, int], key: Column) -> Column:
    import pyarrow as pa
    import pyarrow.compute as pc

    codes = pc.index_in(key.array, pa.array(list(table), key.array.type))
    batch.harden(codes.is_null().to_numpy(zero_copy_only=False))
    values = pa.array(list(table.values()), pa.int64())
    return Column(values.take(pc.fill_null(codes, 0)))


def _element(batch: _Batch, container: Value, place: int) -> Value:
    """Return the element at a constant place."""
    import pyarrow.compute as pc

    if isinstance(container, list) and place < len(container):
        return container[place]
    if isinstance(container, Lists) and container.array is None and place < len(container.places):
        return container.places[place]
    if isinstance(container, Lists) and container.array is not None and container.owners is None:
        short = _list_lengths(container.array) <= place
        if not short.any():
            return Column(pc.list_element(container.array, place))
        batch.harden(short)
        return _picked(container, np.where(short, -1, place))
    raise NotVector("an element")


def _computed_element(batch: _Batch, container: Value, places: I64) -> Value:
    """Return the element at a computed place; rows where there is none are hard."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(container, Lists) and container.array is not None:
        lengths = _list_lengths(container.array)
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
    columns = [item.array if isinstance(item, Column) else item for item in items]
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
    lengths = _list_lengths(lists.array)
    starts = np.cumsum(lengths) - lengths
    if lists.owners is not None:
        starts = starts[lists.owners]
    picked = lists.array.flatten().take(pa.array(starts + places, mask=places < 0))
    return Column(pc.fill_null(picked, "") if picked.null_count else picked)


def _call(batch: _Batch, node: nodes.Call) -> Value:
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
        return Column(_trimmed(value.array))
    raise NotVector(called.attr)


def _filter(batch: _Batch, node: nodes.Filter) -> Value:
    if node.node is None or node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
        raise NotVector(node.name)
    value = expression(batch, node.node)
    args = [expression(batch, arg) for arg in node.args]
    if node.name in DRAWS and not args:
        return _drawn(batch, value)
    if isinstance(value, Lists) and value.owners is not None:
        raise NotVector("a list of the batch around a loop")
    if node.name == "join" and len(args) <= 1 and all(isinstance(arg, str) for arg in args):
        return _join(batch, value, args[0] if args else "")
    if node.name == "trim" and not args and _is_text(value):
        return _trimmed_value(value)
    if node.name == "string" and not args and _is_text(value):
        return value
    if node.name in ("length", "count") and not args and isinstance(value, Lists) and value.array is not None:
        return Column(_from_numpy(_list_lengths(value.array)))
    if node.name == "truncate" and args == [2048] and _is_text(value):
        return _short_enough(batch, value)
    raise NotVector(node.name)


def _drawn(batch: _Batch, value: Value) -> Value:
    if not batch.draws_known:
        raise NotVector("a draw after a draw in a branch")
    draws = (batch.key.draws(batch.rows.numbers, batch.draws) >> np.uint64(32)).astype(np.int64)
    batch.draws += 1
    if isinstance(value, list) and value:
        return _computed_element(batch, value, (draws * len(value)) >> 32)
    if isinstance(value, Lists) and value.array is not None:
        lengths = _list_lengths(value.array)
        return _computed_element(batch, value, np.where(lengths == 0, -1, (draws * lengths) >> 32))
    raise NotVector("a draw from something else")


def _join(batch: _Batch, value: Value, separator: str) -> Value:
    import pyarrow.compute as pc

    if isinstance(value, list):
        return separator.join(value)
    if isinstance(value, Lists) and value.array is not None:
        return Column(pc.binary_join(value.array, separator))
    if isinstance(value, Lists):
        pieces: list[Value] = []
        for place in value.places:
            pieces += [separator, place]
        return Column(_joined(batch, pieces[1:]))
    raise NotVector("join of something else")


def _short_enough(batch: _Batch, value: Value) -> Value:
    """Return the text itself; rows where truncation would cut it are hard (bytes bound characters)."""
    if isinstance(value, str):
        return value if len(value) <= 2048 else _no("a long constant")
    batch.harden(_lengths(value.array) > 2048)
    return value


def _compare(batch: _Batch, node: nodes.Compare) -> Value:
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


def _not(batch: _Batch, node: nodes.Not) -> Value:
    return ~_mask(batch, expression(batch, node.node))


def _conditional(batch: _Batch, node: nodes.CondExpr) -> Value:
    if node.expr2 is None:
        raise NotVector("a conditional without else")
    draws = batch.draws
    mask = _mask(batch, expression(batch, node.test))
    hard = batch.hard.copy()
    taken = _text(batch, expression(batch, node.expr1))
    batch.hard = hard | (batch.hard & mask)
    hard = batch.hard.copy()
    other = _text(batch, expression(batch, node.expr2))
    batch.hard = hard | (batch.hard & ~mask)
    if batch.draws != draws:
        raise NotVector("a draw in a conditional")
    return _choose(batch, mask, [taken], [other])


def _concat(batch: _Batch, node: nodes.Concat) -> Value:
    return Column(_joined(batch, [_text(batch, expression(batch, part)) for part in node.nodes]))


_COMPARISONS = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "lteq": "less_equal",
    "gt": "greater",
    "gteq": "greater_equal",
}

_EXPRESSIONS: Mapping[type, Callable[[_Batch, Any], Value]] = {
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


# small things


def _no(what: str) -> Any:
    raise NotVector(what)


def _is_text(value: Value) -> bool:
    return isinstance(value, str) or (isinstance(value, Column) and is_string(value.array.type))


def _all_text(values: Sequence[Value]) -> bool:
    return all(_is_text(value) for value in values)


def _text(batch: _Batch, value: Value) -> Value:
    """Return the printed form of a value: a str, or a Column of strings."""
    import pyarrow as pa

    if _is_text(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Column):
        return Column(value.array.cast(pa.string()))
    raise NotVector("printing something else")


def _mask(batch: _Batch, value: Value) -> BoolArray:
    """Return the truth of a value for every row."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Lists) and value.array is not None and value.owners is None:
        return _list_lengths(value.array) > 0
    if isinstance(value, Column) and is_string(value.array.type):
        return _lengths(value.array) > 0
    if isinstance(value, Column):
        truth: BoolArray = value.array.to_numpy(zero_copy_only=False) != 0
        return truth
    raise NotVector("the truth of something else")


def _joined(batch: _Batch, pieces: Sequence[Value]) -> pa.Array:
    """Return the pieces joined, row by row; neighbouring constants become one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    merged: list[Value] = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        elif piece != "":
            merged.append(piece)
    if all(isinstance(piece, str) for piece in merged):
        return pa.array(["".join(merged)], pa.string()).take(pa.array(np.zeros(len(batch), np.int64)))
    if len(merged) == 1:
        return _plain_string(merged[0].array)
    arrays = [
        _plain_string(piece.array) if isinstance(piece, Column) else pa.scalar(piece) for piece in merged
    ]
    return pc.binary_join_element_wise(*arrays, "")


def _plain_string(array: pa.Array) -> pa.Array:
    import pyarrow as pa

    return array if array.type == pa.string() else array.cast(pa.string())


def _trimmed(array: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(array)


def _stripped_text(batch: _Batch, pieces: Sequence[Value]) -> pa.Array:
    """Return the pieces joined and stripped; nothing is copied twice where no row has space at its ends."""
    pieces = list(pieces)
    while pieces and isinstance(pieces[0], str) and not pieces[0].strip():
        pieces.pop(0)
    while pieces and isinstance(pieces[-1], str) and not pieces[-1].strip():
        pieces.pop()
    if pieces and isinstance(pieces[0], str):
        pieces[0] = pieces[0].lstrip()
    if pieces and isinstance(pieces[-1], str):
        pieces[-1] = pieces[-1].rstrip()
    loose = any(isinstance(piece, Column) and _spaced(piece.array) for piece in (*pieces[:1], *pieces[-1:]))
    text = _joined(batch, pieces)
    return _trimmed(text) if loose else text


def _spaced(array: pa.Array) -> bool:
    """Tell whether any text is empty or may begin or end with white space."""
    texts = _plain_string(array)
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    if not len(texts) or (offsets[1:] == offsets[:-1]).any():
        return True
    data = np.frombuffer(texts.buffers()[2], np.uint8)
    return bool(_MAY_BE_SPACE[data[offsets[:-1]]].any() or _MAY_END_SPACE[data[offsets[1:] - 1]].any())


_MAY_BE_SPACE = np.zeros(256, bool)
_MAY_BE_SPACE[[*range(9, 14), *range(28, 33), 0xC2, 0xE1, 0xE2, 0xE3]] = True
_MAY_END_SPACE = np.zeros(256, bool)
_MAY_END_SPACE[[*range(9, 14), *range(28, 33), *range(0x80, 0xC0)]] = True


def _trimmed_value(value: Value) -> Value:
    return value.strip() if isinstance(value, str) else Column(_trimmed(value.array))


def _lengths(array: pa.Array) -> I64:
    import pyarrow.compute as pc

    lengths: I64 = pc.binary_length(array).to_numpy(zero_copy_only=False)
    return lengths


def _list_lengths(array: pa.Array) -> I64:
    import pyarrow.compute as pc

    lengths: I64 = pc.list_value_length(array).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths


def _from_numpy(values: I64) -> pa.Array:
    import pyarrow as pa

    return pa.array(values)


# answer choices


def _split_choices(batch: _Batch, tree: nodes.Node) -> Lists:
    """Return the choices that a ||| separated text gives, each trimmed."""

    body = _template(tree).body
    printed = getattr(body[0], "nodes", ()) if len(body) == 1 else ()
    only = next(iter(printed)) if len(printed) == 1 else None
    if isinstance(only, nodes.Filter) and only.name == "join" and _is_bars(only.args) and not only.kwargs:
        lists = _lists(expression(batch, only.node)) if only.node is not None else _no("join")
        if lists.array is not None:
            batch.harden(_list_lengths(lists.array) == 0)  # an empty list joins to one blank choice
            return _stripped(lists)
    parts = _parts(batch, body)
    columns = [_trimmed_value(part[0] if len(part) == 1 else Column(_joined(batch, part))) for part in parts]
    return Lists(places=tuple(columns))


def _is_bars(args: Sequence[nodes.Node]) -> bool:
    return len(args) == 1 and isinstance(args[0], nodes.Const) and args[0].value == PIPES


def _lists(value: Value) -> Lists:
    return value if isinstance(value, Lists) else _no("choices that are no list")


def _stripped(lists: Lists) -> Lists:
    import pyarrow as pa

    if lists.array is None:
        return Lists(places=tuple(_trimmed_value(place) for place in lists.places))
    offsets = np.concatenate([[0], np.cumsum(_list_lengths(lists.array))])
    flat = _trimmed(_plain_string(lists.array.flatten()))
    return Lists(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat))


def _list_array(lists: Lists, count: int) -> pa.Array:
    import pyarrow as pa

    if lists.array is not None:
        return lists.array
    width = len(lists.places)
    columns = [
        place.array
        if isinstance(place, Column)
        else pa.array([place]).take(pa.array(np.zeros(count, np.int64)))
        for place in lists.places
    ]
    together = pa.concat_arrays([_plain_string(column) for column in columns])
    order = np.arange(width * count).reshape(width, count).T.ravel()
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width)
    return pa.ListArray.from_arrays(offsets, together.take(pa.array(order)))


def _label_in(targets: pa.Array, choices: tuple[str, ...]) -> I64:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.index_in(targets, pa.array(choices, pa.string()))
    labels: I64 = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return labels


def _label_among(batch: _Batch, targets: pa.Array, choices: Lists) -> I64:
    """Return the first place at which each row's choices equal its target, or -1."""
    import pyarrow as pa
    import pyarrow.compute as pc

    labels = np.full(len(targets), -1, np.int64)
    if choices.array is None:
        for place in range(len(choices.places) - 1, -1, -1):
            column = choices.places[place]
            same = pc.equal(targets, column.array if isinstance(column, Column) else column)
            labels[same.to_numpy(zero_copy_only=False)] = place
        return labels
    lengths = _list_lengths(choices.array)
    owners = np.repeat(np.arange(len(targets)), lengths)
    same = pc.equal(choices.array.flatten(), targets.take(pa.array(owners))).to_numpy(zero_copy_only=False)
    hits = np.flatnonzero(same)[::-1]
    starts = np.cumsum(lengths) - lengths
    labels[owners[hits]] = hits - starts[owners[hits]]
    return labels
