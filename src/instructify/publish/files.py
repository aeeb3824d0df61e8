"""Durable files in a staging directory: each is whole, hashed and described by a sidecar, or not there.

A file is written under a temporary name, flushed to the disk and renamed; its sidecar, which holds its
size, SHA-256 and metadata, follows in the same way. Any process may call these functions.

    <staging>/out/...           what will be published
    <staging>/<other>/...       work that a later build may use again
    <staging>/meta/<path>.json  the sidecar of <staging>/<path>
    <staging>/tmp/...           files being written
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

import xxhash

from instructify.errors import InstructifyError, Problem
from instructify.publish.sealed import seal, unseal

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

META, TEMPORARY = "meta", "tmp"
_SEAL = "sidecar_sha256"
_CHUNK = 1 << 20
_Hasher = Literal["sha256", "xxh3"]
_HASHERS: Mapping[_Hasher, Callable[[], Any]] = {"sha256": hashlib.sha256, "xxh3": xxhash.xxh3_128}
RERUN = "; a rerun goes on from what is already done"
_IN_WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EIO: "the disk reports an input/output error",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "the operation is not permitted",
    errno.EFBIG: "the file would exceed the size limit",
    errno.EEXIST: "something else is already there",
    errno.ENOTDIR: "a part of its path is not a directory",
    errno.ENAMETOOLONG: "its name is too long",
}


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A staged file: its path in the staging directory, size in bytes, digest and metadata.

    The digest is hexadecimal: SHA-256 of a file that was flushed, XXH3 (128 bits) of one that was not.
    """

    path: str
    bytes: int
    digest: str
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileSum:
    """What one pass over a file's bytes tells of it."""

    bytes: int
    sha256: str
    lines: int


def write_file(
    staging: Path,
    relative: str,
    write: Callable[[BinaryIO], None],
    meta: Mapping[str, Any],
    *,
    flush: bool = True,
) -> FileRecord:
    """Stage one file, whatever was there before, and return its record.

    `write` gets a binary file that can be written in order only. Without `flush`, for work that nobody
    publishes, the disk may take its time and the digest is a fast one: after a power failure the file may be
    torn, which `find_file` sees. Raises InstructifyError if the disk refuses; then no file that is cut short
    has the name `relative`.
    """
    target = _inside(staging, relative)
    sidecar = _sidecar(staging, relative)
    hasher: _Hasher = "sha256" if flush else "xxh3"
    size, digest = _write_whole(staging, target, write, flush, hasher)
    described = seal({"path": relative, "bytes": size, hasher: digest, "meta": dict(meta)}, _SEAL)
    write_bytes(staging, sidecar, described, flush=flush)
    if flush:
        with io_errors(target, "write", RERUN):
            sync_directory(target.parent)
    return FileRecord(relative, size, digest, dict(meta))


def find_file(staging: Path, relative: str) -> FileRecord | None:
    """Return the record of a staged file whose bytes still have the recorded hash, else None.

    A pair that does not hold together is removed.
    """
    target = _inside(staging, relative)
    sidecar = _sidecar(staging, relative)
    try:
        document, complaint = unseal(sidecar.read_bytes(), _SEAL)
        if document is not None and not complaint and stat.S_ISREG(target.lstat().st_mode):
            hasher: _Hasher = "sha256" if "sha256" in document else "xxh3"
            record = FileRecord(document["path"], document["bytes"], document[hasher], document["meta"])
            size, digest, _ = _sum(target, hasher)
            if (record.path, record.bytes, record.digest) == (relative, size, digest):
                return record
    except (OSError, KeyError):
        pass  # missing, unreadable or not ours: written anew all the same
    for path in (sidecar, target):
        with io_errors(path, "remove"):
            remove(path)
    return None


def write_bytes(staging: Path, target: Path, data: bytes, *, flush: bool = True) -> None:
    """Put a small file in its place in one step, flushed to the disk unless told otherwise."""

    def write(file: BinaryIO) -> None:
        file.write(data)

    _write_whole(staging, target, write, flush)
    if flush:
        with io_errors(target, "write", RERUN):
            sync_directory(target.parent)


def sum_file(path: Path) -> FileSum:
    """Return size, SHA-256 and number of line ends of a file, in flat memory; raises OSError."""
    return FileSum(*_sum(path, "sha256"))


def unlisted(directory: Path, listed: Collection[str]) -> list[str]:
    """Return what a directory holds besides the listed files and their folders, sorted; raises OSError.

    Paths are relative, with slashes. A folder that holds no listed file is named once, with a slash
    at its end, and so is a symbolic link in place of a folder, without one.
    """
    folders = {str(parent) for path in listed for parent in PurePosixPath(path).parents}
    files = set(listed)
    found: list[str] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        with os.scandir(directory / prefix) as entries:
            for entry in entries:
                name = prefix + entry.name
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder and name in folders:
                    pending.append(name + "/")
                elif name not in files:
                    found.append(name + "/" * is_folder)
    return sorted(found)


def remove(path: Path) -> None:
    """Remove a file, link or whole folder, if it is there; raises OSError."""
    try:
        is_folder = stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return
    if is_folder:
        shutil.rmtree(path)
    else:
        path.unlink()


def sync_directory(directory: Path) -> None:
    """Flush the names in a directory to the disk; raises OSError."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as exc:
        # some network file systems have no such operation
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def io_errors(path: Path, doing: str, advice: str = "") -> Iterator[None]:
    """Turn an OSError into one InstructifyError that names the file and says what went wrong."""
    try:
        yield
    except OSError as exc:
        raise _refused(exc, path, doing, advice) from exc


def _refused(exc: OSError, path: Path, doing: str, advice: str) -> InstructifyError:
    return InstructifyError(Problem(f"cannot {doing}: {in_words(exc)}{advice}", str(path)))


def in_words(exc: OSError) -> str:
    """Return what an OSError means, for people."""
    return _IN_WORDS.get(exc.errno or 0) or exc.strerror or str(exc)


class _Sink(io.RawIOBase):
    """A write-only file that hashes what passes through; closing it leaves the real file open."""

    def __init__(self, file: BinaryIO, target: Path, hasher: _Hasher) -> None:
        self._file = file
        self._target = target
        self._hasher = _HASHERS[hasher]()
        self.size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, data: ReadableBuffer, /) -> int:
        view = memoryview(data).cast("B")
        # in pieces: to write many megabytes at once can cost the system ten times as much
        for start in range(0, view.nbytes, _CHUNK):
            piece = view[start : start + _CHUNK]
            # only here: an OSError of the callback's own, as from a source it reads, is not about this file
            try:
                self._file.write(piece)
            except OSError as exc:
                raise _refused(exc, self._target, "write", RERUN) from exc
            self._hasher.update(piece)
        self.size += view.nbytes
        return view.nbytes

    @property
    def digest(self) -> str:
        digest: str = self._hasher.hexdigest()
        return digest


def _write_whole(
    staging: Path, target: Path, write: Callable[[BinaryIO], None], flush: bool, hasher: _Hasher = "sha256"
) -> tuple[int, str]:
    temporary = staging / TEMPORARY / f"{os.getpid()}-{uuid.uuid4().hex}"
    with io_errors(target, "write", RERUN):
        temporary.parent.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        file = temporary.open("xb")
    try:
        sink = _Sink(file, target, hasher)
        write(cast("BinaryIO", sink))
        with io_errors(target, "write", RERUN):
            file.flush()
            if flush:
                os.fsync(file.fileno())
            file.close()
            os.replace(temporary, target)  # noqa: PTH105 - one name for every rename that must be atomic
    except BaseException:
        with contextlib.suppress(OSError):
            file.close()
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    return sink.size, sink.digest


def _sum(path: Path, hasher: _Hasher) -> tuple[int, str, int]:
    digest, size, lines = _HASHERS[hasher](), 0, 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            lines += chunk.count(b"\n")
    return size, digest.hexdigest(), lines


def _inside(staging: Path, relative: str) -> Path:
    pure = PurePosixPath(relative)
    if pure.is_absolute() or ".." in pure.parts or str(pure) != relative or len(pure.parts) < 2:
        raise ValueError(f"not a path of a staged file: {relative!r}")
    if pure.parts[0] in (META, TEMPORARY):
        raise ValueError(f"{pure.parts[0]}/ in a staging directory is reserved")
    return staging / pure


def _sidecar(staging: Path, relative: str) -> Path:
    return staging / META / f"{relative}.json"
