"""The files of a run, as data: training runs, the build's manifest, and what evaluation recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from instructify.errors import InstructifyError, Problem
from instructify.publish.manifest import NAME as MANIFEST
from instructify.publish.manifest import manifest_files, read_manifest
from instructify.report.scores import Scored, read_scores

SCORES = Path("evaluation", "scores.parquet")
EVALUATION = Path("evaluation", "evaluation.json")
EVALUATED = "a run that instructify evaluate has scored"


@dataclass(frozen=True, slots=True)
class Training:
    """One training run: its seed, what run.json says of it, and (step, loss) of every logged step."""

    seed: int
    facts: Mapping[str, Any]
    losses: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Experiment:
    """All that a report is made from; `manifest` and `build` are None when there is no build at hand."""

    evaluation: Mapping[str, Any]
    scored: tuple[Scored, ...]
    scores: Path
    scores_sha256: str
    trainings: tuple[Training, ...]
    build: Path | None
    manifest: Mapping[str, Any] | None


def read_experiment(run: Path, build: Path | None) -> Experiment:
    """Read a run folder and the build it was scored on; raises InstructifyError.

    Without `build` it is the one that evaluation.json names, as long as it is there and unchanged.
    """
    evaluation = _json(run / EVALUATION, EVALUATED)
    scores = run / SCORES
    if not scores.is_file():
        raise InstructifyError(Problem("there is no such file", str(scores), EVALUATED))
    digest = sha256(scores.read_bytes()).hexdigest()
    if digest != evaluation.get("scores_sha256", digest):
        what = f"is not the file that {EVALUATION.name} speaks of"
        raise InstructifyError(Problem(what, str(scores), EVALUATED))
    build, manifest = _build(evaluation.get("build", {}), build)
    folders = sorted((run / "finetune").glob("seed-*"), key=lambda path: (len(path.name), path.name))
    trainings = tuple(_training(folder) for folder in folders if (folder / "run.json").is_file())
    return Experiment(
        evaluation=evaluation,
        scored=read_scores(scores),
        scores=scores,
        scores_sha256=digest,
        trainings=trainings,
        build=build,
        manifest=manifest,
    )


def _build(scored: Mapping[str, Any], build: Path | None) -> tuple[Path | None, Mapping[str, Any] | None]:
    """Return the build that was scored and its manifest, or two Nones where it is not at hand."""
    named = build or Path(scored.get("path", ""))
    if build is None and not (named / MANIFEST).is_file():
        return None, None
    manifest = read_manifest(named)
    if manifest["content_hash"] == scored.get("content_hash", manifest["content_hash"]):
        return named, manifest
    if build is None:  # built anew since
        return None, None
    problem = Problem("is not the build that was scored", str(build), str(scored.get("content_hash")))
    raise InstructifyError(problem)


def read_prompts(build: Path, ids: Sequence[str]) -> dict[str, str]:
    """Return example id -> prompt, for those of `ids` that the evaluation part of a build holds."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = pa.array(ids, pa.string())
    prompts: dict[str, str] = {}
    entries = manifest_files(read_manifest(build))
    for entry in (entry for entry in entries if entry.part == "eval" and entry.format == "parquet"):
        with pq.ParquetFile(build / entry.path) as file:
            for batch in file.iter_batches(columns=["id", "inputs"]):
                found = batch.filter(pc.is_in(batch["id"], wanted))
                prompts.update(zip(found["id"].to_pylist(), found["inputs"].to_pylist(), strict=True))
    return prompts


def _training(folder: Path) -> Training:
    facts = _json(folder / "run.json")
    seed = facts.get("seed")
    if not isinstance(seed, int):
        raise InstructifyError(Problem("seed is missing", str(folder / "run.json"), "a whole number"))
    return Training(seed, facts, tuple(_losses(folder / "metrics.jsonl")))


def _losses(path: Path) -> list[tuple[int, float]]:
    if not path.is_file():
        return []
    found: dict[int, float] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            entry = json.loads(line)
            if "loss" in entry:  # a resumed run logs some steps again: the last counts
                found[int(entry["step"])] = float(entry["loss"])
        except (ValueError, TypeError, KeyError):
            problem = Problem("is no logged step", f"{path}:{number}", "an object with step and loss")
            raise InstructifyError(problem) from None
    return sorted(found.items())


def _json(path: Path, hint: str = "") -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InstructifyError(Problem("there is no such file", str(path), hint)) from None
    except ValueError as error:
        raise InstructifyError(Problem(f"is not JSON: {error}", str(path))) from None
    if not isinstance(data, dict):
        raise InstructifyError(Problem("is not a JSON object", str(path)))
    return data
