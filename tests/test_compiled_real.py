"""The compiled paths on real data: every golden case, and real rows with nulls under all templates."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compiled_kit import KEY, PATHS, force, make, outcomes_by_reference, outcomes_of
from instructify.render.compiled import BatchTemplate, Rows
from instructify.templates import Template
from instructify.templates.library import Collection, builtin_root
from instructify.templates.promptsource import installed_root
from instructify.world import build_table, world_names

SHARED = Path(__file__).resolve().parents[2] / "shared"
GOLDEN = SHARED / "conformance" / "promptsource"
MANIFEST = SHARED / "data" / "manifest.json"
COMPARED, INSTALLED = 44_374, 2_085
REAL_ROWS, EVERY, NULLS = 24, 7, 0.15

without_shared = pytest.mark.skipif(
    not (MANIFEST.is_file() and (GOLDEN / "cases.parquet").is_file()),
    reason="the real datasets and golden renderings are not beside the checkout",
)
without_promptsource = pytest.mark.skipif(installed_root() is None, reason="promptsource is not installed")


@lru_cache(maxsize=64)
def batch_template(template: Template, path: str) -> BatchTemplate:
    """Return a template compiled once for each path, because kernels are given up after some failures."""
    return BatchTemplate(template)


def unlike(template: Template, table: pa.Table, numbers: Any) -> list[tuple[Any, Any]]:
    """Return wanted and given outcomes where a compiled path differs from the reference."""
    wanted = outcomes_by_reference(template, table, numbers)
    found = []
    for path in PATHS:
        with force(path):
            batch = batch_template(template, path).render(Rows(table, numbers), KEY)
            given = outcomes_of(batch, table.num_rows)
        found += [pair for pair in zip(wanted, given, strict=True) if pair[0] != pair[1]]
    return found


def needed(template: Template, table: pa.Table) -> pa.Table:
    """Return the columns that a template reads, as a build would."""
    variables = BatchTemplate(template).reference.variables
    names = [name for name in table.column_names if name in variables]
    return table.select(names or table.column_names[:1])


@pytest.mark.shared
@without_shared
def test_every_golden_case_renders_the_same_on_every_path():
    templates = {
        (t["dataset"], t["subset"], t["template_id"]): t
        for t in pq.read_table(GOLDEN / "templates.parquet").to_pylist()
    }
    groups: dict[Any, list[pa.Table]] = defaultdict(list)
    for case in pq.read_table(GOLDEN / "cases.parquet").to_pylist():
        table = as_table(json.loads(case["row_json"]))
        if table is not None:
            key = case["dataset"], case["subset"], case["template_id"]
            groups[key, case["truncate"], str(table.schema)].append(table)
    compared, bad = 0, []
    for (key, truncate, _), tables in groups.items():
        source = templates[key]
        template = make(source["jinja"], choices=source["answer_choices_expr"], truncate=truncate)
        table = pa.concat_tables(tables).combine_chunks()
        bad += [(key, *pair) for pair in unlike(template, table, np.arange(7, 7 + table.num_rows))]
        compared += table.num_rows
    assert bad == []
    assert compared == COMPARED


def as_table(row: dict[str, Any]) -> pa.Table | None:
    """Return a row as Arrow, or None where Arrow cannot hold its values as they are."""
    try:
        table = pa.Table.from_pylist([row])
    except (pa.ArrowException, TypeError):
        return None
    return table if repr(table.to_pylist()) == repr([row]) else None


def nulled(value: Any, rng: random.Random) -> Any:
    """Return a value with nulls planted at every level."""
    if rng.random() < NULLS:
        return None
    if isinstance(value, dict):
        return {key: nulled(item, rng) for key, item in value.items()}
    return [nulled(item, rng) for item in value] if isinstance(value, list) else value


def with_nulls(table: pa.Table, rng: random.Random) -> pa.Table:
    """Return a table of the same rows with nulls planted."""
    rows = [{name: nulled(value, rng) for name, value in row.items()} for row in table.to_pylist()]
    return pa.Table.from_pylist(rows, table.schema)


def differences(table: pa.Table, templates: list[Template]) -> list[Any]:
    """Return what differs between the paths, on a table and on the same with nulls."""
    bad = []
    for rows in (table, with_nulls(table, random.Random(5))):
        for template in templates:
            taken = needed(template, rows).combine_chunks()
            numbers = np.arange(100, 100 + taken.num_rows)
            bad += [(template.dataset, template.name, *pair) for pair in unlike(template, taken, numbers)]
    return bad


@pytest.mark.shared
@without_shared
@without_promptsource
def test_real_rows_render_the_same_under_all_their_templates():
    collection = Collection("promptsource", installed_root())
    datasets = [d for d in json.loads(MANIFEST.read_text())["datasets"] if d["promptsource"]]
    bad, seen = [], 0
    for dataset in datasets:
        file = MANIFEST.parent / next(iter(dataset["splits"].values()))["file"]
        table = pq.read_table(file)
        if dataset["name"] == "trec":
            table = table.rename_columns(["text", "label_coarse", "label_fine"])
        table = table.take(np.arange(0, min(table.num_rows, REAL_ROWS * EVERY), EVERY))
        templates = collection.templates(dataset["name"], False)
        assert templates
        seen += len(templates)
        bad += differences(table, templates)
    assert bad == []
    assert len(datasets) >= 5
    assert seen >= 50


@without_promptsource
def test_all_installed_templates_compile():
    collection = Collection("promptsource", installed_root())
    templates = [t for name in collection.datasets() for t in collection.templates(name, False)]
    refused = [t.where for t in templates if BatchTemplate(t).refusal is not None]
    assert len(templates) == INSTALLED
    assert refused == []


def world() -> list[tuple[str, list[Template]]]:
    """Return the worlds with their templates."""
    collection = Collection("builtin", builtin_root())
    return [(name, collection.templates(f"world/{name}", False)) for name in world_names()]


def test_every_world_template_compiles():
    found = world()
    assert len(found) == len(world_names()) > 5
    assert all(templates for _, templates in found)
    assert [t.where for _, templates in found for t in templates if BatchTemplate(t).refusal] == []


def test_world_rows_render_the_same_on_every_path():
    bad = []
    for name, templates in world():
        bad += differences(build_table(name, "train", 2 * REAL_ROWS), templates)
    assert bad == []


@pytest.mark.parametrize("path", PATHS)
def test_the_path_asked_for_is_the_one_taken(path):
    template = next(t for _, templates in world() for t in templates)
    name = template.dataset.removeprefix("world/")
    table = build_table(name, "train", 80)
    with force(path):
        batch = BatchTemplate(template).render(Rows(needed(template, table), np.arange(80)), KEY)
    assert (batch.by_kernels > 0) == (path == "kernels")
