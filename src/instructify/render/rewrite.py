"""Rewrites a parsed template so that loops, macros, comparisons and literals pay for what they do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import cast

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from instructify.errors import InstructifyError, Problem

SEPARATOR = "|||"
_SEPARATOR = re.compile(re.escape(SEPARATOR))
MAX_SOURCE = 65_536
MAX_DEPTH = 100
MAX_NODES = 5_000
REFUSED: dict[type[nodes.Node], str] = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "from import",
    nodes.Extends: "extends",
    nodes.Block: "block",
    nodes.ScopedEvalContextModifier: "autoescape",  # its texts have a format method of their own
}

TICK, TESTED, WEIGHED, CONCAT, INDEX, CUT = "_tick", "_tested", "_weighed", "_concat", "_index", "_cut"


def is_encodable(text: str) -> bool:
    """Tell whether a text can be written: a lone surrogate, half of a character, cannot."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def check_size(tree: nodes.Template, where: str) -> None:
    """Raise InstructifyError for a tree so large that compiling it would take long."""
    if sum(1 for _ in tree.find_all(nodes.Node)) > MAX_NODES:
        raise InstructifyError(
            Problem("the template has too many expressions", where, f"at most {MAX_NODES:,} parts")
        )


def guard(tree: nodes.Template, where: str, place: Callable[[int], str]) -> None:
    """Rewrite `tree` in place; raise InstructifyError for statements that a prompt template may not use.

    `place` gives file and line for a line of the text.
    """
    problems = [
        Problem(f"{{% {REFUSED[type(node)]} %}} is not available in a prompt template", place(node.lineno))
        for node in tree.find_all(tuple(REFUSED))
    ]
    problems += [
        Problem(f"no filter is called {node.name!r}", place(node.lineno))
        for node in tree.find_all((nodes.Filter, nodes.Test))
        if node.name.startswith("_")
    ]
    problems += [
        Problem("a text in the template holds half a character", place(node.lineno))
        for node in tree.find_all((nodes.Const, nodes.TemplateData))
        if not is_encodable(str(node.data if isinstance(node, nodes.TemplateData) else node.value))  # type: ignore[attr-defined]
    ]
    if problems:
        raise InstructifyError(*problems)
    if _too_deep(tree):
        raise InstructifyError(
            Problem("the template is nested too deeply", where, f"at most {MAX_DEPTH} levels")
        )
    _Guard().visit(tree)


def cut_at_separator(tree: nodes.Template, where: str, first_line: int = 1) -> None:
    """Mark the place where prompt and target part; raise unless there is exactly one, outside any block."""
    lines = sorted(
        first_line - 1 + data.lineno + data.data[: found.start()].count("\n")
        for data in tree.find_all(nodes.TemplateData)
        for found in _SEPARATOR.finditer(data.data)
    )
    places = [
        (output, data)
        for output in tree.body
        if isinstance(output, nodes.Output)
        for data in output.nodes
        if isinstance(data, nodes.TemplateData) and SEPARATOR in data.data
    ]
    if len(lines) != 1 or len(places) != 1:
        what = "there is no |||"
        if lines:
            what = "||| stands inside a block" if len(lines) == 1 else f"{len(lines)} times |||"
            what += f" on line{'s' * (len(lines) > 1)} {', '.join(map(str, lines))}"
        place = f"{where}:{lines[0] if lines else first_line}"
        raise InstructifyError(
            Problem(what, place, "exactly one ||| between prompt and target, outside any block")
        )
    output, data = places[0]
    before, after = data.data.split(SEPARATOR)
    at = output.nodes.index(data)
    line = data.lineno
    output.nodes[at : at + 1] = [
        nodes.TemplateData(before, lineno=line),
        _filter(nodes.Const("", lineno=line), CUT),
        nodes.TemplateData(after, lineno=line),
    ]


def _filter(node: nodes.Expr | nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(cast("nodes.Expr", node), name, list(args), [], None, None, lineno=node.lineno)


def _too_deep(tree: nodes.Node) -> bool:
    level: list[nodes.Node] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in node.iter_child_nodes()]
        if not level:
            return False
    return True


def _cost(body: list[nodes.Node]) -> int:
    """Return the price of one turn: 20, or one unit a node, plus the text it prints."""
    size = text = 0
    for statement in body:
        for node in (statement, *statement.find_all(nodes.Node)):
            size += 1
            if isinstance(node, nodes.TemplateData):
                text += len(node.data)
    return max(20, size) + (text >> 4)


def _is_constant(node: nodes.Node) -> bool:
    if isinstance(node, (nodes.Neg, nodes.Pos)):
        node = node.node
    return isinstance(node, nodes.Const)


class _Guard(NodeTransformer):
    def _ticked(self, node: nodes.For | nodes.Macro | nodes.CallBlock) -> nodes.Node:
        price = nodes.Const(_cost(node.body), lineno=node.lineno)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_filter(price, TICK), lineno=node.lineno))
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  (Jinja's visitor names)
        if node.test is not None:
            node.test = _filter(node.test, TESTED)
        return self._ticked(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        return self._ticked(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:  # noqa: N802
        return self._ticked(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        first, *rest = node.nodes
        return _filter(first, CONCAT, *rest)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = self._weighed(node.expr)
        for operand in node.ops:
            operand.expr = self._weighed(operand.expr)
        return node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return node if all(map(_is_constant, node.items)) else _filter(node, WEIGHED)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        plain = node.ctx != "load" or all(map(_is_constant, node.items))
        return node if plain else _filter(node, WEIGHED)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        plain = all(_is_constant(pair.key) and _is_constant(pair.value) for pair in node.items)
        return node if plain else _filter(node, WEIGHED)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if node.ctx != "load" or _is_constant(node.arg):
            return node
        if isinstance(node.arg, nodes.Slice):
            return _filter(node, WEIGHED)
        return _filter(node.node, INDEX, node.arg)

    @staticmethod
    def _weighed(node: nodes.Expr) -> nodes.Expr:
        return node if _is_constant(node) else _filter(node, WEIGHED)
