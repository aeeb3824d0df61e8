"""Writes what a text prints: straight runs become one f-string, the rest a list of parts."""

from __future__ import annotations

import re
from typing import Protocol

from jinja2 import nodes

from instructify.render.compiled.expressions import Expressions
from instructify.render.compiled.names import Scope


class Writer(Protocol):
    """What a function is written with, as far as its output goes."""

    values: Expressions

    def emit(self, indent: str, line: str) -> None:
        """Write a line."""

    def first(self, line: str) -> None:
        """Write a line before all others."""


class Output:
    """Collects what a text prints: straight runs become one f-string, the rest a list of parts."""

    def __init__(self, writer: Writer, result: str) -> None:
        self._writer = writer
        self._result = result
        self.parts = f"parts_{result}"
        self.started = False
        self._pending: list[str] = []

    def add(self, node: nodes.Node, scope: Scope, indent: str) -> None:
        """Print one child of an Output node."""
        if isinstance(node, nodes.TemplateData):
            self._pending.append(_literal(node.data))
            return
        if isinstance(node, nodes.Const) and isinstance(node.value, str):
            self._pending.append(_literal(node.value))
            return
        text = self._writer.values.as_text(node, scope)
        if not text.isidentifier():
            name = self._writer.values.names.fresh("t")
            self._writer.emit(indent, f"{name} = {text}")
            text = name
        self._pending.append("{" + text + "}")

    def pause(self, indent: str) -> None:
        """Write out what is pending, because the next statement may branch."""
        if not self._pending:
            return
        if not self.started:
            self._start()
        self._writer.emit(indent, f"{self.parts}.append(f{_quoted(''.join(self._pending))})")
        self._pending.clear()

    def finish(self, indent: str = "") -> None:
        """Bind the whole text to the result's name."""
        if not self.started:
            self._writer.emit(indent, f"{self._result} = f{_quoted(''.join(self._pending))}")
            return
        self.pause(indent)
        self._writer.emit(indent, f"{self._result} = ''.join({self.parts})")

    def _start(self) -> None:
        self.started = True
        self._writer.first(f"{self.parts} = []")


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _quoted(text: str) -> str:
    """Return a Python literal for f-string text; names in braces survive, everything else is escaped."""
    return '"' + re.sub(r"[^ !#-\[\]-~]", _escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
