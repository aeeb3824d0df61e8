"""Times loading promptsource's templates, and rendering a whole recipe, beside the reference alone.

    python scripts/bench_recipe.py RECIPE --data-root DIR

Every template of every task renders as many rows as its quota asks for, first ours, then the reference, row
by row; CPU seconds of one process, rows read before. Trust the ratio of one run, not the seconds.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from pathlib import Path

import numpy as np

from instructify.build.fields import fields_read
from instructify.build.plan import PlannedTask, make_plan
from instructify.keys import Key
from instructify.recipe.load import load_recipe
from instructify.render.compiled import BatchTemplate, Rows
from instructify.render.compiled.trees import CannotCompile
from instructify.sources import read_rows, source_schema
from instructify.templates import open_library

KEY = Key.of("bench")
BATCH = 16_384


def loading() -> tuple[int, int, float]:
    """Return how many files and templates promptsource has, and the seconds it takes to load all of them."""
    began = time.perf_counter()
    (collection,) = open_library(["promptsource"], Path()).collections
    datasets = collection.datasets()
    count = sum(len(collection.templates(dataset, truncate=False)) for dataset in datasets)
    return len(datasets), count, time.perf_counter() - began


def rendering(task: PlannedTask) -> tuple[int, float, float]:
    """Return the examples a task asks for, and CPU seconds of rendering them: ours, and the reference's."""
    compiled = [BatchTemplate(template) for template in task.templates]
    fields = fields_read(compiled, source_schema(task.source))
    ours = theirs = 0.0
    source = task.source
    for start in range(source.start, source.start + max(task.quotas), BATCH):
        stop = min(start + BATCH, source.stop)
        table = read_rows(source, start, stop, task.columns, fields)
        shared: dict[tuple[int, bool], Rows] = {}  # templates share their rows in a build, too
        for template, quota in zip(compiled, task.quotas, strict=True):
            count = min(stop - start, quota - (start - source.start))
            if count > 0:
                numbers = np.arange(start, start + count, dtype=np.int64)
                for refused in (False, True):
                    shared.setdefault((count, refused), Rows(table.slice(0, count), numbers))
                ours += seconds(template, shared[count, False])
                theirs += seconds(by_reference(template), shared[count, True])
    return sum(task.quotas), ours, theirs


def by_reference(template: BatchTemplate) -> BatchTemplate:
    """Return a template that has nothing but the reference."""
    alone = BatchTemplate(template.template)
    alone.refusal = CannotCompile("for the bench", 1)
    return alone


def seconds(template: BatchTemplate, rows: Rows) -> float:
    """Return the CPU seconds it takes to render some rows."""
    began = time.process_time()
    template.render(rows, KEY)
    return time.process_time() - began


def main() -> None:
    """Run the bench over the recipe that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data-root", type=Path)
    chosen = parser.parse_args()
    files, templates, took = loading()
    print(f"{files} files with {templates:,} templates load in {took:.2f} s", flush=True)
    with tempfile.TemporaryDirectory() as work:
        plan = make_plan(load_recipe(chosen.recipe), Path(work), chosen.data_root)
        gc.collect()
        gc.freeze()
        rendering(plan.tasks[0])  # what is imported at first use
        found = [rendering(task) for task in plan.tasks]
    examples, ours, theirs = (sum(column) for column in zip(*found, strict=True))
    count = sum(len(task.templates) for task in plan.tasks)
    print(
        f"{len(plan.tasks)} tasks, {count} templates, {examples:,} examples: {ours:.2f} s, "
        f"{theirs:.2f} s by the reference alone, x{theirs / ours:.1f}"
    )


if __name__ == "__main__":
    main()
