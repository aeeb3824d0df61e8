"""Which models of a run to score: the base, and every training run that the recipe asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instructify.errors import InstructifyError, Problem
from instructify.finetune.record import (
    RUN_JSON,
    BaseModelFacts,
    TrainingRun,
    deciding,
    read_run,
    seed_folders,
)
from instructify.recipe.models import Recipe
from instructify.recipe.training import Evaluate, Finetune, ModelSection

TUNED, CONTROL = "tuned", "shuffled"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to score: the base, or with `adapter` what a training run made of it.

    `run` is the record of that training; None for the base and for adapters from elsewhere.
    """

    label: str
    seed: int | None = None
    adapter: Path | None = None
    run: TrainingRun | None = field(default=None, compare=False)

    @property
    def title(self) -> str:
        """Name for people."""
        return self.label if self.seed is None else f"{self.label}, seed {self.seed}"


BASE = Candidate("base")


def finished(run: Path, recipe: Recipe | None) -> tuple[list[Candidate], list[str]]:
    """Return the finished training runs of a run folder by seed, and a note on all that is not scored.

    Those are the recipe's seeds, and negative controls of any seed. Without a recipe the training runs
    themselves say which seeds theirs had.

    Raises:
        InstructifyError: training runs differ in what decides their weights, from the recipe or from each
            other; only in shuffled targets may a control differ.
    """
    found: list[TrainingRun] = []
    notes = []
    for folder in seed_folders(run):
        one = read_run(folder)
        if one is None:
            notes.append(f"{folder.name} is not finished and is not scored")
        elif _is_wanted(one, recipe):
            found.append(one)
        else:
            notes.append(f"{folder.name} is not one of the recipe's seeds and is not scored")
    _check_settings(found, recipe)
    wanted = recipe.finetune.seeds if recipe else found[0].record.finetune.seeds if found else []
    there = {folder.name for folder in seed_folders(run)}
    notes += [f"seed-{seed} is not trained" for seed in wanted if f"seed-{seed}" not in there]
    candidates = map(_candidate, found)
    return sorted(candidates, key=lambda one: (one.label != TUNED, one.seed or 0)), notes


def of_adapter(adapter: Path) -> Candidate:
    """Return the model of an adapter folder; its seed is known where the folder lies in a run of ours."""
    run = read_run(adapter.parent)
    return Candidate(TUNED, None, adapter) if run is None else _candidate(run, adapter)


def sections(run: Path) -> tuple[ModelSection, Evaluate]:
    """Return what the recipe of a run said of model and evaluation, from its first training run's record."""
    first = next(filter(None, map(read_run, seed_folders(run))), None)
    if first is None:
        what = f"no training run in this folder has a {RUN_JSON}"
        raise InstructifyError(Problem(what, str(run), "a recipe, or the folder of its run"))
    model = first.record.model
    chosen = ModelSection(name=model.name, revision=model.revision, dtype=model.dtype)
    return chosen, first.record.evaluate


def _candidate(run: TrainingRun, adapter: Path | None = None) -> Candidate:
    label = CONTROL if run.record.finetune.shuffle_targets else TUNED
    return Candidate(label, run.record.seed, adapter or run.adapter, run)


def _is_wanted(run: TrainingRun, recipe: Recipe | None) -> bool:
    section = run.record.finetune
    wanted = recipe.finetune if recipe else section
    control = section.shuffle_targets and not wanted.shuffle_targets
    return control or run.record.seed in wanted.seeds


def _check_settings(runs: list[TrainingRun], recipe: Recipe | None) -> None:
    """Refuse training runs that are not of one experiment."""
    if not runs:
        return
    problems = []
    wanted, whose = _settings(runs[0].record.finetune, runs[0].record.model), f"{runs[0].folder.name} with"
    if recipe:
        wanted, whose = _settings(recipe.finetune, recipe.model), "the recipe says"
    expected = "instructify finetune --restart, or another --run folder"
    for run in runs:
        own = _settings(run.record.finetune, run.record.model)
        differing = [key for key in wanted if own[key] != wanted[key] and key != "shuffle_targets"]
        if differing:
            theirs, ours = (_said(one, differing) for one in (own, wanted))
            what = f"was trained with {theirs}; {whose} {ours}"
            problems.append(Problem(what, str(run.folder), expected))
        if run.folder.name != f"seed-{run.record.seed}":
            what = f"holds a training run of seed {run.record.seed}"
            problems.append(Problem(what, str(run.folder), f"a folder seed-{run.record.seed}"))
    if problems:
        raise InstructifyError(*problems)


def _settings(section: Finetune, model: ModelSection | BaseModelFacts) -> dict[str, Any]:
    return {**deciding(section), "dtype": model.dtype}


def _said(settings: dict[str, Any], keys: list[str]) -> str:
    return ", ".join(f"{key} {json.dumps(settings[key])}" for key in keys)
