"""Writes the Python text of one function that renders a whole batch of rows for one template.

The function walks columns, not row dictionaries, and has no Jinja context. Whatever it cannot write exactly
is refused with a reason and a line (`CannotCompile`); whatever goes wrong in a row at run time hands that row
to the reference renderer, which alone decides what a failing row is called.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

from jinja2 import nodes
from jinja2.idtracking import VAR_LOAD_RESOLVE, VAR_LOAD_UNDEFINED, Symbols

from instructify.render.compiled.trees import (
    DRAWS,
    CannotCompile,
    Step,
    assigned,
    draws_conditionally,
    has_tuples,
    is_constant,
    loop_attributes,
    mutates,
    path_of,
)
from instructify.render.meter import WORK_LIMIT
from instructify.render.rewrite import CUT
from instructify.render.sandbox import GLOBALS, METHODS

CHANGING = frozenset({"append", "update", "pop"})
ALLOWED_METHODS = frozenset().union(*METHODS.values()) - {"format"}
MAX_TURNS = 20_000
COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=", "in": "in"}
COMPARE["notin"] = "not in"
BINARY = {nodes.Sub: "sub", nodes.Div: "/", nodes.FloorDiv: "//", nodes.Add: "add", nodes.Mul: "mul"}
BINARY[nodes.Mod] = "mod"
LOOP_PLAIN = {"index0": "{i}", "index": "({i} + 1)", "first": "({i} == 0)"}
LOOP_SIZED = {
    "last": "({i} == len({items}) - 1)",
    "length": "len({items})",
    "revindex": "(len({items}) - {i})",
    "revindex0": "(len({items}) - {i} - 1)",
    "previtem": "({items}[{i} - 1] if {i} else NO_ITEM)",
    "nextitem": "({items}[{i} + 1] if {i} + 1 < len({items}) else NO_ITEM)",
}
RESULTS_IN_TEXT = frozenset("lower upper trim capitalize title replace join string truncate".split())


@dataclass(frozen=True, slots=True)
class Shape:
    """What the generator may know of a batch: top-level names, and what each usable path holds."""

    names: frozenset[str]
    leaves: Mapping[tuple[str, ...], bool]
    """Paths that may be read directly, with whether all their values are strings."""


@dataclass(frozen=True, slots=True)
class Generated:
    """The function's text, its inputs in order, its constants, and the number of draw columns it takes."""

    source: str
    columns: tuple[tuple[str, ...], ...]
    constants: Mapping[str, Any]
    draws: int


@dataclass(slots=True)
class _Scope:
    """Names assigned in one Jinja frame, the Python variables they live in, and Jinja's own view of them."""

    parent: _Scope | None
    symbols: Symbols
    variables: dict[str, str] = field(default_factory=dict)
    loop: tuple[str, str] | None = None


def generate(steps: Sequence[Step], finish: Sequence[str], shape: Shape, given: frozenset[str]) -> Generated:
    """Return the function that runs these steps for each row and then the lines of `finish`.

    `given` are names that constants bind. Raises CannotCompile.
    """
    return _Writer(steps, shape, given).write(finish)


class _Writer:
    def __init__(self, steps: Sequence[Step], shape: Shape, given: frozenset[str]) -> None:
        self._steps = steps
        self._shape = shape
        self._given = given
        self._lines: list[str] = []
        self._columns: dict[tuple[str, ...], str] = {}
        self._constants: dict[str, Any] = {}
        self._undefined: dict[str, str] = {}
        self._count = 0
        self._draws = 0
        loops = [loop for step in steps for loop in step.tree.find_all(nodes.For)]
        self._turn = max((sum(1 for _ in loop.find_all(nodes.Node)) for loop in loops), default=0)
        self._price = 200 if any(has_tuples(step.tree) for step in steps) else 40
        self._growth = f"if it * state.grown > {(WORK_LIMIT << 3) // max(1, self._turn)}: raise Slow"
        self._dynamic_draws = any(draws_conditionally(step.tree) for step in steps)

    def write(self, finish: Sequence[str]) -> Generated:
        given = self._given
        for step in self._steps:
            self._given = frozenset() if step.makes_choices else given
            if isinstance(step.tree, nodes.Template):
                self._block(step)
            else:
                self._lines.append(f"{step.result} = {self.expression(step.tree, _Scope(None, Symbols()))}")
            if step.then:
                self._lines.append(step.then)
        first = ["it = 0"] if any("it += 1" in line for line in self._lines) else []
        if any(name in line for line in self._lines for name in ("grown(", "add(", "mul(", "changed(")):
            first.append("state.grown = 0")
        else:
            self._lines = [line for line in self._lines if line.strip() != self._growth]
        if self._dynamic_draws:
            first.append("state.drawn = 0")
        turns, last = self._budget() if first else ("", [])
        inner = "\n".join("            " + line for line in [*first, *self._lines, *last, *finish])
        columns = tuple(self._columns)
        inputs = [*(self._columns[path] for path in columns), *(f"draw{n}" for n in range(self._draws))]
        source = (
            f"def run(ROWS, SIZE, state, slow, add_0, add_1, add_choices, add_rationale, odd):\n{turns}"
            f"    for i, {''.join(name + ', ' for name in inputs)}in ROWS:\n        try:\n{inner}\n"
            f"        except Exception:\n            slow(i, state)\n"
            f"        if state.flagged:\n            state.note(i)\n"
        )
        return Generated(source, columns, self._constants, self._draws)

    def _budget(self) -> tuple[str, list[str]]:
        """Return the lines that hand a row to the reference when it might spend its budget there.

        The first stands before all rows: no row may take more loop turns than the budget has room for.
        """
        every = sum(1 for step in self._steps for _ in step.tree.find_all(nodes.Node))
        turns = f"{every} + it * {self._turn}" if self._turn else str(every)
        room = f"{WORK_LIMIT} // ({self._price} + (SIZE >> 3))"
        first = f"    TURNS = min({MAX_TURNS}, ({room} - {every}) // {self._turn})\n" if self._turn else ""
        return first, [
            f"if ({turns}) * ({self._price} + ((SIZE + state.grown) >> 3)) > {WORK_LIMIT}: raise Slow"
        ]

    # statements

    def _block(self, step: Step) -> None:
        assert isinstance(step.tree, nodes.Template)  # noqa: S101  (the caller asked)
        scope = _Scope(None, Symbols())
        scope.symbols.analyze_node(step.tree)
        self._declare(assigned(step.tree.body), scope, "")
        out = _Output(self, step.result)
        for node in step.tree.body:
            if isinstance(node, nodes.Output) and step.after_cut:
                for child in node.nodes:
                    if isinstance(child, nodes.Filter) and child.name == CUT:
                        out.finish()
                        out = _Output(self, step.after_cut)
                    else:
                        out.add(child, scope, "")
            else:
                self._statements([node], scope, out, "")
        out.finish()

    def _statements(self, body: Sequence[nodes.Node], scope: _Scope, out: _Output, indent: str) -> None:
        for node in body:
            if isinstance(node, nodes.Output):
                for child in node.nodes:
                    out.add(child, scope, indent)
            elif isinstance(node, nodes.If):
                self._if(node, scope, out, indent)
            elif isinstance(node, nodes.For):
                self._for(node, scope, out, indent)
            elif isinstance(node, nodes.Assign):
                out.pause(indent)
                self._assign(node, scope, indent)
            elif (
                isinstance(node, nodes.AssignBlock)
                and node.filter is None
                and isinstance(node.target, nodes.Name)
            ):
                self._assign_block(node, scope, out, indent)
            elif isinstance(node, nodes.ExprStmt):
                out.pause(indent)
                self._emit(indent, self.expression(node.node, scope))
            else:
                self._refuse(f"the statement {type(node).__name__}", node)

    def _declare(self, names: Iterable[str], scope: _Scope, indent: str) -> None:
        """Bind names that a frame assigns to what they are before that, as Jinja's analysis has it."""
        for name in sorted(names):
            target = scope.symbols.find_ref(name)
            kind, _ = scope.symbols.loads.get(target, (VAR_LOAD_UNDEFINED, None)) if target else (None, None)
            if kind == VAR_LOAD_UNDEFINED:
                before = self._undefined_name(name)
            elif kind == VAR_LOAD_RESOLVE or scope.parent is None:
                before = self._free(name)
            else:
                before = self._name(name, scope.parent)
            scope.variables[name] = self._fresh("v")
            self._emit(indent, f"{scope.variables[name]} = {before}")

    def _if(self, node: nodes.If, scope: _Scope, out: _Output, indent: str) -> None:
        out.pause(indent)
        self._emit(indent, f"if {self.expression(node.test, scope)}:")
        self._branch(node.body, scope, out, indent)
        for other in node.elif_:
            self._emit(indent, f"elif {self.expression(other.test, scope)}:")
            self._branch(other.body, scope, out, indent)
        if node.else_:
            self._emit(indent, "else:")
            self._branch(node.else_, scope, out, indent)

    def _branch(self, body: Sequence[nodes.Node], scope: _Scope, out: _Output, indent: str) -> None:
        self._emit(indent + "    ", "pass")
        self._statements(body, scope, out, indent + "    ")
        out.pause(indent + "    ")

    def _for(self, node: nodes.For, scope: _Scope, out: _Output, indent: str) -> None:
        if node.recursive:
            self._refuse("a recursive loop", node)
        out.pause(indent)
        used = loop_attributes(node)
        inner = _Scope(scope, Symbols(scope.symbols))
        inner.symbols.analyze_node(node, for_branch="body")
        items, position = self._fresh("items"), self._fresh("n")
        iterable = self.expression(node.iter, scope)
        target = self._target(node.target, inner)
        if node.test is not None:
            iterable = self._filtered(node, inner, target, iterable)
        sized = bool(used & LOOP_SIZED.keys())
        if sized and mutates(node):
            self._refuse("a loop that changes lists and asks for its own length", node)
        self._emit(indent, f"{items} = {f'list({iterable})' if sized else iterable}")
        if node.else_:
            self._emit(indent, f"{position} = -1")
        if used or node.else_:
            self._emit(indent, f"for {position}, {target} in enumerate({items}):")
        else:
            self._emit(indent, f"for {target} in {items}:")
        deeper = indent + "    "
        self._emit(deeper, "it += 1")
        self._emit(deeper, "if it > TURNS: raise Slow")
        self._emit(deeper, self._growth)
        inner.loop = (position, items)
        self._declare(assigned(node.body) - inner.variables.keys(), inner, deeper)
        self._statements(node.body, inner, out, deeper)
        out.pause(deeper)
        if node.else_:
            self._emit(indent, f"if {position} < 0:")
            other = _Scope(scope, Symbols(scope.symbols))
            other.symbols.analyze_node(node, for_branch="else")
            self._declare(assigned(node.else_), other, deeper)
            self._branch(node.else_, other, out, indent)

    def _filtered(self, node: nodes.For, inner: _Scope, target: str, iterable: str) -> str:
        test = node.test
        assert test is not None  # noqa: S101  (the caller asked)
        if any(isinstance(name, nodes.Name) and name.name == "loop" for name in test.find_all(nodes.Name)):
            self._refuse("loop in the condition of a loop", node)
        return f"[{target} for {target} in {iterable} if {self.expression(test, inner)}]"

    def _target(self, target: nodes.Node, scope: _Scope) -> str:
        if isinstance(target, nodes.Name):
            scope.variables[target.name] = self._fresh("v")
            return scope.variables[target.name]
        if not isinstance(target, nodes.Tuple):
            self._refuse("an unusual loop target", target)
        parts = [self._target(item, scope) for item in target.items]
        return "(" + ", ".join(parts) + ("," if len(parts) == 1 else "") + ")"

    def _assign(self, node: nodes.Assign, scope: _Scope, indent: str) -> None:
        value = self.expression(node.node, scope)
        target = node.target
        if isinstance(target, nodes.Name):
            self._emit(indent, f"{scope.variables[target.name]} = {value}")
        elif isinstance(target, nodes.NSRef):
            self._emit(indent, f"set_attribute({self._name(target.name, scope)}, {target.attr!r}, {value})")
        elif isinstance(target, nodes.Tuple) and all(isinstance(item, nodes.Name) for item in target.items):
            names = [scope.variables[item.name] for item in target.items if isinstance(item, nodes.Name)]
            self._emit(indent, f"({', '.join(names)},) = {value}")
        else:
            self._refuse("an unusual assignment", node)

    def _assign_block(self, node: nodes.AssignBlock, scope: _Scope, out: _Output, indent: str) -> None:
        out.pause(indent)
        result = self._fresh("block")
        inner = _Scope(scope, Symbols(scope.symbols))
        inner.symbols.analyze_node(node)
        self._declare(assigned(node.body), inner, indent)
        captured = _Output(self, result)
        self._emit(indent, f"{captured.parts} = []")
        captured.started = True
        self._statements(node.body, inner, captured, indent)
        captured.finish(indent)
        assert isinstance(node.target, nodes.Name)  # noqa: S101  (the caller asked)
        self._emit(indent, f"{scope.variables[node.target.name]} = grown(state, {result})")

    # expressions

    def expression(self, node: nodes.Node, scope: _Scope) -> str:
        """Return Python text for an expression."""
        if type(node) in BINARY:
            return self._binary(cast("nodes.BinExpr", node), scope)
        method = getattr(self, "_x_" + type(node).__name__, None)
        if method is None:
            self._refuse(f"the expression {type(node).__name__}", node)
        text: str = method(node, scope)
        return text

    def _x_Const(self, node: nodes.Const, scope: _Scope) -> str:  # noqa: N802  (Jinja's node names)
        value = node.value
        if isinstance(value, float):
            if not math.isfinite(value):
                self._refuse("a number too large to write", node)
            return self._constant(value)
        return repr(value) if not isinstance(value, int) or value >= 0 else f"({value!r})"

    def _x_TemplateData(self, node: nodes.TemplateData, scope: _Scope) -> str:  # noqa: N802
        return repr(node.data)

    def _x_Name(self, node: nodes.Name, scope: _Scope) -> str:  # noqa: N802
        if node.name == "self" or (node.name == "loop" and self._loop(scope) is not None):
            self._refuse(f"the name {node.name} as a value", node)
        return self._name(node.name, scope)

    def _x_List(self, node: nodes.List, scope: _Scope) -> str:  # noqa: N802
        text = "[" + ", ".join(self.expression(item, scope) for item in node.items) + "]"
        return text if all(map(is_constant, node.items)) else f"grown(state, {text})"

    def _x_Tuple(self, node: nodes.Tuple, scope: _Scope) -> str:  # noqa: N802
        text = "(" + "".join(self.expression(item, scope) + ", " for item in node.items) + ")"
        return text if all(map(is_constant, node.items)) else f"grown(state, {text})"

    def _x_Dict(self, node: nodes.Dict, scope: _Scope) -> str:  # noqa: N802
        pairs = [f"{self.expression(p.key, scope)}: {self.expression(p.value, scope)}" for p in node.items]
        return "grown(state, {" + ", ".join(pairs) + "})" if pairs else "{}"

    def _x_And(self, node: nodes.And, scope: _Scope) -> str:  # noqa: N802
        return f"({self.expression(node.left, scope)} and {self.expression(node.right, scope)})"

    def _x_Or(self, node: nodes.Or, scope: _Scope) -> str:  # noqa: N802
        return f"({self.expression(node.left, scope)} or {self.expression(node.right, scope)})"

    def _x_Not(self, node: nodes.Not, scope: _Scope) -> str:  # noqa: N802
        return f"(not {self.expression(node.node, scope)})"

    def _x_Neg(self, node: nodes.Neg, scope: _Scope) -> str:  # noqa: N802
        return f"(-{self.expression(node.node, scope)})"

    def _x_Pos(self, node: nodes.Pos, scope: _Scope) -> str:  # noqa: N802
        return f"(+{self.expression(node.node, scope)})"

    def _x_CondExpr(self, node: nodes.CondExpr, scope: _Scope) -> str:  # noqa: N802
        other = "NO_ELSE" if node.expr2 is None else self.expression(node.expr2, scope)
        return f"({self.expression(node.expr1, scope)} if {self.expression(node.test, scope)} else {other})"

    def _x_Compare(self, node: nodes.Compare, scope: _Scope) -> str:  # noqa: N802
        text = self.expression(node.expr, scope)
        for operand in node.ops:
            text += f" {COMPARE[operand.op]} {self.expression(operand.expr, scope)}"
        return f"({text})"

    def _x_Concat(self, node: nodes.Concat, scope: _Scope) -> str:  # noqa: N802
        parts = [self._as_text(part, scope) for part in node.nodes]
        return f"grown(state, {' + '.join(parts)})"

    def _binary(self, node: nodes.BinExpr, scope: _Scope) -> str:
        left, right = self.expression(node.left, scope), self.expression(node.right, scope)
        operator = BINARY[type(node)]
        return f"{operator}(state, {left}, {right})" if operator.isalpha() else f"({left} {operator} {right})"

    def _x_Getattr(self, node: nodes.Getattr, scope: _Scope) -> str:  # noqa: N802
        leaf = self._leaf(node, scope)
        if leaf is not None:
            return leaf
        if isinstance(node.node, nodes.Name) and node.node.name == "loop":
            loop = self._loop(scope)
            pattern = LOOP_PLAIN.get(node.attr) or LOOP_SIZED.get(node.attr)
            if loop is None or pattern is None:
                self._refuse(f"loop.{node.attr}", node)
            return pattern.format(i=loop[0], items=loop[1])
        return f"attribute({self.expression(node.node, scope)}, {node.attr!r})"

    def _x_Getitem(self, node: nodes.Getitem, scope: _Scope) -> str:  # noqa: N802
        leaf = self._leaf(node, scope)
        if leaf is not None:
            return leaf
        container = self.expression(node.node, scope)
        if isinstance(node.arg, nodes.Slice):
            bounds = (node.arg.start, node.arg.stop, node.arg.step)
            return f"{container}[{':'.join('' if b is None else self.expression(b, scope) for b in bounds)}]"
        key = self.expression(node.arg, scope)
        if is_constant(node.arg):
            return f"item({container}, {key})"
        return f"index(state, {container}, {key})"

    def _x_Filter(self, node: nodes.Filter, scope: _Scope) -> str:  # noqa: N802
        if node.node is None or node.dyn_args is not None or node.dyn_kwargs is not None:
            self._refuse(f"the filter {node.name} used so", node)
        if node.name in DRAWS and not node.args and not node.kwargs:
            value = self.expression(node.node, scope)
            if self._dynamic_draws:
                return f"draw(state, i, {value})"
            self._draws += 1
            return f"pick({value}, draw{self._draws - 1})"
        if node.name == "string" and not node.args and not node.kwargs:
            return self._as_text(node.node, scope)
        args = [self.expression(node.node, scope), *(self.expression(arg, scope) for arg in node.args)]
        args += [f"{self._key(pair)}={self.expression(pair.value, scope)}" for pair in node.kwargs]
        return (
            f"filter_{node.name}({', '.join(args)})"
            if node.name not in _GROWING
            else (f"grown(state, filter_{node.name}({', '.join(args)}))")
        )

    def _x_Test(self, node: nodes.Test, scope: _Scope) -> str:  # noqa: N802
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self._refuse(f"the test {node.name} used so", node)
        args = [self.expression(node.node, scope), *(self.expression(arg, scope) for arg in node.args)]
        args += [f"{self._key(pair)}={self.expression(pair.value, scope)}" for pair in node.kwargs]
        return f"test_{node.name}({', '.join(args)})"

    def _x_Call(self, node: nodes.Call, scope: _Scope) -> str:  # noqa: N802
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self._refuse("a call with * or **", node)
        args = [self.expression(arg, scope) for arg in node.args]
        args += [f"{self._key(pair)}={self.expression(pair.value, scope)}" for pair in node.kwargs]
        called = node.node
        if isinstance(called, nodes.Name):
            shadowed = self._is_bound(called.name, scope) or called.name in self._shape.names
            if called.name not in GLOBALS or shadowed:
                self._refuse(f"a call of {called.name}", node)
            if called.name in ("cycler", "joiner"):
                self._refuse(f"the global {called.name}", node)
            return f"global_{called.name}({', '.join(args)})"
        if not isinstance(called, nodes.Getattr) or called.attr not in ALLOWED_METHODS:
            self._refuse("a call of something computed", node)
        if called.attr in CHANGING:
            given = ["state", self.expression(called.node, scope), repr(called.attr), *args]
            return f"changed({', '.join(given)})"
        if called.attr == "replace":
            given = [self.expression(called.node, scope), *args]
            return f"grown(state, filter_replace({', '.join(given)}))"
        text = f"owner({self.expression(called.node, scope)}).{called.attr}({', '.join(args)})"
        return f"grown(state, {text})" if called.attr in _GROWING_METHODS else text

    # names and leaves

    def _as_text(self, node: nodes.Node, scope: _Scope) -> str:
        """Return Python text for the printed form of an expression."""
        text = self.expression(node, scope)
        if self._is_text(node, scope):
            return text
        return f"text(state, {text})"

    def _is_text(self, node: nodes.Node, scope: _Scope) -> bool:
        if isinstance(node, (nodes.TemplateData, nodes.Concat)):
            return True
        if isinstance(node, nodes.Const):
            return isinstance(node.value, str)
        if isinstance(node, nodes.Filter):
            return node.name in RESULTS_IN_TEXT
        path = path_of(node)
        if path is None or self._is_bound(path[0], scope):
            return False
        return self._shape.leaves.get(path, False)

    def _is_bound(self, name: str, scope: _Scope) -> bool:
        frame: _Scope | None = scope
        while frame is not None:
            if name in frame.variables:
                return True
            frame = frame.parent
        return name in self._given

    def _leaf(self, node: nodes.Node, scope: _Scope) -> str | None:
        path = path_of(node)
        if path is None or len(path) < 2 or self._is_bound(path[0], scope) or path not in self._shape.leaves:
            return None
        return self._input(path)

    def _input(self, path: tuple[str, ...]) -> str:
        if path not in self._columns:
            self._columns[path] = f"c{len(self._columns)}"
        return self._columns[path]

    def _name(self, name: str, scope: _Scope) -> str:
        frame: _Scope | None = scope
        while frame is not None:
            if name in frame.variables:
                return frame.variables[name]
            frame = frame.parent
        return self._free(name)

    def _free(self, name: str) -> str:
        """Return the text of a name that no template statement has assigned."""
        if name in self._given:
            return name
        if name in self._shape.names:
            return self._input((name,))
        if name in GLOBALS:
            return f"global_{name}"
        return self._undefined_name(name)

    def _undefined_name(self, name: str) -> str:
        if name not in self._undefined:
            self._undefined[name] = f"undefined{len(self._undefined)}"
            self._constants[self._undefined[name]] = UndefinedName(name)
        return self._undefined[name]

    def _loop(self, scope: _Scope) -> tuple[str, str] | None:
        frame: _Scope | None = scope
        while frame is not None:
            if "loop" in frame.variables:
                return None
            if frame.loop is not None:
                return frame.loop
            frame = frame.parent
        return None

    # small things

    def _key(self, pair: nodes.Keyword | nodes.Pair) -> str:
        if keyword.iskeyword(str(pair.key)):
            self._refuse("an argument with the name of a Python word", pair)
        return str(pair.key)

    def _constant(self, value: Any) -> str:
        name = f"k{len(self._constants)}"
        self._constants[name] = value
        return name

    def _fresh(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    def _emit(self, indent: str, line: str) -> None:
        self._lines.append(indent + line)

    @staticmethod
    def _refuse(what: str, node: nodes.Node) -> NoReturn:
        raise CannotCompile(what, node.lineno)


@dataclass(frozen=True, slots=True)
class UndefinedName:
    """Stands in the constants for the undefined value of a name."""

    name: str


class _Output:
    """Collects what a text prints: straight runs become one f-string, the rest a list of parts."""

    def __init__(self, writer: _Writer, result: str) -> None:
        self._writer = writer
        self._result = result
        self.parts = f"parts_{result}"
        self.started = False
        self._pending: list[str] = []
        self._marker = 0

    def add(self, node: nodes.Node, scope: _Scope, indent: str) -> None:
        """Print one child of an Output node."""
        if isinstance(node, nodes.TemplateData):
            self._pending.append(_literal(node.data))
            return
        text = self._writer._as_text(node, scope)
        if not text.isidentifier():
            name = self._writer._fresh("t")
            self._writer._emit(indent, f"{name} = {text}")
            text = name
        self._pending.append("{" + text + "}")

    def pause(self, indent: str) -> None:
        """Write out what is pending, because the next statement may branch or assign."""
        if not self._pending:
            return
        if not self.started:
            self._start()
        self._writer._emit(indent, f"{self.parts}.append(f{_quoted(''.join(self._pending))})")
        self._pending.clear()

    def finish(self, indent: str = "") -> None:
        """Bind the whole text to the result's name."""
        if not self.started:
            self._writer._emit(indent, f"{self._result} = f{_quoted(''.join(self._pending))}")
            return
        self.pause(indent)
        self._writer._emit(indent, f"{self._result} = ''.join({self.parts})")

    def _start(self) -> None:
        self.started = True
        self._writer._lines.insert(0, f"{self.parts} = []")


_GROWING = frozenset({"int", "join", "replace", "indent", "center", "format", "tojson", "list", "batch"})
_GROWING_METHODS = frozenset({"join", "replace", "center", "ljust", "rjust", "zfill", "expandtabs"})


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _quoted(text: str) -> str:
    """Return a Python literal for f-string text; names in braces survive, everything else is escaped."""
    return '"' + re.sub(r"[^ !#-\[\]-~]", _escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
