"""Answer choices of a whole batch, and the place of each target among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import nodes

from instructify.keys import I64
from instructify.render.compiled.kernels.expressions import expression
from instructify.render.compiled.kernels.statements import parts_of, template_of
from instructify.render.compiled.kernels.values import (
    Batch,
    Column,
    Lists,
    NotVector,
    Value,
    list_lengths,
    plain_string,
    refuse,
    stripped_value,
    trimmed,
    trimmed_value,
)
from instructify.render.reference import PIPES

if TYPE_CHECKING:
    import pyarrow as pa


NONE, SEVERAL = -1, -2
"""Labels of targets that are none of the choices, or more than one."""


def split_choices(batch: Batch, tree: nodes.Node) -> Lists:
    """Return the choices that a ||| separated text gives, each trimmed."""
    body = template_of(tree).body
    printed = getattr(body[0], "nodes", ()) if len(body) == 1 else ()
    only = next(iter(printed)) if len(printed) == 1 else None
    if isinstance(only, nodes.Filter) and only.name == "join" and is_bars(only.args) and not only.kwargs:
        lists = lists_of(expression(batch, only.node)) if only.node is not None else refuse("join")
        if lists.array is not None:
            batch.harden(list_lengths(lists.array) == 0)  # an empty list joins to one blank choice
        elif not lists.places:
            raise NotVector("no choices")
        return stripped(lists)
    if any(is_bars([node]) for node in tree.find_all(nodes.Const)):
        raise NotVector("bars that an expression prints")
    parts = parts_of(batch, body)
    return Lists(places=tuple(stripped_value(batch, part) for part in parts))


def is_bars(args: Sequence[nodes.Node]) -> bool:
    """Tell whether the only argument is the text |||."""
    return len(args) == 1 and isinstance(args[0], nodes.Const) and args[0].value == PIPES


def lists_of(value: Value) -> Lists:
    """Return a value that is a list a row; raises NotVector for anything else."""
    return value if isinstance(value, Lists) else refuse("choices that are no list")


def stripped(lists: Lists) -> Lists:
    """Return lists with every element stripped."""
    import pyarrow as pa

    if lists.array is None:
        return Lists(places=tuple(trimmed_value(place) for place in lists.places))
    offsets = np.concatenate([[0], np.cumsum(list_lengths(lists.array))])
    flat = trimmed(plain_string(lists.array.flatten()))
    return Lists(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat))


def list_array(lists: Lists, count: int) -> pa.Array:
    """Return lists as one Arrow list array."""
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
    together = pa.concat_arrays([plain_string(column) for column in columns])
    order = np.arange(width * count).reshape(width, count).T.ravel()
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width)
    return pa.ListArray.from_arrays(offsets, together.take(pa.array(order)))


def label_in(targets: pa.Array, choices: tuple[str, ...]) -> I64:
    """Return the place of each target among constant choices, or NONE or SEVERAL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.index_in(targets, pa.array(choices, pa.string()))
    labels: I64 = pc.fill_null(found, NONE).to_numpy(zero_copy_only=False).astype(np.int64)
    several = [place for place, choice in enumerate(choices) if choices.count(choice) > 1]
    return np.where(np.isin(labels, several), SEVERAL, labels) if several else labels


def label_among(targets: pa.Array, choices: Lists) -> I64:
    """Return the place of each row's target among its own choices, or NONE or SEVERAL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    labels = np.full(len(targets), NONE, np.int64)
    counts = np.zeros(len(targets), np.int64)
    if choices.array is None:
        for place, column in enumerate(choices.places):
            same = pc.equal(targets, column.array if isinstance(column, Column) else column)
            hits = same.to_numpy(zero_copy_only=False)
            labels[hits] = place
            counts += hits
    else:
        sizes = list_lengths(choices.array)
        owners = np.repeat(np.arange(len(targets)), sizes)
        same = pc.equal(choices.array.flatten(), targets.take(pa.array(owners)))
        places = np.flatnonzero(same.to_numpy(zero_copy_only=False))
        starts = np.cumsum(sizes) - sizes
        labels[owners[places]] = places - starts[owners[places]]
        np.add.at(counts, owners[places], 1)
    return np.where(counts > 1, SEVERAL, labels)


def listed_choices(batch: Batch, tree: nodes.Node) -> Lists:
    """Return the choices that an expression gives, each stripped."""
    return stripped(lists_of(expression(batch, tree)))
