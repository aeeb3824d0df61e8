"""Roles: what is held out, and what of it would reach training under another name."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from instructify.build.drafts import Draft
from instructify.build.gate import related
from instructify.errors import InstructifyError, Problem, nearest
from instructify.recipe.models import DiskSource, FilesSource, HubSource, Recipe, WorldSource, resolve
from instructify.sources.found import find_files
from instructify.sources.splits import split_name
from instructify.sources.stamps import stamp_of
from instructify.types import Stamp


def role_problems(
    recipe: Recipe,
    drafts: Sequence[Draft],
    base: Path,
    place: Callable[..., str] = lambda *path: "",
) -> list[Problem]:
    """Return what is wrong with the clusters that a recipe holds out; paths of sources start from `base`.

    `place` gives the place of a value of the recipe, by its keys and indices.
    """
    clusters = sorted({draft.cluster for draft in drafts})
    problems = [
        Problem(
            f"held_out: no task is in the cluster {name!r}",
            place("held_out", number),
            f"one of {', '.join(clusters)}",
            nearest(name, clusters),
        )
        for number, name in enumerate(recipe.held_out)
        if name not in clusters
    ]
    folded = {name.casefold(): number for number, name in enumerate(recipe.held_out)}
    for name in clusters:
        number = folded.get(name.casefold())
        if number is not None and name not in recipe.held_out:
            other = recipe.held_out[number]
            what = f"the cluster {name!r} is held out only under the name {other!r}; use one"
            problems.append(Problem(what, place("held_out", number)))
    lines = {entry.task: place("tasks", number) for number, entry in enumerate(recipe.tasks)}
    problems += [Problem(what, lines[task], expected) for task, what, expected in _shared(drafts, base)]
    problems += [
        Problem(f"{found.where} is {found.what}", lines[found.where], found.expected)
        for found in _related(recipe, drafts)[1]
    ]
    if all(draft.role == "held_out" for draft in drafts):
        what = "every task is held out, so nothing is left to train on"
        problems.append(Problem(what, place("held_out")))
    return problems


def known_leaks(recipe: Recipe, drafts: Sequence[Draft]) -> dict[str, str]:
    """Return the training tasks that are left out for what is known of their datasets, with the reason."""
    return _related(recipe, drafts)[0]


def _related(recipe: Recipe, drafts: Sequence[Draft]) -> tuple[dict[str, str], list[Problem]]:
    train = {draft.entry.task: draft.identity for draft in drafts if draft.role == "train"}
    held_out = {draft.entry.task: draft.identity for draft in drafts if draft.role == "held_out"}
    return related(train, held_out, recipe.leaks)


def _shared(drafts: Sequence[Draft], base: Path) -> Iterator[tuple[str, str, str]]:
    """Yield each training task that reads what a held-out task reads, what is wrong, and what is expected."""
    train = [draft for draft in drafts if draft.role == "train"]
    held_out = [draft for draft in drafts if draft.role == "held_out"]
    if not train or not held_out:
        return
    names = {draft.entry.task: _names(draft, base) for draft in drafts}
    files = {draft.entry.task: _files(draft, base) for draft in drafts}
    for one in train:
        for other in held_out:
            a, b = one.entry.task, other.entry.task
            shared = sorted(names[a] & names[b]) + _same_file(files[a], files[b])[:1]
            if shared:
                what = f"{a} is trained on and {b} is held out, but both are {', '.join(shared)}"
                yield a, what, "both in one task cluster, or one of them left out"


def _names(draft: Draft, base: Path) -> set[str]:
    """Return the names by which a task's data may be recognised."""
    entry, spec = draft.entry, draft.spec
    found = {f"the dataset {entry.dataset}" + (f"/{entry.subset}" if entry.subset else "")}
    found.add(f"the rows {draft.source.fingerprint[:16]}")
    if isinstance(spec, WorldSource):
        found.add(f"the dataset world/{spec.name}")
    elif isinstance(spec, DiskSource):
        found.add(f"read from {resolve(spec.path, base)}")
    elif isinstance(spec, HubSource):
        found.add(f"the hub dataset {spec.path}" + (f"/{spec.config}" if spec.config else ""))
    return found


def _files(draft: Draft, base: Path) -> dict[Path, int]:
    """Return the files of a task's training and evaluation splits, links followed, with their sizes.

    A task is kept out with both of its splits, so both are asked for; the one that it does not read need not
    exist.
    """
    spec, entry = draft.spec, draft.entry
    found: dict[Path, int] = {}
    if isinstance(spec, FilesSource):
        for split in {split_name(entry.split), split_name(entry.eval_split)}:
            with contextlib.suppress(InstructifyError):
                found |= {path.resolve(): path.stat().st_size for path in find_files(spec, split, base).paths}
    elif isinstance(spec, DiskSource):
        folder = resolve(spec.path, base)
        found |= {path.resolve(): path.stat().st_size for path in folder.rglob("*.arrow")}
    return found


def _same_file(ones: dict[Path, int], others: dict[Path, int]) -> list[str]:
    """Return what two tasks both read: the same file by any name, or a copy of it."""
    same = [f"read from {path}" for path in sorted(ones.keys() & others.keys())]
    sizes = set(ones.values()) & set(others.values())
    if same or not sizes:
        return same
    copies = {_digest(path, stamp_of(path)): path for path, size in others.items() if size in sizes}
    alike = [
        (path, copies.get(_digest(path, stamp_of(path))))
        for path, size in sorted(ones.items())
        if size in sizes
    ]
    return [f"the same bytes, {path} and {copy}" for path, copy in alike if copy is not None]


@lru_cache(maxsize=1024)  # by stamp too, so that a file that has changed is read again
def _digest(path: Path, stamp: Stamp) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise InstructifyError(Problem(f"cannot be read: {error.strerror or error}", str(path))) from None
