"""Split names and their slices: `train`, `train[:10%]`, `test[100:-1]`."""

from __future__ import annotations

import re
from pathlib import Path

from instructify.errors import InstructifyError, Problem
from instructify.recipe.models import SPLIT

USUAL = ("train", "validation", "test")
"""The splits that rows are taken from where none is named, in this order."""


def usual_split(folder: Path) -> str:
    """Return the first of USUAL for which a folder has a Parquet file, or else the first that it has."""
    given = sorted(path.stem for path in folder.glob("*.parquet"))
    return next((name for name in (*USUAL, *given) if name in given), USUAL[0])


def split_name(split: str) -> str:
    """Return the name of a split without its slice."""
    return _match(split)["name"]


def parse_split(split: str, rows: int) -> tuple[int, int]:
    """Return the first row and the row after the last that `split` asks for, of `rows` rows.

    A percentage is rounded to the closest row (half to even), a negative number counts from the end, and
    a number past the end means the end, as in `datasets`. An empty slice has stop equal to start.

    Raises:
        InstructifyError: the text is not a split, mixes rows with percentages, or a percentage is beyond 100.
    """
    match = _match(split)
    boundaries = [text for text in (match["start"], match["stop"]) if text]
    if len({text.endswith("%") for text in boundaries}) > 1:
        raise InstructifyError(
            Problem(f"the split {split!r} mixes rows and percentages", expected="both of one kind")
        )
    start = _boundary(split, match["start"], rows, 0)
    stop = _boundary(split, match["stop"], rows, rows)
    return start, max(start, stop)


def _match(split: str) -> re.Match[str]:
    match = SPLIT.fullmatch(split)
    if match is None:
        raise InstructifyError(
            Problem(
                f"{split!r} is not a split",
                expected="a name with an optional slice, as in train, train[:500], test[10%:20%]",
            )
        )
    return match


def _boundary(split: str, text: str | None, rows: int, default: int) -> int:
    if text is None:
        return default
    number = int(text.removesuffix("%"))
    if text.endswith("%"):
        if abs(number) > 100:
            raise InstructifyError(
                Problem(f"the split {split!r} asks for {text}", expected="a percentage from -100% to 100%")
            )
        number = round(number * rows / 100)
    if number < 0:
        number = max(0, rows + number)
    return min(number, rows)
