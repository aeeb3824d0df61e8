"""Renders the plain part of a batch with Arrow kernels, without making Python strings of the columns.

A template's tree is walked once a batch and every expression becomes a whole column. What has no kernel here
raises NotVector, and the generated function takes the batch; single rows that a kernel cannot settle (a null,
a blank, an index out of range) are marked `hard`, and the generated function takes those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import nodes

from instructify.keys import I64, Key
from instructify.render.compiled.kernels.choices import (
    is_bars,
    label_among,
    label_in,
    list_array,
    listed_choices,
    split_choices,
)
from instructify.render.compiled.kernels.statements import only_text, parts_of, template_of
from instructify.render.compiled.kernels.values import (
    Batch,
    Lists,
    NotVector,
    Value,
    lengths,
    stripped_text,
    trimmed_value,
)
from instructify.render.compiled.prepare import Prepared
from instructify.render.compiled.rows import BoolArray, Rows, holds, rows_that_hold
from instructify.render.compiled.trees import Step
from instructify.render.reference import PIPES, PROTECTOR

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["NotVector", "Vectors", "vectorises", "vectors"]


@dataclass(slots=True)
class Vectors:
    """The columns of a batch's examples and the rows that are settled by other means."""

    inputs: pa.Array
    targets: pa.Array
    choices: pa.Array | tuple[str, ...] | None
    labels: I64 | None
    rationales: pa.Array | None
    hard: BoolArray


def vectors(rows: Rows, key: Key, prepared: Prepared) -> Vectors:
    """Return the examples of a batch; raises NotVector when kernels cannot make them."""
    strict, constant = prepared.strict, prepared.constant
    batch = Batch(rows, key, strict, np.zeros(len(rows), bool))
    batch.names["answer_choices"] = list(constant) if constant is not None else None
    chosen: Lists | None = None
    parts: list[list[Value]] = []
    places: list[Value] = []
    rationales: pa.Array | None = None
    if not strict:
        batch.harden(rows.with_bar)
    for step in prepared.steps:
        if step.result == "chosen":
            chosen = split_choices(batch, step.tree) if not strict else listed_choices(batch, step.tree)
            batch.names["answer_choices"] = chosen
        elif step.result.startswith("choice_"):
            places.append(trimmed_value(only_text(batch, step.tree)))
            chosen = Lists(places=tuple(places))
            batch.names["answer_choices"] = chosen if step.then else None
        elif step.result == "rationale":
            rationales = stripped_text(batch, [only_text(batch, step.tree)])
            batch.harden(lengths(rationales) == 0)
        else:
            parts = parts_of(batch, template_of(step.tree).body)
    if len(parts) != 2:
        raise NotVector("not two parts")
    inputs, targets = (stripped_text(batch, part) for part in parts)
    for text in (inputs, targets) if not strict else ():
        if holds(text, PROTECTOR):
            batch.harden(rows_that_hold(text, PROTECTOR))
    batch.harden(lengths(inputs) == 0)
    batch.harden(lengths(targets) == 0)
    labels = None
    if constant is not None:
        labels = label_in(targets, constant)
    elif chosen is not None:
        labels = label_among(targets, chosen)
    if labels is not None:
        batch.harden(labels < 0)
    choices = constant if chosen is None else list_array(chosen, len(rows))
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
            if has_bar and not (step.result == "chosen" and is_bars([node])):
                return False
    return True
