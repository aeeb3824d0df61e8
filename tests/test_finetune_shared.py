"""A model of flan-t5-small's exact shape, with T5's own tokenizer, goes the whole way from a local folder."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

import build_kit
from instructify.finetune.checkpoint import latest_checkpoint
from instructify.recipe.training import ModelSection
from instructify.seq2seq import load_seq2seq

TOKENIZER = Path(__file__).resolve().parents[2] / "shared" / "t5-tokenizer"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not TOKENIZER.is_dir(), reason="T5's tokenizer does not lie beside the checkout"),
]


@pytest.fixture
def model(tmp_path):
    path = Path(__file__).resolve().parents[1] / "scripts" / "bench_finetune.py"
    spec = importlib.util.spec_from_file_location("bench_finetune", path)
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    bench.make_model(tmp_path / "model", TOKENIZER)
    return tmp_path / "model"


def test_flan_t5_small_trains_is_killed_goes_on_to_the_same_bits_and_merges(tmp_path, small_build, model):
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
    assert sum(p.numel() for p in merged.model.parameters()) == 76_961_152
    with torch.inference_mode():
        ours, theirs = (loaded.model(input_ids=ids, labels=ids).logits for loaded in (tuned, merged))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
