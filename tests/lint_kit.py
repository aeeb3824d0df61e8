"""The examples of docs/lint.md as templates to lint, and a tokenizer that reads as T5's does."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from instructify.errors import InstructifyError
from instructify.lint.engine import Data, Draft
from instructify.templates.model import Template
from instructify.templates.ours import parse_template

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "lint.md"
LABELS = {"label": ("negative", "positive")}
_SECTION = re.compile(r"^### `(?P<rule>[\w-]+)`\n(?P<text>.*?)(?=^##|\Z)", re.M | re.S)
_BLOCK = re.compile(r"^```jinja\n(.*?)^```$", re.M | re.S)
_WORDS = ("▁no", "▁yes", "▁good", "▁bad", "▁a", "▁b", "▁neutral")


@dataclass(frozen=True)
class Section:
    """What the guide says of one rule, with templates that trigger it and others that do not."""

    rule: str
    severity: str
    sentence: str
    bad: tuple[str, ...]
    good: tuple[str, ...]


def sections() -> list[Section]:
    """Return the sections of the guide in order."""
    found = []
    for match in _SECTION.finditer(DOCUMENT.read_text("utf-8")):
        head = re.match(r"\s*\*\*(\w+)\*\* · (.+?)\n\n", match["text"], re.S)
        assert head, match["rule"]
        bad, _, good = match["text"].partition("\nFine:\n")
        blocks = tuple(_BLOCK.findall(bad)), tuple(_BLOCK.findall(good))
        found.append(Section(match["rule"], head[1], " ".join(head[2].split()), *blocks))
    return found


def data(times: int = 50) -> Data:
    """Return the guide's rows, many times over."""
    text = DOCUMENT.read_text("utf-8").split("```json\n")[1].split("```")[0]
    rows = [json.loads(line) for line in text.splitlines()] * times
    return Data(tuple(rows[0]), LABELS, tuple(enumerate(rows)))


def drafts(texts: tuple[str, ...]) -> list[Draft]:
    """Return the templates of some files, as `lint` reads them."""
    return [_draft(text.rstrip("\n"), f"example{number}") for number, text in enumerate(texts)]


def _draft(text: str, name: str) -> Draft:
    path = f"{name}.jinja"
    try:
        return Draft(parse_template(text, path, name, "inn", ""), text)
    except InstructifyError as error:
        return Draft(Template("inn", name, "strict", "", origin=path), unread=error.problems)


def small_tokenizer():
    """Return a tokenizer with T5's habits."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    kept = [chr(code) for code in range(33, 127) if chr(code) not in "<\\^`{}~"]
    specials = ["<pad>", "</s>", "<unk>"]
    vocabulary = [(token, 0.0) for token in specials]
    vocabulary += [(piece, -2.0) for piece in ("▁", *kept)] + [(word, -1.0) for word in _WORDS]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    tokenizer.normalizer = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in specials])
    return tokenizer
