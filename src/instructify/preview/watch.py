"""Watching template files: one look every few hundredths of a second, and one more to see that it is over."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

INTERVAL = 0.02  # seconds between two looks
WATCHED = (".jinja", ".yaml", ".yml")
Look = frozenset[tuple[str, int, int, int]]
"""Path, time of the last change, size and inode of every file."""


def changes(folders: Iterable[Path], sleep: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Yield once for every change of a template file in some folders, when it has come to rest.

    The first time comes at once: what was read before may have changed since.
    """
    watched = sorted(set(folders))
    before = look(watched)
    yield
    while True:
        sleep(INTERVAL)
        now = look(watched)
        if now == before:
            continue
        while now != before:  # an editor may be in the middle of writing
            before = now
            sleep(INTERVAL)
            now = look(watched)
        yield


def look(folders: Iterable[Path]) -> Look:
    """Return what can be seen of the template files in some folders without opening them."""
    seen = []
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(WATCHED):
                        stat = entry.stat()
                        seen.append((entry.path, stat.st_mtime_ns, stat.st_size, stat.st_ino))
        except OSError:  # gone for the moment, or gone for good: what reads it will say so
            continue
    return frozenset(seen)
