"""Marks that a template leaves in a rendered prompt for the composition to act on.

They are Unicode noncharacters, which no text for interchange holds (The Unicode Standard, section 23.7). A
row whose own text holds one is dropped wherever it could be mistaken for a mark.
"""

from __future__ import annotations

import re

OPTIONS = "\ufdd0"
"""Stands where the answer options are to be laid out."""
FIT_OPEN, FIT_CLOSE = "\ufdd1", "\ufdd2"
"""Enclose text that may be cut to fit a token budget."""
MARKS = (OPTIONS, FIT_OPEN, FIT_CLOSE)


BETWEEN_BLANK_LINES = rf"(\n[ \t\r]*\n)[ \t]*{OPTIONS}[ \t\r]*\n[ \t\r]*\n"
"""An options mark in a paragraph of its own: one of the blank lines around it goes with it."""
WITH_ITS_LINE = rf"(?m)^[ \t]*{OPTIONS}[ \t\r]*$\n?|{OPTIONS}"
"""An options mark, with the line where it has one of its own."""


def plain(text: str) -> str:
    """Return a rendered text without its marks, a line that held nothing but an options mark taken out."""
    for mark in (FIT_OPEN, FIT_CLOSE):
        text = text.replace(mark, "")
    if OPTIONS not in text:
        return text
    return re.sub(WITH_ITS_LINE, "", re.sub(BETWEEN_BLANK_LINES, r"\1", text)).strip()
