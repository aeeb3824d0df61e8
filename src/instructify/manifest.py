"""What the manifest says of a build: recipe, sources, templates, ledgers and hashes; no clock, no machine."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from instructify.build.actual import variant_counts
from instructify.build.gate import LeakCount
from instructify.build.leaks import Leaks, NgramCount
from instructify.build.plan import Plan, PlannedTask
from instructify.build.tokens import TaskTokens
from instructify.keys import hexdigest
from instructify.publish.files import FileRecord
from instructify.recipe.load import LoadedRecipe
from instructify.recipe.models import recipe_data
from instructify.types import Ledger, Part

PACKAGES = ("instructify", "jinja2", "pyarrow", "datasets", "numpy")


def manifest_document(
    loaded: LoadedRecipe,
    plan: Plan,
    ledgers: Sequence[Ledger],
    contents: Mapping[Part, str],
    records: Sequence[FileRecord],
    leaks: Leaks,
    shared: Sequence[NgramCount],
    tokens: Sequence[TaskTokens],
    code: str,
) -> dict[str, Any]:
    """Return the manifest without its list of files; equal for equal recipes, sources, code and versions."""
    return {
        "name": plan.recipe.name,
        "recipe": recipe_data(plan.recipe),
        "recipe_sha256": loaded.text_sha256,
        "content_hash": hexdigest("build", *(f"{part} {contents[part]}" for part in sorted(contents))),
        "parts": {
            part: {
                "content_hash": digest,
                "examples": sum(ledger.kept for ledger in ledgers if _part(ledger) == part),
            }
            for part, digest in sorted(contents.items())
        },
        "tasks": [_task(task) for task in plan.tasks],
        "mixture": [
            {
                "task": name,
                "due": due,
                "offered": plan.mixture.offered[name],
                "quota": plan.mixture.given(name),
            }
            for name, due in plan.mixture.due.items()
        ],
        "variants": [asdict(count) for count in variant_counts(plan, records)],
        "ledgers": [ledger.as_json() for ledger in ledgers],
        "leaks": [_leak(count) for count in leaks.counts],
        "leaked_examples": [asdict(count) for count in shared],
        "tokens": [task.as_json() for task in tokens],
        "notes": list(plan.notes),
        "versions": versions(),
        "code": code,
    }


def versions() -> dict[str, str]:
    """Return the versions that may decide a byte of a build."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


def _part(ledger: Ledger) -> Part:
    return "train" if ledger.role == "train" else "eval"


def _leak(count: LeakCount) -> dict[str, Any]:
    examples = [
        {
            "row": one.row,
            "held_out_row": one.held_out_row,
            "text": one.text,
            "held_out_text": one.held_out_text,
        }
        for one in count.examples
    ]
    return {
        "level": count.level,
        "task": count.train,
        "held_out": count.held_out,
        "rows": count.rows,
        "held_out_rows": count.held_out_rows,
        "examples": examples,
    }


def _task(task: PlannedTask) -> dict[str, Any]:
    source = task.source
    return {
        "name": task.name,
        "dataset": task.dataset,
        "subset": task.subset,
        "split": task.split,
        "cluster": task.cluster,
        "role": task.role,
        "licence": task.licence,
        "source": {
            "kind": task.source_spec.kind,
            "fingerprint": source.fingerprint,
            "revision": source.revision,
            "rows": source.rows,
            "start": source.start,
            "stop": source.stop,
            "labels": {name: list(names) for name, names in sorted(source.labels.items())},
        },
        "templates": [
            {
                "name": template.name,
                "id": template.id,
                "hash": template.hash,
                "collection": template.collection,
                "dialect": template.dialect,
                "kind": template.kind,
                "metrics": list(template.metrics),
                "quota": quota,
            }
            for template, quota in zip(task.templates, task.quotas, strict=True)
        ],
    }
