"""Rules on the front matter: where it stands, and the names that it gives."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from instructify.errors import nearest
from instructify.lint.model import Found, Subject
from instructify.metrics import DECLARED, METRICS, metric_key
from instructify.templates.ours import FENCE, FrontMatter

LANGUAGES = frozenset(
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de "
    "dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id "
    "ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu "
    "lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu "
    "rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr "
    "ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu".split()
)
"""Language codes of two letters (ISO 639-1)."""
SHORTER = {
    "eng": "en", "english": "en", "kor": "ko", "korean": "ko", "deu": "de", "ger": "de", "german": "de",
    "fra": "fr", "fre": "fr", "french": "fr", "spa": "es", "spanish": "es", "jpn": "ja", "japanese": "ja",
    "zho": "zh", "chi": "zh", "chinese": "zh", "rus": "ru", "ita": "it", "por": "pt", "nld": "nl",
    "ara": "ar", "hin": "hi", "vie": "vi", "tur": "tr", "ukr": "uk", "pol": "pl", "swe": "sv", "ind": "id",
    "tha": "th",
}  # fmt: skip
"""Other names of languages that have a code of two letters, which a tag uses then (RFC 5646, 2.2.1)."""
_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_KEY = re.compile(r"([a-z_]+) *:(?:\s|$)")


def misplaced_head(subject: Subject) -> Iterator[Found]:
    """What looks like front matter stands in the body, because the file does not begin with ---."""
    if subject.template.dialect != "strict" or subject.template.line != 1:
        return
    lines = subject.template.body.split("\n")
    start = next((n for n, line in enumerate(lines) if line.strip()), 0)
    first = lines[start].strip()
    is_fenced = len(first) >= 2 and set(first) <= set("-\u2013\u2014")
    key = _KEY.match(lines[start + is_fenced]) if start + is_fenced < len(lines) else None
    is_closed = any(
        line.strip() == first if is_fenced else line.strip() == FENCE for line in lines[start + 1 :]
    )
    if key and key[1] in FrontMatter.model_fields and is_closed:
        what = f"{key[1]!r} is read as text of the prompt, as the file does not begin with {FENCE}"
        yield Found(what, f"front matter between two lines {FENCE}, from line 1 on", start + is_fenced + 1)


def control_character(subject: Subject) -> Iterator[Found]:
    """The text holds a control character, such as NUL."""
    for number, line in enumerate(subject.template.body.split("\n"), 1):
        bad = next((c for c in line if unicodedata.category(c) == "Cc" and c not in "\t\r"), "")
        if bad:
            yield Found(f"the text holds the control character U+{ord(bad):04X}", "a text without it", number)


def unknown_metric(subject: Subject) -> Iterator[Found]:
    """A metric is none that instructify or promptsource knows, so that no build takes the template."""
    for metric in subject.template.metrics if subject.template.dialect == "strict" else ():
        if metric_key(metric) not in DECLARED:
            guess = nearest(metric_key(metric), DECLARED)
            hint = f"; did you mean {guess!r}?" if guess else ""
            yield Found(f"no metric is called {metric!r}{hint}", f"one of {', '.join(METRICS)}")


def unknown_language(subject: Subject) -> Iterator[Found]:
    """A language is not given by its tag."""
    for language in subject.template.languages:
        primary = language.split("-")[0].lower()
        is_known = primary in LANGUAGES or (len(primary) == 3 and primary not in SHORTER)
        if not _TAG.fullmatch(language) or not is_known:
            guess = SHORTER.get(primary) or next(
                (c for c in LANGUAGES if c == re.split("[-_]", primary)[0]), ""
            )
            hint = f"; did you mean {guess!r}?" if guess else ""
            yield Found(f"{language!r} is not the tag of a language{hint}", "a tag such as en or ko")
