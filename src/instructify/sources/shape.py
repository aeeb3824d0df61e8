"""The shape of JSON values: one Arrow type for each column, or both places where the values disagree."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from instructify.errors import InstructifyError, Problem

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["null", "bool", "int64", "float64", "string", "list", "object"]

KINDS: dict[type, Kind] = {
    type(None): "null",
    bool: "bool",
    int: "int64",
    float: "float64",
    str: "string",
    list: "list",
    dict: "object",
}
MAX_DEPTH = 32
MAX_KEYS = 2000


@dataclass(slots=True)
class Shape:
    """What the values at one place have been so far, and where each fact was first seen."""

    path: str
    kind: Kind = "null"
    where: str = ""
    count: int = 0
    inexact: str = ""  # where an integer beyond 2**53 lies, from where on float64 has gaps
    mixed: str = ""  # where integers and floats first met
    item: Shape | None = None
    fields: dict[str, Shape] = field(default_factory=dict)

    def observe(self, value: Any, where: str, depth: int = 0) -> None:
        """Take in one value.

        Raises:
            InstructifyError: it does not agree with the values before it, or is out of range or too deep.
        """
        self.count += 1
        kind = KINDS[type(value)]
        if kind == "null":
            return
        if kind != self.kind:
            self._change(kind, where)
        if kind == "int64":
            self._check_integer(value, where)
        elif kind == "float64" and not math.isfinite(value):
            raise InstructifyError(
                Problem(f"{self.path} is too large for a float64", where, "a smaller number")
            )
        elif kind in ("list", "object"):
            if depth >= MAX_DEPTH:
                raise InstructifyError(Problem(f"values nest deeper than {MAX_DEPTH} levels", where))
            if kind == "list":
                self.item = self.item or Shape(f"{self.path}[]")
                for entry in value:
                    self.item.observe(entry, where, depth + 1)
            else:
                self._observe_fields(value, where, depth)

    def arrow(self) -> pa.DataType | None:
        """Return the Arrow type; None stands for objects that never had a key, which Parquet cannot hold."""
        import pyarrow as pa

        if self.kind == "list":
            item = self.item.arrow() if self.item else pa.string()
            return None if item is None else pa.list_(item)
        if self.kind == "object":
            found = [(name, shape.arrow()) for name, shape in self.fields.items()]
            kept = [pa.field(name, kind) for name, kind in found if kind is not None]
            return pa.struct(kept) if kept else None
        simple = {"bool": pa.bool_(), "int64": pa.int64(), "float64": pa.float64()}
        return simple.get(self.kind, pa.string())

    def _observe_fields(self, value: dict[str, Any], where: str, depth: int) -> None:
        for name, entry in value.items():
            shape = self.fields.get(name)
            if shape is None:
                if len(self.fields) >= MAX_KEYS:
                    raise InstructifyError(
                        Problem(f"{self.path or 'the rows'} have more than {MAX_KEYS} different keys", where)
                    )
                shape = self.fields[name] = Shape(f"{self.path}.{name}" if self.path else name)
            shape.observe(entry, where, depth + 1)

    def _change(self, kind: Kind, where: str) -> None:
        if self.kind == "null":
            self.kind, self.where = kind, where
        elif {kind, self.kind} != {"int64", "float64"}:
            raise InstructifyError(
                Problem(
                    f"{self.path} is {_a(kind)} here but {_a(self.kind)} at {self.where}",
                    where,
                    "one type throughout"
                    + ("" if _nested(self.path) else f", or cast: {{{self.path}: string}}"),
                )
            )
        elif not self.mixed:
            self.kind, self.mixed = "float64", where
            self._check_exact(where)

    def _check_integer(self, value: int, where: str) -> None:
        hint = "" if _nested(self.path) else f", or cast: {{{self.path}: string}} to keep its digits"
        if not -(2**63) <= value < 2**63:
            raise InstructifyError(
                Problem(f"{self.path} is an integer beyond 64 bits", where, f"a smaller number{hint}")
            )
        if not self.inexact and abs(value) > 2**53:
            self.inexact = where
            self._check_exact(where)

    def _check_exact(self, where: str) -> None:
        if self.mixed and self.inexact:
            hint = "" if _nested(self.path) else f", or cast: {{{self.path}: string}}"
            raise InstructifyError(
                Problem(
                    f"{self.path} mixes floats with the integer at {self.inexact}, which may not fit one",
                    where,
                    f"integers up to 2**53{hint}",
                )
            )


def _nested(path: str) -> bool:
    return "." in path or "[" in path


def _a(kind: Kind) -> str:
    names = {"bool": "true or false", "int64": "an integer", "float64": "a float", "object": "an object"}
    return names.get(kind, f"a {kind}")
