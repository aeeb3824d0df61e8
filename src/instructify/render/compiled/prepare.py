"""Turns a template into the steps that both compiled forms run: choices, rationale, body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import nodes

from instructify.render import rewrite
from instructify.render.compiled.limits import check_limits, check_names
from instructify.render.compiled.trees import (
    CannotCompile,
    Step,
    constant_text,
    is_constant,
    looks,
    more_looks,
    mutates,
    paths,
)
from instructify.render.reference import KEEPING, PIPES, PROTECTOR, TRUNCATION
from instructify.render.sandbox import Sandbox

if TYPE_CHECKING:
    from instructify.templates.model import Template


WALKS = (
    *(nodes.Filter, nodes.Test, nodes.Compare, nodes.Call, nodes.Concat, nodes.BinExpr, nodes.Output),
    nodes.Getitem,
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A template's steps and what is known of them before any row is seen.

    `constant` are the answer choices where no row changes them; `varying` tells that rows have their own.
    `size` is the number of looks that all trees take, `walks` how often they may go through the elements of a
    value, `text` the number of characters in constants, `mutates` that a row's values may change in place.
    """

    strict: bool
    steps: tuple[Step, ...]
    constant: tuple[str, ...] | None
    varying: bool
    has_rationale: bool
    mutates: bool
    size: int
    text: int
    paths: frozenset[tuple[str, ...]]
    walks: int


def prepare(template: Template, env: Sandbox) -> Prepared:
    """Return the steps of a template that the reference has compiled; raises CannotCompile."""
    strict = template.dialect == "strict"
    body = env.parse(template.body.replace("}}", TRUNCATION) if template.truncate else template.body)
    if strict:
        rewrite.cut_at_separator(body, template.where)
    own = _choice_steps(template, env)
    rationale = template.rationale if strict else None
    rest = [] if rationale is None else [Step(env.parse(rationale), "rationale")]
    rest.append(Step(body, "prompt", after_cut="target") if strict else Step(body, "body"))
    changes = any(mutates(step.tree) for step in (*own, *rest))
    constant = None if changes else _constant_choices(template, own)
    steps = rest if constant is not None else [*own, *rest]
    for step in steps:
        check_limits(step.tree)
        check_names(step.tree)
    return Prepared(
        strict,
        tuple(steps),
        constant,
        varying=template.choices is not None and constant is None,
        has_rationale=rationale is not None,
        mutates=changes,
        size=sum(looks(step.tree) for step in steps),
        text=sum(constant_text(step.tree) for step in steps) + sum(len(text) + 16 for text in constant or ()),
        paths=frozenset(path for step in steps for path in paths(step.tree)),
        walks=sum(_walks(node) for step in steps for node in step.tree.find_all(WALKS)),
    )


def _walks(node: nodes.Node) -> int:
    """Return how often a node may look at all elements of what it is given."""
    if isinstance(node, nodes.Getitem) and is_constant(node.arg):
        return 0
    plain = (nodes.Const, nodes.TemplateData)
    return more_looks(node) + sum(not isinstance(child, plain) for child in node.iter_child_nodes())


def _choice_steps(template: Template, env: Sandbox) -> list[Step]:
    choices = template.choices
    if choices is None:
        return []
    if isinstance(choices, tuple):
        trees = [env.parse(text) for text in choices]
        items = ", ".join(f"choice_{n}.strip()" for n in range(len(trees)))
        steps = [Step(tree, f"choice_{n}") for n, tree in enumerate(trees)]
        last = f"answer_choices = grown(state, Choices([{items}]))"
        return [*steps[:-1], Step(steps[-1].tree, steps[-1].result, last)] if steps else []
    if template.dialect == "promptsource":
        return [Step(env.parse(choices), "chosen", "answer_choices = grown(state, split_choices(chosen))")]
    kept = env.parse(KEEPING.format(choices)).body[0]
    call = kept.node if isinstance(kept, nodes.Assign) else None
    if (
        not isinstance(call, nodes.Call)
        or len(call.args) != 1
        or call.kwargs
        or call.dyn_args
        or call.dyn_kwargs
    ):
        raise CannotCompile("answer_choices is more than one expression", 1)
    return [Step(call.args[0], "chosen", "answer_choices = listed(chosen)")]


def _constant_choices(template: Template, steps: list[Step]) -> tuple[str, ...] | None:
    """Return the answer choices if they are plain text, else None."""
    if template.choices == ():
        return ()
    texts = [_plain_text(step.tree) for step in steps]
    known = [text for text in texts if text is not None]
    if not steps or len(known) != len(texts):
        return None
    if isinstance(template.choices, tuple):
        return tuple(item.strip() for item in known)
    return tuple(item.strip().replace(PROTECTOR, PIPES) for item in known[0].split(PIPES))


def _plain_text(tree: nodes.Node) -> str | None:
    """Return the text of a template without any expression, else None."""
    if not isinstance(tree, nodes.Template):
        return None
    parts = [child for node in tree.body for child in getattr(node, "nodes", [node])]
    if all(isinstance(part, nodes.TemplateData) for part in parts):
        return "".join(part.data for part in parts)
    return None
