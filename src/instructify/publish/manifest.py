"""manifest.json: what a build holds, written last, and sealed with a hash of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from instructify.errors import InstructifyError, Problem, nearest
from instructify.publish.sealed import seal, unseal

NAME = "manifest.json"
SCHEMA = "instructify/manifest/1"
SEAL = "manifest_sha256"
_FAMILY = SCHEMA.rpartition("/")[0] + "/"
_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One published file; `path` is relative to the build, `rows` and `content_hash` are None for text."""

    path: str
    bytes: int
    sha256: str
    rows: int | None = None
    content_hash: str | None = None
    part: str | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Inspected:
    """What could be read of a manifest; `document` is None when it is no JSON object at all."""

    document: Mapping[str, Any] | None
    files: tuple[FileEntry, ...]
    problems: tuple[Problem, ...]

    @property
    def ours(self) -> bool:
        """Whether some version of instructify wrote it, whatever happened to it since."""
        schema = self.document.get("schema") if self.document else None
        return isinstance(schema, str) and schema.startswith(_FAMILY)


def encode_manifest(document: Mapping[str, Any], files: Sequence[FileEntry]) -> bytes:
    """Return the bytes of manifest.json: the document, with `schema`, `files` and the seal filled in.

    Raises ValueError if the document brings one of those three itself.
    """
    taken = sorted({"schema", "files", SEAL} & set(document))
    if taken:
        raise ValueError(f"the manifest fills in {', '.join(taken)} itself")
    listed = [asdict(entry) for entry in sorted(files, key=lambda entry: entry.path)]
    return seal({**document, "schema": SCHEMA, "files": listed}, SEAL)


def inspect_manifest(directory: Path) -> Inspected:
    """Read as much of a build's manifest as there is, with every problem found in it."""
    path = directory / NAME
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        missing = Problem(f"there is no {NAME}", str(directory), "a finished build")
        return Inspected(None, (), (missing,))
    except OSError as exc:
        return Inspected(None, (), (Problem(f"cannot be read: {exc.strerror}", str(path)),))
    document, complaint = unseal(raw, SEAL)
    problems = [Problem(complaint, str(path), f"{NAME} as the build wrote it")] if complaint else []
    if document is None:
        return Inspected(None, (), tuple(problems))
    if document.get("schema") != SCHEMA:
        problems.append(Problem(f"schema is {document.get('schema')!r}", str(path), repr(SCHEMA)))
    entries, bad = _entries(document.get("files"), str(path))
    return Inspected(document, entries, (*problems, *bad))


def read_manifest(directory: Path) -> Mapping[str, Any]:
    """Return the manifest of a build; raises InstructifyError with every problem found in it."""
    found = inspect_manifest(directory)
    if found.problems or found.document is None:
        raise InstructifyError(*found.problems)
    return found.document


def manifest_files(document: Mapping[str, Any]) -> tuple[FileEntry, ...]:
    """Return the file entries of a manifest that `read_manifest` returned."""
    return _entries(document["files"], NAME)[0]


def _entries(listed: Any, where: str) -> tuple[tuple[FileEntry, ...], list[Problem]]:
    if not isinstance(listed, list):
        return (), [Problem("files is missing or not a list", where, "a list of files")]
    good: dict[str, FileEntry] = {}
    problems = []
    for number, item in enumerate(listed):
        problem = _entry_problem(item)
        if not problem and item["path"] in good:
            problem = Problem(f"{item['path']} is listed twice")
        if problem:
            place = f"{where}: files[{number}]"
            problems.append(Problem(problem.what, place, problem.expected, problem.nearest))
        else:
            good[item["path"]] = FileEntry(**item)
    return tuple(good.values()), problems


def _entry_problem(item: Any) -> Problem | None:
    known = [field.name for field in fields(FileEntry)]
    if not isinstance(item, dict):
        return Problem("is not an object", expected=f"an object with {', '.join(known)}")
    for key in item:
        if key not in known:
            return Problem(f"unknown key {key!r}", nearest=nearest(key, known))
    for key in known:
        if key not in item:
            return Problem(f"{key} is missing")
        if not _VALID[key](item[key]):
            return Problem(f"{key} is {item[key]!r}", expected=_EXPECTED[key])
    return None


def _is_path(value: Any) -> bool:
    # a manifest may come from a stranger: its paths must not lead out of the build
    if not isinstance(value, str) or not value or "\0" in value or value == NAME:
        return False
    pure = PurePosixPath(value)
    return not pure.is_absolute() and ".." not in pure.parts and str(pure) == value != "."


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def _is_name(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value != "")


_VALID = {
    "path": _is_path,
    "bytes": _is_count,
    "sha256": _is_hash,
    "rows": lambda value: value is None or _is_count(value),
    "content_hash": lambda value: value is None or _is_hash(value),
    "part": _is_name,
    "format": _is_name,
}
_EXPECTED = {
    "path": "a relative path inside the build",
    "bytes": "a whole number from 0",
    "sha256": "64 hexadecimal characters",
    "rows": "a whole number from 0, or null",
    "content_hash": "64 hexadecimal characters, or null",
    "part": "a name, or null",
    "format": "a name, or null",
}
