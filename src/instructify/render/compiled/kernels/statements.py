"""What statements print for a whole batch: output, branches, assignments and loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from jinja2 import nodes

from instructify.keys import I64
from instructify.render.compiled.kernels.elements import computed_element
from instructify.render.compiled.kernels.expressions import condition, expression
from instructify.render.compiled.kernels.values import (
    Batch,
    Column,
    Lists,
    NotVector,
    Turns,
    Value,
    choose,
    from_numpy,
    joined,
    lifted,
    list_lengths,
    merged,
    printed,
)
from instructify.render.compiled.rows import is_string
from instructify.render.meter import WORK_LIMIT
from instructify.render.reference import PIPES
from instructify.render.rewrite import CUT

MAX_TURNS = 256
"""Rows whose loop takes more turns are left to the generated function."""


def parts_of(batch: Batch, body: Sequence[nodes.Node]) -> list[list[Value]]:
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
                    parts[-1] += _printed_pieces(batch, child)
        elif isinstance(node, nodes.If):
            _branch(batch, node, parts)
        elif isinstance(node, nodes.Assign) and isinstance(node.target, nodes.Name):
            if node.target.name in batch.rows.names:
                raise NotVector("a column's name is assigned")  # what it was before depends on the frame
            batch.names[node.target.name] = expression(batch, node.node)
        elif isinstance(node, nodes.For):
            parts[-1] += loop_texts(batch, node)
        else:
            raise NotVector(type(node).__name__)
    return parts


def _printed_pieces(batch: Batch, node: nodes.Node) -> list[Value]:
    """Return what an expression prints; texts that it joins stay single, for they are joined once more."""
    if isinstance(node, nodes.Concat):
        return [piece for part in node.nodes for piece in _printed_pieces(batch, part)]
    if isinstance(node, nodes.Filter) and _is_plain_join(node):
        value = expression(batch, cast("nodes.Expr", node.node))
        separator = cast("nodes.Const", node.args[0]).value if node.args else ""
        if isinstance(value, Lists) and value.array is None and value.owners is None:
            pieces = [piece for place in value.places for piece in (separator, place)]
            return pieces[1:]
    return [printed(batch, expression(batch, node))]


def _is_plain_join(node: nodes.Filter) -> bool:
    if node.name != "join" or node.node is None:
        return False
    named = node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None
    constant = all(isinstance(arg, nodes.Const) and isinstance(arg.value, str) for arg in node.args)
    return not named and constant and len(node.args) <= 1


def _add_data(parts: list[list[Value]], data: str, strict: bool) -> None:
    first, *rest = [data] if strict else data.split(PIPES)
    parts[-1].append(first)
    parts += [[piece] for piece in rest]


def _branch(batch: Batch, node: nodes.If, parts: list[list[Value]]) -> None:
    mask = condition(batch, node.test)
    names, draws = batch.names.copy(), batch.draws
    before = batch.marks()
    taken = parts_of(batch, node.body)
    _same_names(names, batch)
    batch.draws_known = batch.draws_known and batch.draws == draws
    batch.only(mask, before)
    before = batch.marks()
    other = _otherwise(batch, node)
    batch.only(~mask, before)
    batch.draws_known = batch.draws_known and batch.draws == draws
    if len(taken) != len(other):
        # rows whose branch has no separator print one part only
        short_rows, short, long = (~mask, other, taken) if len(taken) > len(other) else (mask, taken, other)
        if node is batch.lone and _are_blank(short):
            batch.blank |= short_rows
        else:
            batch.harden(short_rows)
        parts[-1] += long[0]
        parts += long[1:]
        return
    if len(taken) > 1:
        raise NotVector("separators in both branches")
    parts[-1].append(choose(batch, mask, taken[0], other[0]))


def _are_blank(parts: list[list[Value]]) -> bool:
    return all(isinstance(piece, str) and not piece.strip() for part in parts for piece in part)


def lone_branch(body: Sequence[nodes.Node]) -> nodes.If | None:
    """Return the only statement that prints anything but white space, if that is a branch."""
    found: nodes.If | None = None
    for node in body:
        if isinstance(node, nodes.If) and found is None:
            found = node
        elif isinstance(node, nodes.Output):
            if not all(isinstance(part, nodes.TemplateData) and not part.data.strip() for part in node.nodes):
                return None
        elif not isinstance(node, nodes.Assign):
            return None
    return found


def _otherwise(batch: Batch, node: nodes.If) -> list[list[Value]]:
    if node.elif_:
        first, *rest = node.elif_
        nested = nodes.If(first.test, first.body, rest, node.else_, lineno=node.lineno)
        parts: list[list[Value]] = [[]]
        _branch(batch, nested, parts)
        return parts
    names, draws = batch.names.copy(), batch.draws
    parts = parts_of(batch, node.else_)
    _same_names(names, batch)
    if draws != batch.draws:
        raise NotVector("a draw in a branch")
    return parts


def _same_names(names: dict[str, Value], batch: Batch) -> None:
    if names.keys() != batch.names.keys() or any(names[name] is not batch.names[name] for name in names):
        raise NotVector("an assignment in a branch")


def only_text(batch: Batch, tree: nodes.Node) -> list[Value]:
    """Return the pieces of the one text that a tree without separators prints."""
    parts = parts_of(batch, template_of(tree).body)
    if len(parts) != 1:
        raise NotVector("a separator")
    return parts[0]


def template_of(tree: nodes.Node) -> nodes.Template:
    """Return a tree that is a whole template."""
    assert isinstance(tree, nodes.Template)  # noqa: S101  (what the step holds)
    return tree


def loop_texts(batch: Batch, node: nodes.For) -> list[Value]:
    """Return what a loop prints: its body is rendered once for all turns of all rows, then joined by row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if node.else_ or node.test is not None or node.recursive or batch.outer is not None:
        raise NotVector("an unusual loop")
    lengths, bind = _iterated(batch, node)
    price = sum(1 for _ in node.find_all(nodes.Node)) * (40 + ((batch.rows.sizes + batch.text) >> 3))
    long = (lengths > MAX_TURNS) | (lengths * price > WORK_LIMIT >> 1)
    batch.harden(long)
    lengths = np.where(long, 0, lengths)
    owners = np.repeat(np.arange(len(batch)), lengths)
    turns = np.arange(len(owners)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    inner = Batch(
        batch.rows, batch.key, batch.strict, np.zeros(len(owners), bool), outer=batch, owners=owners
    )
    inner.draws_known = False
    inner.names = {"loop": Turns(turns), **bind(inner, turns)}
    parts = parts_of(inner, node.body)
    if len(parts) != 1:
        raise NotVector("a separator in a loop")
    hard = np.zeros(len(batch), bool)
    hard[owners[inner.hard]] = True
    batch.harden(hard)
    batch.unlabelled[owners[inner.unlabelled]] = True
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    pieces = merged(parts[0])
    first = pieces.pop(0) if len(pieces) > 1 and isinstance(pieces[0], str) else ""
    last = pieces.pop() if len(pieces) > 1 and isinstance(pieces[-1], str) else ""
    if len(batch) and lengths.min() > 0:  # what every turn begins and ends with is joined as a separator
        texts = pa.ListArray.from_arrays(offsets, joined(inner, pieces))
        return [first, Column(pc.binary_join(texts, last + first)), last]
    texts = pa.ListArray.from_arrays(offsets, joined(inner, [first, *pieces, last]))
    return [Column(pc.binary_join(texts, ""))]


Bind = Callable[[Batch, I64], dict[str, Value]]


def _iterated(batch: Batch, node: nodes.For) -> tuple[I64, Bind]:
    """Return how many turns each row takes, and what binds the loop's names."""
    target, iterable = node.target, node.iter
    if isinstance(iterable, nodes.Call) and isinstance(iterable.node, nodes.Name) and not iterable.kwargs:
        if iterable.node.name in batch.rows.names | batch.names.keys():
            raise NotVector("a global whose name is taken")
        if iterable.node.name == "range" and len(iterable.args) == 1 and isinstance(target, nodes.Name):
            name, number = target.name, expression(batch, iterable.args[0])
            if isinstance(number, (list, Lists)):
                raise NotVector("a range of something else")
            return _counts(batch, number), lambda inner, turns: {name: Column(from_numpy(turns))}
        if iterable.node.name == "zip" and isinstance(target, nodes.Tuple):
            names = [item.name for item in target.items if isinstance(item, nodes.Name)]
            values = [expression(batch, arg) for arg in iterable.args]
            if len(names) != len(target.items) or len(names) != len(values) or not values:
                raise NotVector("an unusual zip")
            lengths = np.minimum.reduce([_counts(batch, value) for value in values])
            return lengths, lambda inner, turns: {
                name: computed_element(inner, lifted(inner, value), turns)
                for name, value in zip(names, values, strict=True)
            }
    if not isinstance(target, nodes.Name):
        raise NotVector("an unusual loop target")
    name, value = target.name, expression(batch, iterable)
    return _counts(batch, value), lambda inner, turns: {
        name: computed_element(inner, lifted(inner, value), turns)
    }


def _counts(batch: Batch, value: Value) -> I64:
    """Return the number of elements of a list, or the number itself, for each row."""
    if isinstance(value, list):
        return np.full(len(batch), len(value), np.int64)
    if isinstance(value, Lists):
        return (
            np.full(len(batch), len(value.places), np.int64)
            if value.array is None
            else list_lengths(value.array)
        )
    if isinstance(value, int):
        return np.full(len(batch), max(value, 0), np.int64)
    if isinstance(value, Column) and not is_string(value.array.type):
        counts: I64 = np.maximum(value.array.to_numpy(zero_copy_only=False).astype(np.int64), 0)
        return counts
    raise NotVector("a loop over something else")
