"""What a rule sees of a template, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from instructify.errors import Problem
from instructify.lint.ignores import Ignore
from instructify.lint.pieces import Body
from instructify.templates.model import Template

Severity = Literal["error", "warning", "info"]
BUDGET = 512
"""Tokens that a prompt may have unless told otherwise; what T5 was pre-trained on."""


class Tokens(Protocol):
    """A tokenizer, as far as the rules need one; ids without the special tokens that frame a text."""

    specials: frozenset[str]

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids."""

    def is_known(self, character: str) -> bool:
        """Tell whether a character survives."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that a rule found; `line` counts from 1 in the template's body, 0 is no line of it."""

    what: str
    expected: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """What the template makes of one row; `reason` is why it is dropped, and empty for an example.

    `prompt` has no marks in it; `rigid` is the part of it that no token budget may cut. `has_options` tells
    that the answer choices are to be laid out in it.
    """

    number: int
    row: Mapping[str, Any]
    prompt: str = ""
    target: str = ""
    choices: tuple[str, ...] | None = None
    rationale: str | None = None
    reason: str = ""
    detail: str = ""
    none_printed: bool = False
    has_options: bool = False
    rigid: str = ""


Render = Callable[[Mapping[str, Any], int], Sample]
"""Renders one row of a number, which decides its draws."""


def no_rendering(row: Mapping[str, Any], number: int) -> Sample:
    """Stand in for the rendering of a template that has none."""
    return Sample(number, row, reason="error")


@dataclass(frozen=True, slots=True)
class Subject:
    """A template and all that is known about it.

    `unread` says why its file is no template, `broken` why it cannot be compiled. `columns` is None where the
    dataset is not at hand; `labels` are the names of ClassLabel columns. `siblings` are the templates of the
    same dataset that come before it. `text` is that of the file, and `keys` are the lines of it on which the
    front matter's keys stand. `ran` tells for every rule that was run whether it found anything.
    """

    template: Template
    body: Body = field(default_factory=Body)
    unread: tuple[Problem, ...] = ()
    broken: tuple[Problem, ...] = ()
    variables: frozenset[str] = frozenset()
    siblings: tuple[Subject, ...] = ()
    columns: tuple[str, ...] | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    render: Render = no_rendering
    tokens: Tokens | None = None
    budget: int = BUDGET
    ignores: tuple[Ignore, ...] = ()
    text: str = ""
    keys: Mapping[str, int] = field(default_factory=dict)
    ran: Mapping[str, bool] = field(default_factory=dict)

    @property
    def examples(self) -> tuple[Sample, ...]:
        """The sample rows that make an example."""
        return tuple(sample for sample in self.samples if not sample.reason)

    @property
    def is_original(self) -> bool:
        """Whether the template poses the dataset's original task, and says so."""
        return self.template.original_task is True and self.template.kind == "task"


def share(count: int, samples: Sequence[Sample]) -> str:
    """Return a count of sample rows in words."""
    return f"{count} of {len(samples)} sample rows"
