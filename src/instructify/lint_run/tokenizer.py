"""A tokenizer from a file, as the rules use it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from instructify.lint.model import Tokens


def load_tokenizer(name: str) -> Tokens:
    """Return the tokenizer of a name, a file or a folder; raises InstructifyError."""
    from instructify.compose.budget import open_tokenizer
    from instructify.sources.tokenizer import find_tokenizer

    path, _ = find_tokenizer(name, Path.cwd(), "--tokenizer")
    return _Fast(open_tokenizer(path))


class _Fast:
    """A tokenizer of the tokenizers library."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder().values()
        self.specials = frozenset(token.content for token in added if token.special)
        unknown = getattr(tokenizer.model, "unk_token", None) or "<unk>"
        self._unknown = tokenizer.token_to_id(unknown)
        self._known: dict[str, bool] = {}

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens left out."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def is_known(self, character: str) -> bool:
        """Tell whether a character has a token of its own, or is part of one."""
        if character not in self._known:
            self._known[character] = self._unknown is None or self._unknown not in self.encode(character)
        return self._known[character]
