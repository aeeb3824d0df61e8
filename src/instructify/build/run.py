"""The build itself: plan, make in waves until every quota is full, decide, emit, publish."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from instructify.build.emit import EmitTask, Emitted, emit_shard, share_out
from instructify.build.gate import WORK_PREFIX
from instructify.build.gather import CandidateFile, Slot
from instructify.build.guards import check_apart, check_ledgers, check_outside
from instructify.build.leaks import find_leaks, gate_rows, ngram_counts
from instructify.build.make import Shard
from instructify.build.plan import Plan, PlannedTask, make_plan
from instructify.build.profile import Profile, make_profile
from instructify.build.sample import preflight
from instructify.build.tokens import check_unknown, token_statistics
from instructify.build.waves import Made, Watcher, make_all
from instructify.card import CARD_NAME, card_text
from instructify.keys import hexdigest
from instructify.manifest import manifest_document, versions
from instructify.publish.files import FileRecord, remove
from instructify.publish.stage import Stage, open_stage
from instructify.recipe.load import LoadedRecipe
from instructify.recipe.models import resolve
from instructify.runners import Runner, open_runner
from instructify.sources import check_unchanged
from instructify.templates import Template
from instructify.types import Ledger, Part

MAX_FILE_CHARACTERS = 100_000_000
MIN_FILE_ROWS = 16
"""Rows that a published file has on average at least, unless their text is too much: rows are not divided."""
PARTS: tuple[Part, ...] = ("train", "eval")


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A published build: where it is, what it kept and dropped, and what was written."""

    out: Path
    plan: Plan
    ledgers: tuple[Ledger, ...]
    records: tuple[FileRecord, ...]
    content_hash: str
    reused: int
    profile: Profile


def build(
    loaded: LoadedRecipe,
    watcher: Watcher,
    *,
    out: Path | None = None,
    workers: int = 1,
    data_root: Path | None = None,
    keep_work: bool = False,
) -> BuildResult:
    """Build a recipe and publish it; raises InstructifyError and publishes nothing when anything fails.

    A build that was killed goes on where it stopped when it is started again. `out` overrides the
    recipe's output directory and `data_root` its data root; neither changes the published bytes.
    """
    target = out if out is not None else resolve(loaded.recipe.output.dir, loaded.base)
    check_apart(target, loaded)
    with open_stage(target, hexdigest("build", code_version(), loaded.text_sha256)) as stage:
        check_outside(stage.out, loaded)
        watcher.phase("plan", len(loaded.recipe.tasks), "tasks")
        plan = make_plan(loaded, stage.staging / "sources", data_root, lambda _: watcher.advance(1))
        preflight(plan)
        with open_runner(workers) as runner:
            if rows := gate_rows(plan):
                watcher.phase("compare", rows, "rows")
            leaks = find_leaks(plan, runner, stage, watcher.advance)
            made = make_all(plan, stage, runner, watcher, code_version(), leaks)
            shared = ngram_counts(plan, made, leaks)
            tokens = token_statistics(plan, made.shards)
            check_unknown(plan, tokens)
            ledgers = [progress.ledger() for progress in made.progress.values()]
            check_ledgers(ledgers, plan.recipe.checks.max_dropped)
            emitted = _emit(plan, stage, made, ledgers, runner, watcher)
        records = [record for part in PARTS for shard in emitted[part] for record in shard.records]
        contents = {part: _content_hash(emitted[part]) for part in PARTS if emitted[part]}
        document = manifest_document(
            loaded, plan, ledgers, contents, records, leaks, shared, tokens, code_version()
        )
        text = card_text(plan, ledgers, records, document)
        card = stage.write(f"out/{CARD_NAME}", lambda file: _write_text(file, text), {})
        for task in plan.tasks:
            check_unchanged(task.source)
        _drop_stale(plan, stage, made, keep_work)
        stage.publish([*records, card], document, keep_work=keep_work)
    return BuildResult(
        stage.out,
        plan,
        tuple(ledgers),
        (*records, card),
        document["content_hash"],
        made.reused,
        make_profile(made.shards, (files for part in PARTS for files in emitted[part])),
    )


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return a hash of the package's source and the versions it stands on: other code, other candidates."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    digest.update(repr(sorted(versions().items())).encode())
    return digest.hexdigest()


def _emit(
    plan: Plan, stage: Stage, made: Made, ledgers: Sequence[Ledger], runner: Runner, watcher: Watcher
) -> dict[Part, list[Emitted]]:
    cuts = {key: progress.cut() for key, progress in made.progress.items()}
    by_name = {task.name: task for task in plan.tasks}
    formats = tuple(dict.fromkeys(plan.recipe.output.formats))
    tasks: list[EmitTask] = []
    for part in PARTS:
        shards = [shard for shard in made.shards if by_name[shard.task].part == part and _kept(shard)]
        if not shards:
            continue
        own = [ledger for ledger in ledgers if by_name[ledger.task].part == part]
        count = _file_count(plan, own, shards)
        bounds = [share_out(stage.staging / shard.record.path, count) for shard in shards]
        slots, files = _numbered(stage.staging, by_name, shards, cuts, [len(cut) for cut in bounds])
        whole = np.concatenate(bounds)
        digests = (f"{shard.record.digest} {file.slots}" for shard, file in zip(shards, files, strict=True))
        key = hexdigest(part, count, *map(str, slots), *digests)
        tasks += [
            EmitTask(
                stage.staging, part, number, count, formats, slots, files, whole[:, number : number + 2], key
            )
            for number in range(count)
        ]
    watcher.phase("write", sum(ledger.kept for ledger in ledgers), "examples")
    results = runner.map(emit_shard, tasks, lambda shard: watcher.advance(shard.rows))
    emitted: dict[Part, list[Emitted]] = {part: [] for part in PARTS}
    for task, result in zip(tasks, results, strict=True):
        emitted[task.part].append(result)
    return emitted


def _file_count(plan: Plan, ledgers: Sequence[Ledger], shards: Sequence[Shard]) -> int:
    """Return in how many files one part is published."""
    sources = {task.name: (task.dataset, task.subset, task.split) for task in plan.tasks}
    rows: Counter[tuple[str, str | None, str]] = Counter()
    for ledger in ledgers:
        source = sources[ledger.task]
        rows[source] = max(rows[source], min(ledger.kept, ledger.rows))
    characters: int = sum(entry["characters"] for shard in shards for entry in shard.record.meta["templates"])
    by_examples = -(-sum(ledger.kept for ledger in ledgers) // plan.recipe.output.shard_examples)
    return max(1, min(by_examples, rows.total() // MIN_FILE_ROWS), -(-characters // MAX_FILE_CHARACTERS))


def _numbered(
    staging: Path,
    tasks: Mapping[str, PlannedTask],
    shards: Sequence[Shard],
    cuts: Mapping[tuple[str, str], int],
    runs: Sequence[int],
) -> tuple[tuple[Slot, ...], tuple[CandidateFile, ...]]:
    """Return the slots of all shards, each once, and the shards' files with the numbers of theirs."""
    numbers: dict[str, int] = {}
    slots: list[Slot] = []
    files = []
    for shard, count in zip(shards, runs, strict=True):
        own = []
        for slot in _slots(tasks[shard.task], shard, cuts):
            own.append(numbers.setdefault(str(slot), len(slots)))
            if own[-1] == len(slots):
                slots.append(slot)
        files.append(CandidateFile(staging / shard.record.path, tuple(own), count))
    return tuple(slots), tuple(files)


def _kept(shard: Shard) -> int:
    return sum(entry["kept"] for entry in shard.record.meta["templates"])


def _slots(task: PlannedTask, shard: Shard, cuts: Mapping[tuple[str, str], int]) -> list[Slot]:
    by_name = {template.name: template for template in task.templates}
    choices = {
        name: None if entry["choices"] is None else tuple(entry["choices"])
        for name, entry in zip(shard.templates, shard.record.meta["templates"], strict=True)
    }
    return [
        Slot(cuts[task.name, name], _constants(task, by_name[name], variant), choices[name])
        for name, variant in shard.slots
    ]


def _constants(task: PlannedTask, template: Template, variant: str) -> dict[str, str | None]:
    return {
        "task": task.name,
        "cluster": task.cluster,
        "dataset": task.dataset,
        "subset": task.subset,
        "split": task.split,
        "template": template.name,
        "template_hash": template.hash,
        "variant": variant,
        "language": template.language,
        "licence": task.licence,
    }


def _content_hash(shards: Sequence[Emitted]) -> str:
    return hexdigest("content", *(str(shard.records[0].meta["content_hash"]) for shard in shards))


def _drop_stale(plan: Plan, stage: Stage, made: Made, keep_work: bool) -> None:
    """Remove candidates and converted sources of earlier recipes, so that kept work does not grow forever."""
    if not keep_work:
        return
    for folder in stage.staging.glob(f"{WORK_PREFIX}*"):  # of a build that was killed
        remove(folder)
    used = {shard.record.path for shard in made.shards}
    for folder in (stage.staging / "candidates", stage.staging / "meta" / "candidates"):
        for path in sorted(folder.glob("*")) if folder.is_dir() else []:
            name = path.name.removesuffix(".json") if folder.parent.name == "meta" else path.name
            if f"candidates/{name}" not in used:
                path.unlink()
    read = {file.path for task in plan.tasks for file in task.source.files}
    for path in sorted((stage.staging / "sources").glob("*")):
        if path not in read:
            remove(path)


def _write_text(file: Any, text: str) -> None:
    file.write(text.encode("utf-8"))
