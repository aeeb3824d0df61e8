"""Time LoRA fine-tuning of a model of flan-t5-small's exact shape, weights at random, on this machine.

    python scripts/bench_finetune.py --tokenizer FOLDER --build build/quickstart --steps 20 --threads 2

FOLDER holds T5's tokenizer.json and tokenizer_config.json. Speed does not depend on what the weights are.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from instructify.seq2seq import quiet

SHAPE: dict[str, Any] = {
    "vocab_size": 32128,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 1024,
    "num_layers": 8,
    "num_heads": 6,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
    "decoder_start_token_id": 0,
}
"""Of google/flan-t5-small."""


def main() -> int:
    """Train a few steps and print seconds a step, examples a second and peak memory."""
    parser = argparse.ArgumentParser(description="Time fine-tuning of a model of flan-t5-small's shape.")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--build", type=Path, required=True, help="a published build")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_model(work / "model", options.tokenizer)
        recipe = {
            "name": "bench",
            "output": {"dir": str(options.build.resolve())},
            "tasks": [{"dataset": "world", "subset": "reviews"}],
            "model": {"name": "model"},
            "finetune": {
                "steps": options.steps,
                "batch_size": options.batch_size,
                "on_too_long": "cut",
                "log_every": 1,
                "seeds": [0],
            },
        }
        (work / "bench.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        command = [sys.executable, "-m", "instructify", "finetune", str(work / "bench.yaml"), "--json"]
        more = ["--threads", str(options.threads), "--device", options.device]
        done = subprocess.run([*command, *more], check=True, stdout=subprocess.PIPE, encoding="utf-8")
        record = json.loads(done.stdout)[0]
    print(f"{record['parameters']['trainable']:,} of {record['parameters']['all']:,} parameters trained")
    print(f"{record['seconds'] / record['steps']:.2f} s a step of {options.batch_size} examples")
    print(f"{record['examples_per_second']:.1f} examples/s, {options.threads} threads, {record['device']}")
    print(f"peak memory {record['peak_memory_bytes'] / 2**20:,.0f} MiB")
    return 0


def make_model(folder: Path, tokenizer: Path) -> None:
    """Write a random model of flan-t5-small's shape with the tokenizer of another folder."""
    import torch  # here, because bench_rank.py sets how its threads wait before it is loaded
    import transformers

    torch.manual_seed(0)
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**SHAPE))
    model.lm_head.weight = torch.nn.Parameter(0.05 * torch.randn_like(model.lm_head.weight))
    with quiet():
        model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, folder / name)


if __name__ == "__main__":
    raise SystemExit(main())
