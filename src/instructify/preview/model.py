"""What a preview says: sheets of templates, with a card for each row in each variant."""

from __future__ import annotations

from dataclasses import dataclass

from instructify.checks import REASONS
from instructify.templates import Template


@dataclass(frozen=True, slots=True)
class Size:
    """Tokens of prompt and target, special tokens included, and the characters that have none."""

    inputs: int
    targets: int
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """The example that a row makes.

    `exemplars` are row numbers in the training split, and the prompt proper begins at `query` in `inputs`.
    `cut` counts the characters that the token budget took out of the prompt; they stood at `gap`, and were
    `gone`, which is empty where exemplars fell as well. `dropped_shots` counts those.
    """

    inputs: str
    targets: str
    choices: tuple[str, ...] | None = None
    label: int | None = None
    rationale: str | None = None
    exemplars: tuple[int, ...] = ()
    query: int = 0
    cut: int = 0
    gap: int = 0
    gone: str = ""
    dropped_shots: int = 0
    size: Size | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one row: an example, or the reason it is dropped for (one of checks.REASONS)."""

    example: Example | None = None
    reason: str = ""
    detail: str = ""

    @property
    def meaning(self) -> str:
        """The reason in plain words; empty for an example."""
        return REASONS.get(self.reason, "")

    @property
    def text(self) -> tuple[str, ...]:
        """What there is to read, in lines: prompt, separator and target, or the reason."""
        if self.example is None:
            return (f"dropped: {self.reason}",)
        return (*self.example.inputs.split("\n"), "|||", *self.example.targets.split("\n"))


@dataclass(frozen=True, slots=True)
class Card:
    """One row (its number in the split) in one variant.

    `was` is what the saved version of the template makes of the row; None where there is no saved version,
    or where it cannot be rendered here.
    """

    row: int
    variant: str
    now: Outcome
    was: Outcome | None = None

    @property
    def changed(self) -> bool:
        """Whether the saved version reads otherwise on this row."""
        return self.was is not None and self.was.text != self.now.text


@dataclass(frozen=True, slots=True)
class Sheet:
    """One template of a task: its cards, and what was changed in its file since it was saved.

    `diff` has the lines of a unified diff; there are none where nothing was changed, or nothing was saved.
    """

    task: str
    template: Template
    cards: tuple[Card, ...]
    diff: tuple[str, ...] = ()
