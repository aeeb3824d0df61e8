"""Examples that tuning set right or wrong, drawn by key and not picked by eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from instructify.keys import Key
from instructify.report.findings import Finding
from instructify.report.scores import BASE, TUNED, prompt_names

EACH_WAY = 2

Rows = dict[tuple[str, str, int, str], Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one model answered: the choice or text, and the log-likelihood of each choice (or none)."""

    text: str
    loglikelihoods: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Flip:
    """One example whose score crossed a half; `prompt` is empty where no build was at hand."""

    template: str
    document: int
    gained: bool
    prompt: str
    choices: tuple[str, ...]
    target: str
    before: Answer
    after: Answer


@dataclass(frozen=True, slots=True)
class Place:
    """Where a flip stands: template and document of a dataset."""

    template: str
    document: int
    gained: bool


def places(finding: Finding) -> tuple[int, int, list[Place]]:
    """Return how many examples were set right and set wrong under the first seed, and some of each."""
    scored = finding.scored
    before, after = scored.models[BASE][0], scored.models[TUNED][0]
    found: list[Place] = []
    counts = []
    for gained in (True, False):
        low, high = (before, after) if gained else (after, before)
        cells = np.argwhere((low < 0.5) & (high >= 0.5))
        counts.append(len(cells))
        key = Key.of("flips", scored.task, scored.metric, int(gained))
        order = np.argsort(key.draws(np.arange(len(cells))), kind="stable")[:EACH_WAY]
        found += [
            Place(scored.templates[t], int(scored.documents[d]), gained) for t, d in cells[order].tolist()
        ]
    return counts[0], counts[1], found


def read_rows(path: Path, documents: Sequence[int]) -> Rows:
    """Return (task, prompt, document, model) -> row, of base and tuned model on some documents.

    Of the tuned model only the first seed is there.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    columns = ["task", "template", "document", "model", "seed", "example_id", "choices", "loglikelihoods"]
    columns += ["predicted", "prediction", "target", "variant"]
    rows: Rows = {}
    near = pc.field("document").isin(sorted(set(documents))) & pc.field("model").isin([BASE, TUNED])
    for row in pq.read_table(path, columns=columns, filters=near).to_pylist():
        prompt = str(prompt_names([row["template"]], [row["variant"]])[0])
        where = (row["task"], prompt, row["document"], row["model"])
        if where not in rows or (row["seed"] or 0) < (rows[where]["seed"] or 0):
            rows[where] = row
    return rows


def flip(
    task: str, place: Place, rows: Mapping[tuple[str, str, int, str], Any], prompts: Mapping[str, str]
) -> Flip:
    """Return the example at a place, with both models' answers."""
    before, after = (rows[task, place.template, place.document, model] for model in (BASE, TUNED))
    return Flip(
        place.template,
        place.document,
        place.gained,
        prompts.get(before["example_id"], ""),
        tuple(before["choices"] or ()),
        before["target"] or "",
        _answer(before),
        _answer(after),
    )


def _answer(row: Mapping[str, Any]) -> Answer:
    if row["choices"] and row["predicted"] is not None:
        return Answer(row["choices"][row["predicted"]], tuple(row["loglikelihoods"] or ()))
    return Answer(row["prediction"] or "", ())
