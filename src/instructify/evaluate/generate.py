"""Greedy generation, for tasks without answer choices and for chains of thought."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from instructify.evaluate.rank import pad
from instructify.evaluate.tokens import Ids
from instructify.seq2seq import Seq2Seq


def generate(
    model: Seq2Seq,
    prompts: Sequence[Ids],
    batch_size: int,
    max_new_tokens: int,
    advance: Callable[[int], object],
) -> list[str]:
    """Return the most likely next token after the other until the end of sequence, as text, per prompt."""
    import torch

    net: Any = model.model
    device = next(net.parameters()).device
    order = sorted(range(len(prompts)), key=lambda n: (-len(prompts[n]), n))
    texts = [""] * len(prompts)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        ids, mask = pad([prompts[n] for n in batch], model.tokenizer, device)
        with torch.inference_mode():
            made = net.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                num_beams=1,
            )
        for n, text in zip(batch, model.tokenizer.batch_decode(made, skip_special_tokens=True), strict=True):
            texts[n] = text.strip()
        advance(len(batch))
    return texts
