"""What run.json says of a finished training run, and which of it decides the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, PositiveInt

from instructify.documents import checked, read_document
from instructify.errors import InstructifyError, Problem
from instructify.recipe.training import Evaluate, Finetune
from instructify.seq2seq import hash_adapter, holds_adapter

RUN_JSON, ADAPTER = "run.json", "adapter"
_FREE = {"seeds", "checkpoint_every", "keep_checkpoints", "log_every", "log_to"}
"""What may change between a checkpoint and going on from it, because it decides no weight."""


class _Part(BaseModel):
    """Part of run.json; what else stands in the file is for people."""

    model_config = ConfigDict(frozen=True, strict=True)


class BaseModelFacts(_Part):
    """The base: what the recipe says of it, and the hashes of what was loaded."""

    name: str
    revision: str | None
    dtype: Literal["float32", "bfloat16"]
    model_hash: str
    tokenizer_hash: str


class DataFacts(_Part):
    """The build."""

    content_hash: str


class Parameters(_Part):
    """Numbers of weights."""

    trainable: PositiveInt
    all: PositiveInt


class Record(_Part):
    """What a finished run must say of itself; `adapter_hash` is None in runs of older versions."""

    complete: Literal[True]
    seed: int
    identity: str
    model: BaseModelFacts
    finetune: Finetune
    evaluate: Evaluate
    data: DataFacts
    parameters: Parameters
    steps: PositiveInt
    adapter_hash: str | None = None


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A finished training run: its folder, its record, and all that run.json says."""

    folder: Path
    record: Record
    facts: Mapping[str, Any]

    @property
    def adapter(self) -> Path:
        """Folder of the adapter or the whole model."""
        return self.folder / ADAPTER


def seed_folder(run: Path, seed: int) -> Path:
    """Return the folder of one seed's training run."""
    return run / "finetune" / f"seed-{seed}"


def seed_folders(run: Path) -> list[Path]:
    """Return the folders of all training runs of an experiment, finished or not, in the order of seeds."""
    return sorted((run / "finetune").glob("seed-*"), key=lambda path: (len(path.name), path.name))


def read_run(folder: Path) -> TrainingRun | None:
    """Return the finished training run of a folder, None if there is none.

    Raises InstructifyError for a run.json that no finished run of ours has written.
    """
    path = folder / RUN_JSON
    if not path.is_file():
        return None
    expected = "what instructify finetune writes; --restart trains anew"
    facts = read_document(path, expected)
    if isinstance(facts, dict) and facts.get("complete") is False:
        return None
    return TrainingRun(folder, checked(Record, facts, path, expected), facts)


def check_intact(run: TrainingRun) -> None:
    """Raise InstructifyError unless the adapter, or the whole model, of a run is what its training left."""
    holds_adapter(run.adapter)
    if run.record.adapter_hash not in (None, hash_adapter(run.adapter)):
        what = f"is not what the training left, which {RUN_JSON} has the hash of"
        raise InstructifyError(Problem(what, str(run.adapter), "instructify finetune --restart"))


def deciding(section: Finetune) -> dict[str, Any]:
    """Return the settings of a run that decide its weights."""
    return {key: value for key, value in section.model_dump(mode="json").items() if key not in _FREE}
