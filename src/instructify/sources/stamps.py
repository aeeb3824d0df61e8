"""Stamps: telling that a file was changed or replaced while a build was reading it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from instructify.errors import InstructifyError, Problem
from instructify.sources import fingerprint
from instructify.types import OpenSource, RowFile, Stamp


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of a file as it is now.

    Raises:
        InstructifyError: the file cannot be looked at.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InstructifyError(
            Problem(f"cannot be read: {error.strerror or error}", where=str(path))
        ) from None
    return status.st_ino, status.st_size, status.st_mtime_ns


def check_file(file: RowFile) -> None:
    """Raise InstructifyError when a file is not what it was when its source was opened."""
    if stamp_of(file.path) != file.stamp:
        raise InstructifyError(_changed(file.path))


def check_unchanged(source: OpenSource) -> None:
    """Check that every file of a source is still the one that was opened; call it before publishing.

    Raises:
        InstructifyError: files were changed, replaced or removed; it names each.
    """
    problems: list[Problem] = []
    for file in source.files:
        try:
            check_file(file)
        except InstructifyError as error:
            problems += error.problems
    if problems:
        raise InstructifyError(*problems)


@dataclass(frozen=True, slots=True)
class Marked:
    """Files as they were when their bytes became a fingerprint; the stamps are no part of it."""

    paths: tuple[Path, ...]
    stamps: tuple[Stamp, ...]
    options: str
    fingerprint: str

    def check_stamps(self) -> None:
        """Raise InstructifyError when a file has another stamp than before it was hashed."""
        changed = [
            path for path, stamp in zip(self.paths, self.stamps, strict=True) if stamp_of(path) != stamp
        ]
        if changed:
            raise InstructifyError(*map(_changed, changed))

    def check(self) -> None:
        """Like `check_stamps`, and hash every byte again: some file systems tell time too coarsely."""
        self.check_stamps()
        if fingerprint.of_files(self.paths, self.options) != self.fingerprint:
            raise InstructifyError(
                _changed(self.paths[0])
                if len(self.paths) == 1
                else Problem("one of these files changed while it was read", ", ".join(map(str, self.paths)))
            )


def mark_files(paths: Sequence[Path], options: str) -> Marked:
    """Stamp and then hash files, so that a change at any later time shows.

    Raises:
        InstructifyError: a file cannot be read.
    """
    stamps = tuple(map(stamp_of, paths))
    return Marked(tuple(paths), stamps, options, fingerprint.of_files(paths, options))


def _changed(path: Path) -> Problem:
    return Problem(
        "the file changed while it was read",
        where=str(path),
        expected="a file that stays as it is until the build has ended",
    )
