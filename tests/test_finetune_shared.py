"""A model of flan-t5-small's exact shape, with T5's own tokenizer, goes the whole way from a local folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

import build_kit
from instructify.finetune.checkpoint import latest_checkpoint
from instructify.recipe.training import ModelSection
from instructify.seq2seq import load_seq2seq, quiet

TOKENIZER = Path(__file__).resolve().parents[2] / "shared" / "t5-tokenizer"
FLAN_T5_SMALL = {
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
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not TOKENIZER.is_dir(), reason="T5's tokenizer does not lie beside the checkout"),
]


def make_model(folder):
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(T5Config(**FLAN_T5_SMALL))
    head = 0.05 * torch.randn_like(model.lm_head.weight)
    model.lm_head.weight = torch.nn.Parameter(head)
    assert sum(p.numel() for p in model.parameters()) == 76_961_152
    with quiet():
        model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(TOKENIZER / name, folder / name)
    return folder


def test_flan_t5_small_trains_is_killed_goes_on_to_the_same_bits_and_merges(tmp_path, small_build):
    model = make_model(tmp_path / "model")
    recipe = build_kit.recipe(
        tmp_path,
        [build_kit.world("reviews")],
        output={"dir": str(small_build)},
        model={"name": "model"},
        finetune={
            "steps": 3,
            "batch_size": 2,
            "max_input_tokens": 96,
            "on_too_long": "cut",
            "checkpoint_every": 1,
            "log_every": 1,
            "gradient_checkpointing": True,
        },
    )
    command = ["finetune", recipe, "--seed", "0", "--threads", "2", "--device", "cpu", "--quiet", "--run"]
    build_kit.succeed(*command, tmp_path / "whole")
    broken = tmp_path / "broken" / "finetune" / "seed-0"
    arguments = [*build_kit.COMMAND, *map(str, command), str(tmp_path / "broken")]
    process = subprocess.Popen(arguments, env=build_kit.environment())
    deadline = time.monotonic() + 200
    while latest_checkpoint(broken / "checkpoints") is None:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (broken / "run.json").exists()
    build_kit.succeed(*command, tmp_path / "broken", "--merge")
    saved = [tmp_path / name / "finetune" / "seed-0" / "adapter" for name in ("whole", "broken")]
    weights = [(folder / "adapter_model.safetensors").read_bytes() for folder in saved]
    assert len(weights[0]) > 4 * 2_555_904  # all-linear at rank 16, in float32
    assert weights[0] == weights[1]
    ids = torch.arange(5, 45).reshape(2, -1)
    tuned = load_seq2seq(ModelSection(name=str(model)), tmp_path, adapter=saved[0])
    merged = load_seq2seq(ModelSection(name=str(broken / "merged")), tmp_path)
    with torch.inference_mode():
        ours, theirs = (loaded.model(input_ids=ids, labels=ids).logits for loaded in (tuned, merged))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
