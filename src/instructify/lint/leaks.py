"""Rules on answers that the prompt gives away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jinja2 import nodes

from instructify.lint.model import Found, Sample, Subject

PROBES = 8
"""Rows that are changed to see what follows."""


def label_in_prompt(subject: Subject) -> Iterator[Found]:
    """The prompt of an original task changes with the label, so that it gives the answer away."""
    if not subject.is_original:
        return
    for name in sorted(subject.variables):
        values = _label_values(subject, name)
        probes = [example for example in subject.examples if _is_plain(example.row.get(name))][:PROBES]
        if len(values) < 2 or not probes:
            continue
        leaks = sum(_leaks(subject, probe, name, values) for probe in probes)
        if leaks > len(probes) // 2:
            yield Found(
                f"the prompt changes with {name}, and so does the target", "a prompt without the answer"
            )
            return


def _label_values(subject: Subject, name: str) -> list[Any]:
    """Return the values of a column that looks like a label: a ClassLabel, or few short values."""
    if name in subject.labels:
        return list(range(len(subject.labels[name])))
    given = [sample.row.get(name) for sample in subject.samples]
    values = {value for value in given if _is_plain(value)}
    is_short = all(len(str(value)) < 40 for value in values)
    return sorted(values, key=repr) if is_short and len(values) <= max(2, len(given) // 10) else []


def _is_plain(value: Any) -> bool:
    return isinstance(value, (int, str))


def _leaks(subject: Subject, sample: Sample, name: str, values: list[Any]) -> bool:
    for value in values:
        if value != sample.row[name]:
            other = subject.render({**sample.row, name: value}, sample.number)
            if not other.reason and other.target != sample.target and other.choices == sample.choices:
                return other.prompt != sample.prompt
    return False


def target_in_prompt(subject: Subject) -> Iterator[Found]:
    """The prompt of an original task, or of an inverted one, prints what is the target or holds it."""
    target = [p for p in subject.body.pieces if p.side == "target" and (p.kind != "text" or p.text.strip())]
    if not (subject.is_original or subject.template.kind == "inverted") or len(target) != 1:
        return
    for piece in subject.body.prints("prompt"):
        if _gives_away(piece.node, target[0].node):
            shown = [s for s in subject.examples if s.target in s.prompt]
            if shown and len(shown) == len(subject.examples):
                yield Found("the prompt prints what is the target", "a prompt without the answer", piece.line)
                return


def _gives_away(shown: nodes.Node | None, target: nodes.Node | None) -> bool:
    """Tell whether an expression is the target's, or of the very value that the target is a part of."""
    if shown == target and not isinstance(shown, nodes.Const):
        return True
    if shown is None or any(shown.find_all(nodes.Slice)):
        return False
    path, is_picked = _path(target)
    whole, _ = _path(shown)
    mine, its = _part(shown), _part(target)
    is_other_part = mine != its and None not in (mine, its) and (mine or 0) * (its or 0) >= 0
    return bool(whole) and not is_picked and not is_other_part and path[: len(whole)] == whole


def _part(node: nodes.Node | None) -> int | None:
    """Return the index by which an expression takes one part of what a call or filter made, None for all."""
    while isinstance(node, (nodes.Filter, nodes.Call)):
        node = node.node.node if isinstance(node.node, nodes.Getattr) else node.node
    if not isinstance(node, nodes.Getitem) or not _is_worked_out(node.node):
        return None
    index = node.arg.node if isinstance(node.arg, nodes.Neg) else node.arg
    value = index.value if isinstance(index, nodes.Const) and isinstance(index.value, int) else None
    return -value if value is not None and index is not node.arg else value


def _path(node: nodes.Node | None) -> tuple[tuple[Any, ...], bool]:
    """Return the place in the row that an expression is made from, and whether the row picks a part of it.

    The place is empty where the expression is made from no one column.
    """
    if isinstance(node, nodes.Name):
        return (() if node.name == "answer_choices" else (node.name,)), False
    if isinstance(node, (nodes.Filter, nodes.Call)):
        inner = node.node.node if isinstance(node.node, nodes.Getattr) else node.node
        path, is_picked = _path(inner)
        return path, is_picked or _is_picking(node)
    if isinstance(node, nodes.Getattr):
        path, is_picked = _path(node.node)
        return (*path, node.attr) if path else (), is_picked
    if isinstance(node, nodes.Getitem):
        path, is_picked = _path(node.node)
        if isinstance(node.arg, nodes.Const) and not _is_worked_out(node.node):
            return (*path, node.arg.value) if path else (), is_picked
        return path, is_picked or not isinstance(node.arg, (nodes.Const, nodes.Neg, nodes.Slice))
    return (), False


def _is_picking(node: nodes.Filter | nodes.Call) -> bool:
    return isinstance(node, nodes.Filter) and node.name in ("choice", "random", "select", "reject", "map")


def _is_worked_out(node: nodes.Node) -> bool:
    return isinstance(node, (nodes.Call, nodes.Filter)) or any(node.find_all((nodes.Call, nodes.Filter)))
