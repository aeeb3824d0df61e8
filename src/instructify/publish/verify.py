"""Checking a published build against its manifest: every byte, every row, every count."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instructify.errors import InstructifyError, Problem
from instructify.publish import manifest
from instructify.publish.files import FileSum, in_words, sum_file, unlisted
from instructify.publish.manifest import FileEntry
from instructify.types import Part, Role

_PART_OF: Mapping[Role, Part] = {"train": "train", "held_out": "eval"}


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` read, in files and bytes without the manifest, and all that is wrong."""

    files: int
    bytes: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether the directory is exactly what was published."""
        return not self.problems


def verify(directory: Path, progress: Callable[[str], None] | None = None) -> VerifyReport:
    """Check a build: manifest, sizes, hashes, rows, contents and totals; nothing missing, nothing extra.

    `progress` is called with the path of each file before it is read. Raises InstructifyError if there is
    no such directory.
    """
    if not directory.is_dir():
        raise InstructifyError(Problem("is not a directory", str(directory), "a finished build"))
    found = manifest.inspect_manifest(directory)
    problems = list(found.problems)
    if found.document is None:
        return VerifyReport(0, 0, tuple(problems))
    problems += _extra_problems(directory, found.files)
    sums: dict[str, FileSum] = {}
    for entry in found.files:
        if progress:
            progress(entry.path)
        try:
            sums[entry.path] = _sum_regular(directory / entry.path)
        except OSError as exc:
            what = "is missing" if isinstance(exc, (FileNotFoundError, NotADirectoryError)) else in_words(exc)
            problems.append(Problem(what, str(directory / entry.path)))
            continue
        if sums[entry.path].sha256 == entry.sha256:
            problems += _row_problems(directory / entry.path, entry, sums[entry.path])
    problems += _sum_problems(directory, found.files, sums)
    ledgers = found.document.get("ledgers", [])
    problems += _ledger_problems(ledgers, found.files, str(directory / manifest.NAME))
    return VerifyReport(len(sums), sum(each.bytes for each in sums.values()), tuple(problems))


def _extra_problems(directory: Path, entries: Sequence[FileEntry]) -> list[Problem]:
    try:
        extra = unlisted(directory, {manifest.NAME, *(entry.path for entry in entries)})
    except OSError as exc:
        return [Problem(f"cannot be listed: {in_words(exc)}", str(directory))]
    return [Problem("is not part of the build", str(directory / path)) for path in extra]


def _sum_regular(path: Path) -> FileSum:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError("is not a regular file")
    return sum_file(path)


def _sum_problems(
    directory: Path, entries: Iterable[FileEntry], sums: Mapping[str, FileSum]
) -> Iterable[Problem]:
    published = {entry.sha256: entry.path for entry in entries}
    for entry in entries:
        found = sums.get(entry.path)
        if found is None or (found.sha256 == entry.sha256 and found.bytes == entry.bytes):
            continue
        other = published.get(found.sha256)
        if other is not None and other != entry.path:
            what = f"holds the content of {other}"
        elif found.bytes != entry.bytes:
            what = f"is {found.bytes} bytes"
        else:
            what = "holds other bytes than were published"
        expected = f"{entry.bytes} bytes with SHA-256 {entry.sha256[:16]}…"
        yield Problem(what, str(directory / entry.path), expected)


def _row_problems(path: Path, entry: FileEntry, found: FileSum) -> list[Problem]:
    if entry.format != "parquet":
        if entry.rows is None or entry.rows == found.lines:
            return []
        return [Problem(f"has {found.lines} lines", str(path), f"{entry.rows}")]
    try:
        rows, content_hash = _read_parquet(path)
    except Exception as exc:  # PyArrow raises its own kinds, and ValueError, OSError and others
        return [Problem(f"cannot be read as Parquet: {exc}", str(path))]
    problems = []
    if entry.rows is not None and rows != entry.rows:
        problems.append(Problem(f"has {rows} rows", str(path), f"{entry.rows}"))
    if entry.content_hash is not None and content_hash != entry.content_hash:
        problems.append(Problem(f"has content hash {content_hash}", str(path), entry.content_hash))
    return problems


def _read_parquet(path: Path) -> tuple[int, str]:
    import pyarrow.parquet as pq

    from instructify.writers.contenthash import ContentHasher

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        hasher = ContentHasher(file.schema_arrow)
        for number in range(file.num_row_groups):
            hasher.update(file.read_row_group(number))
        return hasher.rows, hasher.hexdigest()


def _ledger_problems(ledgers: Any, entries: Sequence[FileEntry], where: str) -> list[Problem]:
    """Check `in = kept + dropped` of every ledger, and what was kept against the rows of each part."""
    if not isinstance(ledgers, list):
        return [Problem("ledgers is not a list", where)]
    problems: list[Problem] = []
    kept: Counter[str] = Counter()
    for number, ledger in enumerate(ledgers):
        try:
            seen, dropped = int(ledger["in"]), sum(ledger["dropped"].values())
            name = f"ledger of {ledger['task']} / {ledger['template']}"
            kept[_PART_OF[ledger["role"]]] += ledger["kept"]
            if seen != ledger["kept"] + dropped:
                what = f"{name}: {seen} rows in, but {ledger['kept']} kept and {dropped} dropped"
                problems.append(Problem(what, where))
            if seen > (most := ledger["rows"] * ledger.get("epochs", 1)):
                problems.append(Problem(f"{name}: {seen} rows in, of only {most}", where))
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            problems.append(Problem(f"ledgers[{number}] cannot be read: {exc!r}", where))
            return problems
    return [*problems, *_total_problems(kept, entries, where)] if ledgers else []


def _total_problems(kept: Mapping[str, int], entries: Sequence[FileEntry], where: str) -> list[Problem]:
    rows: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        if entry.part is not None and entry.rows is not None:
            rows[entry.format or "", entry.part] += entry.rows
    return [
        Problem(f"part {part} has {rows[form, part]} {form} rows", where, f"{kept.get(part, 0)}, as kept")
        for form in sorted({form for form, _ in rows})
        for part in sorted(_PART_OF.values())
        if rows[form, part] != kept.get(part, 0)
    ]
