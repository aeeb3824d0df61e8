"""Names in one generated function: the columns, constants and variables that a template's names become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2.idtracking import Symbols

from instructify.render.sandbox import GLOBALS


@dataclass(frozen=True, slots=True)
class Shape:
    """What the generator may know of a batch: top-level names, and what each usable path holds."""

    names: frozenset[str]
    leaves: Mapping[tuple[str, ...], bool]
    """Paths that may be read directly, with whether all their values are strings."""


@dataclass(frozen=True, slots=True)
class UndefinedName:
    """Stands in the constants for the undefined value of a name."""

    name: str


@dataclass(slots=True)
class Scope:
    """Names assigned in one Jinja frame, the Python variables they live in, and Jinja's own view of them."""

    parent: Scope | None
    symbols: Symbols
    variables: dict[str, str] = field(default_factory=dict)
    loop: tuple[str, str] | None = None
    loops: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Other names of loops."""

    def frames(self) -> Iterator[Scope]:
        """Yield this frame and all around it, from the inside out."""
        frame: Scope | None = self
        while frame is not None:
            yield frame
            frame = frame.parent


class Names:
    """Keeps account of what a function takes in, and says which variable a name stands for."""

    def __init__(self, shape: Shape, given: frozenset[str]) -> None:
        self.given = given
        self.columns: dict[tuple[str, ...], str] = {}
        self.constants: dict[str, Any] = {}
        self.namespaces: dict[str, dict[str, str]] = {}
        """Namespaces that are no objects: their attributes, and the variables these live in."""
        self._shape = shape
        self._undefined: dict[str, str] = {}
        self._unassigned: dict[str, str] = {}
        self._count = 0

    def column(self, path: tuple[str, ...]) -> str:
        """Return the variable that holds the leaf at a path."""
        if path not in self.columns:
            self.columns[path] = f"c{len(self.columns)}"
        return self.columns[path]

    def variable(self, name: str, scope: Scope) -> str:
        """Return the variable that a name stands for in a scope."""
        found = (frame.variables[name] for frame in scope.frames() if name in frame.variables)
        return next(found, None) or self.free(name)

    def free(self, name: str) -> str:
        """Return the text of a name that no template statement has assigned."""
        if name in self.given:
            return name
        if name in self._shape.names:
            return self.column((name,))
        if name in GLOBALS:
            return f"global_{name}"
        return self.undefined_name(name)

    def undefined_name(self, name: str) -> str:
        """Return the constant that is a name's undefined value."""
        if name not in self._undefined:
            self._undefined[name] = f"undefined{len(self._undefined)}"
            self.constants[self._undefined[name]] = UndefinedName(name)
        return self._undefined[name]

    def declare(self, before: str) -> str:
        """Return a new variable that holds the value of another, or a constant, until it is assigned."""
        variable = self.fresh("v")
        undefined = before if before in self._undefined.values() else self._unassigned.get(before)
        if undefined is not None:
            self._unassigned[variable] = undefined
        return variable

    def read(self, variable: str) -> str:
        """Return the text that reads a variable; where nothing is assigned each time gives another object.

        So it is with Jinja, and lists ask whether two objects are one before they ask whether they are equal.
        """
        if variable in self._undefined.values():
            return f"again({variable})"
        undefined = self._unassigned.get(variable)
        if undefined is None:
            return variable
        return f"({variable} if {variable} is not {undefined} else again({undefined}))"

    def loop(self, scope: Scope) -> tuple[str, str] | None:
        """Return counter and items of the innermost loop, or None outside of loops."""
        for frame in scope.frames():
            if "loop" in frame.variables:
                return None
            if frame.loop is not None:
                return frame.loop
        return None

    def loop_called(self, name: str, scope: Scope) -> tuple[str, str] | None:
        """Return counter and items of the loop that a name stands for, or None."""
        return next((frame.loops[name] for frame in scope.frames() if name in frame.loops), None)

    def makes_namespace(self, name: str, scope: Scope) -> bool:
        """Tell whether the name `namespace` means Jinja's own, and `name` is not given from outside."""
        taken = self.is_bound("namespace", scope) or "namespace" in self._shape.names
        return not taken and name not in self.given

    def is_bound(self, name: str, scope: Scope) -> bool:
        """Tell whether a name is assigned by the template, or given from outside."""
        return name in self.given or any(name in frame.variables for frame in scope.frames())

    def constant(self, value: Any) -> str:
        """Return the variable that holds a constant."""
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    def fresh(self, stem: str) -> str:
        """Return a variable name not used before."""
        self._count += 1
        return f"{stem}_{self._count}"
