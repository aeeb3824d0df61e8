"""One builder per directory: an exclusive lock that ends with its process, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from instructify.errors import LockedError, Problem
from instructify.publish.files import io_errors


@contextlib.contextmanager
def exclusive(path: Path, guarded: Path) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; raises LockedError at once if it is held.

    `guarded` is the directory that the message names. The lock file is removed afterwards.
    """
    with io_errors(path, "lock"):
        handle = _acquire(path, guarded)
    try:
        yield
    finally:
        # removed while still held, so that nobody else's lock file can be the one removed; unlocked
        # and not only closed, because a forked child may hold the same open file
        with contextlib.suppress(OSError):
            path.unlink()
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _acquire(path: Path, guarded: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same(handle, path):
                os.ftruncate(handle, 0)
                os.write(handle, f"{os.getpid()}\n".encode())
                return handle
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
            os.close(handle)
            who = f"process {holder}" if holder else "another process"
            raise LockedError(Problem(f"{who} is building it", str(guarded), "one build at a time")) from None
        except BaseException:
            os.close(handle)
            raise
        # its last holder removed it between our open and our lock
        os.close(handle)


def _is_same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False
