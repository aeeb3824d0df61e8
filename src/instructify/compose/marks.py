"""Marks that a template leaves in a rendered prompt for the composition to act on.

They are Unicode noncharacters, which no text for interchange holds (The Unicode Standard, section 23.7). A
row whose own text holds one is dropped wherever it could be mistaken for a mark.
"""

from __future__ import annotations

OPTIONS = "\ufdd0"
"""Stands where the answer options are to be laid out."""
FIT_OPEN, FIT_CLOSE = "\ufdd1", "\ufdd2"
"""Enclose text that may be cut to fit a token budget."""
MARKS = (OPTIONS, FIT_OPEN, FIT_CLOSE)


def plain(text: str) -> str:
    """Return a rendered text without its marks, a line that held nothing but an options mark taken out."""
    for mark in (FIT_OPEN, FIT_CLOSE):
        text = text.replace(mark, "")
    if OPTIONS not in text:
        return text
    lines = (line.replace(OPTIONS, "") for line in text.split("\n") if line.strip() != OPTIONS)
    return "\n".join(lines).strip()
