"""What a preview says in words, in the terminal and on the page."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from instructify.compose.budget import Budget
from instructify.errors import counted
from instructify.preview.model import Card, Example, Sheet

UNKNOWN = 12
"""Characters without a token that are named."""


def summary(sheets: Sequence[Sheet]) -> str:
    """Return how many of the rows shown make an example."""
    cards = [card for sheet in sheets for card in sheet.cards]
    kept = sum(card.now.example is not None for card in cards)
    return f"{kept} of {len(cards)} rows make an example"


def standing(sheet: Sheet) -> str:
    """Return what there is to notice about a template: dropped rows, a change; empty where nothing is."""
    dropped = sum(card.now.example is None for card in sheet.cards)
    said = [f"{dropped} of {len(sheet.cards)} dropped"] if dropped else []
    return ", ".join([*said, "changed"] if sheet.diff else said)


def notes(example: Example, budget: Budget | None) -> list[str]:
    """Return sentences on exemplars, tokens and what was cut."""
    said = []
    if example.exemplars:
        rows = ", ".join(map(str, example.exemplars))
        noun = "row" if len(example.exemplars) == 1 else "rows"
        said.append(f"{counted(len(example.exemplars), 'exemplar')}: {noun} {rows} of the training split")
    if example.size is not None and budget is not None:
        size = example.size
        said.append(
            f"prompt {size.inputs:,} of {budget.max_input:,} tokens, "
            f"target {size.targets:,} of {budget.max_target:,}"
        )
        if size.unknown:
            said.append(f"without a token: {' '.join(size.unknown[:UNKNOWN])}")
    if example.dropped_shots:
        said.append(f"{counted(example.dropped_shots, 'exemplar')} left out to fit the budget")
    if example.cut:
        said.append(f"{counted(example.cut, 'character')} cut out to fit the budget")
    return said


def changes(card: Card) -> list[str]:
    """Return the lines of what the saved version made of the row and what is made now, as a diff."""
    before = card.was.text if card.was else ()
    lines = list(difflib.unified_diff(before, card.now.text, n=0, lineterm=""))
    return [line for line in lines[2:] if not line.startswith("@@")]
