"""Renders a few rows of every template before the first shard: what cannot work is said at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from instructify.build.plan import Plan, PlannedTask
from instructify.checks import Checked, check
from instructify.errors import InstructifyError, Problem, RowError
from instructify.keys import positions
from instructify.render.reference import reference
from instructify.sources import read_rows
from instructify.templates import Template

SAMPLE = 4
FATAL = "over-budget"


@dataclass(frozen=True, slots=True)
class Sampled:
    """One row under one template: the example it makes, or the reason it is dropped for."""

    template: Template
    row: int
    example: Checked | None
    reason: str = ""
    detail: str = ""


def sample(task: PlannedTask, seed: int, rows: list[int]) -> Iterator[Sampled]:
    """Yield what each template of a task makes of the given rows (indices in the whole split)."""
    tables = [read_rows(task.source, row, row + 1, task.columns).to_pylist()[0] for row in rows]
    for template in task.templates:
        key = task.draw_key(template, seed)
        for number, row in zip(rows, tables, strict=True):
            try:
                yield Sampled(template, number, check(reference(template).render(row, key, number)))
            except RowError as error:
                yield Sampled(template, number, None, error.reason, error.detail)


def first_rows(task: PlannedTask, seed: int, count: int) -> list[int]:
    """Return the rows that come first in the keyed order of the task's first template, nearby rows only.

    Looks among the first 1,024 rows of the source, so that a preview never reads a whole dataset.
    """
    near = np.arange(min(task.source.rows, 1_024), dtype=np.int64)
    places = positions(task.row_key(task.templates[0], seed), task.source.rows, near)
    return [task.source.start + int(row) for row in near[np.argsort(places)][:count]]


def preflight(plan: Plan) -> None:
    """Raise InstructifyError when a template spends its budget on any of a few sample rows.

    A template may drop a row for what the row holds; one that runs away on ordinary rows is at fault.
    """
    problems = []
    for task in plan.tasks:
        rows = first_rows(task, plan.recipe.seed, SAMPLE)
        for found in sample(task, plan.recipe.seed, rows):
            if found.reason == FATAL:
                problems.append(
                    Problem(
                        f"template {found.template.name!r} does not finish row {found.row} of {task.name}: "
                        f"{found.detail}",
                        found.template.where,
                    )
                )
                break
    if problems:
        raise InstructifyError(*problems)
