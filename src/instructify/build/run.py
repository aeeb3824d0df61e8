"""The build itself: plan, make in waves until every quota is full, decide, emit, publish."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from instructify.build.decide import Progress, over_limit
from instructify.build.emit import CandidateFile, EmitTask, Emitted, emit_shard
from instructify.build.make import VARIANT, Shard, ShardTask, Window, make_shards, shard_ranges
from instructify.build.plan import Plan, PlannedTask, make_plan
from instructify.build.sample import preflight
from instructify.card import CARD_NAME, card_text
from instructify.errors import InstructifyError, Problem
from instructify.keys import Key, hexdigest
from instructify.manifest import manifest_document, versions
from instructify.publish.files import FileRecord, remove
from instructify.publish.stage import Stage, open_stage
from instructify.recipe.load import LoadedRecipe
from instructify.recipe.models import FilesSource, resolve
from instructify.runners import Runner, open_runner
from instructify.sources import check_unchanged
from instructify.sources.found import find_files
from instructify.sources.splits import split_name
from instructify.types import Ledger, Part

MAX_SHARD_CHARACTERS = 100_000_000
PARTS: tuple[Part, ...] = ("train", "eval")


class Watcher(Protocol):
    """What a build tells while it runs."""

    def phase(self, name: str, total: int, unit: str) -> None:
        """A phase begins; `total` units of work lie ahead."""

    def advance(self, amount: int, kept: int = 0, dropped: int = 0) -> None:
        """Some of the phase's work is done."""


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


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time went, and how rows were rendered.

    `seconds` are summed over all workers, by step. `rendered` maps (task, template) to rows, rows by
    kernels, rows by the reference and rows audited; `refusals` maps those that have only the reference to
    the reason.
    """

    seconds: Mapping[str, float]
    rendered: Mapping[tuple[str, str], tuple[int, int, int, int]]
    refusals: Mapping[tuple[str, str], str]


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
    _check_apart(target, loaded)
    with open_stage(target, hexdigest("build", code_version(), loaded.text_sha256)) as stage:
        _check_outside(stage.out, loaded)
        watcher.phase("plan", len(loaded.recipe.tasks), "tasks")
        plan = make_plan(loaded, stage.staging / "sources", data_root, lambda _: watcher.advance(1))
        preflight(plan)
        with open_runner(workers) as runner:
            made = _make(plan, stage, runner, watcher)
            ledgers = _ledgers(plan, made)
            _emptiness_is_an_error(ledgers)
            emitted = _emit(plan, stage, made, ledgers, runner, watcher)
        records = [record for part in PARTS for shard in emitted[part] for record in shard.records]
        contents = {part: _content_hash(emitted[part]) for part in PARTS if emitted[part]}
        document = manifest_document(loaded, plan, ledgers, contents, code_version())
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
        _profile(made, emitted),
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


@dataclass(slots=True)
class _Made:
    """Every shard made so far and how far each template has come."""

    progress: dict[tuple[str, str], Progress]
    shards: list[Shard]
    reused: int = 0


def _make(plan: Plan, stage: Stage, runner: Runner, watcher: Watcher) -> _Made:
    made = _Made(
        {
            (task.name, template.name): Progress(task.name, template.name, task.role, task.source.rows, quota)
            for task in plan.tasks
            for template, quota in zip(task.templates, task.quotas, strict=True)
        },
        [],
    )
    wave = 1
    while True:
        windows = {key: window for key, p in made.progress.items() if (window := p.next_window())}
        if not windows:
            return made
        examples = sum(high - low for low, high in windows.values())
        watcher.phase("make" if wave == 1 else f"refill {wave - 1}", examples, "rows")
        _wave(plan, stage, runner, watcher, made, windows)
        wave += 1


def _wave(
    plan: Plan,
    stage: Stage,
    runner: Runner,
    watcher: Watcher,
    made: _Made,
    windows: dict[tuple[str, str], tuple[int, int]],
) -> None:
    def done(shards: tuple[Shard, ...]) -> None:
        entries = [entry for shard in shards for entry in shard.record.meta["templates"]]
        kept = sum(entry["kept"] for entry in entries)
        dropped = sum(_count(fell) for entry in entries for fell in entry["dropped"].values())
        watcher.advance(kept + dropped, kept, dropped)

    ranges = runner.map(make_shards, _shard_tasks(plan, stage, windows), done)
    shards = [shard for made_of_range in ranges for shard in made_of_range]
    made.shards += shards
    made.reused += sum(not shard.is_new for shard in shards)
    for shard in shards:
        for name, entry in zip(shard.templates, shard.record.meta["templates"], strict=True):
            made.progress[shard.task, name].add(entry.pop("dropped"))
    for key, (_, high) in windows.items():
        made.progress[key].made = high


def _count(dropped: int | list[int]) -> int:
    return dropped if isinstance(dropped, int) else len(dropped)


def _shard_tasks(
    plan: Plan, stage: Stage, windows: dict[tuple[str, str], tuple[int, int]]
) -> list[ShardTask]:
    tasks = []
    for task in plan.tasks:
        seed = plan.recipe.seed
        wanted = tuple(
            Window(
                template,
                task.row_key(template, seed),
                task.draw_key(template, seed),
                task.id_key(template, VARIANT),
                *windows[task.name, template.name],
            )
            for template in task.templates
            if (task.name, template.name) in windows
        )
        if not wanted:
            continue
        order = Key.of("order", seed)
        tasks += [
            ShardTask(
                stage.staging,
                task.name,
                task.source,
                task.columns,
                wanted,
                start,
                stop,
                order,
                code_version(),
            )
            for start, stop in shard_ranges(task.source, task.columns, len(wanted))
        ]
    return tasks


def _ledgers(plan: Plan, made: _Made) -> list[Ledger]:
    ledgers = [progress.ledger() for progress in made.progress.values()]
    limit = plan.recipe.checks.max_dropped
    bad = over_limit(ledgers, limit)
    if bad:
        raise InstructifyError(*(_dropped_too_many(ledger, limit) for ledger in bad))
    return ledgers


def _dropped_too_many(ledger: Ledger, limit: float) -> Problem:
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(ledger.dropped.items()))
    return Problem(
        f"{ledger.dropped.total():,} of {ledger.seen:,} rows dropped ({reasons})",
        f"{ledger.task} / {ledger.template}",
        f"at most {limit:.1%} (checks.max_dropped)",
    )


def _emptiness_is_an_error(ledgers: Sequence[Ledger]) -> None:
    held_out = {ledger.task for ledger in ledgers if ledger.role == "held_out"}
    empty = sorted(held_out - {ledger.task for ledger in ledgers if ledger.kept})
    if empty:
        what = f"nothing is left to evaluate of {', '.join(empty)}: every row was dropped"
        found = sorted({reason for ledger in ledgers if ledger.task in empty for reason in ledger.dropped})
        raise InstructifyError(Problem(f"{what} ({', '.join(found)})", expected="another eval_split"))
    if not any(ledger.kept for ledger in ledgers if ledger.role == "train"):
        reasons = sorted({reason for ledger in ledgers for reason in ledger.dropped})
        raise InstructifyError(
            f"nothing is left to publish for training: every row was dropped ({', '.join(reasons)})"
        )


def _emit(
    plan: Plan, stage: Stage, made: _Made, ledgers: Sequence[Ledger], runner: Runner, watcher: Watcher
) -> dict[Part, list[Emitted]]:
    cuts = {key: progress.cut() for key, progress in made.progress.items()}
    kept = dict.fromkeys(PARTS, 0)
    for ledger in ledgers:
        kept["train" if ledger.role == "train" else "eval"] += ledger.kept
    tasks: list[EmitTask] = []
    by_name = {task.name: task for task in plan.tasks}
    for part in PARTS:
        shards = [shard for shard in made.shards if by_name[shard.task].part == part and _kept(shard)]
        if not shards:
            continue
        files = tuple(_candidates(by_name[shard.task], shard, cuts) for shard in shards)
        entries = [entry for shard in shards for entry in shard.record.meta["templates"]]
        count = max(
            1,
            -(-kept[part] // plan.recipe.output.shard_examples),
            -(-sum(entry["characters"] for entry in entries) // MAX_SHARD_CHARACTERS),
        )
        formats = tuple(dict.fromkeys(plan.recipe.output.formats))
        tasks += [EmitTask(stage.staging, part, number, count, formats, files) for number in range(count)]
    watcher.phase("write", sum(kept.values()), "examples")
    results = runner.map(emit_shard, tasks, lambda shard: watcher.advance(shard.rows))
    emitted: dict[Part, list[Emitted]] = {part: [] for part in PARTS}
    for task, result in zip(tasks, results, strict=True):
        emitted[task.part].append(result)
    return emitted


def _kept(shard: Shard) -> int:
    return sum(entry["kept"] for entry in shard.record.meta["templates"])


def _candidates(task: PlannedTask, shard: Shard, cuts: dict[tuple[str, str], int]) -> CandidateFile:
    by_name = {template.name: template for template in task.templates}
    return CandidateFile(
        shard.record.path,
        shard.record.sha256,
        tuple(cuts[task.name, name] for name in shard.templates),
        tuple(
            (
                ("task", task.name),
                ("cluster", task.cluster),
                ("dataset", task.dataset),
                ("subset", task.subset),
                ("split", task.split),
                ("template", name),
                ("template_hash", by_name[name].hash),
                ("variant", VARIANT),
                ("language", by_name[name].languages[0] if by_name[name].languages else "en"),
                ("licence", task.licence),
            )
            for name in shard.templates
        ),
    )


def _profile(made: _Made, emitted: Mapping[Part, Sequence[Emitted]]) -> Profile:
    seconds: Counter[str] = Counter()
    for times in (*(s.seconds for s in made.shards), *(e.seconds for part in PARTS for e in emitted[part])):
        seconds.update(times)
    rendered: dict[tuple[str, str], tuple[int, int, int, int]] = {}
    refusals: dict[tuple[str, str], str] = {}
    for shard in made.shards:
        for name, entry in zip(shard.templates, shard.record.meta["templates"], strict=True):
            if "rows" not in entry:
                continue
            key = (shard.task, name)
            new = (entry["rows"], entry["by_kernels"], entry["by_reference"], entry["audited"])
            old = rendered.get(key, (0, 0, 0, 0))
            rendered[key] = (old[0] + new[0], old[1] + new[1], old[2] + new[2], old[3] + new[3])
            if entry["refusal"]:
                refusals[key] = entry["refusal"]
    return Profile(seconds, rendered, refusals)


def _content_hash(shards: Sequence[Emitted]) -> str:
    return hexdigest("content", *(str(shard.records[0].meta["content_hash"]) for shard in shards))


def _drop_stale(plan: Plan, stage: Stage, made: _Made, keep_work: bool) -> None:
    """Remove candidates and converted sources of earlier recipes, so that kept work does not grow forever."""
    if not keep_work:
        return
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


def _check_outside(out: Path, loaded: LoadedRecipe) -> None:
    """Refuse sources that read what the build itself publishes: the next build would read the last one."""
    problems = []
    for number, entry in enumerate(loaded.recipe.tasks):
        if not isinstance(entry.source, FilesSource):
            continue
        for split in (entry.split, entry.eval_split):
            with contextlib.suppress(InstructifyError):  # what cannot be found is the plan's affair
                read = find_files(entry.source, split_name(split), loaded.base).paths
                inside = next((path for path in read if path.resolve().is_relative_to(out)), None)
                if inside is not None:
                    what = f"the source of {entry.task} reads the output directory: {inside}"
                    problems.append(Problem(what, loaded.where(number), "an output directory of its own"))
                    break
    if problems:
        raise InstructifyError(*problems)


def _check_apart(target: Path, loaded: LoadedRecipe) -> None:
    """Refuse an output directory that holds the recipe: publishing replaces the whole directory."""
    out: Callable[[], Path] = target.resolve
    if loaded.path.resolve().is_relative_to(out()):
        raise InstructifyError(
            Problem("the output directory holds the recipe itself", str(target), "a directory of its own")
        )
