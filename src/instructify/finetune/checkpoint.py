"""Checkpoints of a training run: one safetensors file each, put in its place in one step."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ConfigDict, TypeAdapter, with_config

from instructify.errors import InstructifyError, Problem
from instructify.finetune.save import write_errors
from instructify.publish.files import remove, sync_directory

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter
    from torch.optim import Optimizer

SUFFIX = ".safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@with_config(ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
@dataclass(slots=True)
class Progress:
    """Where a run stands; kept in every checkpoint. `loss` and `tokens` are sums since the last log line."""

    step: int = 0
    examples: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    tokens: int = 0
    logged: float = 0.0  # the last loss in metrics.jsonl
    logged_examples: int = 0
    logged_seconds: float = 0.0

    def add(self, examples: int, loss: float, tokens: int, seconds: float) -> None:
        """Count a step: its examples, its mean loss over target tokens, and the seconds so far."""
        self.examples += examples
        self.loss += loss * tokens
        self.tokens += tokens
        self.seconds = seconds


def save_checkpoint(
    folder: Path,
    identity: str,
    progress: Progress,
    trainable: Mapping[str, Parameter],
    optimiser: Optimizer,
) -> None:
    """Write the trainable weights, AdamW's state and the progress; earlier checkpoints are removed.

    The header holds the identity of the run and a SHA-256 of all that the checkpoint says.
    """
    from safetensors.torch import save_file

    tensors = {}
    for name, parameter in trainable.items():
        tensors[f"weight/{name}"] = parameter.detach().cpu().contiguous()
        for moment in _MOMENTS:
            tensors[f"{moment}/{name}"] = optimiser.state[parameter][moment].cpu().contiguous()
    header = {"identity": identity, "progress": json.dumps(asdict(progress))}
    header["sha256"] = _digest(tensors, header)
    target = folder / f"step-{progress.step:08d}{SUFFIX}"
    temporary = folder / f"{uuid.uuid4().hex}.tmp"
    with write_errors(target, "; training goes on from the checkpoint before"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            save_file(tensors, temporary, metadata=header)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)  # noqa: PTH105 - one name for every rename that must be atomic
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_directory(folder)
        for path in folder.iterdir():
            if path != target:
                remove(path)


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint of the latest step, if there is any."""
    return max(folder.glob(f"step-*{SUFFIX}"), default=None)


def load_checkpoint(
    folder: Path, identity: str, trainable: Mapping[str, Parameter], optimiser: Optimizer
) -> Progress | None:
    """Put the latest checkpoint into the weights and the optimiser; return its progress, None without one.

    Raises InstructifyError when it is damaged, or of a run with other settings, data or base model.
    """
    import torch

    path = latest_checkpoint(folder)
    if path is None:
        return None
    header, progress, tensors = _read(path)
    if header["identity"] != identity:
        raise InstructifyError(
            Problem(
                "the checkpoint is of a run with other settings, data or base model",
                str(path),
                "--restart to begin anew, or another --run folder",
            )
        )
    if header["sha256"] != _digest(tensors, header):
        raise InstructifyError(
            Problem("the checkpoint is not what the training wrote", str(path), "--restart")
        )
    for name, parameter in trainable.items():
        for part in ("weight", *_MOMENTS):
            shape = torch.Size() if part == "step" else parameter.shape
            found = tensors.get(f"{part}/{name}")
            if found is None or found.shape != shape:
                what = f"the checkpoint has no {part}/{name} of shape {list(shape)}"
                raise InstructifyError(Problem(what, str(path), "--restart"))
    with torch.no_grad():
        for name, parameter in trainable.items():
            parameter.copy_(tensors[f"weight/{name}"])
            # the step of AdamW stays on the CPU, as the optimiser keeps it
            optimiser.state[parameter] = {
                moment: tensors[f"{moment}/{name}"].to("cpu" if moment == "step" else parameter.device)
                for moment in _MOMENTS
            }
    return progress


def _read(path: Path) -> tuple[dict[str, str], Progress, dict[str, Tensor]]:
    """Return header, progress and tensors of a checkpoint."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if missing := {"identity", "progress", "sha256"} - header.keys():
            raise ValueError(f"its header lacks {', '.join(sorted(missing))}")
        return header, TypeAdapter(Progress).validate_json(header["progress"]), tensors
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        raise InstructifyError(
            Problem(f"the checkpoint cannot be read: {why}", str(path), "--restart")
        ) from error


def _digest(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    """Return the SHA-256 of the header's identity and progress and of names, types, shapes and bytes."""
    import torch

    total = hashlib.sha256(f"{header['identity']} {header['progress']}\n".encode())
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
