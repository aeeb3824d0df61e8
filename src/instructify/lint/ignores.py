"""The front matter of a template as lines: `# lint: ignore[rule] reason`, and where each key stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from instructify.errors import nearest
from instructify.templates.ours import FENCE

_MARK = re.compile(r"^\s*#\s*lint\s*:(?P<rest>.*)$")
_KEY = re.compile(r"([a-z_]+)\s*:")
_IGNORE = re.compile(r"^\s*ignore\[(?P<rules>[^\]]*)\](?P<reason>.*)$")


@dataclass(frozen=True, slots=True)
class Ignore:
    """A rule that is not to be applied; `line` is that of the file, `wrong` says what is amiss with it."""

    rule: str
    reason: str
    line: int
    wrong: str = ""


def read_ignores(text: str, known: Iterable[str]) -> tuple[Ignore, ...]:
    """Return what the comments in the front matter of a template's file ask to ignore."""
    names = list(known)
    found: list[Ignore] = []
    for number, line in _head(text):
        if mark := _MARK.match(line):
            found += _ignores(mark["rest"], number, names)
    return tuple(found)


def key_lines(text: str) -> dict[str, int]:
    """Return the line of every key of the front matter."""
    return {key[1]: number for number, line in _head(text) if (key := _KEY.match(line))}


def _head(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of the front matter with their numbers in the file."""
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[0].strip() == FENCE:
        for number, line in enumerate(lines[1:], 2):
            if line.strip() == FENCE:
                return
            yield number, line


def _ignores(rest: str, line: int, names: list[str]) -> list[Ignore]:
    parsed = _IGNORE.match(rest)
    if parsed is None:
        return [Ignore("", "", line, "not of the form  # lint: ignore[rule] reason")]
    reason = parsed["reason"].strip()
    rules = [rule.strip() for rule in parsed["rules"].split(",")]
    return [Ignore(rule, reason, line, _wrong(rule, reason, names)) for rule in rules]


def _wrong(rule: str, reason: str, names: list[str]) -> str:
    if rule not in names:
        guess = nearest(rule, names)
        return f"no rule is called {rule!r}" + (f"; did you mean {guess!r}?" if guess else "")
    return "" if reason else f"no reason is given for ignoring {rule}"
