"""Numbers and strangers' text as a report prints them."""

from __future__ import annotations

import re
import unicodedata

MINUS, DASH = "−", "–"

_HIDDEN = frozenset(
    "\u2028\u2029\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
)
_KEPT = frozenset("\n\t")
_MARKED = re.compile(r"[\\`*\[\]<>|~&]|(?<![^\W_])_|_(?![^\W_])")


def shown(text: str) -> str:
    """Return text with control characters and marks that turn its direction spelled out as [U+202E]."""
    if text.isprintable():  # false for every character spelled out below
        return text
    return "".join(f"[U+{ord(c):04X}]" if _is_hidden(c) else c for c in text.replace("\r\n", "\n"))


def _is_hidden(c: str) -> bool:
    return c not in _KEPT and (c in _HIDDEN or unicodedata.category(c) in ("Cc", "Cs"))


def cut(text: str, most: int) -> str:
    """Return a text of at most `most` characters, with what was left out counted."""
    if len(text) <= most:
        return text
    return f"{text[:most]} ... ({len(text) - most:,} more characters)"


def percent(share: float) -> str:
    """Return 0.5 as 50.0."""
    return f"{100 * share:.1f}"


def points(change: float) -> str:
    """Return a change of 0.042 as +4.2, with a true minus sign and no sign on 0.0."""
    text = f"{100 * abs(change):.1f}"
    if float(text) == 0:
        return text
    return f"{'+' if change > 0 else MINUS}{text}"


def interval(ends: tuple[float, float] | None) -> str:
    """Return an interval of changes as "−1.9 to +1.3", or a dash."""
    return f"{points(ends[0])} to {points(ends[1])}" if ends else DASH


def probability(p: float) -> str:
    """Return a p value to three places, small ones as <0.001."""
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


def loglikelihood(value: float) -> str:
    """Return a log-likelihood to three places."""
    return f"{value:.3f}".replace("-", MINUS)


def duration(seconds: float) -> str:
    """Return seconds as "48 s", "6 min 5 s" or "2 h 10 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def mebibytes(size: float) -> str:
    """Return bytes as "512 MiB"."""
    return f"{size / 2**20:,.0f} MiB"


def line(text: str) -> str:
    """Return text as one line of Markdown, or a cell of a table, that means just itself."""
    return _MARKED.sub(r"\\\g<0>", " ".join(text.split()))


def fenced(text: str) -> str:
    """Return text as a Markdown code block, its fence longer than any in the text."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
