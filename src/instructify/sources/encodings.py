"""Guessing the encoding of a file that is not in the declared one, for a hint and never for reading."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
CHUNK_BYTES = 1 << 20
MOSTLY = 0.9
FOREIGN = re.compile(r"[^\x00-\x7f]")
HANGUL = re.compile(r"[\uac00-\ud7a3]")
PLACED = re.compile(rb"[\xb0-\xc8][\xa1-\xfe]")  # the 2,350 syllables of KS X 1001


def recognised(path: Path) -> str:
    """Return the encoding that the whole file is in beyond doubt, or an empty string.

    It is utf-16 or utf-32 for a byte order mark, utf-8, or cp949 for text that is mostly common Hangul:
    Chinese, Japanese and Western bytes may decode as cp949 too, but to rare syllables and to hanja.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        return ""
    for mark, name in MARKS:
        if start.startswith(mark):
            return name
    for name, holds in (("utf-8", _is_plain), ("cp949", _is_korean)):
        try:
            if holds(path):
                return name
        except (UnicodeError, OSError):
            continue
    return ""


def _texts(path: Path, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def _is_plain(path: Path) -> bool:
    return not any("\0" in text for text in _texts(path, "utf-8"))


def _is_korean(path: Path) -> bool:
    counts: Counter[str] = Counter()
    for text in _texts(path, "cp949"):
        foreign = "".join(FOREIGN.findall(text))
        hangul = "".join(HANGUL.findall(foreign))
        counts["letters"] += sum(map(str.isalpha, foreign))
        counts["hangul"] += len(hangul)
        counts["common"] += len(PLACED.findall(hangul.encode("cp949")))
    return counts["common"] > 0 and counts["common"] >= MOSTLY * counts["letters"]
