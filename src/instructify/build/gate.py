"""The leak gate over opened sources: training rows that are held out, nearly so, or repeated."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from instructify.errors import Problem
from instructify.keys import I64
from instructify.origins import Identity, relation
from instructify.overlap import minhash
from instructify.overlap.duplicates import Prints, candidates, prints, repeated, row_sketches
from instructify.overlap.evidence import closest, passage
from instructify.overlap.fields import text_leaves
from instructify.overlap.heldout import LEVELS, HeldOutIndex, Level, Matches, Part, prepare
from instructify.overlap.minhash import Sketches
from instructify.overlap.units import Limits
from instructify.publish.files import RERUN, io_errors
from instructify.recipe.leaks import LeakGate
from instructify.runners import Runner
from instructify.sources import read_rows
from instructify.types import OpenSource

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_ROWS = 16_384
EXAMPLES = 20
WORK_PREFIX = "leaks-"
REASONS: Mapping[Level, str] = {"row": "leak-row", "near": "leak-near"}
Seen = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class GateTask:
    """One task as the gate sees it: its name, its rows, and the columns that its templates read."""

    name: str
    source: OpenSource
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeakExample:
    """A training row and a held-out row with the passage that each shares with the other."""

    row: int
    held_out_row: int
    text: str
    held_out_text: str


@dataclass(frozen=True, slots=True)
class LeakCount:
    """What one training task shares with one held-out task at one level.

    `rows` training rows match at least `held_out_rows` held-out rows (exactly so many at level `row`).
    """

    level: Level
    train: str
    held_out: str
    rows: int
    held_out_rows: int
    examples: tuple[LeakExample, ...]


@dataclass(frozen=True, slots=True)
class GateResult:
    """`dropped`: for each training task and reason the row numbers, ascending; no row has two reasons."""

    dropped: Mapping[str, Mapping[str, I64]]
    counts: tuple[LeakCount, ...]


def limits_of(settings: LeakGate) -> Limits:
    """Return what the settings say about texts."""
    return Limits(settings.min_characters, settings.near_characters, settings.max_contexts, settings.jaccard)


def run_gate(
    train: Sequence[GateTask],
    held_out: Sequence[GateTask],
    settings: LeakGate,
    runner: Runner,
    work: Path,
    seen: Seen = lambda rows: None,
) -> GateResult:
    """Return the rows that every training task has to give up, and why.

    The index of held-out rows is written to a folder in `work` for the time of the run, so that the workers
    share it. `seen` is told how many rows each block that is done had.

    Raises:
        InstructifyError: a source cannot be read or has changed.
    """
    levels = tuple(level for level in LEVELS if getattr(settings, level) != "off")
    limits = limits_of(settings)
    with tempfile.TemporaryDirectory(prefix=WORK_PREFIX, dir=work) as name:
        folder = Path(name) / "index"
        index = _index(held_out if levels else (), limits, runner, seen)
        with io_errors(folder, "write", RERUN):
            index.save(folder)
        dropped: dict[str, Mapping[str, I64]] = {}
        counts: list[LeakCount] = []
        for task in train:
            scans = [
                _Scan(
                    block,
                    str(folder),
                    levels,
                    duplicate=settings.duplicate == "drop",
                    near_duplicate=settings.near_duplicate == "drop",
                    limits=limits,
                )
                for block in _blocks(task)
            ]
            looked = runner.map(_scan, scans, lambda found: seen(found[0]))
            matches = Matches.join([found[1] for found in looked]).settled(limits)
            fingerprints = Prints.join([found[2] for found in looked])
            dropped[task.name] = _dropped(task, matches, fingerprints, settings, runner)
            counts += _counts(task, held_out, index, matches)
        _loaded.cache_clear()  # else the deleted index would stay on the disk as long as this process lives
    return GateResult(dropped, tuple(counts))


def related(
    train: Mapping[str, Identity], held_out: Mapping[str, Identity], settings: LeakGate
) -> tuple[dict[str, str], list[Problem]]:
    """Return the training tasks to leave out for what is known of the datasets, and why, and failures.

    Both are by name of the task. It needs no rows: see `instructify.origins`.
    """
    left_out: dict[str, str] = {}
    failures = []
    for name, one in train.items():
        for other_name, other in held_out.items():
            found = relation(one, other)
            action = getattr(settings, found.kind) if found else "off"
            if found and action == "drop":
                left_out.setdefault(name, f"{other_name} is held out: {found.why} (leaks.{found.kind})")
            elif found and action == "fail":
                what = f"trained on while {other_name} is held out: {found.why}"
                failures.append(Problem(what, name, f"both held out, or leaks.{found.kind}: drop or off"))
    return left_out, failures


def problems(result: GateResult, train: Sequence[GateTask], settings: LeakGate) -> list[Problem]:
    """Return what the settings call a failure: a level that has to be clean, or too large a share."""
    found = []
    sizes = {task.name: task.source.rows for task in train}
    for count in result.counts:
        share = count.rows / sizes[count.train]
        like = "stand in" if count.level == "row" else "are near copies of rows of"
        what = f"{count.rows:,} of {sizes[count.train]:,} training rows {like} the held-out task "
        first = count.examples[0]
        what += f"{count.held_out}, as row {first.row} in row {first.held_out_row}: {_short(first.text)!r}"
        if getattr(settings, count.level) == "fail":
            found.append(Problem(what, count.train, f"none, as leaks.{count.level} is fail"))
        elif share > settings.max_dropped:
            expected = f"at most {settings.max_dropped:.0%} (leaks.max_dropped); are the two of one origin?"
            found.append(Problem(what, count.train, expected))
    return found


def _short(text: str, most: int = 80) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


@dataclass(frozen=True, slots=True)
class _Scan:
    """One block of a training task to look up, for a worker."""

    block: _Block
    index: str
    levels: tuple[Level, ...]
    duplicate: bool
    near_duplicate: bool
    limits: Limits


@dataclass(frozen=True, slots=True)
class _Block:
    task: GateTask
    start: int
    stop: int

    @property
    def rows(self) -> I64:
        return np.arange(self.start, self.stop)

    def read(self) -> pa.Table:
        return read_rows(self.task.source, self.start, self.stop, self.task.columns)


def _blocks(task: GateTask) -> Iterator[_Block]:
    source = task.source
    for start in range(source.start, source.stop, BLOCK_ROWS):
        yield _Block(task, start, min(start + BLOCK_ROWS, source.stop))


def _index(held_out: Sequence[GateTask], limits: Limits, runner: Runner, seen: Seen) -> HeldOutIndex:
    blocks = [block for task in held_out for block in _blocks(task)]
    found = runner.map(partial(_prepare, limits), blocks, lambda done: seen(done[0].stop - done[0].start))
    return HeldOutIndex.of(((block.task.name, part) for block, parts in found for part in parts), limits)


def _prepare(limits: Limits, block: _Block) -> tuple[_Block, list[Part]]:
    return block, prepare(text_leaves(block.read(), block.rows), limits)


def _scan(scan: _Scan) -> tuple[int, Matches, Prints]:
    block = scan.block
    table = block.read()
    texts = text_leaves(table, block.rows)
    matches = _loaded(scan.index).find(texts, scan.levels)
    found = Prints.join([])
    if scan.duplicate or scan.near_duplicate:
        found = prints(table, texts, block.start, scan.near_duplicate, scan.limits)
    return table.num_rows, matches, found


@lru_cache(maxsize=1)
def _loaded(folder: str) -> HeldOutIndex:
    return HeldOutIndex.load(Path(folder))


def _dropped(
    task: GateTask, matches: Matches, found: Prints, settings: LeakGate, runner: Runner
) -> dict[str, I64]:
    """Return the rows to drop by reason; a row goes for the first reason that holds."""
    start = task.source.start
    out = np.zeros(task.source.rows, np.bool_)
    dropped: dict[str, I64] = {}

    def drop(reason: str, rows: I64) -> None:
        rows = np.unique(rows)
        rows = rows[~out[rows - start]]
        out[rows - start] = True
        if len(rows):
            dropped[reason] = rows

    for number, level in enumerate(LEVELS):
        drop(REASONS[level], matches.row[matches.level == number])
    if settings.duplicate == "drop":
        drop("duplicate", np.flatnonzero(repeated(found.exact, out)) + start)
    if settings.near_duplicate == "drop":
        drop("near-duplicate", _near_duplicates(task, found, out, settings.jaccard, runner))
    return dropped


def _near_duplicates(
    task: GateTask, found: Prints, out: npt.NDArray[np.bool_], least: float, runner: Runner
) -> I64:
    """Return the rows that are near copies of an earlier one; memory grows with those that might be."""
    earlier, later = candidates(found, out, task.source.start)
    rows = np.unique(np.concatenate((earlier, later)))
    asked = []
    for block in _blocks(task):
        inside = rows[np.searchsorted(rows, block.start) : np.searchsorted(rows, block.stop)]
        if len(inside):
            asked.append((block, inside - block.start))
    sketches = minhash.join(runner.map(_sketch, asked, lambda done: None))
    ones, others = np.searchsorted(rows, earlier), np.searchsorted(rows, later)
    return later[minhash.jaccard(sketches, ones, sketches, others) >= least]


def _sketch(asked: tuple[_Block, I64]) -> Sketches:
    block, places = asked
    return row_sketches(block.read().take(places))


def _counts(
    task: GateTask, held_out: Sequence[GateTask], index: HeldOutIndex, matches: Matches
) -> Iterator[LeakCount]:
    """Yield what the task shares with each held-out task at each level."""
    touched = index.touched(matches)
    sources = {other.name: other for other in held_out}
    for number, level in enumerate(LEVELS):
        for held_out_number, name in enumerate(index.tasks):
            chosen = np.flatnonzero(
                (matches.level == number) & (index.task[matches.owner] == held_out_number)
            )
            if not len(chosen):
                continue
            rows, first = np.unique(matches.row[chosen], return_index=True)
            yield LeakCount(
                level=level,
                train=task.name,
                held_out=name,
                rows=len(rows),
                held_out_rows=int((index.task[touched[level]] == held_out_number).sum()),
                examples=tuple(
                    _example(task, sources[name], index, matches, place)
                    for place in chosen[first[:EXAMPLES]].tolist()
                ),
            )


def _example(
    task: GateTask, held_out: GateTask, index: HeldOutIndex, matches: Matches, place: int
) -> LeakExample:
    row, other = int(matches.row[place]), int(index.rows[matches.owner[place]])
    text = passage(read_rows(task.source, row, row + 1, task.columns), int(matches.unit[place]))
    like = closest(read_rows(held_out.source, other, other + 1, held_out.columns), text)
    return LeakExample(row, other, text, like)
