"""Writes the Python text of one function that renders a whole batch of rows for one template.

The function walks columns, not row dictionaries, and has no Jinja context. Whatever it cannot write exactly
is refused with a reason and a line (`CannotCompile`); whatever goes wrong in a row at run time hands that row
to the reference renderer, which alone decides what a failing row is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes
from jinja2.idtracking import VAR_LOAD_RESOLVE, VAR_LOAD_UNDEFINED, Symbols

from instructify.render.compiled.expressions import (
    COUNTING,
    LOOP_PLAIN,
    LOOP_SIZED,
    PAYING,
    Expressions,
    refuse,
)
from instructify.render.compiled.names import Scope, Shape
from instructify.render.compiled.output import Output
from instructify.render.compiled.trees import (
    Step,
    assigned,
    draws,
    draws_conditionally,
    has_tuples,
    held,
    looks,
    loop_attributes,
    loop_names,
    maps_draws,
    mutates,
    plain_namespaces,
    stored,
)
from instructify.render.meter import WORK_LIMIT
from instructify.render.rewrite import CUT

MAX_TURNS = 20_000


@dataclass(frozen=True, slots=True)
class Generated:
    """The function's text, its inputs in order, its constants, and the number of draw columns it takes."""

    source: str
    columns: tuple[tuple[str, ...], ...]
    constants: Mapping[str, Any]
    draws: int


def generate(
    steps: Sequence[Step], finish: Sequence[str], shape: Shape, given: frozenset[str], text: int
) -> Generated:
    """Return the function that runs these steps for each row and then the lines of `finish`.

    `given` are names that constants bind, `text` the number of characters in constants. Raises CannotCompile.
    """
    return _Writer(steps, shape, given, text).write(finish)


class _Writer:
    def __init__(self, steps: Sequence[Step], shape: Shape, given: frozenset[str], text: int) -> None:
        self._steps = steps
        self.lines: list[str] = []
        loops = [loop for step in steps for loop in step.tree.find_all(nodes.For)]
        self._turn = max((looks(loop) for loop in loops), default=0)
        self._price = 200 if any(has_tuples(step.tree) for step in steps) else 40
        self._most = (WORK_LIMIT << 3) // max(1, self._turn)
        self._growth = f"if it * state.grown > {self._most}: raise Slow"
        self._text = text
        self._loop_names: set[int] = set()
        self._dynamic_draws = any(draws_conditionally(step.tree) for step in steps)
        self.values = Expressions(shape, given, self._dynamic_draws, bool(loops))

    def write(self, finish: Sequence[str]) -> Generated:
        given = self.values.names.given
        for step in self._steps:
            self.values.names.given = frozenset() if step.makes_choices else given
            if isinstance(step.tree, nodes.Template):
                self._block(step)
            else:
                self.lines.append(
                    f"{step.result} = {self.values.expression(step.tree, Scope(None, Symbols()))}"
                )
            if step.then:
                self.lines.append(step.then)
        first = ["it = 0"] if any("it += 1" in line or "it := " in line for line in self.lines) else []
        if any(f"{name}(state, " in line for line in self.lines for name in PAYING):
            first.append("state.paid = 0")
        if any(f"{name}(state, " in line for line in self.lines for name in COUNTING):
            first.append("state.grown = 0")
        else:
            self.lines = [line for line in self.lines if line.strip() != self._growth]
        if self._dynamic_draws:
            first.append("state.drawn = 0")
        opening, last = self._budget() if first else ([], [])
        inner = "\n".join("            " + line for line in [*opening, *first, *self.lines, *last, *finish])
        columns = tuple(self.values.names.columns)
        inputs = [
            *(self.values.names.columns[path] for path in columns),
            *(f"draw{n}" for n in range(self.values.draws)),
        ]
        source = (
            f"def run(ROWS, state, slow, add_0, add_1, add_choices, add_rationale, odd):\n"
            f"    for i, size, {''.join(name + ', ' for name in inputs)}in ROWS:\n        try:\n{inner}\n"
            f"        except Exception:\n            slow(i, state)\n"
            f"        if state.flagged:\n            state.note(i)\n"
        )
        return Generated(source, columns, self.values.names.constants, self.values.draws)

    def _budget(self) -> tuple[list[str], list[str]]:
        """Return the lines that hand a row to the reference when it might spend its budget there.

        The first come before the row is rendered: it may take no more loop turns than the budget has room
        for.
        """
        every = sum(looks(step.tree) for step in self._steps)
        turns = f"{every} + it * {self._turn}" if self._turn else str(every)
        size = f"size + {self._text}"
        room = f"{WORK_LIMIT} // ({self._price} + ({size} >> 3))"
        first = [f"most = min({MAX_TURNS}, ({room} - {every}) // {self._turn})"] if self._turn else []
        work = f"({turns}) * ({self._price} + (({size} + state.grown) >> 3)) + state.paid"
        return first, [f"if {work} > {WORK_LIMIT}: raise Slow"]

    # statements

    def _block(self, step: Step) -> None:
        assert isinstance(step.tree, nodes.Template)  # noqa: S101  (the caller asked)
        scope = Scope(None, Symbols())
        scope.symbols.analyze_node(step.tree)
        self._loop_names = {id(node) for node in loop_names(step.tree, {*LOOP_PLAIN, *LOOP_SIZED})}
        self.values.names.namespaces = {
            name: {attr: self.values.names.fresh("a") for attr in made}
            for name, made in plain_namespaces(step.tree).items()
            if self.values.names.makes_namespace(name, scope)
        }
        self._declare(assigned(step.tree.body), scope, "")
        out = Output(self, step.result)
        for node in step.tree.body:
            if isinstance(node, nodes.Output) and step.after_cut:
                for child in node.nodes:
                    if isinstance(child, nodes.Filter) and child.name == CUT:
                        out.finish()
                        out = Output(self, step.after_cut)
                    else:
                        out.add(child, scope, "")
            else:
                self._statements([node], scope, out, "")
        out.finish()

    def _statements(self, body: Sequence[nodes.Node], scope: Scope, out: Output, indent: str) -> None:
        for node in body:
            if isinstance(node, nodes.Output):
                for child in node.nodes:
                    out.add(child, scope, indent)
            elif isinstance(node, nodes.If):
                self._if(node, scope, out, indent)
            elif isinstance(node, nodes.For):
                self._for(node, scope, out, indent)
            elif isinstance(node, nodes.Assign):
                self._assign(node, scope, indent)
            elif (
                isinstance(node, nodes.AssignBlock)
                and node.filter is None
                and isinstance(node.target, nodes.Name)
            ):
                self._assign_block(node, scope, out, indent)
            elif isinstance(node, nodes.ExprStmt):
                self.emit(indent, self.values.expression(node.node, scope))
            else:
                refuse(f"the statement {type(node).__name__}", node)

    def _declare(self, names: Iterable[str], scope: Scope, indent: str) -> None:
        """Bind names that a frame assigns to what they are before that, as Jinja's analysis has it."""
        for name in sorted(names):
            target = scope.symbols.find_ref(name)
            kind, _ = scope.symbols.loads.get(target, (VAR_LOAD_UNDEFINED, None)) if target else (None, None)
            if kind == VAR_LOAD_UNDEFINED:
                before = self.values.names.undefined_name(name)
            elif kind == VAR_LOAD_RESOLVE or scope.parent is None:
                before = self.values.names.free(name)
            else:
                before = self.values.names.variable(name, scope.parent)
            scope.variables[name] = self.values.names.declare(before)
            self.emit(indent, f"{scope.variables[name]} = {before}")

    def _if(self, node: nodes.If, scope: Scope, out: Output, indent: str) -> None:
        out.pause(indent)
        self.emit(indent, f"if {self.values.expression(node.test, scope)}:")
        self._branch(node.body, scope, out, indent)
        for other in node.elif_:
            self.emit(indent, f"elif {self.values.expression(other.test, scope)}:")
            self._branch(other.body, scope, out, indent)
        if node.else_:
            self.emit(indent, "else:")
            self._branch(node.else_, scope, out, indent)

    def _branch(self, body: Sequence[nodes.Node], scope: Scope, out: Output, indent: str) -> None:
        self.emit(indent + "    ", "pass")
        self._statements(body, scope, out, indent + "    ")
        out.pause(indent + "    ")

    def _for(self, node: nodes.For, scope: Scope, out: Output, indent: str) -> None:
        if node.recursive:
            refuse("a recursive loop", node)
        out.pause(indent)
        used = loop_attributes(node)
        inner = Scope(scope, Symbols(scope.symbols))
        inner.symbols.analyze_node(node, for_branch="body")
        items, position = self.values.names.fresh("items"), self.values.names.fresh("n")
        iterable = self.values.iterable(node.iter, scope)
        sized = bool(used & LOOP_SIZED.keys())
        if sized:
            self._check_sized(node, scope, indent)
        target = self._target(node.target, inner)
        if node.test is not None:
            iterable = self._filtered(node, inner, target, iterable)
        self.emit(indent, f"{items} = {f'list({iterable})' if sized else iterable}")
        if node.else_:
            self.emit(indent, f"{position} = -1")
        if used or node.else_:
            self.emit(indent, f"for {position}, {target} in enumerate({items}):")
        else:
            self.emit(indent, f"for {target} in {items}:")
        deeper = indent + "    "
        if node.test is None:  # else its condition has counted the turn
            self.emit(deeper, "it += 1")
            self.emit(deeper, "if it > most: raise Slow")
        self.emit(deeper, self._growth)
        inner.loop = (position, items)
        self._declare(assigned(node.body) - inner.variables.keys(), inner, deeper)
        self._statements(node.body, inner, out, deeper)
        out.pause(deeper)
        if node.else_:
            self.emit(indent, f"if {position} < 0:")
            other = Scope(scope, Symbols(scope.symbols))
            other.symbols.analyze_node(node, for_branch="else")
            self._declare(assigned(node.else_), other, deeper)
            self._branch(node.else_, other, out, indent)

    def _check_sized(self, node: nodes.For, scope: Scope, indent: str) -> None:
        """Refuse a loop that asks for its own length unless it may as well find all its items beforehand."""
        targets = stored(node.target)
        uses = list(held(node.iter))
        changes = mutates(node) or maps_draws(node.iter)
        if node.test is not None:
            asked = [(name, use) for name, use in held(node.test) if name not in targets]
            reads = any(name in frame.variables for name, _ in asked for frame in scope.frames())
            changes = changes or draws(node.test) or (reads and node.find(nodes.NSRef) is not None)
            uses += asked
        if changes:
            refuse("a loop that changes what its items depend on and asks for its own length", node)
        for name, use in uses:
            if any(name in frame.variables for frame in scope.frames()):
                self.emit(indent, f"settled({self.values.expression(use, scope)})")

    def _filtered(self, node: nodes.For, inner: Scope, target: str, iterable: str) -> str:
        test = node.test
        assert test is not None  # noqa: S101  (the caller asked)
        if any(isinstance(name, nodes.Name) and name.name == "loop" for name in test.find_all(nodes.Name)):
            refuse("loop in the condition of a loop", node)
        turn = f"turn(state, it := it + 1, most, {self._most})"
        return f"({target} for {target} in {iterable} if {turn} and {self.values.expression(test, inner)})"

    def _target(self, target: nodes.Node, scope: Scope) -> str:
        if isinstance(target, nodes.Name):
            scope.variables[target.name] = self.values.names.fresh("v")
            return scope.variables[target.name]
        if not isinstance(target, nodes.Tuple):
            refuse("an unusual loop target", target)
        parts = [self._target(item, scope) for item in target.items]
        return "(" + ", ".join(parts) + ("," if len(parts) == 1 else "") + ")"

    def _assign(self, node: nodes.Assign, scope: Scope, indent: str) -> None:
        target = node.target
        held = self.values.names.namespaces
        if id(node) in self._loop_names and isinstance(target, nodes.Name) and scope.loop is not None:
            scope.loops[target.name] = scope.loop
            return
        if isinstance(target, nodes.Name) and target.name in held:
            assert isinstance(node.node, nodes.Call)  # noqa: S101  (so it was found to be)
            for pair in node.node.kwargs:
                given = self.values.expression(pair.value, scope)
                self.emit(indent, f"{held[target.name][pair.key]} = {given}")
            return
        value = self.values.expression(node.node, scope)
        if isinstance(target, nodes.Name):
            self.emit(indent, f"{scope.variables[target.name]} = {value}")
        elif isinstance(target, nodes.NSRef) and target.name in held:
            self.emit(indent, f"{held[target.name][target.attr]} = {value}")
        elif isinstance(target, nodes.NSRef):
            self.emit(
                indent,
                f"set_attribute({self.values.names.variable(target.name, scope)}, {target.attr!r}, {value})",
            )
        elif isinstance(target, nodes.Tuple) and all(isinstance(item, nodes.Name) for item in target.items):
            names = [scope.variables[item.name] for item in target.items if isinstance(item, nodes.Name)]
            self.emit(indent, f"({', '.join(names)},) = {value}")
        else:
            refuse("an unusual assignment", node)

    def _assign_block(self, node: nodes.AssignBlock, scope: Scope, out: Output, indent: str) -> None:
        out.pause(indent)
        result = self.values.names.fresh("block")
        inner = Scope(scope, Symbols(scope.symbols))
        inner.symbols.analyze_node(node)
        self._declare(assigned(node.body), inner, indent)
        captured = Output(self, result)
        self.emit(indent, f"{captured.parts} = []")
        captured.started = True
        self._statements(node.body, inner, captured, indent)
        captured.finish(indent)
        assert isinstance(node.target, nodes.Name)  # noqa: S101  (the caller asked)
        self.emit(indent, f"{scope.variables[node.target.name]} = grown(state, {result})")

    def emit(self, indent: str, line: str) -> None:
        """Write a line."""
        self.lines.append(indent + line)

    def first(self, line: str) -> None:
        """Write a line before all others."""
        self.lines.insert(0, line)
