"""An index of held-out rows, and the training rows that stand in it or are near copies of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from instructify.keys import I64, U64
from instructify.overlap import minhash, saved
from instructify.overlap.fields import Leaves
from instructify.overlap.fold import Folded, fold
from instructify.overlap.minhash import Sketches
from instructify.overlap.postings import I32, Postings, firsts
from instructify.overlap.units import Limits, Units, common, contexts, units, whole, without_a_word

Level = Literal["row", "near"]


@dataclass(frozen=True, slots=True)
class Part:
    """What the index needs of some rows of one held-out task; each entry of the first three is a unit.

    `near`: hashes of units, whole and without each word. `bands` and `sketches` are of the units that are
    `long_enough`.
    """

    rows: I64
    whole: U64
    context: U64
    near: U64
    near_unit: I64
    bands: U64
    long_enough: I64
    sketches: Sketches


def prepare(held_out: Leaves, limits: Limits) -> list[Part]:
    """Return the parts that the texts of held-out rows add to an index."""
    parts = []
    for leaves in held_out.batches():
        folded = fold(leaves.texts)
        found = units(folded, limits.min_characters)
        hashes = whole(folded, found)
        near, near_unit, long_enough = _near(folded, found, hashes, limits)
        chosen = found.take(long_enough)
        shingles = minhash.shingles(folded)
        parts.append(
            Part(
                rows=leaves.rows[found.text],
                whole=hashes,
                context=contexts(found, hashes, leaves.rows[found.text]),
                near=near,
                near_unit=near_unit,
                bands=minhash.bands(shingles, chosen),
                long_enough=long_enough,
                sketches=minhash.sketches(shingles, chosen),
            )
        )
    return parts


def _near(folded: Folded, found: Units, hashes: U64, limits: Limits) -> tuple[U64, I64, I64]:
    """Return near keys, the units they are of, and the units that are long enough for any."""
    long_enough = np.flatnonzero(found.length >= limits.near_characters)
    keys, unit = without_a_word(folded, found, limits.near_characters)
    return np.concatenate((hashes[long_enough], keys)), np.concatenate((long_enough, unit)), long_enough


LEVELS: tuple[Level, ...] = ("row", "near")
MOST_IN_BAND = 8  # units of one held-out task with the same band key that are verified


@dataclass(frozen=True, slots=True)
class Matches:
    """Units of training rows found: the first held-out row that each matches, per level and held-out task.

    `level` indexes LEVELS; `owner` numbers the rows of the index (`HeldOutIndex.rows`); `unit` and `context`
    are hashes of the unit and of the longest one in its row, by which common phrases are told.
    """

    level: npt.NDArray[np.uint8]
    row: I64
    owner: I64
    unit: U64
    context: U64

    @classmethod
    def join(cls, parts: Sequence[Matches]) -> Matches:
        """Return the matches of several lots of rows of one training task as one."""
        return cls(
            level=_joined([part.level for part in parts], np.uint8),
            row=_joined([part.row for part in parts], np.int64),
            owner=_joined([part.owner for part in parts], np.int64),
            unit=_joined([part.unit for part in parts], np.uint64),
            context=_joined([part.context for part in parts], np.uint64),
        )

    def settled(self, limits: Limits) -> Matches:
        """Return what is left of the matches of a whole training task.

        Matches of phrases that are common in it go, and then near ones of rows that match word for word.
        """
        kept = ~common(self.unit, self.context, limits.max_contexts)
        word_for_word = np.unique(self.row[kept & (self.level == 0)])
        kept &= (self.level == 0) | ~np.isin(self.row, word_for_word)
        return Matches(*(getattr(self, field.name)[kept] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class HeldOutIndex:
    """Held-out rows, ready to be looked up; all arrays, so that it can be saved and mapped into memory.

    `task` and `rows` say of each owner which held-out task (index into `tasks`) and which row it is. `exact`
    and `near` have the first row of each task for a key, `bands` the first few units, so that a text that
    many held-out rows share costs no more than another; `everywhere` has all rows that a unit stands in.
    """

    limits: Limits
    tasks: tuple[str, ...]
    task: I32
    rows: I64
    exact: Postings
    everywhere: Postings
    near: Postings
    bands: Postings
    band_owner: I32
    sketches: Sketches

    @classmethod
    def of(cls, parts: Iterable[tuple[str, Part]], limits: Limits) -> HeldOutIndex:
        """Return the index of parts, each given with the name of its task, in any number of parts a task."""
        named = list(parts)
        tasks = tuple(dict.fromkeys(name for name, _ in named))
        every = [part for _, part in named]
        before = _before(len(part.rows) for part in every)
        task = _joined([np.full(len(part.rows), tasks.index(name)) for name, part in named], np.int64)
        row = _joined([part.rows for part in every], np.int64)
        most = int(row.max(initial=0)) + 1
        pairs, owner = np.unique(task * most + row, return_inverse=True)
        hashes = _joined([part.whole for part in every], np.uint64)
        context = _joined([part.context for part in every], np.uint64)
        kept = np.ones(len(hashes), np.bool_)
        for number in range(len(tasks)):
            of_task = np.flatnonzero(task == number)
            kept[of_task] = ~common(hashes[of_task], context[of_task], limits.max_contexts)
        near_unit = _joined([part.near_unit + n for part, n in zip(every, before, strict=True)], np.int64)
        near = _joined([part.near for part in every], np.uint64)[kept[near_unit]]
        near_unit = near_unit[kept[near_unit]]
        long_enough = _joined([part.long_enough + n for part, n in zip(every, before, strict=True)], np.int64)
        entries = np.flatnonzero(kept[long_enough])
        bands = np.concatenate([np.zeros((minhash.BANDS, 0), np.uint64), *(part.bands for part in every)], 1)
        return cls(
            limits=limits,
            tasks=tasks,
            task=(pairs // most).astype(np.int32),
            rows=pairs % most,
            exact=_postings(hashes[kept], owner[kept], task[kept], 1),
            everywhere=Postings.of(hashes[kept], owner[kept]),
            near=_postings(near, owner[near_unit], task[near_unit], 1),
            bands=_postings(
                bands[:, entries].ravel(),
                np.tile(entries, minhash.BANDS),
                np.tile(task[long_enough[entries]], minhash.BANDS),
                MOST_IN_BAND,
            ),
            band_owner=owner[long_enough].astype(np.int32),
            sketches=minhash.join([part.sketches for part in every]),
        )

    def find(self, training: Leaves, levels: Sequence[Level] = LEVELS) -> Matches:
        """Return what of the texts of training rows is held out.

        A unit found at level `row` is not looked up at level `near`. Whether one is a common phrase among the
        training rows can be told only when all are found: see `Matches.settled`.
        """
        parts = []
        for leaves in training.batches():
            folded = fold(leaves.texts)
            of = units(folded, self.limits.min_characters)
            unit_row = leaves.rows[of.text]
            hashes = whole(folded, of)
            context = contexts(of, hashes, unit_row)
            left = np.arange(len(hashes))
            if "row" in levels:
                unit, owner = self.exact.find(hashes)
                parts.append(self._matches("row", unit, owner, unit_row, hashes, context))
                left = np.setdiff1d(left, unit)
            if "near" in levels and len(left):
                unit, owner = self._find_near(folded, of.take(left), hashes[left])
                parts.append(self._matches("near", left[unit], owner, unit_row, hashes, context))
        return Matches.join(parts)

    def _find_near(self, folded: Folded, of: Units, hashes: U64) -> tuple[I64, I64]:
        keys, key_unit, long_enough = _near(folded, of, hashes, self.limits)
        position, owner = self.near.find(keys)
        chosen = of.take(long_enough)
        shingles = minhash.shingles(folded)
        bands = minhash.bands(shingles, chosen)
        place, entry = self.bands.find(bands.ravel())
        count = max(len(self.band_owner), 1)
        pairs = np.unique(place % max(len(long_enough), 1) * count + entry)
        unit, entry = pairs // count, pairs % count
        some, number = np.unique(unit, return_inverse=True)
        own = minhash.sketches(shingles, chosen.take(some))
        close = minhash.jaccard(own, number, self.sketches, entry) >= self.limits.jaccard
        return (
            np.concatenate((key_unit[position], long_enough[unit[close]])),
            np.concatenate((owner, self.band_owner[entry[close]])),
        )

    def _matches(
        self, level: Level, unit: I64, owner: I64, unit_row: I64, hashes: U64, context: U64
    ) -> Matches:
        """Return one match for each unit and held-out task: the first row there."""
        order = np.lexsort((owner, unit))
        unit, owner = unit[order], owner[order]  # owners ascend by task
        task = self.task[owner]
        first = np.ones(len(unit), np.bool_)
        first[1:] = (unit[1:] != unit[:-1]) | (task[1:] != task[:-1])
        unit, owner = unit[first], owner[first]
        number = np.full(len(unit), LEVELS.index(level), np.uint8)
        return Matches(number, unit_row[unit], owner, hashes[unit], context[unit])

    def touched(self, matches: Matches) -> dict[Level, I64]:
        """Return the held-out rows that stand in training, by level, as numbers of the index, ascending.

        At level `near` it is the rows that came first for some unit: at least so many.
        """
        units_found = np.unique(matches.unit[matches.level == LEVELS.index("row")])
        near = matches.owner[matches.level == LEVELS.index("near")]
        return {"row": np.unique(self.everywhere.find(units_found)[1]), "near": np.unique(near)}

    def save(self, folder: Path) -> None:
        """Write the index to a folder that does not exist yet."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "task": self.task,
            "rows": self.rows,
            "band_owner": self.band_owner,
            "sketch_hashes": self.sketches.hashes,
            "sketch_edges": self.sketches.edges,
        }
        for name in _POSTINGS:
            arrays |= getattr(self, name).arrays(name)
        saved.save(folder, {"tasks": self.tasks, "limits": asdict(self.limits)}, arrays)

    @classmethod
    def load(cls, folder: Path) -> HeldOutIndex:
        """Return a saved index whose arrays are mapped into memory, so that processes share them."""
        about, arrays = saved.load(folder)
        return cls(
            limits=Limits(**about["limits"]),
            tasks=tuple(about["tasks"]),
            task=arrays["task"],
            rows=arrays["rows"],
            band_owner=arrays["band_owner"],
            sketches=Sketches(arrays["sketch_hashes"], arrays["sketch_edges"]),
            **{name: Postings.from_arrays(name, arrays) for name in _POSTINGS},
        )


_POSTINGS = ("exact", "everywhere", "near", "bands")


def _postings(keys: U64, owners: I64, tasks: I64, most: int) -> Postings:
    chosen = firsts(keys, owners, tasks, most)
    return Postings.of(keys[chosen], owners[chosen])


def _before(counts: Iterable[int]) -> I64:
    """Return how many come before each."""
    every = np.fromiter(counts, np.int64)
    return np.cumsum(every) - every


def _joined(arrays: Sequence[npt.NDArray[Any]], kind: type[np.generic]) -> npt.NDArray[Any]:
    return np.concatenate([np.zeros(0, kind), *arrays]).astype(kind, copy=False)
