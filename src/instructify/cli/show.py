"""What commands print: rich tables and panels for a person, JSON for a script."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

WIDE, NAME_WIDTH = 100, 20  # in cells of a terminal


def console(stderr: bool = False) -> Console:
    """Return a console that keeps whole lines when the output is not a terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 160
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=width)


def as_json(data: Any) -> None:
    """Print data as JSON on standard output."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: a column named `X>` is aligned to the right, one named `X?` needs a wide terminal."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    screen = console()
    shown = [n for n, column in enumerate(columns) if screen.width >= WIDE or not column.endswith("?")]
    drawn = Table(title=title or None, title_justify="left", box=box.SIMPLE, pad_edge=False, padding=0)
    for place, n in enumerate(shown):
        right = columns[n].endswith(">")
        widest = max((cell_len(row[n]) for row in rows), default=0)
        drawn.add_column(
            columns[n].rstrip(">?"),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=right,
            # names are what one looks for: other columns give way first
            min_width=None if place else min(widest, NAME_WIDTH),
        )
    for row in rows:
        drawn.add_row(*(Text(row[n]) for n in shown))
    screen.print(drawn)


def line(text: str = "") -> None:
    """Print one line, unwrapped and unmarked."""
    sys.stdout.write(text + "\n")
