"""Composing a few rows as a build does: by the same code, with the same draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from instructify.build.composing import PoolFile, compiled, compose_rows
from instructify.checks import check
from instructify.compose.budget import Budget
from instructify.compose.composition import Composed
from instructify.compose.schedule import schedule
from instructify.errors import RowError
from instructify.keys import I64, Key
from instructify.preview.model import Example, Outcome, Size
from instructify.recipe.variants import Variant
from instructify.render.compiled import Rows
from instructify.templates import Template

Outcomes = Mapping[tuple[int, str], Outcome]
"""What becomes of rows, by their index and the name of the variant."""


@dataclass(frozen=True, slots=True)
class Composing:
    """How some rows are composed under one template.

    Every row is composed once in each of `groups`: where a group has several variants, the row's place in the
    template's order says which. `places` are those places.
    """

    groups: Sequence[Sequence[Variant]]
    rows: Rows
    places: I64
    draws: Key
    pool: PoolFile | None
    budget: Budget | None


def outcomes(template: Template, how: Composing) -> Outcomes:
    """Return what becomes of every row, with what the budget cut and the tokens that are left."""
    made = _composed(template, how, how.budget)
    if how.budget is None:
        return made
    whole = _composed(template, how, None)
    return {place: _measured(one, whole[place], how.budget) for place, one in made.items()}


def _composed(template: Template, how: Composing, budget: Budget | None) -> dict[tuple[int, str], Outcome]:
    batch = compiled(template).render(how.rows, how.draws)
    found: dict[tuple[int, str], Outcome] = {}
    for group in how.groups:
        which = schedule([variant.share for variant in group], how.places)
        for reason, fallen in batch.dropped.items():
            for row in fallen:
                detail = _detail(template, how, row)
                found[row, group[which[row]].name] = Outcome(None, reason, detail)
        for part in compose_rows(template, group, how.rows, how.places, batch, how.draws, how.pool, budget):
            name = group[part.variant].name
            for at, row in enumerate(part.composed.kept.tolist()):
                found[row, name] = Outcome(_example(part.composed, at))
            for reason, rows in part.composed.dropped.items():
                found |= {(row, name): Outcome(None, reason) for row in rows.tolist()}
    return found


def _detail(template: Template, how: Composing, row: int) -> str:
    """Return what the reference says of a row that is dropped."""
    values = how.rows.table.slice(row, 1).to_pylist()[0]
    try:
        check(compiled(template).reference.render(values, how.draws, int(how.rows.numbers[row])))
    except RowError as error:
        return error.detail
    return ""


def _example(composed: Composed, at: int) -> Example:
    texts, shown = composed.texts, composed.shown
    inputs: str = texts.inputs[at].as_py()
    exemplars: tuple[int, ...] = ()
    query = 0
    if shown is not None:
        exemplars = tuple(shown.exemplars[at].as_py() or ())
        query = max(0, inputs.rfind(shown.turns[at].as_py()[-1])) if exemplars else 0
    choices = _at(texts.choices, at)
    return Example(
        inputs,
        texts.targets[at].as_py(),
        None if choices is None else tuple(choices),
        _at(texts.labels, at),
        _at(texts.rationales, at),
        exemplars,
        query,
        _at(composed.cut, at) or 0,
    )


def _at(column: Any, at: int) -> Any:
    return None if column is None else column[at].as_py()


def _measured(outcome: Outcome, whole: Outcome, budget: Budget) -> Outcome:
    """Return an outcome with its tokens, and with what the budget took from the whole prompt."""
    example, before = outcome.example, whole.example
    if example is None or before is None:
        return outcome
    counts, _, unknown = budget.measure([example.inputs, example.targets])
    example = replace(
        example,
        size=Size(counts[0], counts[1], tuple(dict.fromkeys(unknown))),
        dropped_shots=len(before.exemplars) - len(example.exemplars),
    )
    if not example.cut or example.dropped_shots:
        return Outcome(example)
    gap = _common(example.inputs, before.inputs)
    gone = before.inputs[gap : gap + example.cut]
    return Outcome(replace(example, gap=gap, gone=gone))


def _common(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their beginnings."""
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
