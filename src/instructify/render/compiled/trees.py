"""What can be read off a template's tree: the paths it uses, what it assigns, draws and changes."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes

from instructify.render.meter import TUPLE
from instructify.render.sandbox import MUTATORS

DRAWS = frozenset({"choice", "random"})
CHOOSING = ("select", "reject", "selectattr", "rejectattr")
STRIPPING = ("strip", "lstrip", "rstrip")
MORE_LOOKS = dict.fromkeys(CHOOSING, 3) | {
    "fit": 1,
    "map": 3,
    "nfc": 3,
    "trim": 3,
    "title": 8,
    "wordcount": 8,
}
"""Filters that look at a value several times, or at each character, and how often more than once."""
ITEM = 16
"""What an element of a list counts as, in characters."""
ASKED = 100
"""How often more, where a test of every element compares it with something."""


class CannotCompile(Exception):  # noqa: N818  (a value more than an error)
    """Why a template takes the reference path; `line` is a line of the template's text."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(f"{reason} (line {line})")
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class Step:
    """One Jinja text, or one expression of it, to write into the function.

    Its value is bound to `result`; a body with a cut is bound to `result` and `after_cut`. `then` is a line
    that follows.
    """

    tree: nodes.Node
    result: str
    then: str = ""
    after_cut: str = ""

    @property
    def makes_choices(self) -> bool:
        """Whether the step is part of making the answer choices."""
        return self.result == "chosen" or self.result.startswith("choice_")


def is_constant(node: nodes.Node) -> bool:
    """Tell whether an expression is a constant, or one with a sign."""
    if isinstance(node, (nodes.Neg, nodes.Pos)):
        node = node.node
    return isinstance(node, nodes.Const)


def path_of(node: nodes.Node) -> tuple[str, ...] | None:
    """Return the path of names that an expression reads, or None when it is anything else."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    key: Any = None
    if isinstance(node, nodes.Getattr):
        key = node.attr
        if hasattr(dict, key):
            return None
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        key = node.arg.value
    if not isinstance(key, str):
        return None
    head = path_of(node.node)  # type: ignore[attr-defined]  # both have .node
    return None if head is None else (*head, key)


def paths(tree: nodes.Node) -> Iterator[tuple[str, ...]]:
    """Yield every maximal path of names that a tree reads."""
    path = path_of(tree)
    if path is not None:
        yield path
        return
    for child in tree.iter_child_nodes():
        yield from paths(child)


def mutates(tree: nodes.Node) -> bool:
    """Tell whether a tree may change a value in place."""
    return any(node.attr in MUTATORS for node in tree.find_all(nodes.Getattr))


def stored(tree: nodes.Node) -> set[str]:
    """Return the names that a tree assigns."""
    names = [tree] if isinstance(tree, nodes.Name) else tree.find_all(nodes.Name)
    return {name.name for name in names if isinstance(name, nodes.Name) and name.ctx == "store"}


def assigned(body: Sequence[nodes.Node]) -> set[str]:
    """Return names that the statements assign in their own frame, not in loops inside."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, (nodes.Assign, nodes.AssignBlock)):
            found |= stored(node.target)
        elif isinstance(node, nodes.If):
            found |= assigned(node.body) | assigned(node.else_)
            found |= {name for other in node.elif_ for name in assigned(other.body)}
    return found


def attributes(body: Sequence[nodes.Node], name: str) -> list[str] | None:
    """Return the attributes that statements read or set of a name; None if they use it in any other way."""
    uses = [use for node in body for use in node.find_all(nodes.Name) if use.name == name]
    read = [
        use.attr
        for node in body
        for use in node.find_all(nodes.Getattr)
        if isinstance(use.node, nodes.Name) and use.node.name == name
    ]
    written = [ref.attr for node in body for ref in node.find_all(nodes.NSRef) if ref.name == name]
    return read + written if len(read) == len(uses) else None


def loop_attributes(node: nodes.For) -> set[str]:
    """Return the attributes of `loop` that a loop uses, also by another name that its body gives it."""
    names = {"loop", *(alias.target.name for alias in _aliases(node))}
    return {
        use.attr
        for use in node.find_all(nodes.Getattr)
        if isinstance(use.node, nodes.Name) and use.node.name in names
    }


def _aliases(loop: nodes.For) -> list[Any]:
    return [
        node
        for node in loop.body
        if isinstance(node, nodes.Assign)
        and isinstance(node.target, nodes.Name)
        and isinstance(node.node, nodes.Name)
        and node.node.name == "loop"
    ]


def loop_names(tree: nodes.Node, known: Container[str]) -> list[nodes.Node]:
    """Return the assignments that give `loop` another name, if known attributes are all they read of it."""
    found: list[nodes.Node] = []
    for loop in tree.find_all(nodes.For):
        for alias in _aliases(loop):
            name = alias.target.name
            later = attributes(loop.body[loop.body.index(alias) + 1 :], name)
            every = sum(1 for use in tree.find_all(nodes.Name) if use.name == name)
            if later is not None and len(later) + 1 == every and all(attr in known for attr in later):
                found.append(alias)
    return found


def plain_namespaces(tree: nodes.Node) -> dict[str, list[str]]:
    """Return the namespaces whose attributes may as well be variables: name -> attributes.

    Such a one is made once, outside any block, before all use of its name, and nothing else is done with it
    than to read and set attributes that it was made with.
    """
    if not isinstance(tree, nodes.Template) or "namespace" in stored(tree):
        return {}
    found: dict[str, list[str]] = {}
    for place, node in enumerate(tree.body):
        if not isinstance(node, nodes.Assign) or not isinstance(node.target, nodes.Name):
            continue
        call, name = node.node, node.target.name
        if not isinstance(call, nodes.Call) or not isinstance(call.node, nodes.Name):
            continue
        if call.node.name != "namespace" or call.args or call.dyn_args or call.dyn_kwargs:
            continue
        made = [pair.key for pair in call.kwargs]
        later = attributes(tree.body[place + 1 :], name)
        fresh = attributes([*tree.body[:place], call], name) == []
        if fresh and later is not None and {*later} <= {*made} and not any(key[0] == "_" for key in made):
            found[name] = made
    return found


def constant_text(tree: nodes.Node) -> int:
    """Return the number of characters in a tree's constants; elements of literals count as some."""
    text = 0
    for node in (tree, *tree.find_all(nodes.Expr)):
        if isinstance(node, nodes.Const):
            text += len(node.value) if isinstance(node.value, str) else 0
        elif isinstance(node, (nodes.List, nodes.Tuple, nodes.Dict)):
            is_made = isinstance(node, nodes.Tuple) and node.ctx == "load"
            text += ITEM * len(node.items) + (TUPLE << 3 if is_made else 0)
    return text


def looks(tree: nodes.Node) -> int:
    """Return how often a tree may look at a whole value: once a node, some filters more often."""
    return sum(1 + more_looks(node) for node in (tree, *tree.find_all(nodes.Node)))


def more_looks(node: nodes.Node) -> int:
    """Return how often more than once a node looks at a value, as the reference counts it."""
    if isinstance(node, nodes.Call):
        stripping = isinstance(node.node, nodes.Getattr) and node.node.attr in STRIPPING
        return MORE_LOOKS["trim"] if stripping and node.args else 0
    if not isinstance(node, nodes.Filter):
        return 0
    if node.name == "trim":
        return MORE_LOOKS["trim"] if node.args else 0
    first = node.args[0] if node.args else None
    applied = str(first.value) if node.name == "map" and isinstance(first, nodes.Const) else ""
    asked = ASKED if node.name in CHOOSING and len(node.args) > ("attr" in node.name) + 1 else 0
    return MORE_LOOKS.get(node.name, 0) + MORE_LOOKS.get(applied, 0) + asked


def has_tuples(tree: nodes.Node) -> bool:
    """Tell whether a tree makes tuples, which the reference's budget counts dearly."""
    pairs = ("zip", "items", "dictsort")
    return any(
        (isinstance(node, nodes.Tuple) and node.ctx == "load")
        or (isinstance(node, nodes.Getattr) and node.attr in pairs)
        or (isinstance(node, (nodes.Name, nodes.Filter)) and node.name in pairs)
        for node in tree.find_all((nodes.Tuple, nodes.Getattr, nodes.Name, nodes.Filter))
    )


def held(tree: nodes.Node) -> Iterator[tuple[str, nodes.Expr]]:
    """Yield the names that a tree reads, each with what is read of it: all that may hold an iterator."""
    if isinstance(tree, nodes.Name):
        yield tree.name, tree
    elif isinstance(tree, (nodes.Getattr, nodes.Getitem)) and isinstance(tree.node, nodes.Name):
        yield tree.node.name, tree
        if isinstance(tree, nodes.Getitem):
            yield from held(tree.arg)
    else:
        for child in tree.iter_child_nodes():
            yield from held(child)


def draws(tree: nodes.Node) -> bool:
    """Tell whether a tree makes keyed draws."""
    return maps_draws(tree) or any(node.name in DRAWS for node in _filters(tree))


def maps_draws(tree: nodes.Node) -> bool:
    """Tell whether a tree draws for every element of a list, when that is asked for."""
    given = (arg for node in _filters(tree) for arg in node.args)
    return any(isinstance(arg, nodes.Const) and arg.value in DRAWS for arg in given)


def _filters(tree: nodes.Node) -> Iterator[nodes.Filter]:
    """Yield every filter of a tree, the tree itself too where it is one."""
    if isinstance(tree, nodes.Filter):
        yield tree
    yield from tree.find_all(nodes.Filter)


def draws_conditionally(tree: nodes.Node) -> bool:
    """Tell whether a draw's number depends on the row: it stands in a branch, a loop or after `and`."""
    every = sum(1 for f in tree.find_all(nodes.Filter) if f.name in DRAWS)
    kinds = (nodes.If, nodes.For, nodes.CondExpr, nodes.And, nodes.Or)
    branches = [*tree.find_all(kinds), *(node for node in tree.find_all(nodes.Compare) if len(node.ops) > 1)]
    inside = sum(1 for node in branches for f in node.find_all(nodes.Filter) if f.name in DRAWS)
    return bool(every and inside) or maps_draws(tree)
