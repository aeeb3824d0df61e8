"""Rules on Korean: speech levels and particles."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jinja2 import nodes

from instructify.lint.model import Found, Subject

_HANGUL = [chr(code) for code in range(0xAC00, 0xD7A4)]


def _ending_in(*finals: int) -> str:
    """Return the class of syllables with one of these final consonants (Unicode, section 3.12)."""
    return "[" + "".join(_HANGUL[n] for final in finals for n in range(final, len(_HANGUL), 28)) + "]"


def _open_with(*vowels: int) -> str:
    """Return the class of syllables with one of these vowels and no final consonant."""
    return "[" + "".join(_HANGUL[n] for n in range(0, len(_HANGUL), 28) if n // 28 % 21 in vowels) + "]"


_N, _L, _B, _SS = _ending_in(4), _ending_in(8), _ending_in(17), _ending_in(20)
_STEM = _ending_in(6, 18, 20, 26, 27)
"""Final consonants of verbs and adjectives that nouns hardly have: ㄶ, ㅄ, ㅆ, ㅍ and ㅎ."""
_POLITE = _open_with(0, 1, 4, 5, 6, 7, 9, 10, 14, 15, 20)
"""Vowels of verbs before 요: ㅏ, ㅐ, ㅓ, ㅔ, ㅕ, ㅖ, ㅘ, ㅙ, ㅝ, ㅞ and ㅣ."""
LEVELS = {
    "합니다": re.compile(rf"({_B}니다|{_B}니까|{_B}시다|시오)$"),
    "해요": re.compile(rf"({_POLITE}|군|든|걸)요$|죠$"),
    "해라": re.compile(
        rf"(({_STEM}|{_N}|같|하|되|이|니|르)다|{_L}까|(느|{_N}|이)냐|[는은던한된운른린쁜인]가"
        r"|[해하어아여려워와봐줘써내보르시더라]라)$"
    ),
    "해": re.compile(r"(줘|부탁해|[하르오으쓰주리이]렴)$"),
}
"""How sentences of each speech level end, after what is surely a verb; the first that fits counts."""

NOUNS = re.compile(
    rf"((?<!{_N})가요|개요|화요|카시오|사하라|우간다|르완다|베란다|혼다|사이다|(?<![가-힣])판다)$"
)
"""Nouns that end as a sentence does."""

_QUOTED = re.compile(r"[\"'“‘「『<《(\[].*?[\"'”’」』>》)\]]", re.DOTALL)
_SENTENCE = re.compile(r"([가-힣]+)\s*([.?!]|$)", re.MULTILINE)
_VERB = re.compile(r"(다|요|죠|시오|라)$")
_PARTICLE = re.compile(r"(?:을|를|은|는|이|가|와|과)(?![가-힣(/])|[와과](?=의(?![가-힣]))")
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
            if level := level_of(ending):
                seen.setdefault(level, (ending, line + place))
    if len(seen) > 1:
        told = ", ".join(f"{level} ({ending})" for level, (ending, _) in sorted(seen.items()))
        yield Found(
            f"speech levels are mixed: {told}", "one level throughout", max(n for _, n in seen.values())
        )


def level_of(ending: str) -> str:
    """Return the speech level of a sentence's last word; empty where it is not surely a verb."""
    if NOUNS.search(ending):
        return ""
    return next((level for level, pattern in LEVELS.items() if pattern.search(ending)), "")


def _endings(text: str) -> Iterator[tuple[str, int]]:
    """Yield the last word of each sentence and the number of line breaks before it.

    A full stop or question mark ends a sentence; so does the end of a line after what is likely a verb.
    """
    text = _QUOTED.sub(lambda found: _GAP + "\n" * found[0].count("\n"), text)
    for found in _SENTENCE.finditer(text):
        line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        is_sentence = found[2] or (" " in line.strip() + line[-1:] and _VERB.search(found[1]))
        if is_sentence:
            yield found[1], text.count("\n", 0, found.start())


def fixed_particle(subject: Subject) -> Iterator[Found]:
    """A Korean particle that hangs on the value before it is written in one form."""
    for piece in subject.body.texts():
        found = _PARTICLE.match(piece.text)
        if found and piece.after is not None and not isinstance(piece.after, nodes.Const):
            what = f"{found[0]!r} follows a printed value, whatever that ends in"
            yield Found(what, f"{{{{ ... | josa({found[0]!r}) }}}}", piece.line)
