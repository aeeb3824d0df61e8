"""Makes the sheets of a preview, and makes them anew when files change."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from instructify.build.composing import PoolFile
from instructify.build.leaks import Leaks
from instructify.build.plan import Plan, PlannedTask
from instructify.build.pools import write_pools
from instructify.build.sample import first_rows
from instructify.compose.schedule import supports
from instructify.errors import InstructifyError, Problem
from instructify.keys import I64, positions
from instructify.preview.compose import Composing, outcomes
from instructify.preview.model import Card, Outcome, Sheet
from instructify.preview.saved import Saved, difference, parsed, saved_versions
from instructify.preview.target import Found, reread
from instructify.publish.stage import Stage
from instructify.recipe.variants import Variant
from instructify.render.compiled import Rows
from instructify.render.reference import reference
from instructify.sources import read_rows
from instructify.templates import Template, ours
from instructify.types import OpenSource

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Bench:
    """Tasks with the rows that are looked at, all their columns, read once.

    `tables` and `numbers` are in the order of `found.tasks`. `against` is the file to compare a template
    with; without one, templates are compared with HEAD.
    """

    found: Found
    tables: tuple[pa.Table, ...]
    numbers: tuple[I64, ...]
    work: Path
    against: Path | None = None
    pools: dict[tuple[str, ...], PoolFile] = field(default_factory=dict)
    """Written pools of exemplars, by task name and columns."""

    @property
    def folders(self) -> set[Path]:
        """The folders of the templates."""
        templates = [template for task in self.found.tasks for template in task.templates]
        return {Path(template.origin).parent for template in templates}

    @property
    def columns(self) -> list[tuple[str, ...]]:
        """What the templates of each task read; exemplars depend on it."""
        return [task.columns for task in self.found.tasks]


def open_bench(
    found: Found, count: int, rows: Sequence[int], work: Path, against: Path | None = None
) -> Bench:
    """Return a bench with some rows of every task: those named, or the first `count` of its row order.

    Raises InstructifyError for a row that is not there, and for several templates against one file.
    """
    if against is not None and sum(len(task.templates) for task in found.tasks) != 1:
        raise InstructifyError(Problem("only one template can be compared with a file", "--against"))
    seed = found.loaded.recipe.seed
    numbers = []
    for task in found.tasks:
        chosen = _checked_rows(task, rows) if rows else first_rows(task, seed, count)
        numbers.append(np.array(chosen, np.int64))
    tables = [_table(task.source, own) for task, own in zip(found.tasks, numbers, strict=True)]
    return Bench(found, tuple(tables), tuple(numbers), work, against)


def refreshed(bench: Bench) -> Bench:
    """Return the bench with templates as their files are now; the rows stay. Raises InstructifyError."""
    return replace(bench, found=reread(bench.found))


def sheets(bench: Bench, before: Sequence[Sheet] = ()) -> list[Sheet]:
    """Return a sheet for every template; one in `before` whose template is the same is taken as it is."""
    known = {(sheet.task, sheet.template): sheet for sheet in before}
    made = []
    for task, table, numbers in zip(bench.found.tasks, bench.tables, bench.numbers, strict=True):
        new = [template for template in task.templates if (task.name, template) not in known]
        saved = saved_versions(new, bench.against)
        pool = _pool(bench, task) if new else None
        for template, variants in zip(task.templates, task.variants, strict=True):
            sheet = known.get((task.name, template))
            if sheet is None:
                groups = [variants] if bench.found.scheduled else [(variant,) for variant in variants]
                how = Composing(
                    groups,
                    _rows(table, numbers, task.columns),
                    positions(
                        task.row_key(template, _seed(bench)), task.source.rows, numbers - task.source.start
                    ),
                    task.draw_key(template, _seed(bench)),
                    pool,
                    bench.found.budget,
                )
                sheet = _sheet(task, template, how, table, saved.get(template.origin))
            made.append(sheet)
    return made


def _sheet(
    task: PlannedTask, template: Template, how: Composing, table: pa.Table, saved: Saved | None
) -> Sheet:
    now = outcomes(template, how)
    was: Mapping[tuple[int, str], Outcome] = {}
    diff: tuple[str, ...] = ()
    if saved is not None:
        diff = difference(saved, ours.read_text(Path(template.origin)), Path(template.origin).name)
        was = _was(task, template, how, table, saved) if diff else {}
    numbers = how.rows.numbers
    order = {variant.name: n for n, variant in enumerate(v for group in how.groups for v in group)}
    cards = [
        Card(int(numbers[row]), variant, now[row, variant], was.get((row, variant)))
        for row, variant in sorted(now, key=lambda place: (place[0], order[place[1]]))
    ]
    return Sheet(task.name, template, tuple(cards), diff)


def _was(
    task: PlannedTask, template: Template, how: Composing, table: pa.Table, saved: Saved
) -> Mapping[tuple[int, str], Outcome]:
    """Return what the saved version makes of the rows, with the draws of the new one.

    Variants that it cannot be composed in are left out; exemplars have only the columns that the templates
    of the task read now.
    """
    old = parsed(saved, template)
    if old is None:
        return {}
    try:
        used = reference(old).variables & set(table.column_names)
    except InstructifyError:
        return {}
    lacks = bool(used - set(task.columns))
    groups = [
        group
        for group in how.groups
        if all(supports(old, variant) and not (lacks and variant.shot_range[1]) for variant in group)
    ]
    columns = [name for name in table.column_names if name in used or name in task.columns]
    return outcomes(old, replace(how, groups=groups, rows=_rows(table, how.rows.numbers, columns)))


def _pool(bench: Bench, task: PlannedTask) -> PoolFile | None:
    """Return the rows that exemplars are drawn from, where some variant has exemplars."""
    variants: list[Variant] = [variant for own in task.variants for variant in own]
    if task.exemplars is None or not any(variant.shot_range[1] for variant in variants):
        return None
    key = (task.name, *task.columns)
    if key not in bench.pools:
        folder = Path(tempfile.mkdtemp(dir=bench.work))
        plan = Plan(bench.found.loaded.recipe, (task,), None, ())
        bench.pools[key] = write_pools(plan, Stage(folder / "out", folder), Leaks())[task.name]
    return bench.pools[key]


def _seed(bench: Bench) -> int:
    return bench.found.loaded.recipe.seed


def _checked_rows(task: PlannedTask, rows: Sequence[int]) -> list[int]:
    source = task.source
    wrong = [row for row in rows if not source.start <= row < source.stop]
    if wrong:
        expected = f"an index in {source.start}..{source.stop - 1}"
        raise InstructifyError(Problem(f"there is no row {wrong[0]}", task.name, expected))
    return list(rows)


def _table(source: OpenSource, numbers: I64) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables([read_rows(source, n, n + 1, source.columns) for n in numbers.tolist()])


def _rows(table: pa.Table, numbers: I64, columns: Sequence[str]) -> Rows:
    """Return rows with some columns of a table; with one column where none is read, for the rows' sake."""
    return Rows(table.select(list(columns) or table.column_names[:1]).combine_chunks(), numbers)
