"""Estimates: what a build will weigh and take, from a keyed sample of rows that is rendered for the purpose.

The sample of a task is BLOCKS blocks of ROWS neighbouring rows at keyed places, the same rows under every
template. Each is rendered once and composed in every variant that the template has. Standard errors are
those of the jackknife over blocks (Efron and Stein 1981, "The jackknife estimate of variance"), so that
neighbouring rows that are alike do not make them too small, with the correction for a sample that is a large
part of the rows.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt

from instructify.build.composing import PoolFile, compiled, compose_rows
from instructify.build.plan import Plan, PlannedTask
from instructify.build.pools import chosen_rows, pool_table
from instructify.build.tables import write_table
from instructify.compose.budget import Budget
from instructify.compose.composition import Composed
from instructify.compose.schedule import counts
from instructify.keys import I64, Key, hexdigest
from instructify.recipe.variants import Variant
from instructify.render.compiled import Rows
from instructify.sources import read_rows
from instructify.templates import Template

F64 = npt.NDArray[np.float64]

BLOCKS, ROWS = 8, 2
LOTS = ((0, ROWS), (ROWS, 2 * ROWS), (2 * ROWS, BLOCKS * ROWS))
POOL_ROWS = 32
"""Rows that exemplars of the sample are drawn from."""


@dataclass(frozen=True, slots=True)
class Amount:
    """An expected amount and its standard error."""

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class TaskEstimate:
    """What one task's examples will amount to.

    `examples` are those left when rows are dropped as in the sample and the rest takes their place as far as
    it goes; `size` is in bytes of UTF-8 and `tokens` as the recipe's tokenizer counts, prompts and targets
    together. `tokens` is None without a tokenizer. `sampled` rows were rendered under each template;
    `dropped` is the share of them that made no example. `seconds` is about the time that one core needs to
    render and compose all of it.
    """

    task: str
    examples: Amount
    size: Amount
    tokens: Amount | None
    sampled: int
    dropped: float
    seconds: float


@dataclass(frozen=True, slots=True)
class _Sample:
    """The rows of a task's sample, in source order, and which block each belongs to."""

    rows: Rows
    block: I64
    count: int


@dataclass(slots=True)
class _Made:
    """What the sample made under one template, by variant and block; `seconds` is the time for one row."""

    kept: F64
    size: F64
    tokens: F64
    seconds: float = 0.0


def estimate(plan: Plan, work: Path) -> list[TaskEstimate]:
    """Return an estimate of every task; only the sample is rendered, and `work` holds its exemplars."""
    return [_task(plan, task, work) for task in plan.tasks]


def total(amounts: Iterable[Amount]) -> Amount:
    """Return the sum of independent amounts."""
    every = list(amounts)
    return Amount(sum(a.value for a in every), sqrt(sum(a.error**2 for a in every)))


def _task(plan: Plan, task: PlannedTask, work: Path) -> TaskEstimate:
    seed = plan.recipe.seed
    sample, pool = _rows(task, seed), _pool(task, seed, work)
    found = [
        _made(template, variants, task.draw_key(template, seed), sample, pool, plan.budget)
        for template, variants in zip(task.templates, task.variants, strict=True)
    ]
    tries = sum(one.kept.shape[0] for one in found) * len(sample.rows)
    return TaskEstimate(
        task.name,
        _amount(task, found, sample, "kept"),
        _amount(task, found, sample, "size"),
        _amount(task, found, sample, "tokens") if plan.budget else None,
        len(sample.rows),
        1 - sum(float(one.kept.sum()) for one in found) / tries,
        float(np.median([one.seconds for one in found])) * sum(task.quotas),
    )


def _rows(task: PlannedTask, seed: int) -> _Sample:
    import pyarrow as pa

    source = task.source
    if source.rows <= BLOCKS * ROWS:
        starts, each = np.arange(source.rows), 1
    else:
        key = Key.of("plan", seed, source.fingerprint, task.name)
        drawn = key.belows(source.rows // ROWS, np.arange(8 * BLOCKS))
        _, first = np.unique(drawn, return_index=True)
        starts, each = np.sort(drawn[np.sort(first)[:BLOCKS]]) * ROWS, ROWS
    starts = source.start + starts
    tables = [read_rows(source, start, start + each, task.columns) for start in starts.tolist()]
    numbers = (starts[:, None] + np.arange(each)).reshape(-1)
    block = np.repeat(np.arange(len(starts)), each)
    return _Sample(Rows(pa.concat_tables(tables), numbers), block, len(starts))


def _pool(task: PlannedTask, seed: int, work: Path) -> PoolFile | None:
    """Write a few rows that exemplars are drawn from; a build draws from more."""
    source = task.exemplars
    if source is None:
        return None
    chosen = source.start + chosen_rows(source.rows, Key.of("plan pool", seed, source.fingerprint, task.name))
    numbers = chosen[:: max(1, len(chosen) // POOL_ROWS)][:POOL_ROWS]
    table = pool_table(source, task.columns, numbers)
    name = hexdigest("plan pool", task.name, source.fingerprint, seed)[:32]
    work.mkdir(parents=True, exist_ok=True)
    path = work / f"{name}.arrows"
    with path.open("wb") as file:
        write_table(table, file)
    return PoolFile(path, name)


def _made(
    template: Template,
    variants: Sequence[Variant],
    draws: Key,
    sample: _Sample,
    pool: PoolFile | None,
    budget: Budget | None,
) -> _Made:
    """Render the sample in three lots: one that starts everything up, a small one and a large one.

    What the large lot takes longer than the small one is the time for its further rows.
    """
    shape = (len(variants), sample.count)
    made = _Made(np.zeros(shape), np.zeros(shape), np.zeros(shape))
    spent = []
    lots = [np.arange(start, stop) for start, stop in LOTS if start < len(sample.rows)]
    for lot in (lot[lot < len(sample.rows)] for lot in lots):
        rows = sample.rows.take(lot)
        began = time.perf_counter()
        batch = compiled(template).render(rows, draws)
        rendered = time.perf_counter()
        parts = [
            (number, part.composed)
            for number, variant in enumerate(variants)
            for part in compose_rows(
                template, (variant,), rows, np.arange(len(lot)), batch, draws, pool, budget
            )
        ]
        spent.append(rendered - began + (time.perf_counter() - rendered) / len(variants))
        for number, composed in parts:
            _count(made, number, sample.block[lot[composed.kept]], composed, budget)
    if len(spent) == len(LOTS):
        made.seconds = max(spent[2] - spent[1], spent[2] / 20) / (len(lots[2]) - len(lots[1]))
    else:
        made.seconds = spent[-1] / len(lots[-1])
    return made


def _count(made: _Made, variant: int, blocks: I64, composed: Composed, budget: Budget | None) -> None:
    import pyarrow.compute as pc

    np.add.at(made.kept[variant], blocks, 1)
    for column in (composed.texts.inputs, composed.texts.targets):
        np.add.at(made.size[variant], blocks, pc.binary_length(column).to_numpy(zero_copy_only=False))
        if budget is not None:
            np.add.at(made.tokens[variant], blocks, budget.measure(column.to_pylist())[0])


def _amount(task: PlannedTask, found: Sequence[_Made], sample: _Sample, name: str) -> Amount:
    every = np.arange(sample.count)
    whole = _expected(task, found, sample, name, every)
    if sample.count < 2:
        return Amount(whole, 0.0)
    without = np.array([_expected(task, found, sample, name, every[every != left]) for left in every])
    spread = float(((without - without.mean()) ** 2).sum()) * (sample.count - 1) / sample.count
    return Amount(whole, sqrt(spread * max(0.0, 1 - len(sample.rows) / task.source.rows)))


def _expected(task: PlannedTask, found: Sequence[_Made], sample: _Sample, name: str, blocks: I64) -> float:
    """Return the expected amount of all of a task's examples, told from some blocks of the sample.

    What a variant's examples have come to in the sample is carried over to its part of the quota, or to what
    drops leave of all places where that is less.
    """
    tried = int(np.isin(sample.block, blocks).sum())
    whole = 0.0
    for one, variants, quota in zip(found, task.variants, task.quotas, strict=True):
        kept, amounts = one.kept[:, blocks].sum(axis=1), getattr(one, name)[:, blocks].sum(axis=1)
        if not quota or not kept.sum():
            continue
        left = task.source.rows * task.epochs * float(kept.sum()) / (tried * len(variants))
        each = counts([variant.share for variant in variants], 0, quota)
        means = np.divide(amounts, kept, out=np.zeros(len(kept)), where=kept > 0)
        whole += min(1.0, left / quota) * float(np.array(each) @ means)
    return whole
