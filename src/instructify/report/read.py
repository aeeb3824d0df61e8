"""The files of a run, as data: training runs, the build's manifest, and what evaluation recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from instructify.errors import InstructifyError, Problem
from instructify.finetune.record import read_run, seed_folders
from instructify.publish.files import io_errors, sum_file
from instructify.publish.manifest import NAME as MANIFEST
from instructify.publish.manifest import manifest_files, read_manifest
from instructify.report.evaluated import WRITTEN, read_evaluation
from instructify.report.scores import Scored, read_scores
from instructify.seq2seq import hash_adapter

SCORES = Path("evaluation", "scores.parquet")
EVALUATION = Path("evaluation", "evaluation.json")


@dataclass(frozen=True, slots=True)
class Training:
    """One training run: its seed, what run.json says of it, and (step, loss) of every logged step."""

    seed: int
    facts: Mapping[str, Any]
    losses: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Experiment:
    """All that a report is made from; `manifest` and `build` are None when there is no build at hand.

    `unbuilt` is then a sentence on why. `notes` say what is left out, and what the evaluation noted.
    """

    evaluation: Mapping[str, Any]
    scored: tuple[Scored, ...]
    scores: Path
    scores_sha256: str
    trainings: tuple[Training, ...]
    notes: tuple[str, ...]
    build: Path | None
    manifest: Mapping[str, Any] | None
    unbuilt: str


def read_experiment(run: Path, build: Path | None) -> Experiment:
    """Read a run folder and the build it was scored on; raises InstructifyError.

    Without `build` it is the one that evaluation.json names, as long as it is there and unchanged.
    """
    evaluation = read_evaluation(run / EVALUATION)
    scores = run / SCORES
    if not scores.is_file():
        raise InstructifyError(Problem("there is no such file", str(scores), WRITTEN))
    digest = sha256(scores.read_bytes()).hexdigest()
    if digest != evaluation.get("scores_sha256", digest):
        what = f"is not the file that {EVALUATION.name} speaks of"
        raise InstructifyError(Problem(what, str(scores), WRITTEN))
    build, manifest, unbuilt = _build(evaluation.get("build", {}), build)
    trainings, notes = _trainings(run, evaluation.get("models", ()))
    return Experiment(
        evaluation=evaluation,
        scored=read_scores(scores),
        scores=scores,
        scores_sha256=digest,
        trainings=trainings,
        notes=(*notes, *evaluation.get("notes", ())),
        build=build,
        manifest=manifest,
        unbuilt=unbuilt,
    )


def _build(
    scored: Mapping[str, Any], build: Path | None
) -> tuple[Path | None, Mapping[str, Any] | None, str]:
    """Return the build that was scored and its manifest, or two Nones and why it is not at hand."""
    named = build or Path(scored.get("path", ""))
    if build is None and not _is_file(named / MANIFEST):
        return None, None, "The build was not at hand; --build says where it is."
    manifest = read_manifest(named)
    own, wanted = manifest["content_hash"], scored.get("content_hash", manifest["content_hash"])
    if own == wanted:
        return named, manifest, ""
    if build is None:  # built anew since
        what = f"The build that was scored (content hash {wanted[:12]}) was not at hand: in its folder lies "
        return None, None, f"{what}another ({own[:12]}). --build says where it is."
    raise InstructifyError(Problem("is not the build that was scored", str(build), wanted))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def model_title(model: Mapping[str, Any]) -> str:
    """Return the name for people of a model that evaluation.json lists."""
    name = str(model.get("model", "model"))
    return name if model.get("seed") is None else f"{name}, seed {model['seed']}"


def read_prompts(build: Path, ids: Sequence[str]) -> dict[str, str]:
    """Return example id -> prompt, for those of `ids` that the evaluation part of a build holds."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = pa.array(ids, pa.string())
    prompts: dict[str, str] = {}
    entries = manifest_files(read_manifest(build))
    for entry in (entry for entry in entries if entry.part == "eval" and entry.format == "parquet"):
        path = build / entry.path
        with io_errors(path, "read"):
            if sum_file(path).sha256 != entry.sha256:
                raise InstructifyError(Problem("is not what the manifest says", str(path), "a whole build"))
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["id", "inputs"]):
                found = batch.filter(pc.is_in(batch["id"], wanted))
                prompts.update(zip(found["id"].to_pylist(), found["inputs"].to_pylist(), strict=True))
    return prompts


def _trainings(
    run: Path, models: Sequence[Mapping[str, Any]]
) -> tuple[tuple[Training, ...], tuple[str, ...]]:
    """Return the training runs whose models were scored, and a note on any other and on any that is gone.

    Raises InstructifyError for a seed that was trained anew since.
    """
    scored = {model["adapter_hash"]: model for model in models if model.get("adapter_hash")}
    seeds = [model.get("seed") for model in scored.values()]
    found: dict[str, Training] = {}
    notes, problems = [], []
    for one in filter(None, map(read_run, seed_folders(run))):
        digest = hash_adapter(one.adapter) if one.adapter.is_dir() else ""
        if digest in scored:
            losses = _losses(one.folder / "metrics.jsonl")
            found[digest] = Training(one.record.seed, one.facts, tuple(losses))
        elif digest and one.record.seed in seeds:
            what = "its model is not the one that was scored"
            problems.append(Problem(what, str(one.folder), "instructify evaluate first"))
        else:
            notes.append(f"The training run {one.folder.name} is left out: its model was not scored.")
    if problems:
        raise InstructifyError(*problems)
    gone = [model_title(model) for digest, model in scored.items() if digest not in found]
    if gone:
        notes.append(f"Scored, but not in the run folder: {'; '.join(gone)}.")
    return tuple(found.values()), tuple(notes)


def _losses(path: Path) -> list[tuple[int, float]]:
    if not path.is_file():
        return []
    found: dict[int, float] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            entry = json.loads(line)
            if "loss" in entry:  # a resumed run logs some steps again: the last counts
                found[_step(entry["step"])] = float(entry["loss"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            problem = Problem("is no logged step", f"{path}:{number}", "an object with step and loss")
            raise InstructifyError(problem) from None
    return sorted(found.items())


def _step(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError("steps are whole numbers")
    return value
