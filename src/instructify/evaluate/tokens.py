"""From examples to token ids: prompts cut or refused where they are too long, choices, end of sequence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from instructify.errors import InstructifyError, Problem
from instructify.recipe.training import Evaluate

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """An encoder input; `truncated` where tokens of the text are missing from it."""

    ids: Ids
    truncated: bool


def encode_prompts(tokenizer: Any, texts: Sequence[str], settings: Evaluate, where: str) -> list[Prompt]:
    """Return the encoder input of each text.

    A text without tokens, such as that of the choice prior, is one end-of-sequence token even where
    `encoder_eos` is off, for an encoder has to read something.

    Raises:
        InstructifyError: prompts are longer than `max_input_tokens` and `truncate` is error; `where` names
            the task.
    """
    eos = (tokenizer.eos_token_id,)
    room = settings.max_input_tokens - settings.encoder_eos
    encoded = _encode(tokenizer, texts)
    lengths = [len(ids) for ids in encoded]
    over = sum(length > room for length in lengths)
    if over and settings.truncate == "error":
        longest = max(lengths) + settings.encoder_eos
        what = f"{over:,} of {len(texts):,} prompts are too long, the longest of {longest:,} tokens"
        wanted = f"at most {settings.max_input_tokens:,} tokens, or evaluate.truncate: left or right"
        raise InstructifyError(Problem(what, where, wanted))
    prompts = []
    for ids in encoded:
        kept = (
            ids if len(ids) <= room else ids[len(ids) - room :] if settings.truncate == "left" else ids[:room]
        )
        prompts.append(Prompt((*kept, *eos) if settings.encoder_eos else kept or eos, len(ids) > room))
    return prompts


def encode_choices(tokenizer: Any, choices: Iterable[str], settings: Evaluate, where: str) -> dict[str, Ids]:
    """Return the decoder targets of distinct answer choices.

    Raises:
        InstructifyError: a choice has no tokens, so that there is nothing to score.
    """
    distinct = sorted(set(choices))
    eos = (tokenizer.eos_token_id,) if settings.score_eos else ()
    encoded = {text: (*ids, *eos) for text, ids in zip(distinct, _encode(tokenizer, distinct), strict=True)}
    empty = [text for text, ids in encoded.items() if not ids]
    if empty:
        what = f"the answer choice {empty[0]!r} has no tokens"
        raise InstructifyError(Problem(what, where, "evaluate.score_eos: true, or another choice"))
    return encoded


def _encode(tokenizer: Any, texts: Sequence[str]) -> list[Ids]:
    if not texts:
        return []
    made = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)
    return [tuple(ids) for ids in made["input_ids"]]
