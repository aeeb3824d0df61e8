"""Pools: the rows of a task's training split that may be exemplars, chosen by key and read once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from instructify.build.composing import ROW, PoolFile
from instructify.build.leaks import Leaks
from instructify.build.plan import Plan, PlannedTask
from instructify.build.tables import write_table
from instructify.keys import I64, Key, hexdigest, positions
from instructify.publish.stage import Stage
from instructify.sources import read_rows
from instructify.types import OpenSource

if TYPE_CHECKING:
    import pyarrow as pa

POOL_ROWS = 256
WHOLE = 32_768
"""Sources with at most so many rows give single rows; larger ones give BLOCK rows at a time."""
BLOCK = 16


def write_pools(plan: Plan, stage: Stage, leaks: Leaks) -> dict[str, PoolFile]:
    """Return the pool of every task that composes few-shot examples, by task name; no leak is in any."""
    pools = {}
    for task in plan.tasks:
        if task.exemplars is None:
            continue
        write = partial(write_table, _rows(task, plan.recipe.seed, leaks))
        name = hexdigest(task.exemplars.fingerprint, plan.recipe.seed, task.name, *task.columns)[:32]
        record = stage.write(f"pools/{name}.arrows", write, {})
        pools[task.name] = PoolFile(stage.staging / record.path, record.digest)
    return pools


def _rows(task: PlannedTask, seed: int, leaks: Leaks) -> pa.Table:
    """Return the rows of a pool, with their numbers in the column ROW."""
    source = task.exemplars
    assert source is not None  # noqa: S101  (the caller asked)
    numbers = source.start + chosen_rows(source.rows, Key.of("pool", seed, source.fingerprint, task.name))
    if task.role == "train":
        for rows in leaks.excluded.get(task.name, {}).values():
            numbers = numbers[~np.isin(numbers, rows)]
    return pool_table(source, task.columns, numbers)


def pool_table(source: OpenSource, columns: Sequence[str], numbers: I64) -> pa.Table:
    """Return rows of a source by their numbers, with these in the column ROW, the last one."""
    import pyarrow as pa

    if not columns:
        return pa.table({ROW: numbers})
    tables = [read_rows(source, row, row + 1, columns) for row in numbers.tolist()]
    table = pa.concat_tables([read_rows(source, source.start, source.start, columns), *tables])
    return table.append_column(ROW, pa.array(numbers)).combine_chunks()


def chosen_rows(count: int, key: Key) -> I64:
    """Return which of so many rows are in the pool, in ascending order."""
    if count <= WHOLE:
        return np.flatnonzero(positions(key, count, np.arange(count)) < POOL_ROWS)
    blocks = key.belows(count // BLOCK, np.arange(8 * POOL_ROWS // BLOCK))
    _, first = np.unique(blocks, return_index=True)
    starts = np.sort(blocks[np.sort(first)][: POOL_ROWS // BLOCK]) * BLOCK
    return (starts[:, None] + np.arange(BLOCK)).reshape(-1)
