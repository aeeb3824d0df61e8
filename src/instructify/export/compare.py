"""Compare our scores with those that lm-evaluation-harness logged for the exported tasks."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instructify.errors import InstructifyError, Problem
from instructify.publish.files import io_errors

TOLERANCE = 1e-3
"""Largest difference of two log-likelihoods that counts as agreement, in nats."""
_SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One task of the harness: accuracies, documents whose choice differs, the largest difference in nats.

    `tied` of the differing choices have the same log-likelihood as ours, as choices of the same tokens do:
    then ours is the first of them, the harness's the one that rounding favoured. `missing` documents have no
    score of ours and are left out of all else.
    """

    name: str
    documents: int
    missing: int
    ours: float
    theirs: float
    differing: int
    tied: int
    largest: float

    @property
    def agrees(self) -> bool:
        """Whether every document has a score of ours, and choices, accuracy and log-likelihoods agree."""
        return (
            self.documents > 0
            and self.missing == 0
            and self.differing == 0
            and f"{self.ours:.4f}" == f"{self.theirs:.4f}"
            and self.largest <= TOLERANCE
        )


def compare(scores: Path, results: Path, model: str = "base", seed: int | None = None) -> list[Comparison]:
    """Return one comparison for each exported task in a results folder of the harness, by name.

    Of a task that was run several times the latest counts. `model` and `seed` pick the scores of ours.

    Raises:
        InstructifyError: the folder holds no logged samples of exported tasks, or the scores no ranked rows
            of that model.
    """
    ours = _ours(scores, model, seed)
    found = [_compare(name, _read(path), ours) for name, path in sorted(_samples(results).items())]
    if not found:
        what = "no logged samples of exported tasks"
        raise InstructifyError(Problem(what, str(results), "an --output_path of lm_eval run --log_samples"))
    return found


def _ours(scores: Path, model: str, seed: int | None) -> dict[str, Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not scores.is_file():
        raise InstructifyError(Problem("there is no such file", str(scores), "scores.parquet"))
    columns = ["example_id", "model", "seed", "kind", "loglikelihoods", "label", "predicted"]
    try:
        rows = pq.read_table(scores, columns=columns).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InstructifyError(Problem(f"cannot be read: {error}", str(scores), "scores.parquet")) from error
    chosen = [row for row in rows if row["kind"] == "rank" and (row["model"], row["seed"]) == (model, seed)]
    if not chosen:
        known = sorted({_title(row["model"], row["seed"]) for row in rows})
        what = f"no ranked scores of {_title(model, seed)}"
        raise InstructifyError(Problem(what, str(scores), f"one of {', '.join(known)}"))
    return {row["example_id"]: row for row in chosen}


def _title(model: str, seed: int | None) -> str:
    return model if seed is None else f"{model} with seed {seed}"


def _samples(results: Path) -> dict[str, Path]:
    """Return the latest file of logged samples by task."""
    latest: dict[str, tuple[str, Path]] = {}
    for path in sorted(results.rglob("samples_instructify_*.jsonl")):
        if name := _SAMPLES.fullmatch(path.name):
            latest[name["task"]] = max(latest.get(name["task"], ("", path)), (name["date"], path))
    return {task: path for task, (_, path) in latest.items()}


def _read(path: Path) -> Iterator[tuple[str, list[float], float]]:
    """Yield example id, log-likelihood of each choice, and accuracy of each logged sample."""
    number = 0
    with io_errors(path, "read"), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield _sample(json.loads(line))
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
                what = f"not a logged sample of an exported task: {error!r}"
                raise InstructifyError(Problem(what, f"{path}:{number}")) from error
    if not number:
        what = "holds no logged sample, so that nothing can agree"
        raise InstructifyError(Problem(what, str(path), "what lm_eval --log_samples writes"))


def _sample(sample: Any) -> tuple[str, list[float], float]:
    """Return example id, log-likelihoods and accuracy; raises ValueError, KeyError or TypeError."""
    example, logs = sample["doc"]["example_id"], [float(value) for value, _ in sample["filtered_resps"]]
    if not isinstance(example, str) or not logs:
        raise ValueError("example_id is no text, or there are no choices")
    return example, logs, float(sample["acc"])


def _compare(
    name: str, samples: Iterator[tuple[str, list[float], float]], ours: Mapping[str, Mapping[str, Any]]
) -> Comparison:
    missing = differing = tied = 0
    hits: list[tuple[bool, float]] = []
    largest = 0.0
    for example, logs, accuracy in samples:
        row = ours.get(example)
        if row is None or len(row["loglikelihoods"]) != len(logs):
            missing += 1
            continue
        mine, theirs = row["loglikelihoods"], logs.index(max(logs))
        differing += theirs != row["predicted"]
        tied += theirs != row["predicted"] and mine[theirs] == mine[row["predicted"]]
        hits.append((row["predicted"] == row["label"], accuracy))
        gaps = [abs(a - b) for a, b in zip(mine, logs, strict=True)]
        largest = max(largest, *(gap if math.isfinite(gap) else math.inf for gap in gaps))
    right = _mean([float(hit) for hit, _ in hits]), _mean([theirs for _, theirs in hits])
    return Comparison(name, len(hits), missing, *right, differing, tied, largest)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
