"""The protocol that publishes a build: stage every file, then let one rename show them all.

Beside the output directory NAME live, while a build runs, `.NAME.lock` and `.NAME.staging/`. Whenever a
build is killed, NAME is absent, the old build or the complete new one, and what was staged is there for
the next attempt. Where the system cannot exchange two directories in one step, the old build waits as
`.NAME.old` between two renames, and the next build puts it back if it was killed there.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from instructify.errors import InstructifyError, Problem
from instructify.publish import files as staged
from instructify.publish import manifest
from instructify.publish.files import FileRecord, io_errors, remove
from instructify.publish.lock import exclusive

PUBLISHED = "out"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@dataclass(frozen=True, slots=True)
class Stage:
    """An output directory to be built, and the staging directory that this process alone may publish."""

    out: Path
    staging: Path

    def write(self, relative: str, write: Callable[[BinaryIO], None], meta: Mapping[str, Any]) -> FileRecord:
        """Stage one file; see `write_file`."""
        return staged.write_file(self.staging, relative, write, meta)

    def find(self, relative: str) -> FileRecord | None:
        """Return the record of a file staged before, if it is whole; see `find_file`."""
        return staged.find_file(self.staging, relative)

    def publish(
        self, files: Sequence[FileRecord], document: Mapping[str, Any], *, keep_work: bool = False
    ) -> None:
        """Publish exactly these staged files, all under out/, with a manifest; the last step of a build.

        `document` is the manifest without its list of files, which takes `rows`, `content_hash`, `part`
        and `format` from the metadata of each record. With `keep_work` all that was staged outside out/
        stays for the next build. Raises InstructifyError if the disk refuses, a staged file has gone, or
        the output directory has come to hold something that is not ours; nothing is published then,
        unless it was the very last flush that the disk refused.
        """
        tree = self.staging / PUBLISHED
        encoded = manifest.encode_manifest(document, [_entry(record) for record in files])
        _check_staged(self.staging, files)
        with io_errors(tree, "tidy up"):
            tree.mkdir(exist_ok=True)
            for extra in staged.unlisted(tree, {_published_path(record) for record in files}):
                remove(tree / extra)
        staged.write_bytes(self.staging, tree / manifest.NAME, encoded)
        with io_errors(tree, "write", staged.RERUN):
            for folder, _, _ in os.walk(tree):
                staged.sync_directory(Path(folder))
        _check_target(self.out)
        with io_errors(self.out, "publish", staged.RERUN):
            _show(tree, self.out)
            staged.sync_directory(self.out.parent)
        # what is left over can no longer harm, and the next build removes it
        unwanted = (tree, self.staging / staged.META / PUBLISHED) if keep_work else (self.staging,)
        for path in unwanted:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def open_stage(out: Path, key: str) -> Iterator[Stage]:
    """Lock an output directory and its staging directory for one build.

    `key` stands for all that decides the published bytes: files under out/ that were staged under
    another key are removed, whereas all others stay, so these must be named by what decides theirs.
    Raises LockedError if another process is building there, and InstructifyError, with nothing
    touched, if `out` cannot be written or holds anything but a build.
    """
    out = _resolved(out)
    _check_target(out)
    with io_errors(out.parent, "create"):
        out.parent.mkdir(parents=True, exist_ok=True)
    stage = Stage(out, out.with_name(f".{out.name}.staging"))
    with exclusive(out.with_name(f".{out.name}.lock"), out):
        try:
            _prepare(stage.staging, key)
            _recover(stage)
            _check_target(out)
            yield stage
        finally:
            _remove_if_unused(stage.staging)


def _resolved(out: Path) -> Path:
    try:
        resolved = out.resolve()
    except (OSError, RuntimeError, ValueError) as exc:
        raise InstructifyError(Problem(f"is not a usable path: {exc}", str(out))) from exc
    if not resolved.name:
        raise InstructifyError(Problem("cannot be an output directory", str(out), "a directory to create"))
    return resolved


def _check_target(out: Path) -> None:
    """Raise InstructifyError unless `out` is absent, empty, or a build and nothing else."""
    with io_errors(out, "use"):
        if _is_free(out):
            return
        if not out.is_dir():
            raise InstructifyError(Problem("is a file", str(out), "an output directory"))
        found = manifest.inspect_manifest(out)
        new = "a new or empty directory, or an earlier build to replace"
        if not found.ours:
            raise InstructifyError(Problem("is not empty and not a build of instructify", str(out), new))
        # a build replaces what a build wrote, and never what someone put beside it
        extra = staged.unlisted(out, {manifest.NAME, *(entry.path for entry in found.files)})
    if extra:
        named = ", ".join(extra[:5]) + (f" and {len(extra) - 5} more" if len(extra) > 5 else "")
        raise InstructifyError(Problem(f"holds what no build put there: {named}", str(out), new))


def _prepare(staging: Path, key: str) -> None:
    mark = staging / "key"
    with io_errors(staging, "create"):
        if staging.is_symlink():
            raise InstructifyError(Problem("is a symbolic link", str(staging), "a directory"))
        staging.mkdir(exist_ok=True)
        remove(staging / staged.TEMPORARY)
        if _text(mark) == key:
            return
        remove(staging / PUBLISHED)
        remove(staging / staged.META / PUBLISHED)
    staged.write_bytes(staging, mark, key.encode())


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _remove_if_unused(staging: Path) -> None:
    with contextlib.suppress(OSError):
        names = [name for _, _, names in os.walk(staging) for name in names]
        if names in ([], ["key"]):
            shutil.rmtree(staging)


def _check_staged(staging: Path, files: Sequence[FileRecord]) -> None:
    problems = []
    for record in files:
        path = staging / record.path
        try:
            status = path.lstat()
        except OSError as exc:
            problems.append(Problem(f"cannot be published: {staged.in_words(exc)}", str(path)))
            continue
        if not stat.S_ISREG(status.st_mode) or status.st_size != record.bytes:
            problems.append(Problem("was changed after it was staged", str(path)))
    if problems:
        raise InstructifyError(*problems)


def _entry(record: FileRecord) -> manifest.FileEntry:
    described = {name: record.meta.get(name) for name in ("rows", "content_hash", "part", "format")}
    return manifest.FileEntry(_published_path(record), record.bytes, record.digest, **described)


def _published_path(record: FileRecord) -> str:
    folder, _, path = record.path.partition("/")
    if folder != PUBLISHED or path == manifest.NAME:
        raise ValueError(f"{record.path} cannot be published as a file under {PUBLISHED}/")
    return path


def _show(tree: Path, out: Path) -> None:
    if _is_free(out):
        os.rename(tree, out)  # noqa: PTH104 - takes the place of an empty directory too
    elif not _exchange(tree, out):
        _replace_in_two_steps(tree, out)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two directories in one step; return False where the system cannot. Raises OSError."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))


def _replace_in_two_steps(tree: Path, out: Path) -> None:
    old = _old(out)
    os.rename(out, old)  # noqa: PTH104
    try:
        os.rename(tree, out)  # noqa: PTH104
    except OSError:
        with contextlib.suppress(OSError):
            os.rename(old, out)  # noqa: PTH104
        raise
    # renamed before it is removed, so that what has the name of the old build is always whole
    os.rename(old, tree)  # noqa: PTH104


def _recover(stage: Stage) -> None:
    """Finish what `_replace_in_two_steps` was killed in, or undo it."""
    old = _old(stage.out)
    with io_errors(old, "recover"):
        if old.is_symlink() or not manifest.inspect_manifest(old).ours:
            return
        if _is_free(stage.out):
            os.rename(old, stage.out)  # noqa: PTH104
            return
        waste = stage.staging / staged.TEMPORARY / PUBLISHED
        waste.parent.mkdir(exist_ok=True)
        os.rename(old, waste)  # noqa: PTH104 - renamed first, so that the old name is whole or gone
        remove(waste)


def _is_free(out: Path) -> bool:
    return not out.exists() or (out.is_dir() and not any(out.iterdir()))


def _old(out: Path) -> Path:
    return out.with_name(f".{out.name}.old")
