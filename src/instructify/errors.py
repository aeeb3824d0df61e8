"""What goes wrong, said once and clearly: where, what, what was expected, the nearest name.

InstructifyError
├── RowError      one row under one template; becomes a counted drop, never ends a build
└── LockedError   another builder holds the output directory (exit code 75)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; `where` is `file:line` (or a file, or a name) and may be empty."""

    what: str
    where: str = ""
    expected: str = ""
    nearest: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.expected:
            text += f"; expected {self.expected}"
        if self.nearest:
            text += f"; did you mean {self.nearest!r}?"
        return text


class InstructifyError(Exception):
    """Everything a user can cause or mend; carries every problem found, not just the first."""

    exit_code = 1

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = tuple(p if isinstance(p, Problem) else Problem(p) for p in problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), self.problems)


class LockedError(InstructifyError):
    """Another process is building the same directory."""

    exit_code = 75


class RowError(InstructifyError):
    """A row that a template cannot render; `reason` is the short code that the ledger counts."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}" if detail else reason)

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.reason, self.detail))


def counted(number: int, noun: str) -> str:
    """Return a number of things, as in `1 template` and `2,085 templates`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name most like `name`, or an empty string."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)), "")
