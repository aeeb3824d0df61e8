"""Cards of a preview in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from instructify.cli import show

if TYPE_CHECKING:
    from rich.panel import Panel
    from rich.text import Text

    from instructify.compose.budget import Budget
    from instructify.preview import Card, Example, Sheet

RULE = "─" * 8
SHOWN = 60  # characters of either end of a long text that was cut out


def show_sheets(sheets: Sequence[Sheet], budget: Budget | None) -> None:
    """Print every template's change since it was saved, and its cards."""
    console = show.console()
    for sheet in sheets:
        if sheet.diff:
            console.print(_boxed(f"{sheet.task} / {sheet.template.name}  changed", _diff(sheet.diff)))
        several = len({card.variant for card in sheet.cards}) > 1
        for card in sheet.cards:
            title = f"{sheet.task} / {sheet.template.name}  row {card.row}"
            if several or card.variant != "zero_shot":
                title += f"  {card.variant}"
            console.print(_boxed(title, _lines(card, budget)))


def _boxed(title: str, lines: Iterator[Text]) -> Panel:
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    return Panel(Group(Text(title, style="bold", overflow="fold"), Text(), *lines), title_align="left")


def _lines(card: Card, budget: Budget | None) -> Iterator[Text]:
    from instructify.preview.words import changes, notes

    example = card.now.example
    if example is None:
        yield _text(f"dropped: {card.now.reason}", "bold red")
        yield _text(card.now.meaning)
        if card.now.detail:
            yield _text(card.now.detail, "dim")
    else:
        yield _prompt(example)
        yield _text(f"{RULE} target", "dim")
        yield _text(example.targets, "bold green")
        if example.choices is not None:
            yield _choices(example.choices, example.label)
        if example.rationale:
            yield _text(f"rationale: {example.rationale}", "dim")
        for note in notes(example, budget):
            yield _text(note, "dim")
    if card.changed:
        yield _text(f"{RULE} changed from the saved version", "dim")
        yield from _diff(changes(card))


def _prompt(example: Example) -> Text:
    """Return the prompt with its exemplars dimmed, and what was cut where it stood."""
    made = _text(example.inputs[: example.query], "dim")
    if example.gone:
        gone = example.gone
        if len(gone) > 2 * SHOWN:
            gone = f"{gone[:SHOWN]} … {gone[-SHOWN:]}"
        made.append_text(_text(example.inputs[example.query : example.gap]))
        made.append_text(_text(f"[cut: {gone}]", "red"))
        return made.append_text(_text(example.inputs[example.gap :]))
    return made.append_text(_text(example.inputs[example.query :]))


def _choices(choices: Sequence[str], label: int | None) -> Text:
    made = _text("choices: ", "dim")
    for place, choice in enumerate(choices):
        made.append_text(_text(" | " if place else "", "dim"))
        made.append_text(_text(choice, "green" if place == label else "dim"))
    return made


def _diff(lines: Sequence[str]) -> Iterator[Text]:
    styles = {"+": "green", "-": "red", "@": "dim"}
    return (_text(line, styles.get(line[:1], "")) for line in lines)


def _text(text: str, style: str = "") -> Text:
    """Return text whose control characters are spelled out: rows are data, and not to steer the terminal."""
    from rich.text import Text

    from instructify.report.text import shown

    return Text(shown(text), style=style, overflow="fold")
