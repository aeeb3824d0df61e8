"""Names that look alike: the same letters, once composed and once not, as with the syllables of Hangul.

Some systems write 한글 as two characters and some as six; both are shown the same, and neither is the other.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from fnmatch import fnmatchcase

ALIKE = "differs only in how its letters, such as Hangul, are composed (Unicode NFC or NFD)"
ONE_FORM = "both in one form: rename it, or write the name as it is there"


def alike(name: str, known: Iterable[str]) -> str:
    """Return the first known name that looks like a name or glob pattern, and is none; empty without one."""
    whole = unicodedata.normalize("NFC", name)
    for other in known:
        composed = unicodedata.normalize("NFC", other)
        is_same = other == name or fnmatchcase(other, name)
        if not is_same and (composed == whole or fnmatchcase(composed, whole)):
            return other
    return ""
