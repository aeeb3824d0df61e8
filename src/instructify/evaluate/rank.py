"""Rank classification: the log-likelihood of every answer choice, each prompt encoded once.

As in T0 (Sanh et al. 2022, arXiv:2110.08207, section 6.1) the log-likelihoods of a choice's tokens are
summed and not divided by its length.

One pass runs the encoder and the first step of the decoder, one row a prompt. That step also projects the
encoder's output to the keys and values of the decoder's cross-attention; they are then repeated for every
choice of their prompt, and a second pass scores all choices of the batch from their second token on. So
neither the encoder nor those projections run more than once for a prompt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from instructify.errors import InstructifyError, Problem
from instructify.evaluate.tokens import Ids
from instructify.seq2seq import Seq2Seq

if TYPE_CHECKING:
    from torch import Tensor

MOST_SOURCE_TOKENS, MOST_TARGET_TOKENS = 8192, 2048
"""Bounds on memory: tokens of repeated prompts, and of choices, in one batch, padding included."""


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt and its answer choices, as many as there are, as token ids."""

    prompt: Ids
    choices: tuple[Ids, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """The choices [start, stop) of one question; all of them, unless they are too many for one batch."""

    question: int
    start: int
    stop: int


def rank(
    model: Seq2Seq, questions: Sequence[Question], batch_size: int, advance: Callable[[int], object]
) -> list[list[float]]:
    """Return the summed log-likelihood (natural logarithm) of every choice of every question.

    The batch size changes what is padded and so the order of floating-point additions: log-likelihoods may
    differ in their last digits, and nothing else does. `advance` is told how many questions are done.

    Raises:
        InstructifyError: a log-likelihood is not a finite number.
    """
    import torch

    scores: list[list[float]] = [[0.0] * len(question.choices) for question in questions]
    for batch in batches(questions, batch_size):
        with torch.inference_mode():
            values = _score(model, questions, batch).tolist()
        if not all(map(math.isfinite, values)):
            what = f"{model.name} gives log-likelihoods that are not finite"
            raise InstructifyError(Problem(what, expected="weights without NaN, in float32 or bfloat16"))
        found = iter(values)
        for piece in batch:
            count = piece.stop - piece.start
            scores[piece.question][piece.start : piece.stop] = islice(found, count)
        advance(sum(piece.stop == len(questions[piece.question].choices) for piece in batch))
    return scores


def batches(questions: Sequence[Question], batch_size: int) -> Iterator[list[Piece]]:
    """Yield the pieces to score together: prompts of like length, the longest first."""

    def width(index: int) -> int:
        return max(map(len, questions[index].choices), default=0)

    order = sorted(range(len(questions)), key=lambda n: (-len(questions[n].prompt), -width(n), n))
    batch: list[Piece] = []
    rows = source = target = 0
    for index in order:
        question = questions[index]
        start = 0
        while start < len(question.choices):
            longest, widest = max(source, len(question.prompt)), max(target, width(index))
            room = min(MOST_SOURCE_TOKENS // longest, MOST_TARGET_TOKENS // widest) - rows
            wanted = len(question.choices) - start
            if batch and (len(batch) == batch_size or wanted > room):
                yield batch
                batch, rows, source, target = [], 0, 0, 0
                continue
            taken = min(wanted, max(room, 1))
            batch.append(Piece(index, start, start + taken))
            rows, source, target, start = rows + taken, longest, widest, start + taken
    if batch:
        yield batch


def _score(model: Seq2Seq, questions: Sequence[Question], batch: Sequence[Piece]) -> Tensor:
    """Return the log-likelihood of each choice of a batch, [choices]."""
    import torch

    net: Any = model.model
    device = next(net.parameters()).device
    source, source_mask = pad([questions[p.question].prompt for p in batch], model.tokenizer, device)
    rows = [ids for p in batch for ids in questions[p.question].choices[p.start : p.stop]]
    target, target_mask = pad(rows, model.tokenizer, device)
    counts = torch.tensor([p.stop - p.start for p in batch], device=device)
    owner = torch.arange(len(batch), device=device).repeat_interleave(counts)  # [choices] -> prompt
    start = torch.full((len(batch), 1), net.config.decoder_start_token_id, device=device)
    first = net(input_ids=source, attention_mask=source_mask, decoder_input_ids=start, use_cache=True)
    logits = first.logits[:, 0].float()  # [prompts, vocabulary]
    total: Tensor = logits[owner, target[:, 0]] - logits.logsumexp(-1)[owner]
    if target.shape[1] > 1:
        cache = first.past_key_values
        cache.batch_select_indices(owner)
        rest = net(
            encoder_outputs=(first.encoder_last_hidden_state[owner],),
            attention_mask=source_mask[owner],
            decoder_input_ids=target[:, :-1],
            past_key_values=cache,
            use_cache=True,
        )
        logits = rest.logits.float()  # [choices, tokens - 1, vocabulary]
        chosen = logits.gather(-1, target[:, 1:, None]).squeeze(-1) - logits.logsumexp(-1)
        total = total + (chosen * target_mask[:, 1:]).sum(-1)
    return total


def pad(sequences: Sequence[Ids], tokenizer: Any, device: Any) -> tuple[Tensor, Tensor]:
    """Return token ids and mask, [sequences, longest], padded on the right."""
    import torch

    longest = max(map(len, sequences))
    ids = torch.full((len(sequences), longest), tokenizer.pad_token_id)
    mask = torch.zeros((len(sequences), longest), dtype=torch.long)
    for n, sequence in enumerate(sequences):
        ids[n, : len(sequence)] = torch.tensor(sequence)
        mask[n, : len(sequence)] = 1
    return ids.to(device), mask.to(device)
