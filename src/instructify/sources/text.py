"""Text files as numbered lines, decoded strictly."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from instructify.errors import InstructifyError, Problem
from instructify.sources.encodings import recognised

CHUNK_BYTES = 1 << 20
MAX_LINE = 64 << 20  # characters
# codecs that Python calls text, but whose text is an escaped or a borrowed form of other text
NOT_OF_FILES = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "charmap", "undefined"})


def codec_name(encoding: str) -> str:
    """Return the normal name of a text encoding.

    Raises:
        InstructifyError: there is no such text encoding, or no file is saved in it.
    """
    try:
        info = codecs.lookup(encoding)
        "a\n".encode(encoding)  # refuses codecs that turn bytes into bytes
    except (LookupError, ValueError):
        raise InstructifyError(
            Problem(f"encoding {encoding!r} is unknown", expected="a text encoding such as utf-8 or cp949")
        ) from None
    if info.name in NOT_OF_FILES:
        raise InstructifyError(
            Problem(
                f"encoding {encoding!r} is not one that files are saved in", expected="utf-8 or cp949, say"
            )
        )
    return info.name


def text_lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its newline); only a newline ends a line.

    A byte order mark is dropped, a carriage return before the newline is left to the caller.

    Raises:
        InstructifyError: bytes that are not of the encoding, a NUL, or a line over 64 Mi characters.
    """
    number, pending = 1, ""
    for text in _decoded(path, encoding):
        pieces = (pending + text).split("\n")
        pending = pieces.pop()
        for piece in pieces:
            yield number, piece
            number += 1
        if len(pending) > MAX_LINE:
            raise InstructifyError(
                Problem(
                    "the line is longer than 64 Mi characters", f"{path}:{number}", "one row on each line"
                )
            )
    if pending:
        yield number, pending


def whole_text(path: Path, encoding: str) -> str:
    """Return a text file's content, decoded as strictly as `text_lines` does."""
    return "".join(_decoded(path, encoding))


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    newlines, first = 0, True
    try:
        with path.open("rb") as file:
            while True:
                chunk = file.read(CHUNK_BYTES)
                text = decoder.decode(chunk, final=not chunk)
                if first and text:
                    text, first = text.removeprefix("\ufeff"), False
                if "\0" in text:
                    line = newlines + 1 + text[: text.index("\0")].count("\n")
                    raise InstructifyError(
                        Problem(
                            "the text holds a NUL character",
                            f"{path}:{line}",
                            "plain text; if the file is UTF-16, encoding: utf-16 in the recipe's source",
                        )
                    )
                newlines += text.count("\n")
                yield text
                if not chunk:
                    return
    except OSError as error:
        raise InstructifyError(
            Problem(f"cannot be read: {error.strerror or error}", where=str(path))
        ) from None
    except UnicodeError as error:
        _refuse(path, encoding, error, newlines)


def _refuse(path: Path, encoding: str, error: UnicodeError, newlines: int) -> NoReturn:
    what, line = f"the text is not {encoding}: {error}", newlines + 1
    if isinstance(error, UnicodeDecodeError):
        seen = bytes(error.object)
        line += seen[: error.start].count(b"\n")
        what = f"byte 0x{seen[error.start]:02x} is not {encoding}"
    found = recognised(path)
    named = "its own encoding (encoding: cp949, latin-1 or another)"
    if found and found != encoding:
        named = f"encoding: {found}"
    elif "BOM" in str(error):
        named = f"encoding: {encoding}-le or {encoding}-be"
    hint = f"{named} in the recipe's source"
    if found != "utf-8":
        hint = f"the file saved as UTF-8, or {hint}"
    raise InstructifyError(Problem(what, f"{path}:{line}", hint)) from None
