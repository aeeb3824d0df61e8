"""Reads the marked blocks of a Markdown document: files to write, commands to run, what they show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])

_BLOCK = re.compile(
    r"^<!-- (?P<mark>run|file: \S+|tree: \S+) -->\n```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)
_FRAME = str.maketrans("", "", "╭╮╰╯│─├└")


@dataclass(frozen=True)
class Block:
    """A marked block: `run`, `file: PATH` or `tree: PATH`, the language of its fence, and its text."""

    mark: str
    kind: str
    text: str


@dataclass(frozen=True)
class Shown:
    """A command as a document shows it, with the stretches of output that it shows, in order."""

    command: str
    output: tuple[str, ...]


def blocks(document: str) -> list[Block]:
    """Return the marked blocks of a document in order."""
    found = [Block(m["mark"], m["kind"], m["text"]) for m in _BLOCK.finditer(document)]
    assert len(found) == len(re.findall(r"^<!-- (?:run|file|tree)", document, re.M)), "a mark without a block"
    return found


def commands(text: str) -> list[Shown]:
    """Return the commands of a console block; a line `...` stands for output that is left out."""
    found = []
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, output = part.partition("\n")
        stretches = [plain(stretch) for stretch in re.split(r"^\.\.\.$", output, flags=re.M)]
        found.append(Shown(command, tuple(stretch for stretch in stretches if stretch)))
    return found


def plain(text: str) -> str:
    """Return text without frames, and with each run of white space as one space."""
    return " ".join(text.translate(_FRAME).split())


def is_shown(output: str, stretches: tuple[str, ...]) -> bool:
    """Tell whether the output holds every stretch, in order; … in a stretch stands for anything."""
    patterns = (".*?".join(map(re.escape, stretch.split("…"))) for stretch in stretches)
    return re.search(".*?".join(patterns), plain(output), re.S) is not None


def slug(heading: str) -> str:
    """Return the anchor that a Markdown renderer gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
