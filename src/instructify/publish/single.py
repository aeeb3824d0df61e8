"""Single files that a person names, such as a page to look at: written in one step, and over files alone."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from instructify.publish.files import io_errors


def write_single(path: Path, text: str) -> None:
    """Write a text in UTF-8 and put it in its place whole; raises InstructifyError where that cannot be.

    What is there already is replaced if it is a file, or a link to one; a device or a folder is refused.
    """
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.new")
    with io_errors(path, "write"):
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(text.encode("utf-8"))
        temporary.replace(target)
