"""Examples that tuning set right or wrong, drawn by key and not picked by eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from instructify.keys import Key
from instructify.report.findings import Finding
from instructify.report.scores import BASE, TUNED, Scored

EACH_WAY = 2

Where = tuple[str, str, str, int, str]
"""Task, variant, template, document and model."""


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
        key = Key.of("flips", scored.title, scored.metric, int(gained))
        order = np.argsort(key.draws(np.arange(len(cells))), kind="stable")[:EACH_WAY]
        found += [
            Place(scored.templates[t], int(scored.documents[d]), gained) for t, d in cells[order].tolist()
        ]
    return counts[0], counts[1], found


def read_rows(path: Path, documents: Sequence[int]) -> dict[Where, Any]:
    """Return the rows of base and tuned model on some documents.

    Of the tuned model only the first seed is there.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    columns = ["task", "template", "document", "model", "seed", "example_id", "choices", "loglikelihoods"]
    columns += ["predicted", "prediction", "target", "variant"]
    rows: dict[Where, Any] = {}
    near = pc.field("document").isin(sorted(set(documents))) & pc.field("model").isin([BASE, TUNED])
    for row in pq.read_table(path, columns=columns, filters=near).to_pylist():
        where = (row["task"], row["variant"], row["template"], row["document"], row["model"])
        if where not in rows or (row["seed"] or 0) < (rows[where]["seed"] or 0):
            rows[where] = row
    return rows


def row_at(rows: Mapping[Where, Any], scored: Scored, place: Place, model: str = BASE) -> Any:
    """Return the row of a model at a place."""
    return rows[scored.task, scored.variant, place.template, place.document, model]


def flip(scored: Scored, place: Place, rows: Mapping[Where, Any], prompts: Mapping[str, str]) -> Flip:
    """Return the example at a place, with both models' answers."""
    before, after = (row_at(rows, scored, place, model) for model in (BASE, TUNED))
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
