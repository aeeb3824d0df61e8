"""Finding the files of a split: folders, globs, `{split}`, formats, and what to say when there are none."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from instructify.errors import InstructifyError, Problem, nearest
from instructify.recipe.alike import ALIKE, ONE_FORM, alike
from instructify.recipe.models import FilesSource
from instructify.sources.splits import USUAL

Format = Literal["parquet", "jsonl", "json", "csv", "tsv"]

FORMATS: Mapping[str, Format] = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
}
COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".zst", ".zip", ".lz4", ".br", ".tar", ".tgz"})
# a folder with files of these names has splits, so its other files are never taken for the train split
SPLIT_WORD = re.compile(r"^(train|training|test|validation|valid|val|dev|eval)(?![a-z])", re.IGNORECASE)
SHARD = re.compile(r"^[0-9]+([-_]of[-_][0-9]+)?([-_][0-9a-f]+)?$")


@dataclass(frozen=True, slots=True)
class Found:
    """The files of one split in natural order of their names, all of one format."""

    paths: tuple[Path, ...]
    format: Format
    notes: tuple[str, ...] = ()


def find_files(spec: FilesSource, split: str, base: Path) -> Found:
    """Find the files of a split and check that each is a readable, non-empty regular file.

    Raises:
        InstructifyError: nothing is found, formats are mixed, or a file cannot be read.
    """
    paths: set[Path] = set()
    notes: list[str] = []
    for pattern in [spec.path] if isinstance(spec.path, str) else spec.path:
        paths.update(_expand(pattern, spec, split, base, notes))
    if not paths:
        raise InstructifyError(Problem("the source names no file", expected="at least one path"))
    ordered = tuple(sorted(paths, key=lambda path: natural_key(path.as_posix())))
    problems = [problem for path in ordered for problem in _file_problems(path)]
    if problems:
        raise InstructifyError(*problems)
    return Found(ordered, _common_format(ordered, spec), tuple(notes))


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sort key under which part-2 comes before part-10."""
    pieces = re.split(r"([0-9]+)", name)
    return [(0, int(p), "") if p[0] in "0123456789" else (1, 0, p) for p in pieces if p], name


def _expand(pattern: str, spec: FilesSource, split: str, base: Path, notes: list[str]) -> list[Path]:
    named = _at_home(pattern.replace("{split}", split))
    path = Path(os.path.normpath(base / named))
    try:
        if path.is_dir():
            return _in_folder(path, spec, split, notes)
        if "{split}" not in pattern:
            notes += _misspelt(split)
        if os.path.lexists(path):
            return [path]
        if glob.has_magic(named):
            hits = [Path(os.path.normpath(base / hit)) for hit in _glob(named, base)]
            files = [hit for hit in hits if not hit.is_dir()]
            if files:
                return files
        problem = _missing(pattern, path, split, base)
    except OSError as error:
        problem = _unreadable(path, error)
    raise InstructifyError(problem)


def _misspelt(split: str) -> list[str]:
    """Return a note where a split's name, which tells no file from another, is nearly that of a usual one."""
    guess = "" if SPLIT_WORD.match(split) else nearest(split, USUAL)
    what = f"The path has no {{split}}, so the split {split!r} is whatever lies there"
    return [f"{what}; did you mean {guess!r}?"] if guess else []


def _at_home(pattern: str) -> str:
    """Return a path with the `~` or `~user` at its start filled in."""
    try:
        return str(Path(pattern).expanduser())
    except RuntimeError:
        user = Path(pattern).parts[0]
        raise InstructifyError(
            Problem(f"there is no home folder {user!r}", pattern, "~ or the name of a user of this machine")
        ) from None


def _glob(pattern: str, base: Path) -> list[str]:
    # unlike Path.glob this takes absolute patterns, and with root_dir the base's own name is no pattern
    return glob.glob(pattern, root_dir=base, recursive=True)  # noqa: PTH207


def _missing(pattern: str, path: Path, split: str, base: Path) -> Problem:
    known = _splits_of(pattern, base) if "{split}" in pattern else []
    if known:
        return Problem(
            f"there is no split {split!r}",
            where=str(path),
            expected=f"one of {_listed(known)}",
            nearest=nearest(split, known),
        )
    if glob.has_magic(pattern):
        what = "no file matches this pattern"
        return _looks_alike(path, what) or Problem(what, where=str(path), expected="at least one file")
    return no_such(path, "no such file or folder")


def no_such(path: Path, what: str) -> Problem:
    """Return the problem that a path is not there, with what is there where it goes wrong."""
    lost, there = _lost(path)
    return _looks_alike(path, what) or Problem(
        what,
        where=str(path),
        expected=f"{_listed(there)} in {lost.parent}" if there else "a file (the folder is empty)",
        nearest=nearest(lost.name, there),
    )


def _lost(path: Path) -> tuple[Path, list[str]]:
    """Return the first part of a path that is not there, and the names that are there instead."""
    lost = path
    while not lost.parent.is_dir():
        lost = lost.parent
    return lost, sorted(entry.name for entry in lost.parent.iterdir() if not entry.name.startswith("."))


def _looks_alike(path: Path, what: str) -> Problem | None:
    """Return the problem of a path that is there under a name that looks the same; None where it is not."""
    lost, there = _lost(path)
    other = alike(lost.name, there)
    if not other:
        return None
    return Problem(f"{what}: the name of {lost.parent / other} {ALIKE}", str(path), ONE_FORM)


def _splits_of(pattern: str, base: Path) -> list[str]:
    """Return the split names for which a pattern with {split} would find something."""
    before, after = _at_home(pattern).split("{split}")[:2]
    starred = glob.escape(before) + "*" + (glob.escape(after) if not glob.has_magic(after) else after)
    shape = re.compile(
        re.escape(before) + r"([\w.\-]+?)" + ".*" * glob.has_magic(after) + re.escape(after) + "$"
    )
    hits = _glob(starred, base)
    return sorted({match[1] for hit in hits if (match := shape.match(hit))})


def _in_folder(folder: Path, spec: FilesSource, split: str, notes: list[str]) -> list[Path]:
    files = sorted(
        (
            entry
            for entry in folder.iterdir()
            if entry.suffix.lower() in FORMATS and not entry.name.startswith(".")
        ),
        key=lambda entry: natural_key(entry.name),
    )
    if spec.format:
        files = [entry for entry in files if FORMATS[entry.suffix.lower()] == spec.format]
    for prefix in ("", "-", "_"):
        hits = [entry for entry in files if _belongs(entry.stem, split, prefix)]
        if hits:
            if any(not SHARD.match(entry.stem[len(split) + 1 :]) for entry in hits if entry.stem != split):
                notes.append(f"Split {split!r} was read from {_listed([entry.name for entry in hits])}.")
            return hits
    kinds = {FORMATS[entry.suffix.lower()] for entry in files}
    if split == "train" and len(kinds) == 1 and not any(SPLIT_WORD.match(entry.stem) for entry in files):
        return files
    known = sorted(
        {re.sub(r"[-_][0-9]+([-_]of[-_][0-9]+)?([-_][0-9a-f]+)?$", "", entry.stem) for entry in files}
    )
    raise InstructifyError(
        Problem(
            f"no file of split {split!r} in this folder",
            where=str(folder),
            expected=f"one of {_listed(known)}" if known else f"files ending in {', '.join(FORMATS)}",
            nearest=nearest(split, known),
        )
    )


def _belongs(stem: str, split: str, separator: str) -> bool:
    return stem.startswith(split + separator) if separator else stem == split


def _file_problems(path: Path) -> list[Problem]:
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size:
            with path.open("rb"):
                return []
    except OSError as error:
        return [_unreadable(path, error)]
    if stat.S_ISREG(status.st_mode):
        return [Problem("the file is empty", where=str(path))]
    return [Problem("this is a device, pipe or socket", where=str(path), expected="a regular file")]


def _unreadable(path: Path, error: OSError) -> Problem:
    return Problem(f"cannot be read: {error.strerror or error}", where=str(path))


def _common_format(paths: Iterable[Path], spec: FilesSource) -> Format:
    first: tuple[Path, Format] | None = None
    for path in paths:
        suffix = path.suffix.lower()
        if suffix in COMPRESSED:
            raise InstructifyError(
                Problem("compressed text is not read", where=str(path), expected="the decompressed file")
            )
        kind = spec.format or FORMATS.get(suffix)
        if kind is None:
            raise InstructifyError(
                Problem(
                    f"the ending {suffix!r} does not tell the format",
                    where=str(path),
                    expected=f"format: one of {', '.join(sorted(set(FORMATS.values())))}",
                )
            )
        if first and kind != first[1]:
            raise InstructifyError(
                Problem(
                    f"the files of one split mix {first[1]} ({first[0].name}) and {kind}", where=str(path)
                )
            )
        first = first or (path, kind)
    assert first is not None  # noqa: S101  the caller has at least one path
    return first[1]


def _listed(names: list[str], limit: int = 12) -> str:
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
