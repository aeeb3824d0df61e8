"""Rank classification: each prompt encoded once, against each prompt encoded again for every choice.

A random T5 of flan-t5-small's shape scores made-up questions of several sizes; the ways take turns, and the
median of the rounds counts. Its output head is the embedding, which costs the same as one of its own.

    python scripts/bench_rank.py
    python scripts/bench_rank.py --rounds 7 --threads 4
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from bench_finetune import SHAPE
from instructify.evaluate.rank import Question, pad, rank
from instructify.keys import Key
from instructify.seq2seq import Seq2Seq

SETS = {
    "yes or no": (70, 2, 2),
    "inference, three ways": (90, 3, 4),
    "topic, seven ways": (60, 7, 3),
    "endings, four": (110, 4, 20),
    "long text, four choices": (400, 4, 10),
}
"""Name -> tokens of a prompt, choices, tokens of a choice with its end; lengths vary by a quarter."""
BATCH = 16

Ways = dict[str, Callable[[Seq2Seq, Sequence[Question]], list[list[float]]]]


def model() -> Seq2Seq:
    """Return a random model of flan-t5-small's shape."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    net: Any = T5ForConditionalGeneration(T5Config(**SHAPE | {"tie_word_embeddings": True}))
    return Seq2Seq(net.eval(), SimpleNamespace(pad_token_id=0), "flan-t5-small's shape", "", "")


def questions(name: str, count: int) -> list[Question]:
    """Return questions of a set, the same ones every time."""
    prompt, choices, tokens = SETS[name]
    key = Key.of("bench", name)

    def ids(row: int, length: int) -> tuple[int, ...]:
        size = length - length // 8 + key.below(max(1, length // 4), row)
        return (*(3 + key.below(31_000, row, n + 1) for n in range(max(1, size - 1))), 1)

    return [
        Question(ids(n * 100, prompt), tuple(ids(n * 100 + choice + 1, tokens) for choice in range(choices)))
        for n in range(count)
    ]


def once(model: Seq2Seq, asked: Sequence[Question]) -> list[list[float]]:
    """Score as instructify does."""
    return rank(model, asked, BATCH, lambda _: None)


def again(model: Seq2Seq, asked: Sequence[Question]) -> list[list[float]]:
    """Score every (prompt, choice) pair as a row of its own, pairs of like length together."""
    import torch

    net: Any = model.model
    pairs = [(n, c) for n, one in enumerate(asked) for c in range(len(one.choices))]
    pairs.sort(key=lambda pair: -len(asked[pair[0]].prompt))
    scores = [[0.0] * len(one.choices) for one in asked]
    for start in range(0, len(pairs), BATCH):
        batch = pairs[start : start + BATCH]
        source, mask = pad([asked[n].prompt for n, _ in batch], model.tokenizer, "cpu")
        target, kept = pad([asked[n].choices[c] for n, c in batch], model.tokenizer, "cpu")
        fed = torch.cat([torch.zeros(len(batch), 1, dtype=torch.long), target[:, :-1]], 1)
        with torch.inference_mode():
            logits = net(input_ids=source, attention_mask=mask, decoder_input_ids=fed).logits
            chosen = logits.gather(-1, target[:, :, None]).squeeze(-1) - logits.logsumexp(-1)
        for (n, c), value in zip(batch, (chosen * kept).sum(-1).tolist(), strict=True):
            scores[n][c] = value
    return scores


def main() -> None:
    """Print examples a second of both ways, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--examples", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    torch.set_num_threads(chosen.threads)
    net = model()
    ways: Ways = {"once": once, "again": again}
    print(f"{chosen.examples} examples, {chosen.rounds} rounds, {chosen.threads} threads, float32 on the CPU")
    for name in SETS:
        asked = questions(name, chosen.examples)
        first, second = (way(net, asked[:BATCH]) for way in ways.values())
        gap = max(abs(a - b) for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True))
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(chosen.rounds):
            for way, score in ways.items():
                began = time.perf_counter()
                score(net, asked)
                times[way].append(time.perf_counter() - began)
        took = {way: statistics.median(each) for way, each in times.items()}
        ratio = statistics.median(a / b for a, b in zip(times["again"], times["once"], strict=True))
        print(
            f"{name}: {chosen.examples / took['once']:.1f} examples/s encoded once, "
            f"{chosen.examples / took['again']:.1f} encoded again, x{ratio:.2f}; "
            f"largest difference {gap:.1e} nats"
        )


if __name__ == "__main__":
    main()
