"""Which models of a run to score: the base, and every finished training run on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from instructify.errors import InstructifyError, Problem
from instructify.recipe.training import Evaluate, ModelSection

RECORD, ADAPTER = "run.json", "adapter"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to score: the base, or with `adapter` what a training run made of it.

    `base_hash` is the hash of the base model that was trained, `content_hash` that of the build it was
    trained on; None where no record says.
    """

    label: str
    seed: int | None = None
    adapter: Path | None = None
    base_hash: str | None = None
    content_hash: str | None = None

    @property
    def title(self) -> str:
        """Name for people."""
        return self.label if self.seed is None else f"{self.label}, seed {self.seed}"


BASE = Candidate("base")


def finished(run: Path) -> tuple[list[Candidate], list[str]]:
    """Return the finished training runs of a run folder by seed, and a note on each that is not finished."""
    found: list[Candidate] = []
    notes = []
    for folder in sorted((run / "finetune").glob("seed-*")):
        record = _read(folder / RECORD) if (folder / RECORD).is_file() else {}
        if record.get("complete") is True:
            found.append(_of_record(record, folder / ADAPTER))
        else:
            notes.append(f"{folder.name} is not finished and is not scored")
    return sorted(found, key=lambda one: (one.label, one.seed or 0)), notes


def of_adapter(adapter: Path) -> Candidate:
    """Return the model of an adapter folder; its seed is known where the folder lies in a run of ours."""
    if not adapter.is_dir():
        raise InstructifyError(Problem("there is no such adapter", str(adapter), "a folder"))
    record = adapter.parent / RECORD
    return _of_record(_read(record) if record.is_file() else {}, adapter)


def sections(run: Path) -> tuple[ModelSection, Evaluate]:
    """Return what the recipe of a run said of model and evaluation, from its first training run's record."""
    path = next(iter(sorted((run / "finetune").glob(f"seed-*/{RECORD}"))), None)
    if path is None:
        what = "no training run in this folder has a run.json"
        raise InstructifyError(Problem(what, str(run), "a recipe, or the folder of its run"))
    record = _read(path)
    try:
        model = {key: value for key, value in record["model"].items() if key in ModelSection.model_fields}
        return ModelSection.model_validate(model), Evaluate.model_validate(record["evaluate"])
    except (KeyError, AttributeError, ValidationError) as error:
        raise InstructifyError(Problem(f"does not say which model: {error}", str(path))) from error


def _of_record(record: Mapping[str, Any], adapter: Path) -> Candidate:
    control = record.get("finetune", {}).get("shuffle_targets", False)
    return Candidate(
        "shuffled" if control else "tuned",
        record.get("seed"),
        adapter,
        record.get("model", {}).get("model_hash"),
        record.get("data", {}).get("content_hash"),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InstructifyError(Problem(f"cannot be read: {error}", str(path), "a run.json")) from error
    if not isinstance(data, dict):
        raise InstructifyError(Problem("is not an object", str(path), "a run.json"))
    return data
