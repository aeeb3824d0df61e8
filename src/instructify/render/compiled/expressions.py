"""Writes the Python text of one Jinja expression, with the names, columns and constants it needs."""

from __future__ import annotations

import keyword
import math
from typing import NoReturn, cast

from jinja2 import nodes

from instructify.render.compiled.names import Names, Scope, Shape
from instructify.render.compiled.trees import (
    DRAWS,
    CannotCompile,
    is_constant,
    path_of,
)
from instructify.render.sandbox import GLOBALS, METHODS

CHANGING = frozenset({"append", "update", "pop"})
ALLOWED_METHODS = frozenset().union(*METHODS.values()) - {"format"}

COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=", "in": "in"}
COMPARE["notin"] = "not in"
BINARY = {
    nodes.Sub: "sub",
    nodes.Div: "div",
    nodes.FloorDiv: "floordiv",
    nodes.Add: "add",
    nodes.Mul: "mul",
    nodes.Mod: "mod",
}
LOOP_PLAIN = {"index0": "{i}", "index": "({i} + 1)", "first": "({i} == 0)"}
LOOP_SIZED = {
    "last": "({i} == len({items}) - 1)",
    "length": "len({items})",
    "revindex": "(len({items}) - {i})",
    "revindex0": "(len({items}) - {i} - 1)",
    "previtem": "({items}[{i} - 1] if {i} else no_item())",
    "nextitem": "({items}[{i} + 1] if {i} + 1 < len({items}) else no_item())",
}
RESULTS_IN_TEXT = frozenset("lower upper trim capitalize title replace join josa nfc string".split())


_GROWING = frozenset({"int", "join", "replace", "indent", "center", "format", "tojson", "list", "batch"})
COUNTING = ("grown", "add", "mul", "changed")
"""Functions that add to the size of what a row has made."""
PAYING = ("small_range", "pairs", "items", "pieces")
"""Functions that pay beforehand for all that may walk what they make without a loop."""
_GROWING_METHODS = frozenset({"join", "replace", "center", "ljust", "rjust", "zfill", "expandtabs"})
_PAID = {
    "range": "small_range",
    "zip": "pairs",
    "items": "items",
    "split": "pieces",
    "splitlines": "pieces",
}
_WALKED = {"range": "short_range", "zip": "global_zip", "items": ""}
"""What does as much where a loop walks the value, and nothing else can."""


class Expressions:
    """Writes expressions of one function, and keeps account of the columns, constants and draws they take."""

    def __init__(self, shape: Shape, given: frozenset[str], dynamic_draws: bool, has_loops: bool) -> None:
        self.names = Names(shape, given)
        self.draws = 0
        self._shape = shape
        self._dynamic_draws = dynamic_draws
        self._has_loops = has_loops

    def expression(self, node: nodes.Node, scope: Scope) -> str:
        """Return Python text for an expression."""
        if type(node) in BINARY:
            return self._binary(cast("nodes.BinExpr", node), scope)
        method = getattr(self, "_x_" + type(node).__name__, None)
        if method is None:
            refuse(f"the expression {type(node).__name__}", node)
        text: str = method(node, scope)
        return text

    def _x_Const(self, node: nodes.Const, scope: Scope) -> str:  # noqa: N802  (Jinja's node names)
        value = node.value
        if isinstance(value, float):
            if not math.isfinite(value):
                refuse("a number too large to write", node)
            return self.names.constant(value)
        return repr(value) if not isinstance(value, int) or value >= 0 else f"({value!r})"

    def _x_TemplateData(self, node: nodes.TemplateData, scope: Scope) -> str:  # noqa: N802
        return repr(node.data)

    def _x_Name(self, node: nodes.Name, scope: Scope) -> str:  # noqa: N802
        if node.name == "self" or (node.name == "loop" and self.names.loop(scope) is not None):
            refuse(f"the name {node.name} as a value", node)
        return self.names.read(self.names.variable(node.name, scope))

    def _x_List(self, node: nodes.List, scope: Scope) -> str:  # noqa: N802
        text = "[" + ", ".join(self.expression(item, scope) for item in node.items) + "]"
        return text if all(map(is_constant, node.items)) else f"grown(state, {text})"

    def _x_Tuple(self, node: nodes.Tuple, scope: Scope) -> str:  # noqa: N802
        text = "(" + "".join(self.expression(item, scope) + ", " for item in node.items) + ")"
        return text if all(map(is_constant, node.items)) else f"grown(state, {text})"

    def _x_Dict(self, node: nodes.Dict, scope: Scope) -> str:  # noqa: N802
        pairs = [f"{self.expression(p.key, scope)}: {self.expression(p.value, scope)}" for p in node.items]
        text = "{" + ", ".join(pairs) + "}"
        plain = all(is_constant(p.key) and is_constant(p.value) for p in node.items)
        return text if plain else f"grown(state, {text})"

    def _x_And(self, node: nodes.And, scope: Scope) -> str:  # noqa: N802
        return f"({self.expression(node.left, scope)} and {self.expression(node.right, scope)})"

    def _x_Or(self, node: nodes.Or, scope: Scope) -> str:  # noqa: N802
        return f"({self.expression(node.left, scope)} or {self.expression(node.right, scope)})"

    def _x_Not(self, node: nodes.Not, scope: Scope) -> str:  # noqa: N802
        return f"(not {self.expression(node.node, scope)})"

    def _x_Neg(self, node: nodes.Neg, scope: Scope) -> str:  # noqa: N802
        return f"(-{self.expression(node.node, scope)})"

    def _x_Pos(self, node: nodes.Pos, scope: Scope) -> str:  # noqa: N802
        return f"(+{self.expression(node.node, scope)})"

    def _x_CondExpr(self, node: nodes.CondExpr, scope: Scope) -> str:  # noqa: N802
        other = "no_else()" if node.expr2 is None else self.expression(node.expr2, scope)
        return f"({self.expression(node.expr1, scope)} if {self.expression(node.test, scope)} else {other})"

    def _x_Compare(self, node: nodes.Compare, scope: Scope) -> str:  # noqa: N802
        text = self.expression(node.expr, scope)
        for operand in node.ops:
            text += f" {COMPARE[operand.op]} {self.expression(operand.expr, scope)}"
        return f"({text})"

    def _x_Concat(self, node: nodes.Concat, scope: Scope) -> str:  # noqa: N802
        parts = [self.as_text(part, scope) for part in node.nodes]
        return f"grown(state, {' + '.join(parts)})"

    def _binary(self, node: nodes.BinExpr, scope: Scope) -> str:
        left, right = self.expression(node.left, scope), self.expression(node.right, scope)
        return f"{BINARY[type(node)]}(state, {left}, {right})"

    def _x_Getattr(self, node: nodes.Getattr, scope: Scope) -> str:  # noqa: N802
        leaf = self._leaf(node, scope)
        if leaf is not None:
            return leaf
        name = node.node.name if isinstance(node.node, nodes.Name) else ""
        if name in self.names.namespaces:
            return self.names.namespaces[name][node.attr]
        loop = self.names.loop(scope) if name == "loop" else self.names.loop_called(name, scope)
        if loop is not None or name == "loop":
            pattern = LOOP_PLAIN.get(node.attr) or LOOP_SIZED.get(node.attr)
            if loop is None or pattern is None:
                refuse(f"loop.{node.attr}", node)
            return pattern.format(i=loop[0], items=loop[1])
        return f"attribute({self.expression(node.node, scope)}, {node.attr!r})"

    def _x_Getitem(self, node: nodes.Getitem, scope: Scope) -> str:  # noqa: N802
        leaf = self._leaf(node, scope)
        if leaf is not None:
            return leaf
        # nothing else can hold what one element is taken of
        write = self.iterable if is_constant(node.arg) else self.expression
        container = write(node.node, scope)
        if isinstance(node.arg, nodes.Slice):
            bounds = (node.arg.start, node.arg.stop, node.arg.step)
            return f"{container}[{':'.join('' if b is None else self.expression(b, scope) for b in bounds)}]"
        key = self.expression(node.arg, scope)
        if is_constant(node.arg):
            return f"item({container}, {key})"
        return f"index(state, {container}, {key})"

    def _x_Filter(self, node: nodes.Filter, scope: Scope) -> str:  # noqa: N802
        if node.node is None or node.dyn_args is not None or node.dyn_kwargs is not None:
            refuse(f"the filter {node.name} used so", node)
        if node.name in DRAWS and not node.args and not node.kwargs:
            value = self.expression(node.node, scope)
            if self._dynamic_draws:
                return f"draw(state, i, {value})"
            self.draws += 1
            return f"pick({value}, draw{self.draws - 1})"
        if node.name == "string" and not node.args and not node.kwargs:
            text = self.as_text(node.node, scope)
            return text if self._is_text(node.node, scope) else f"grown(state, {text})"
        args = [self.expression(node.node, scope), *(self.expression(arg, scope) for arg in node.args)]
        args += [f"{self._key(pair)}={self.expression(pair.value, scope)}" for pair in node.kwargs]
        return (
            f"filter_{node.name}({', '.join(args)})"
            if node.name not in _GROWING
            else (f"grown(state, filter_{node.name}({', '.join(args)}))")
        )

    def _x_Test(self, node: nodes.Test, scope: Scope) -> str:  # noqa: N802
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            refuse(f"the test {node.name} used so", node)
        args = [self.expression(node.node, scope), *(self.expression(arg, scope) for arg in node.args)]
        args += [f"{self._key(pair)}={self.expression(pair.value, scope)}" for pair in node.kwargs]
        return f"test_{node.name}({', '.join(args)})"

    def _x_Call(self, node: nodes.Call, scope: Scope, is_walked: bool = False) -> str:  # noqa: N802
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            refuse("a call with * or **", node)
        called = node.node
        if isinstance(called, nodes.Name):
            if not self._is_global(called.name, scope):
                refuse(f"a call of {called.name}", node)
            if called.name in ("cycler", "joiner"):
                refuse(f"the global {called.name}", node)
            paid = "" if is_walked and called.name in _WALKED else _PAID.get(called.name)
            name = _WALKED.get(called.name, f"global_{called.name}")
            text = self._called(f"{paid}(state, " if paid else f"{name}(", node, scope)
            return self._kept(text) if paid else text
        if not isinstance(called, nodes.Getattr) or called.attr not in ALLOWED_METHODS:
            refuse("a call of something computed", node)
        owner = self.expression(called.node, scope)  # before the arguments: its draws come first
        if called.attr in CHANGING:
            return self._called(f"changed(state, {owner}, {called.attr!r}, ", node, scope)
        if called.attr == "replace":
            return f"grown(state, {self._called(f'replace_text({owner}, ', node, scope)})"
        text = self._called(f"owner({owner}).{called.attr}(", node, scope)
        if is_walked and called.attr in _WALKED:
            return text
        if called.attr in _PAID:
            paid = f"{_PAID[called.attr]}(state, {text})"
            return paid if is_walked else self._kept(paid)
        return f"grown(state, {text})" if called.attr in _GROWING_METHODS else text

    def _kept(self, text: str) -> str:
        """Return text for a value that was paid for once, and that every turn of a loop may look at."""
        return f"grown(state, {text})" if self._has_loops else text

    def iterable(self, node: nodes.Node, scope: Scope) -> str:
        """Return Python text for what a loop walks: pairs that nothing else can hold cost its turns alone."""
        return (
            self._x_Call(node, scope, True) if isinstance(node, nodes.Call) else self.expression(node, scope)
        )

    def _is_global(self, name: str, scope: Scope) -> bool:
        return name in GLOBALS and not self.names.is_bound(name, scope) and name not in self._shape.names

    def _called(self, opening: str, node: nodes.Call, scope: Scope) -> str:
        args = [self.expression(arg, scope) for arg in node.args]
        args += [f"{self._key(pair)}={self.expression(pair.value, scope)}" for pair in node.kwargs]
        return f"{opening}{', '.join(args)})"

    def as_text(self, node: nodes.Node, scope: Scope) -> str:
        """Return Python text for the printed form of an expression."""
        text = self.expression(node, scope)
        if self._is_text(node, scope):
            return text
        return f"text(state, {text})"

    def _is_text(self, node: nodes.Node, scope: Scope) -> bool:
        if isinstance(node, (nodes.TemplateData, nodes.Concat)):
            return True
        if isinstance(node, nodes.Const):
            return isinstance(node.value, str)
        if isinstance(node, nodes.Filter):
            cut = node.name == "truncate" and node.node is not None
            return node.name in RESULTS_IN_TEXT or (
                cut and self._is_text(cast("nodes.Expr", node.node), scope)
            )
        path = path_of(node)
        return path is not None and self._is_free(path[0], scope) and self._shape.leaves.get(path, False)

    def _leaf(self, node: nodes.Node, scope: Scope) -> str | None:
        path = path_of(node)
        if path is None or len(path) < 2 or path not in self._shape.leaves:
            return None
        return self.names.column(path) if self._is_free(path[0], scope) else None

    def _is_free(self, name: str, scope: Scope) -> bool:
        """Tell whether a name stands for a column, if there is one that is called so."""
        is_loop = name == "loop" and self.names.loop(scope) is not None
        return not is_loop and not self.names.is_bound(name, scope)

    def _key(self, pair: nodes.Keyword | nodes.Pair) -> str:
        if keyword.iskeyword(str(pair.key)):
            refuse("an argument with the name of a Python word", pair)
        return str(pair.key)


def refuse(what: str, node: nodes.Node) -> NoReturn:
    """Raise CannotCompile for a node."""
    raise CannotCompile(what, node.lineno)
