"""Checkpoints of a training run: one safetensors file each, put in its place in one step."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructify.errors import InstructifyError, Problem
from instructify.finetune.save import write_errors
from instructify.publish.files import remove, sync_directory

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter
    from torch.optim import Optimizer

SUFFIX = ".safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint holds besides tensors: the identity of its run, and where it stands."""

    identity: str
    progress: Mapping[str, Any]


def save_checkpoint(
    folder: Path, checkpoint: Checkpoint, trainable: Mapping[str, Parameter], optimiser: Optimizer
) -> None:
    """Write the trainable weights, AdamW's state and the progress; earlier checkpoints are removed."""
    from safetensors.torch import save_file

    tensors = {}
    for name, parameter in trainable.items():
        tensors[f"weight/{name}"] = parameter.detach().cpu().contiguous()
        for moment in _MOMENTS:
            tensors[f"{moment}/{name}"] = optimiser.state[parameter][moment].cpu().contiguous()
    header = {"identity": checkpoint.identity, "progress": json.dumps(checkpoint.progress)}
    target = folder / f"step-{checkpoint.progress['step']:08d}{SUFFIX}"
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
) -> Checkpoint | None:
    """Put the latest checkpoint into the weights and the optimiser, and return it; None if there is none.

    Raises InstructifyError when it belongs to a run with other settings, data or base model.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    path = latest_checkpoint(folder)
    if path is None:
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        found = Checkpoint(header["identity"], json.loads(header["progress"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise InstructifyError(
            Problem(f"the checkpoint cannot be read: {error}", str(path), "--restart")
        ) from error
    if found.identity != identity:
        raise InstructifyError(
            Problem(
                "the checkpoint is of a run with other settings, data or base model",
                str(path),
                "--restart to begin anew, or another --run folder",
            )
        )
    missing = {f"{part}/{name}" for name in trainable for part in ("weight", *_MOMENTS)} - tensors.keys()
    if missing:
        what = f"the checkpoint lacks {len(missing)} tensors, as {min(missing)}"
        raise InstructifyError(Problem(what, str(path), "--restart"))
    with torch.no_grad():
        for name, parameter in trainable.items():
            parameter.copy_(tensors[f"weight/{name}"])
            # the step of AdamW stays on the CPU, as the optimiser keeps it
            optimiser.state[parameter] = {
                moment: tensors[f"{moment}/{name}"].to("cpu" if moment == "step" else parameter.device)
                for moment in _MOMENTS
            }
    return found
