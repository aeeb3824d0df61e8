"""What commands print: tables and sentences for a person, JSON for a script."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

PIPED, NAME_WIDTH, WORD_WIDTH = 160, 20, 10  # in cells of a terminal


def console(stderr: bool = False) -> Console:
    """Return a console as wide as COLUMNS says or the terminal is, and wide without either."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    asked = os.environ.get("COLUMNS", "")
    width = int(asked) if asked.isdecimal() and int(asked) else None
    if width is None and not stream.isatty():
        width = PIPED
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=width)


def as_json(data: Any) -> None:
    """Print data as JSON on standard output."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], spare: Sequence[str] = ()
) -> None:
    """Print a table whose numbers are whole: what the screen is too narrow for is left out, and named below.

    A column named `X>` is of numbers and aligned to the right. `spare` names the columns that are left out
    first, in this order.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    screen = console()
    heads = [column.removesuffix(">") for column in columns]
    widths = _fitting(columns, rows, screen.width, [heads.index(name) for name in spare])
    drawn = Table(box=box.SIMPLE, pad_edge=False, padding=0)
    for n, width in widths.items():
        right = columns[n] != heads[n]
        drawn.add_column(
            Text(heads[n]),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=right,
            width=width,
        )
    for row in rows:
        drawn.add_row(*(Text(row[n]) for n in widths))
    if title:
        screen.print(Text(title, style="table.title"))
    screen.print(drawn)
    gone = [name for n, name in enumerate(heads) if n not in widths and any(row[n] for row in rows)]
    if gone:
        say(f"left out, for the screen is too narrow: {', '.join(filter(None, gone))}")


def _fitting(
    columns: Sequence[str], rows: Sequence[Sequence[str]], screen: int, spare: Sequence[int]
) -> dict[int, int]:
    """Return the columns that fit, in order, with their widths.

    Left out are empty columns first, then `spare`, then others from the right; never the first, which has
    the names. A column of text may be narrower than what is in it, a column of numbers may not.
    """
    widest = _widest(columns, rows)
    least = _least(columns, rows, widest)
    kept = dict.fromkeys(range(len(columns)))

    def room() -> int:
        return screen - 1 - sum(least[n] + 1 for n in kept)

    others = [n for n in reversed(range(1, len(columns))) if n not in spare]
    empty = [n for n in range(1, len(columns)) if not any(row[n] for row in rows)]
    gone = []
    for n in dict.fromkeys([*empty, *spare, *others]):
        if room() >= 0:
            break
        del kept[n]
        gone.append(n)
    for n in reversed(gone):  # a narrow column may have gone for nothing before a wide one
        if n not in empty and least[n] < room():
            kept[n] = None
    widths = {n: least[n] for n in sorted(kept)}
    left = room()
    folded = sorted((n for n in widths if widest[n] > least[n]), key=lambda n: widest[n] - least[n])
    for place, n in enumerate(folded):
        more = max(min(widest[n] - least[n], left // (len(folded) - place)), 0)
        widths[n] += more
        left -= more
    return widths if len(widths) > 1 else {0: max(min(widths[0], screen - 2), 1)}


def _widest(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    from rich.cells import cell_len

    return [
        max(cell_len(text) for text in (column.removesuffix(">"), *(row[n] for row in rows)))
        for n, column in enumerate(columns)
    ]


def _least(columns: Sequence[str], rows: Sequence[Sequence[str]], widest: Sequence[int]) -> list[int]:
    """Return how narrow each column may get: names and long words may be broken, numbers may not."""
    from rich.cells import cell_len

    found = []
    for n, (column, width) in enumerate(zip(columns, widest, strict=True)):
        if column.endswith(">"):
            found.append(width)
        elif n == 0:
            found.append(min(width, NAME_WIDTH))
        else:
            words = (word for row in rows for word in row[n].split())
            longest = max(map(cell_len, words), default=0)
            found.append(min(width, max(cell_len(column), longest, WORD_WIDTH), NAME_WIDTH))
    return found


def say(text: str) -> None:
    """Print a sentence; on a terminal its lines break between words."""
    if not sys.stdout.isatty():
        line(text)
        return
    from rich.text import Text

    console().print(Text(text), overflow="ignore", crop=False)


def line(text: str = "") -> None:
    """Print one line as it is: it is to be copied, or means something to the letter."""
    sys.stdout.write(text + "\n")


def next_step(command: str, *arguments: str | Path) -> None:
    """Print the command to go on with, its arguments quoted for a shell."""
    line(f"next: instructify {command} {shlex.join(map(str, arguments))}")
