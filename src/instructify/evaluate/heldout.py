"""The held-out tasks of a published build, read and checked against its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instructify.errors import InstructifyError, Problem, nearest
from instructify.keys import Key
from instructify.publish.files import io_errors, sum_file
from instructify.publish.manifest import SEAL, manifest_files, read_manifest

COLUMNS = (
    "id",
    "inputs",
    "targets",
    "answer_choices",
    "label",
    "answer_start",
    "answer_end",
    "task",
    "row",
    "template",
    "variant",
)
"""What scoring needs of an example (see instructify.types.EXAMPLE_COLUMNS)."""


@dataclass(frozen=True, slots=True)
class HeldOutTask:
    """A held-out task: what the manifest says of it, and its examples by template, row and variant.

    `metrics` are those that each template declares. An example is a mapping with the keys of COLUMNS.
    `few_shot` are the variants whose prompts have exemplars.
    """

    name: str
    cluster: str
    dataset: str
    subset: str | None
    metrics: Mapping[str, tuple[str, ...]]
    examples: tuple[Mapping[str, Any], ...]
    few_shot: frozenset[str] = frozenset()

    @property
    def variants(self) -> list[str]:
        """The variants that examples have, by name; each is scored by itself."""
        return sorted({example["variant"] for example in self.examples})

    def title(self, variant: str) -> str:
        """Return what the scores of a variant are headed with: it is named where there are several."""
        return self.name if len(self.variants) == 1 else f"{self.name}, variant {variant}"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The held-out part of a build; `manifest_sha256` seals the manifest."""

    path: Path
    content_hash: str
    manifest_sha256: str
    tasks: tuple[HeldOutTask, ...]


def read_held_out(build: Path, only: Sequence[str] = (), limit: int | None = None) -> HeldOut:
    """Return the held-out tasks with examples in the manifest's order; `only` names the tasks wanted.

    `limit` is the most examples of one task. The documents are drawn by a keyed order, and all templates of
    one document come before those of the next, so that what is left can still be compared across templates.

    Raises:
        InstructifyError: the build is not whole, holds nothing out or no Parquet files, or lacks a task.
    """
    document = read_manifest(build)
    held = {task["name"]: task for task in document["tasks"] if task["role"] == "held_out"}
    if not held:
        what = "nothing is held out in this build"
        raise InstructifyError(Problem(what, str(build), "held_out: [cluster, ...] in its recipe"))
    if unknown := [name for name in only if name not in held]:
        problems = (
            Problem(f"no held-out task {name!r}", str(build), ", ".join(held), nearest(name, held))
            for name in unknown
        )
        raise InstructifyError(*problems)
    rows = _read(build, document)
    few_shot = frozenset(_few_shot(document["recipe"].get("eval_variants", ())))
    tasks = tuple(
        _task(task, _limited(rows[name], name, limit), few_shot)
        for name, task in held.items()
        if name in rows and (not only or name in only)
    )
    if not tasks:
        raise InstructifyError(Problem("none of the held-out tasks has an example", str(build)))
    return HeldOut(build.resolve(), document["content_hash"], document[SEAL], tasks)


def _read(build: Path, document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the examples of the eval part by task."""
    import pyarrow.parquet as pq

    entries = [e for e in manifest_files(document) if e.part == "eval" and e.format == "parquet"]
    if not entries:
        what = "this build has no Parquet files of held-out examples"
        raise InstructifyError(Problem(what, str(build), "formats: [parquet] in its recipe, and rows"))
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        path = build / entry.path
        with io_errors(path, "read"):
            if sum_file(path).sha256 != entry.sha256:
                what = "the file is not the one that was published"
                raise InstructifyError(Problem(f"{what}; instructify verify says more", str(path)))
            table = pq.read_table(path, columns=list(COLUMNS))
        for row in table.to_pylist():
            found.setdefault(row["task"], []).append(row)
    return found


def _limited(rows: list[dict[str, Any]], task: str, limit: int | None) -> list[dict[str, Any]]:
    if limit is not None and len(rows) > limit:
        key = Key.of("evaluation limit", task)
        rows = sorted(rows, key=lambda row: (key.draw(row["row"]), row["row"], *_place(row)))[:limit]
    return sorted(rows, key=_place)


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["template"], row["row"], row["variant"], row["id"]


def _few_shot(variants: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the names of those of a recipe's variants that have exemplars."""
    for variant in variants:
        shots = variant["shots"]
        if (shots if isinstance(shots, int) else shots[1]) > 0:
            yield variant["name"]


def _task(task: Mapping[str, Any], rows: list[dict[str, Any]], few_shot: frozenset[str]) -> HeldOutTask:
    return HeldOutTask(
        task["name"],
        task["cluster"],
        task["dataset"],
        task["subset"],
        {template["name"]: tuple(template["metrics"]) for template in task["templates"]},
        tuple(rows),
        few_shot,
    )
