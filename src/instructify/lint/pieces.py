"""A template's body as a list of pieces in reading order, each on the prompt's or the target's side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from jinja2 import nodes

SEPARATOR = "|||"
Side = Literal["prompt", "target"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of static text, a printed expression, a condition, what a loop runs over, or what is set.

    `after` is the expression that is printed directly before a text.
    """

    kind: Literal["text", "print", "test", "loop", "set"]
    side: Side
    line: int
    text: str = ""
    node: nodes.Node | None = None
    after: nodes.Node | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """The pieces of a body, and the number of separators on its longest path."""

    pieces: tuple[Piece, ...] = ()
    separators: int = 0
    tree: nodes.Template | None = None

    def texts(self, side: Side | None = None) -> list[Piece]:
        """Return the stretches of static text, of one side or both."""
        return [p for p in self.pieces if p.kind == "text" and (side is None or p.side == side)]

    def prints(self, side: Side) -> list[Piece]:
        """Return the printed expressions of one side."""
        return [p for p in self.pieces if p.kind == "print" and p.side == side]

    def expressions(self, side: Side | None = None) -> Iterator[tuple[Piece, nodes.Node]]:
        """Yield every expression, the outer before the inner, with the piece it is part of."""
        for piece in self.pieces:
            if piece.node is not None and (side is None or piece.side == side):
                yield piece, piece.node
                for node in piece.node.find_all(nodes.Expr):
                    yield piece, node

    def names(self, side: Side | None = None) -> set[str]:
        """Return the names that are read."""
        found = self.expressions(side)
        return {node.name for _, node in found if isinstance(node, nodes.Name) and node.ctx == "load"}


def body_of(tree: nodes.Template) -> Body:
    """Return the pieces of a parsed body."""
    walker = _Walker()
    count = walker.walk(tree.body, 0)
    return Body(tuple(walker.pieces), count, tree)


class _Walker:
    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def add(
        self, kind: Literal["print", "test", "loop", "set"], node: nodes.Node | None, separators: int
    ) -> None:
        if node is not None:
            self.pieces.append(Piece(kind, _side(separators), node.lineno, node=node))

    def walk(self, statements: Sequence[nodes.Node], separators: int) -> int:
        """Add the pieces of some statements; return the separators seen at their end."""
        for node in statements:
            separators = self.statement(node, separators)
        return separators

    def statement(self, node: nodes.Node, separators: int) -> int:
        if isinstance(node, nodes.Output):
            before: nodes.Node | None = None
            for part in node.nodes:
                if isinstance(part, nodes.TemplateData):
                    separators = self.text(part, separators, before)
                else:
                    self.add("print", part, separators)
                before = part
            return separators
        if isinstance(node, nodes.If):
            self.add("test", node.test, separators)
            branches = (node.body, node.elif_, node.else_)
            return max(self.walk(branch, separators) for branch in branches)
        if isinstance(node, nodes.For):
            self.add("loop", node.iter, separators)
            self.add("test", node.test, separators)
            return max(self.walk(node.body, separators), self.walk(node.else_, separators))
        if isinstance(node, nodes.Assign):
            self.add("set", node.node, separators)
            return separators
        return self.walk(getattr(node, "body", []), separators)

    def text(self, node: nodes.TemplateData, separators: int, before: nodes.Node | None) -> int:
        line = node.lineno
        for number, part in enumerate(node.data.split(SEPARATOR)):
            separators += number > 0
            if part:
                after = None if number else before
                self.pieces.append(Piece("text", _side(separators), line, part, after=after))
            line += part.count("\n")
        return separators


def _side(separators: int) -> Side:
    return "target" if separators else "prompt"
