"""The token budget: counts tokens, and cuts what a template marked; never a target, never the instruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.compose.marks import FIT_CLOSE, FIT_OPEN
from instructify.errors import InstructifyError, Problem
from instructify.keys import I64

if TYPE_CHECKING:
    import pyarrow as pa

SPECIAL = 3
"""Most special tokens that a tokenizer adds to a text."""
EXPANSION = 11
"""Most bytes that normalisation makes of one (https://unicode.org/faq/normalization.html, NFKC in UTF-8)."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Most tokens of prompt and target, special tokens included, as counted by a `tokenizer.json`."""

    tokenizer: Path
    sha256: str
    max_input: int
    max_target: int

    @property
    def identity(self) -> str:
        """All that decides what the budget cuts."""
        return f"{self.sha256} {self.max_input} {self.max_target}"

    def count(self, texts: pa.Array, enough: int = 0) -> I64:
        """Return the number of tokens of each text.

        Texts that cannot have more than `enough` tokens are given a bound instead: no token is shorter than
        a byte, and normalisation makes at most EXPANSION bytes of one that is not ASCII. A character outside
        ASCII has at most twice the bytes that it has beyond the first.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        sizes: I64 = pc.binary_length(texts).to_numpy(zero_copy_only=False).astype(np.int64)
        beyond: I64 = sizes - pc.utf8_length(texts).to_numpy(zero_copy_only=False)
        bounds: I64 = sizes + 2 * (EXPANSION - 1) * beyond + SPECIAL
        asked = np.flatnonzero(bounds > enough)
        if len(asked):
            bounds[asked] = [len(ids) for ids in self._encode(texts.take(pa.array(asked)).to_pylist())]
        return bounds

    def measure(self, texts: Sequence[str]) -> tuple[list[int], int, list[str]]:
        """Return the tokens of each text, how many of all are unknown, and the characters behind those."""
        unknown = _unknown_id(self.tokenizer)
        every = self._encode(list(texts))
        behind: list[str] = []
        for text, ids in zip(texts, every, strict=True):
            if unknown in ids:
                encoded = open_tokenizer(self.tokenizer).encode(text)
                places = zip(encoded.ids, encoded.offsets, strict=True)
                behind += [c for one, (start, stop) in places if one == unknown for c in text[start:stop]]
        return [len(ids) for ids in every], sum(ids.count(unknown) for ids in every), behind

    def over(self, texts: pa.Array, limit: int) -> I64:
        """Return the indices of the texts that have more tokens than the limit."""
        return np.flatnonzero(self.count(texts, limit) > limit)

    def cut(self, text: str, fields: Sequence[str]) -> tuple[str, int] | None:
        """Return a prompt cut to the budget, with how many characters were taken; None where that cannot be.

        What is cut is the end of the longest text that the template marked with `fit`, else of the first of
        `fields` that the prompt holds, where it stands last; such a text has to be at least half of the
        prompt, for a shorter one may be the question. At least one character of it stays.
        """
        place = _marked(text) or next(filter(None, (_standing(text, field) for field in fields)), None)
        if place is None or (FIT_OPEN not in text and 2 * (place[1] - place[0]) < len(text)):
            return None
        parts = (text[: place[0]], text[slice(*place)], text[place[1] :])
        head, middle, tail = (without_fit(part) for part in parts)
        encoded = open_tokenizer(self.tokenizer).encode(middle, add_special_tokens=False)
        ends = [end for _, end in encoded.offsets]
        keep = len(ends)
        while keep > 0:
            shorter = middle[: ends[keep - 1]].rstrip()
            whole = head + shorter + tail
            excess = len(self._encode([whole])[0]) - self.max_input
            if excess <= 0 and shorter:
                return whole, len(middle) - len(shorter)
            keep -= max(1, excess)
        return None

    def _encode(self, texts: list[str]) -> list[list[int]]:
        return [one.ids for one in open_tokenizer(self.tokenizer).encode_batch_fast(texts)]


def without_fit(text: str) -> str:
    """Return a text without the marks of `fit`."""
    return text.replace(FIT_OPEN, "").replace(FIT_CLOSE, "")


@lru_cache(maxsize=2)
def open_tokenizer(path: Path) -> Any:
    """Return the tokenizer of a file, which truncates and pads nothing; raises InstructifyError."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exceptions
        reason = (str(error).splitlines() or [""])[0]
        what = f"no tokenizer can be read: {reason}"
        raise InstructifyError(Problem(what, str(path), "a tokenizer.json")) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@lru_cache(maxsize=2)
def _unknown_id(path: Path) -> int:
    """Return the id of unknown text; -1 for tokenizers that know every byte."""
    import json

    model = json.loads(path.read_bytes()).get("model", {})
    if isinstance(model.get("unk_id"), int):
        return int(model["unk_id"])
    found = open_tokenizer(path).token_to_id(model.get("unk_token") or "<unk>")
    return -1 if found is None else int(found)


def _marked(text: str) -> tuple[int, int] | None:
    """Return where the longest marked text begins and ends."""
    best: tuple[int, int] | None = None
    at = text.find(FIT_OPEN)
    while at >= 0:
        end = text.find(FIT_CLOSE, at)
        if end < 0:
            break
        if best is None or end - at > best[1] - best[0]:
            best = (at, end)
        at = text.find(FIT_OPEN, end)
    return best


def _standing(text: str, field: str) -> tuple[int, int] | None:
    at = text.rfind(field)
    return (at, at + len(field)) if at >= 0 else None
