"""Make the tiny T5 that ships with instructify: its tokenizer, and its pretraining from scratch.

    python scripts/make_tiny.py --work /tmp/tiny          # about an hour on one core
    python scripts/make_tiny.py --work /tmp/tiny --steps 50 --out /tmp/tiny/out   # a try

The text is prose of the offline world (instructify.world.prose) and, for the words of prompts, the inputs of
the training part of recipes/tiny.yaml, without their targets: no prompt template of a held-out task, and no
row of an evaluation split. Half of the documents are learned by span corruption (Raffel et al. 2020,
arXiv:1910.10683, section 3.1.4), the rest by continuing them from the end of a sentence (prefix language
modelling, as Lester et al. 2021, arXiv:2104.08691, section 3.1, did to T5). A run that was killed goes on
from its last checkpoint.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
import transformers
import yaml
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from instructify.finetune.save import untied_config
from instructify.keys import Key
from instructify.world.prose import prose

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "recipes" / "tiny.yaml"
OUT = ROOT / "src" / "instructify" / "world" / "tiny"

SEED = 20
PROMPTS: dict[str, Any] = {  # apart from the recipe's own mixture, so that a change of that changes no base
    "size": 24_000,
    "policy": "weights",
    "weights": {"world/records": 0.4, "world/reports": 0.4, "world/sums": 0.4, "world/*": 1},
    "inverted": 0.03,
    "eval_cap_per_template": 100,
}
ROWS = 8_000  # documents of each dataset
VOCABULARY = 2_560
SENTINELS = 24
OPENING = r'[\n"(\[{]'
LONGEST = 112  # tokens of a document; longer ones are cut
BATCH = 64
WINDOW = 50  # batches sorted by length together
LEARNING_RATE = 1e-3  # with 3e-3 the loss falls faster, and what is learned serves fine-tuning worse
WARMUP = 300
NOISE, SPAN = 0.2, 3.0  # share of tokens corrupted, mean length of a span
CONTINUED = 0.5  # share of documents that are continued rather than corrupted,
LAST = 0.6  # and of these, share of which the last sentence alone is left to say
SHAPE: dict[str, Any] = {
    "d_model": 128,
    "d_kv": 32,
    "num_heads": 4,
    "d_ff": 384,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "feed_forward_proj": "gated-gelu",
    "dropout_rate": 0.0,
}
CARD = """\
---
license: cc0-1.0
language: [en]
library_name: transformers
tags: [text2text-generation]
---
# tiny

A T5 v1.1 of {parameters:,} weights that ships with instructify, so that its experiments run offline and in
minutes. It knows an invented world of villages and nothing else; outside of tests it is of no use.

Made by `{script}` with seed {seed} from {documents:,} documents ({tokens:,} tokens) in {steps:,} steps of
{batch_size} documents, {seconds_on_one_core:,} s on one core; `made.json` has the losses and the versions.
The documents are prose made from training splits of the offline world and from its facts, and
{prompts_among_them:,} prompts of the tasks that `recipes/tiny.yaml` trains on, without their targets. No
row of a validation or test split and no prompt template of a held-out task is among them. The prose of
trained tasks tells their labels in other words (the topic of news, the verdict of a review, the wish of a
guest); that of held-out tasks tells what follows from a premise, whom a pronoun means, what caused what and
which sense a word has. The weights are stored in bfloat16.
"""


def main() -> int:
    """Make tokenizer and model, or go on making them."""
    parser = argparse.ArgumentParser(description="Make the tiny T5 that ships with instructify.")
    parser.add_argument("--work", type=Path, required=True, help="folder for the build and checkpoints")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the finished model")
    parser.add_argument("--steps", type=int, default=6_500)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    options.work.mkdir(parents=True, exist_ok=True)
    prompts = training_prompts(options.work)
    documents = [*prose(SEED, ROWS), *prompts]
    text_sha256 = hashlib.sha256("\n".join(documents).encode()).hexdigest()
    tokenizer = train_tokenizer(documents)
    encoded = [np.array(e.ids[:LONGEST], dtype=np.int64) for e in tokenizer.encode_batch(documents, False)]
    print(
        f"{len(documents):,} documents, {sum(map(len, encoded)):,} tokens, "
        f"{tokenizer.get_vocab_size():,} in the vocabulary, text sha256 {text_sha256}",
        flush=True,
    )
    model = new_model(tokenizer)
    made = pretrain(model, tokenizer, encoded, options.steps, options.work)
    record = {
        "script": "scripts/make_tiny.py",
        "seed": SEED,
        "documents": len(documents),
        "prompts_among_them": len(prompts),
        "tokens": sum(map(len, encoded)),
        "text_sha256": text_sha256,
        "parameters": sum(p.numel() for p in model.parameters()),
        "learning_rate": LEARNING_RATE,
        "batch_size": BATCH,
        **made,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }
    save(model, tokenizer, record, options.out)
    return 0


def training_prompts(work: Path) -> list[str]:
    """Return the inputs of the training part of the tiny recipe, in the mixture of PROMPTS."""
    build, recipe = work / "build", work / "prompts.yaml"
    data = yaml.safe_load(RECIPE.read_text(encoding="utf-8")) | {"mixture": PROMPTS}
    recipe.write_text(yaml.safe_dump(data), encoding="utf-8")
    command = [sys.executable, "-m", "instructify", "build", str(recipe), "-o", str(build), "-q", "-j", "1"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    files = sorted(build.rglob("train*.parquet"))
    return [text for file in files for text in pq.read_table(file, columns=["inputs"])[0].to_pylist()]


def train_tokenizer(documents: Sequence[str]) -> Tokenizer:
    """Return a byte-pair tokenizer in the manner of SentencePiece; bytes cover what the vocabulary lacks.

    Unlike T5's it loses nothing: newlines, runs of spaces and every character come back. After a newline, a
    quotation mark or an opening bracket a space is put in, and taken out again by the decoder, so that a
    word is the same token there as everywhere else.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(Regex(rf"(?<={OPENING})(?=[\p{{L}} ])"), " ")
    pieces = [
        pre_tokenizers.Metaspace(prepend_scheme="always"),
        pre_tokenizers.Split(Regex(r"\n"), "isolated"),
        pre_tokenizers.Punctuation("isolated"),
        pre_tokenizers.Digits(individual_digits=True),
    ]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(pieces)
    special = ["<pad>", "</s>", "<unk>", *(f"<extra_id_{number}>" for number in range(SENTINELS))]
    ordinary = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special + ordinary, show_progress=False
    )
    tokenizer.train_from_iterator(documents, trainer)
    steps = [
        decoders.ByteFallback(),
        decoders.Fuse(),
        decoders.Replace(Regex(rf"(?<={OPENING})▁"), ""),
        decoders.Replace("▁", " "),
        decoders.Strip(" ", 1, 0),
    ]
    tokenizer.decoder = decoders.Sequence(steps)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = [token for token in data["added_tokens"] if token["content"] in special]
    return Tokenizer.from_str(json.dumps(data))


def new_model(tokenizer: Tokenizer) -> Any:
    """Return the untrained model, its output head apart from the embedding as in T5 v1.1."""
    torch.manual_seed(SEED)
    special: dict[str, Any] = {"decoder_start_token_id": 0, "tie_word_embeddings": False}
    config = transformers.T5Config(vocab_size=tokenizer.get_vocab_size(), **special, **SHAPE)
    model = transformers.T5ForConditionalGeneration(config)
    head = torch.empty_like(model.lm_head.weight).normal_(std=SHAPE["d_model"] ** -0.5)
    model.lm_head.weight = torch.nn.Parameter(head)
    return model


def batches(encoded: Sequence[np.ndarray], epoch: int) -> list[np.ndarray]:
    """Return the documents of each batch of an epoch, of like length within a batch."""
    generator = _generator("order", epoch)
    order = generator.permutation(len(encoded))
    lengths = np.array([len(ids) for ids in encoded])
    found: list[np.ndarray] = []
    for start in range(0, len(order), BATCH * WINDOW):
        window = order[start : start + BATCH * WINDOW]
        window = window[np.argsort(lengths[window], kind="stable")]
        found += [window[i : i + BATCH] for i in range(0, len(window), BATCH)]
    return [found[i] for i in generator.permutation(len(found))]


def stream(encoded: Sequence[np.ndarray], tokenizer: Tokenizer, start: int) -> Iterator[dict[str, Any]]:
    """Yield the batches of every step from `start` on; a step's batch depends on its number alone."""
    sentinel = int(tokenizer.token_to_id("<extra_id_0>") or 0)
    ends = np.array([tokenizer.token_to_id(mark) for mark in ".?!"])
    step = epoch = 0
    while True:
        for batch in batches(encoded, epoch):
            if step >= start:
                generator = _generator("noise", step)
                pairs = [corrupt(encoded[i], sentinel, ends, generator) for i in batch]
                yield pad(pairs)
            step += 1
        epoch += 1


def corrupt(
    ids: np.ndarray, sentinel: int, ends: np.ndarray, generator: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Return input and target of one document, both with an end-of-sequence token; `ends` end a sentence."""
    n = len(ids)
    cuts = np.flatnonzero(np.isin(ids[:-1], ends)) + 1
    if n < 4 or (len(cuts) and generator.random() < CONTINUED):
        cut = int(cuts[-1] if generator.random() < LAST else generator.choice(cuts)) if len(cuts) else 1
        return [*ids[:cut], 1], [*ids[cut:], 1]
    spans = min(SENTINELS, max(1, round(n * NOISE / SPAN)))
    masked = min(n - spans - 1, max(spans, round(n * NOISE)))
    lengths = _parts(masked, spans, generator)
    gaps = _parts(n - masked, spans + 1, generator)
    source: list[int] = []
    target: list[int] = []
    at = 0
    for number, (gap, length) in enumerate(zip(gaps, [*lengths, 0], strict=True)):
        source += ids[at : at + gap].tolist()
        at += gap
        if length:
            source.append(sentinel + number)
            target += [sentinel + number, *ids[at : at + length].tolist()]
            at += length
    return [*source, 1], [*target, 1]


def _parts(total: int, count: int, generator: np.random.Generator) -> list[int]:
    """Return `count` positive numbers that add up to `total`."""
    cuts = np.sort(generator.choice(np.arange(1, total), count - 1, replace=False))
    return [int(part) for part in np.diff([0, *cuts, total])]


def _generator(*parts: str | int) -> np.random.Generator:
    key = Key.of("tiny", SEED, *parts)
    return np.random.Generator(np.random.Philox(key=[key.low, key.high]))


def pad(pairs: Sequence[tuple[list[int], list[int]]]) -> dict[str, Any]:
    """Return padded tensors; padding of the targets is -100."""
    widest = max(len(source) for source, _ in pairs), max(len(target) for _, target in pairs)
    inputs = torch.zeros(len(pairs), widest[0], dtype=torch.long)
    labels = torch.full((len(pairs), widest[1]), -100)
    for row, (source, target) in enumerate(pairs):
        inputs[row, : len(source)] = torch.tensor(source)
        labels[row, : len(target)] = torch.tensor(target)
    return {"input_ids": inputs, "attention_mask": (inputs != 0).long(), "labels": labels}


def pretrain(
    model: Any, tokenizer: Tokenizer, encoded: Sequence[np.ndarray], steps: int, work: Path
) -> dict[str, Any]:
    """Train to the last step, from the last checkpoint if there is one, and return what it took."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    checkpoint = work / "checkpoint.pt"
    step, seconds, losses = 0, 0.0, []
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step, seconds, losses = state["step"], state["seconds"], state["losses"]
    began = time.monotonic() - seconds
    recent: list[float] = []
    model.train()
    for batch in stream(encoded, tokenizer, step):
        if step >= steps:
            break
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * rate(step, steps)
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        recent.append(loss.item())
        step += 1
        if step % 100 == 0 or step == steps:
            seconds = time.monotonic() - began
            losses.append([step, round(float(np.mean(recent)), 4)])
            recent = []
            print(f"step {step:,} loss {losses[-1][1]:.3f} {seconds:.0f} s", flush=True)
        if step % 500 == 0:
            state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
            torch.save({**state, "seconds": seconds, "losses": losses}, checkpoint.with_suffix(".new"))
            checkpoint.with_suffix(".new").replace(checkpoint)
    return {"steps": step, "seconds_on_one_core": round(seconds), "losses": losses[4::5] or losses}


def rate(step: int, steps: int) -> float:
    """Return the share of the learning rate at a step: linear warmup, then a cosine to a hundredth."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * (step - WARMUP) / max(1, steps - WARMUP))))


def save(model: Any, tokenizer: Tokenizer, record: dict[str, Any], out: Path) -> None:
    """Write the model's folder: half-precision weights, config, tokenizer, record and model card."""
    out.mkdir(parents=True, exist_ok=True)
    weights = {name: value.to(torch.bfloat16).contiguous() for name, value in model.state_dict().items()}
    for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"):
        weights.pop(name, None)  # the embedding itself, under other names
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    config = untied_config(json.loads(model.config.to_json_string()))
    config |= {"architectures": ["T5ForConditionalGeneration"], "dtype": "float32"}
    _write_json(out / "config.json", config)
    tokenizer.save(str(out / "tokenizer.json"))
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    _write_json(
        out / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **special},
    )
    digest = hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()
    _write_json(out / "made.json", {**record, "model_sha256": digest})
    (out / "README.md").write_text(CARD.format(**record), encoding="utf-8", newline="\n")


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    raise SystemExit(main())
