"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from math import ceil, cos, isfinite, pi
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from instructify.errors import InstructifyError, Problem
from instructify.finetune.checkpoint import Progress, load_checkpoint, save_checkpoint
from instructify.finetune.data import Examples, batches_from, batches_per_epoch
from instructify.keys import Key
from instructify.recipe.training import Finetune

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

IGNORED = -100  # the label of padding, which PyTorch's cross entropy leaves out


class Watcher(Protocol):
    """Whoever watches the training."""

    def phase(self, name: str, total: int, unit: str) -> None:
        """Begin a phase."""

    def advance(self, amount: int, kept: int = 0, dropped: int = 0) -> None:
        """Count examples."""

    def note(self, text: str) -> None:
        """Show how it stands."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training run took: steps, examples, seconds over all attempts, the loss of the last lines."""

    steps: int
    examples: int
    seconds: float
    loss: float


def total_steps(section: Finetune, examples: int) -> int:
    """Return the optimiser steps of a run."""
    if section.steps is not None:
        return section.steps
    return ceil(section.epochs * batches_per_epoch(examples, section.batch_size) / section.accumulate)


def learning_rate(section: Finetune, step: int, steps: int) -> float:
    """Return the learning rate of a step, from 0: a linear rise over the warmup, then the schedule."""
    warmup = ceil(section.warmup * steps)
    if step < warmup:
        return section.learning_rate * (step + 1) / warmup
    if section.schedule == "constant":
        return section.learning_rate
    done = (step - warmup) / max(1, steps - warmup)
    left = 1 - done if section.schedule == "linear" else 0.5 * (1 + cos(pi * done))
    return section.learning_rate * left


def train(
    model: Any,
    examples: Examples,
    section: Finetune,
    seed: int,
    *,
    pad_id: int,
    mixed: bool,
    checkpoints: Path,
    identity: str,
    log: Callable[[dict[str, Any]], None],
    resumed: Callable[[int], None],
    watcher: Watcher,
) -> Trained:
    """Train a model in place, from the last checkpoint of the same `identity` if there is one.

    A step's batches and its dropout depend on (seed, step) alone, so that a resumed run does what an
    unbroken one does. `mixed` computes in bfloat16 over float32 weights. `log` gets each line of metrics,
    `resumed` the step that a run goes on from.

    Raises:
        InstructifyError: the loss or the gradient is not finite, or the checkpoint is damaged or of another
            run.
    """
    import torch

    steps = total_steps(section, len(examples))
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimiser = torch.optim.AdamW(trainable.values(), weight_decay=section.weight_decay)
    device = next(model.parameters()).device
    state = load_checkpoint(checkpoints, identity, trainable, optimiser) or Progress()
    resumed(state.step)
    watcher.phase(f"seed {seed}", steps * section.batch_size * section.accumulate, "examples")
    watcher.advance(state.examples)
    began = time.monotonic() - state.seconds
    rows = batches_from(examples.inputs.lengths, section.batch_size, seed, state.step * section.accumulate)
    model.train()
    while state.step < steps:
        rate = learning_rate(section, state.step, steps)
        # dropout is keyed by the step, so that no generator's state has to be kept
        torch.manual_seed(Key.of("dropout", seed).draw(state.step) >> 1)
        batches = [_batch(examples, part, pad_id, device) for part in islice(rows, section.accumulate)]
        with torch.autocast(device.type, torch.bfloat16) if mixed else nullcontext():
            loss, tokens = _backward(model, batches)
        norm = _update(optimiser, rate, section.max_grad_norm)
        state.step += 1
        if not isfinite(loss) or not isfinite(norm):
            what = f"the loss or its gradient is not finite at step {state.step}"
            raise InstructifyError(Problem(what, "finetune", "a lower learning_rate"))
        learned = sum(len(batch["input_ids"]) for batch in batches)
        state.add(learned, loss, tokens, time.monotonic() - began)
        watcher.advance(learned)
        if state.step % section.log_every == 0 or state.step == steps:
            _log(state, rate, norm, len(examples), log)
            watcher.note(f"step {state.step:,} of {steps:,}, loss {state.logged:.3f}")
        if state.step % section.checkpoint_every == 0 or state.step == steps:
            save_checkpoint(checkpoints, identity, state, trainable, optimiser)
    model.eval()
    return Trained(state.step, state.examples, state.seconds, state.logged)


def _update(optimiser: Optimizer, rate: float, most: float) -> float:
    """Take one step at a learning rate, the gradient clipped to a norm of `most`; return the norm it had."""
    import torch

    (group,) = optimiser.param_groups
    group["lr"] = rate
    norm = float(torch.nn.utils.clip_grad_norm_(group["params"], most))
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return norm


def _log(
    state: Progress, rate: float, norm: float, examples: int, log: Callable[[dict[str, Any]], None]
) -> None:
    state.logged = state.loss / max(1, state.tokens)
    took = max(state.seconds - state.logged_seconds, 1e-9)
    log(
        {
            "step": state.step,
            "examples": state.examples,
            "epoch": round(state.examples / examples, 4),
            "loss": state.logged,
            "learning_rate": rate,
            "gradient_norm": norm,
            "seconds": round(state.seconds, 3),
            "examples_per_second": round((state.examples - state.logged_examples) / took, 2),
        }
    )
    state.logged_examples, state.logged_seconds = state.examples, state.seconds
    state.loss, state.tokens = 0.0, 0


def _backward(model: Any, batches: list[dict[str, Tensor]]) -> tuple[float, int]:
    """Add up gradients of the mean loss per target token over all batches; return it and the tokens."""
    counts = [int((batch["labels"] != IGNORED).sum()) for batch in batches]
    total = sum(counts)
    mean = 0.0
    for batch, count in zip(batches, counts, strict=True):
        loss = model(**batch, use_cache=False).loss * (count / total)
        loss.backward()
        mean += float(loss.detach())
    return mean, total


def _batch(examples: Examples, rows: Any, pad_id: int, device: Any) -> dict[str, Tensor]:
    """Return padded tensors of some examples: input_ids, attention_mask and labels, each (rows, tokens)."""
    import numpy as np
    import torch

    inputs = [examples.inputs[int(n)] for n in rows]
    targets = [examples.targets[int(n)] for n in rows]
    ids = np.full((len(rows), max(map(len, inputs))), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    labels = np.full((len(rows), max(map(len, targets))), IGNORED, dtype=np.int64)
    for n, (source, target) in enumerate(zip(inputs, targets, strict=True)):
        ids[n, : len(source)] = source
        mask[n, : len(source)] = 1
        labels[n, : len(target)] = target
    arrays = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Compute with a fixed number of threads and with deterministic algorithms only."""
    import torch

    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
