"""Renders the plain part of a batch with Arrow kernels, without making Python strings of the columns.

A template's tree is walked once a batch and every expression becomes a whole column. What has no kernel here
raises NotVector, and the generated function takes the batch; single rows that a kernel cannot settle (a null,
a blank, an index out of range) are marked `hard`, and the generated function takes those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import nodes

from instructify.keys import I64, Key
from instructify.render.compiled.kernels.choices import (
    NONE,
    SEVERAL,
    is_bars,
    label_among,
    label_in,
    list_array,
    listed_choices,
    split_choices,
)
from instructify.render.compiled.kernels.statements import lone_branch, only_text, parts_of, template_of
from instructify.render.compiled.kernels.values import (
    Batch,
    Lists,
    NotThisBatch,
    NotVector,
    Value,
    lengths,
    stripped_text,
    stripped_value,
)
from instructify.render.compiled.prepare import Prepared
from instructify.render.compiled.rows import BoolArray, Rows, holds, rows_that_hold
from instructify.render.meter import Choices
from instructify.render.reference import PIPES, PROTECTOR

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["NotThisBatch", "NotVector", "Vectors", "vectorises", "vectors"]


@dataclass(slots=True)
class Vectors:
    """The columns of a batch's examples, the rows that fall, by reason, and those settled by other means."""

    inputs: pa.Array
    targets: pa.Array
    choices: pa.Array | tuple[str, ...] | None
    labels: I64 | None
    rationales: pa.Array | None
    fallen: dict[str, BoolArray]
    hard: BoolArray


def vectors(rows: Rows, key: Key, prepared: Prepared) -> Vectors:
    """Return the examples of a batch; raises NotVector when kernels cannot make them."""
    strict, constant = prepared.strict, prepared.constant
    batch = Batch(rows, key, strict, np.zeros(len(rows), bool), text=prepared.text)
    batch.names["answer_choices"] = Choices(constant) if constant is not None else None
    chosen: Lists | None = None
    parts: list[list[Value]] = []
    places: list[Value] = []
    rationales: pa.Array | None = None
    if not strict:
        batch.harden(rows.with_bar)
    for step in prepared.steps:
        # what one text assigns is not known in the next
        batch.names = {"answer_choices": batch.names["answer_choices"]}
        if step.result == "chosen":
            chosen = split_choices(batch, step.tree) if not strict else listed_choices(batch, step.tree)
            batch.names["answer_choices"] = replace(chosen, are_choices=True)
        elif step.result.startswith("choice_"):
            places.append(stripped_value(batch, only_text(batch, step.tree)))
            chosen = Lists(places=tuple(places), are_choices=True)
            batch.names["answer_choices"] = chosen if step.then else None
        elif step.result == "rationale":
            rationales = stripped_text(batch, only_text(batch, step.tree))
        else:
            body = template_of(step.tree).body
            batch.lone = lone_branch(body)
            parts = parts_of(batch, body)
    if len(parts) != 2:
        raise NotVector("not two parts")
    inputs, targets = (stripped_text(batch, part) for part in parts)
    labels = None
    if constant is not None:
        labels = label_in(targets, constant)
    elif chosen is not None:
        labels = label_among(targets, chosen)
    choices = constant if chosen is None else list_array(chosen, len(rows))
    for said in (inputs, targets, choices) if not strict else ():
        if said is not None and not isinstance(said, tuple) and holds(said, PROTECTOR):
            batch.harden(rows_that_hold(said, PROTECTOR))
    fallen = _fallen(batch, inputs, targets, rationales, labels)
    return Vectors(inputs, targets, choices, labels, rationales, fallen, batch.hard)


def _fallen(
    batch: Batch, inputs: pa.Array, targets: pa.Array, rationales: pa.Array | None, labels: I64 | None
) -> dict[str, BoolArray]:
    """Return the rows that are no examples, by reason, in the order in which `checks.check` asks."""
    reasons = {
        "unlabelled": batch.unlabelled,
        "blank-prompt": batch.blank | (lengths(inputs) == 0),
        "blank-target": lengths(targets) == 0,
    }
    if rationales is not None:
        reasons["blank-rationale"] = lengths(rationales) == 0
    if labels is not None:
        reasons["target-not-in-choices"] = labels == NONE
        reasons["ambiguous-target"] = labels == SEVERAL
    fallen: dict[str, BoolArray] = {}
    left = ~batch.hard
    for reason, marked in reasons.items():
        rows = marked & left
        if rows.any():
            fallen[reason] = rows
            left &= ~rows
    return fallen


def vectorises(prepared: Prepared) -> bool:
    """Tell whether kernels may be tried: no statement or text here is beyond them from the start."""
    # a bar may be one of three together with those beside it
    if prepared.mutates or (not prepared.strict and any("|" in choice for choice in prepared.constant or ())):
        return False
    for step in prepared.steps:
        for node in step.tree.find_all(nodes.Node):
            if isinstance(node, (nodes.AssignBlock, nodes.Test, nodes.NSRef)):
                return False
            if isinstance(node, nodes.TemplateData) and "|" in node.data.replace(PIPES, ""):
                return False
            has_bar = isinstance(node, nodes.Const) and isinstance(node.value, str) and "|" in node.value
            if has_bar and not (step.result == "chosen" and is_bars([node])):
                return False
    return True
