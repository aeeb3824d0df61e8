"""The saved version of a template: the file as git has it at HEAD, or another file."""

from __future__ import annotations

import difflib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from instructify.errors import InstructifyError
from instructify.templates import Template, ours

CONTEXT = 2
"""Unchanged lines around a change."""
SECONDS = 10
"""How long git may take before there is no saved version."""


@dataclass(frozen=True, slots=True)
class Saved:
    """The text of a saved version, and what it is called in a diff."""

    name: str
    text: str


def saved_versions(templates: Sequence[Template], against: Path | None) -> dict[str, Saved]:
    """Return the saved versions by the template's file; templates without one are left out.

    `against` is the saved version of every template; by default it is what HEAD has. Only templates of our
    own format have a file each, so only they have saved versions. Raises InstructifyError where `against`
    cannot be read.
    """
    origins = [template.origin for template in templates if template.dialect == "strict" and template.origin]
    if against is not None:
        saved = Saved(str(against), ours.read_text(against))
        return dict.fromkeys(origins, saved)
    folders: dict[Path, list[str]] = {}
    for origin in origins:
        if "\n" not in origin:
            folders.setdefault(Path(origin).parent, []).append(Path(origin).name)
    return {
        str(folder / name): Saved(f"HEAD:{name}", text)
        for folder, names in folders.items()
        for name, text in _at_head(folder, names).items()
    }


def parsed(saved: Saved, template: Template) -> Template | None:
    """Return the saved version as a template; None where it is none."""
    stem = Path(template.origin).stem
    try:
        return ours.parse_template(saved.text, template.origin, stem, template.dataset, template.collection)
    except InstructifyError:
        return None


def difference(saved: Saved, text: str, name: str) -> tuple[str, ...]:
    """Return the lines of a unified diff from the saved version to `text`, none where they are the same."""
    before, after = saved.text.splitlines(), text.splitlines()
    return tuple(difflib.unified_diff(before, after, saved.name, name, n=CONTEXT, lineterm=""))


def _at_head(folder: Path, names: Sequence[str]) -> Mapping[str, str]:
    """Return the texts that HEAD has of some files of a folder, in one call of git."""
    asked = os.fsencode("".join(f"HEAD:./{name}\n" for name in names))
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "cat-file", "--batch"],
            input=asked,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if done.returncode:
        return {}
    found: dict[str, str] = {}
    rest = done.stdout
    for name in names:
        head, _, rest = rest.partition(b"\n")
        _, _, size = head.rpartition(b" blob ")
        if not size.isdigit():
            continue
        found[name] = rest[: int(size)].decode("utf-8", "replace").replace("\r\n", "\n")
        rest = rest[int(size) + 1 :]
    return found
