"""The rule on Korean speech levels."""

from __future__ import annotations

import re
from collections.abc import Iterator

from instructify.lint.model import Found, Subject

_FINAL_N = "".join(chr(code) for code in range(0xAC00, 0xD7A4) if (code - 0xAC00) % 28 == 4)
"""Every syllable that ends in ㄴ (The Unicode Standard, section 3.12)."""
LEVELS = {
    "합니다": re.compile(r"(니다|니까|시오|읍시다)$"),
    "해요": re.compile(r"[요죠]$"),
    "해라": re.compile(rf"(다|라|냐|까|[{_FINAL_N}]가)$"),
}
"""How sentences of each speech level end; the first that fits counts."""

NOUNS = re.compile(
    r"(필요|중요|수요|개요|주요|소요|고요|나라|바다|하나|보다|에다|마다|다가|이라|[로으]라|누군가|무언가|아니라|뿐만이|평가|국가|참가|추가|증가)$"
)
"""Words that end like a sentence and end none: nouns, particles and joining forms."""

_QUOTED = re.compile(r"[\"'“‘「『<《(\[].*?[\"'”’」』>》)\]]", re.DOTALL)
_SENTENCE = re.compile(r"([가-힣]+)\s*([.?!]|$)", re.MULTILINE)
_VERB = re.compile(r"(다|요|죠|시오|라)$")
_GAP = "\ufffc"


def speech_level(subject: Subject) -> Iterator[Found]:
    """The template's own Korean mixes speech levels."""
    seen: dict[str, tuple[str, int]] = {}
    for side in ("prompt", "target"):
        line = 1
        own = ""
        for piece in subject.body.pieces:
            if piece.side == side and piece.kind in ("text", "print"):
                line = line if own else piece.line
                own += piece.text if piece.kind == "text" else _GAP
        for ending, place in _endings(own):
            for level, pattern in LEVELS.items():
                if pattern.search(ending):
                    seen.setdefault(level, (ending, line + place))
                    break
    if len(seen) > 1:
        told = ", ".join(f"{level} ({ending})" for level, (ending, _) in sorted(seen.items()))
        yield Found(
            f"speech levels are mixed: {told}", "one level throughout", max(n for _, n in seen.values())
        )


def _endings(text: str) -> Iterator[tuple[str, int]]:
    """Yield the last word of each sentence and the number of line breaks before it.

    A full stop or question mark ends a sentence; so does the end of a line after what is likely a verb.
    """
    text = _QUOTED.sub(lambda found: _GAP + "\n" * found[0].count("\n"), text)
    for found in _SENTENCE.finditer(text):
        line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        is_sentence = found[2] or (" " in line.strip() + line[-1:] and _VERB.search(found[1]))
        if is_sentence and not NOUNS.search(found[1]):
            yield found[1], text.count("\n", 0, found.start())
