"""The leak gate of a build: what training may not use, found before and after rendering.

Before anything is rendered, the rows of training tasks are compared with those of held-out tasks. Held-out
tasks are rendered first; then no rendered training example may share 13 words in a row with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from instructify.build.composing import Part
from instructify.build.gate import GateTask, LeakCount, problems, run_gate
from instructify.build.plan import Plan, PlannedTask
from instructify.build.tables import map_table
from instructify.compose.composition import taken_of
from instructify.compose.words import phrases
from instructify.errors import InstructifyError, Problem
from instructify.keys import I64
from instructify.overlap.ngrams import NgramIndex, Ngrams, template_ngrams
from instructify.overlap.postings import Postings
from instructify.publish.stage import Stage
from instructify.runners import Runner

if TYPE_CHECKING:
    import pyarrow as pa

    from instructify.build.make import Shard
    from instructify.build.waves import Made

NGRAM = "leak-ngram"
ARRAYS = ("task", "rows", "keys", "owners", "seen")


@dataclass(frozen=True, slots=True)
class NgramFiles:
    """The n-grams of held-out examples, one file an array; `sha256` names their content."""

    folder: Path
    tasks: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class NgramCount:
    """How many examples of a training task shared 13 words in a row with a held-out task."""

    train: str
    held_out: str
    examples: int


@dataclass(frozen=True, slots=True)
class Leaks:
    """What the gate found: rows that may not be used by training task and reason, and what they match."""

    excluded: Mapping[str, Mapping[str, I64]] = field(default_factory=dict)
    counts: tuple[LeakCount, ...] = ()

    def within(self, task: str, start: int, stop: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Return the rows of a task in [start, stop) that may not be used, by reason."""
        found = []
        for reason, rows in self.excluded.get(task, {}).items():
            inside = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]
            if len(inside):
                found.append((reason, tuple(inside.tolist())))
        return tuple(found)


def find_leaks(plan: Plan, runner: Runner, stage: Stage, seen: Any) -> Leaks:
    """Return what training tasks have to give up; raises InstructifyError where the recipe says fail."""
    if not _looks(plan):
        return Leaks()
    settings = plan.recipe.leaks
    held_out = [_gate_task(task) for task in plan.tasks if task.role == "held_out"]
    train = [_gate_task(task) for task in plan.tasks if task.role == "train"]
    stage.staging.mkdir(parents=True, exist_ok=True)
    result = run_gate(train, held_out, settings, runner, stage.staging, seen)
    found = problems(result, train, settings)
    if found:
        raise InstructifyError(*found)
    return Leaks(result.dropped, result.counts)


def ngram_counts(plan: Plan, made: Made, leaks: Leaks) -> tuple[NgramCount, ...]:
    """Return how many training examples shared wording with each held-out task, as their ledgers count them.

    Raises InstructifyError where the recipe says that there may be none, or not so many.
    """
    hits: Counter[tuple[str, str]] = Counter()
    rendered: Counter[str] = Counter()
    ends = {}
    for key, progress in made.progress.items():
        ledger = progress.ledger()
        ends[key] = ledger.seen
        unused = sum(ledger.dropped[reason] for reason in leaks.excluded.get(ledger.task, {}))
        rendered[ledger.task] += ledger.seen - unused
    for shard in made.shards:
        for template, entry in zip(shard.templates, shard.record.meta["templates"], strict=True):
            end = ends[shard.task, template]
            for held_out, places in entry.get("leaks", {}).items():
                # only their number where the quota takes every row
                found = places if isinstance(places, int) else sum(place < end for place in places)
                hits[shard.task, held_out] += found
    hits = +hits
    settings = plan.recipe.leaks
    problems = []
    for (task, held_out), count in sorted(hits.items()):
        share = f"{count:,} of {rendered[task]:,} examples"
        what = f"{share} share 13 words in a row with the held-out task {held_out}"
        if settings.ngram == "fail":
            problems.append(Problem(what, task, "none, as leaks.ngram is fail"))
        elif count > settings.max_dropped * rendered[task]:
            problems.append(Problem(what, task, f"at most {settings.max_dropped:.0%} (leaks.max_dropped)"))
    if problems:
        raise InstructifyError(*problems)
    return tuple(NgramCount(task, held_out, count) for (task, held_out), count in sorted(hits.items()))


def gate_rows(plan: Plan) -> int:
    """Return how many rows the gate has to look at."""
    return sum(task.source.rows for task in plan.tasks) if _looks(plan) else 0


def _looks(plan: Plan) -> bool:
    settings = plan.recipe.leaks
    apart = any(task.role == "held_out" for task in plan.tasks)
    return (apart and (settings.row, settings.near) != ("off", "off")) or "drop" in (
        settings.duplicate,
        settings.near_duplicate,
    )


def _gate_task(task: PlannedTask) -> GateTask:
    return GateTask(task.name, task.source, task.columns)


def write_ngrams(plan: Plan, stage: Stage, shards: Sequence[Shard]) -> NgramFiles | None:
    """Write the n-grams of all held-out candidates; None where the recipe does not ask for them."""
    held_out = [task.name for task in plan.tasks if task.role == "held_out"]
    if not held_out or plan.recipe.leaks.ngram == "off":
        return None
    language = {(task.name, one.name): one.language for task in plan.tasks for one in task.templates}
    lots: list[tuple[str, Ngrams]] = []
    for name in held_out:
        own = [shard for shard in shards if shard.task == name]
        templates = dict.fromkeys(template for shard in own for template in shard.templates)
        lots += [
            (name, template_ngrams(_texts(stage.staging, own, template), phrases(language[name, template])))
            for template in templates
        ]
    index = NgramIndex.of(lots)
    arrays = (index.task, index.rows, index.postings.keys, index.postings.owners, index.postings.seen)
    digests = []
    for name, array in zip(ARRAYS, arrays, strict=True):

        def write(file: BinaryIO, array: Any = array) -> None:
            np.save(file, array, allow_pickle=False)

        digests.append(stage.write(f"leaks/{name}.npy", write, {}).digest)
    return NgramFiles(stage.staging / "leaks", index.tasks, " ".join(digests))


def _texts(staging: Path, shards: Iterable[Shard], template: str) -> Iterator[tuple[pa.Array, I64]]:
    """Yield prompts with targets, and the row numbers, of one template in each shard."""
    import pyarrow as pa

    for shard in shards:
        slots = [number for number, (name, _) in enumerate(shard.slots) if name == template]
        table = map_table(staging / shard.record.path)
        chosen = table.take(pa.array(np.flatnonzero(np.isin(table["slot"].to_numpy(), slots))))
        if chosen.num_rows:
            yield _said(chosen["inputs"], chosen["targets"]), chosen["row"].to_numpy()


def _said(inputs: pa.Array | pa.ChunkedArray, targets: pa.Array | pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.binary_join_element_wise(inputs, targets, pa.scalar("\n", inputs.type))
    return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts


def without_ngrams(part: Part, files: NgramFiles) -> tuple[Part, dict[str, I64]]:
    """Return the examples that share no n-gram with held-out ones, and the others' rows by held-out task."""
    composed = part.composed
    index = _loaded(files)
    hit, owner = index.find(_said(composed.texts.inputs, composed.texts.targets))
    if not len(hit):
        return part, {}
    stay = np.ones(len(composed.texts), bool)
    stay[hit] = False
    dropped = {**composed.dropped, NGRAM: composed.kept[hit]}
    left = replace(taken_of(composed, np.flatnonzero(stay)), kept=composed.kept[stay], dropped=dropped)
    task = index.task[owner]
    rows = {name: composed.kept[hit[task == number]] for number, name in enumerate(index.tasks)}
    return Part(part.variant, left), {name: found for name, found in rows.items() if len(found)}


@lru_cache(maxsize=1)
def _loaded(files: NgramFiles) -> NgramIndex:
    task, rows, keys, owners, seen = (
        np.load(files.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS
    )
    return NgramIndex(files.tasks, task, rows, Postings(keys, owners, seen))
