"""Collections of templates: the built-in ones, an installed promptsource, or any folder in either layout."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import NoReturn

from instructify.errors import InstructifyError, Problem, nearest
from instructify.recipe.alike import ALIKE, ONE_FORM, alike
from instructify.recipe.models import resolve
from instructify.templates import ours, promptsource
from instructify.templates.model import Template
from instructify.templates.ours import TaskFile

BUILTIN, PROMPTSOURCE = "builtin", "promptsource"
TASK_FILE = "task.yaml"
OUR_ENDING = ".jinja"
OTHER_ENDINGS = (".j2", ".jinja2", ".jinja.txt", ".jinja")
"""Endings of files that were meant to be templates of ours, in letters of any case."""


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """What a collection knows about a dataset beside its templates; empty where it knows nothing."""

    cluster: str | None = None
    licence: str | None = None
    language: str = "en"
    description: str = ""
    aliases: tuple[str, ...] = ()
    origin: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unread:
    """A template that cannot be read, and why; `name` is None where its file alone does not tell it."""

    name: str | None
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Collection:
    """A folder of templates: `<dataset>[/<subset>]/` with `.jinja` files or a `templates.yaml`."""

    name: str
    root: Path

    def datasets(self) -> list[str]:
        """Return the datasets that have templates here, sorted."""
        found = []
        for folder, names, files in os.walk(self.root, onerror=_refuse):
            names[:] = sorted(name for name in names if not _is_hidden(name))
            if any(name == promptsource.FILE_NAME or is_template(name) for name in files):
                found.append(Path(folder).relative_to(self.root).as_posix())
        return sorted(name for name in found if name != ".")

    def loose(self) -> list[Path]:
        """Return the templates that lie in the folder itself, and so belong to no dataset."""
        names = _files(self.root)
        return [self.root / name for name in names if is_template(name) or name == promptsource.FILE_NAME]

    def templates(self, dataset: str, truncate: bool) -> list[Template]:
        """Return the templates of one dataset, sorted by name; none where the folder is missing.

        Raises InstructifyError with the problems of every file, and for names that two templates share.
        """
        found, unread = self.read(dataset, truncate)
        if unread:
            raise InstructifyError(*(problem for one in unread for problem in one.problems))
        return found

    def read(self, dataset: str, truncate: bool) -> tuple[list[Template], list[Unread]]:
        """Return the templates of a dataset, sorted by name, and those that cannot be read or told apart."""
        folder = self.root / dataset
        names = _files(folder)
        found: list[Template] = []
        unread: list[Unread] = []
        for path in (folder / name for name in names if is_template(name)):
            try:
                found.append(ours.read_template(path, dataset, self.name))
            except InstructifyError as error:
                unread.append(Unread(ours.name_of(path), tuple(error.problems)))
        if promptsource.FILE_NAME in names:
            path = folder / promptsource.FILE_NAME
            try:
                found += promptsource.read_templates(path, dataset, self.name, truncate)
            except InstructifyError as error:
                unread.append(Unread(None, tuple(error.problems)))
        unread += _shared_names(found)
        return sorted(found, key=lambda template: template.name), unread

    def task_file(self, dataset: str) -> TaskFile | None:
        """Return what the dataset's task.yaml says, or None."""
        folder = self.root / dataset
        return ours.read_task_file(folder / TASK_FILE, dataset) if TASK_FILE in _files(folder) else None


@dataclass(frozen=True, slots=True)
class TemplateLibrary:
    """Several collections, searched in order; the first template of a name wins."""

    collections: tuple[Collection, ...]
    truncate: bool = False

    def datasets(self) -> list[str]:
        """Return every dataset that has templates, sorted."""
        return sorted({name for collection in self.collections for name in collection.datasets()})

    def templates(
        self, dataset: str, include: Sequence[str] = ("*",), exclude: Sequence[str] = ()
    ) -> tuple[Template, ...]:
        """Return the templates of a dataset that can be read, sorted by name.

        `include` and `exclude` are the patterns of those that are wanted; what they leave out may be broken.
        Raises InstructifyError when one that they may select cannot be read, and when there are none at all.
        """
        found: dict[str, Template] = {}
        unread: list[Unread] = []
        for collection in self.collections:
            templates, bad = collection.read(dataset, self.truncate)
            for template in templates:
                found.setdefault(template.name, template)
            unread += bad
        asked = [one for one in unread if not found or _is_asked(one.name, found, include, exclude)]
        if asked:
            raise InstructifyError(*(problem for one in asked for problem in one.problems))
        if not found:
            raise InstructifyError(self._without_templates(dataset))
        return tuple(found[name] for name in sorted(found))

    def _without_templates(self, dataset: str) -> Problem:
        """Return the problem of a dataset without templates, with the nearest thing that there is."""
        what = f"no templates for the dataset {dataset!r} in {', '.join(c.name for c in self.collections)}"
        folders = [collection.root / dataset for collection in self.collections]
        misnamed = [f"{name} is not read" for folder in folders for name in _files(folder) if meant(name)]
        there = next((folder for folder in folders if os.path.isdir(folder)), None)  # noqa: PTH112  any name
        known = self.datasets()
        below = [name for name in known if name.startswith(f"{dataset}/")]
        if below:
            what += f", only for {len(below):,} below it"
            return Problem(what, expected=f"one of these, as {below[0]}")
        if other := alike(dataset, known):
            return Problem(f"{what}: the name of the folder {other!r} {ALIKE}", expected=ONE_FORM)
        if there is not None:
            listed = f" ({', '.join(misnamed)})" if misnamed else ""
            return Problem(what, expected=f"*{OUR_ENDING} files or a templates.yaml in {there}{listed}")
        expected = f"a folder {dataset} with *{OUR_ENDING} files or a templates.yaml"
        return Problem(what, expected=expected, nearest=nearest(dataset, known))

    def task_info(self, dataset: str) -> TaskInfo:
        """Return what the first collection with a task.yaml says about a dataset."""
        for collection in self.collections:
            facts = collection.task_file(dataset)
            if facts is not None:
                return TaskInfo(
                    facts.cluster,
                    facts.licence,
                    facts.language,
                    facts.description,
                    tuple(facts.aliases),
                    tuple(facts.origin),
                )
        return TaskInfo()

    def parts(self, folder: str) -> tuple[str, str | None]:
        """Return dataset and subset of a folder of templates: what its task.yaml says, else by its name."""
        for collection in self.collections:
            facts = collection.task_file(folder)
            if facts is not None:
                return facts.dataset, facts.subset
        return promptsource.parts(folder)


def matches(name: str, pattern: str) -> bool:
    """Tell whether a pattern selects a template: it is its very name, or a glob pattern that fits."""
    return name == pattern or fnmatchcase(name, pattern)


def dataset_of(folder: Path, data_root: Path | None) -> str | None:
    """Return the dataset of a folder of templates without a task.yaml: the longest end of its path, of three
    parts at most, that is a folder of the data root too; None where there is none.
    """
    parts = folder.resolve().parts
    ends = ("/".join(parts[-length:]) for length in (3, 2, 1))
    return next((end for end in ends if data_root is not None and (data_root / end).is_dir()), None)


def builtin_root() -> Path:
    """Return the folder of the templates that ship with instructify."""
    packaged = Path(__file__).resolve().parents[1] / "templates_library"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "templates"


def open_library(
    names: Sequence[str],
    base: Path,
    truncate: bool = False,
    where: Callable[[int], str] = lambda number: "",
) -> TemplateLibrary:
    """Return the named collections: `builtin`, `promptsource`, or folders relative to `base`.

    `where` is the place of a name, by its number, in messages. Raises InstructifyError for a folder that is
    missing and for a promptsource that is not installed.
    """
    collections: list[Collection] = []
    problems: list[Problem] = []
    for number, name in enumerate(names):
        try:
            collections.append(_collection(name, base))
        except InstructifyError as error:
            problems += [replace(problem, where=where(number)) for problem in error.problems]
    if problems:
        raise InstructifyError(*problems)
    return TemplateLibrary(tuple(collections), truncate)


def _collection(name: str, base: Path) -> Collection:
    if name == BUILTIN:
        return Collection(BUILTIN, builtin_root())
    if name == PROMPTSOURCE:
        root = promptsource.installed_root()
        if root is None:
            what = "promptsource is not installed; instructify templates add promptsource does it"
            raise InstructifyError(Problem(what))
        return Collection(PROMPTSOURCE, root)
    reason, other, there = "", "", list[str]()
    try:
        folder = resolve(name, base)
        if folder.is_dir():
            return Collection(name, folder)
        if folder.parent.is_dir():
            there = sorted(entry.name for entry in folder.parent.iterdir() if entry.is_dir())
        other = alike(folder.name, there)
    except OSError as error:
        reason = f": {(error.strerror or str(error)).lower()}"
    except (RuntimeError, ValueError) as error:  # ~ of nobody, links in a circle; a NUL
        reason = f": {str(error).lower().rstrip('.')}"
    if other:
        what = f"no template folder {name!r}: the name of the folder {other!r} {ALIKE}"
        raise InstructifyError(Problem(what, expected=ONE_FORM))
    raise InstructifyError(
        Problem(
            f"no template folder {name!r}{reason}",
            expected="builtin, promptsource, or a folder relative to the recipe",
            nearest=nearest(name, [BUILTIN, PROMPTSOURCE, *(str(Path(name).parent / one) for one in there)]),
        )
    )


def _is_hidden(name: str) -> bool:
    """Tell whether an editor or an archiver left this behind, as they do `.#one.jinja` and `._one.jinja`."""
    return name.startswith(".")


def is_template(name: str) -> bool:
    """Tell whether a file of this name is read as a template of ours."""
    return name.endswith(OUR_ENDING) and not _is_hidden(name)


def meant(name: str) -> str:
    """Return the name that a file should have to be read, where it is not read for its name; else ""."""
    small = name.lower()
    if _is_hidden(name) or is_template(name) or name in (TASK_FILE, promptsource.FILE_NAME):
        return ""
    for right in (TASK_FILE, promptsource.FILE_NAME):
        if small in (right, right.replace(".yaml", ".yml")):
            return right
    ending = next((ending for ending in OTHER_ENDINGS if small.endswith(ending)), "")
    return name[: -len(ending)] + OUR_ENDING if ending else ""


def _files(folder: Path) -> list[str]:
    """Return the names of the files in a folder, sorted; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return []
        _refuse(error)


def _refuse(error: OSError) -> NoReturn:
    """Say that a folder cannot be read; `os.walk` would pass over it in silence."""
    where = str(error.filename or "")
    what = f"the template folder cannot be read: {(error.strerror or str(error)).lower()}"
    raise InstructifyError(Problem(what, where)) from error


def _is_asked(name: str | None, known: Iterable[str], include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Tell whether patterns may select a template that cannot be read.

    One without a name may be any that a pattern selects, unless that pattern is the name of another.
    """
    if name is None:
        named = {*known, *map(escape, known)}
        return any(pattern not in named for pattern in include)
    is_included = any(matches(name, pattern) for pattern in include)
    return is_included and not any(matches(name, pattern) for pattern in exclude)


def _shared_names(templates: Sequence[Template]) -> list[Unread]:
    first: dict[str, Template] = {}
    unread = []
    for template in templates:
        other = first.setdefault(template.name, template)
        if other is not template:
            what = f"a second template is called {template.name!r}; the first is {other.where}"
            unread.append(Unread(template.name, (Problem(what, template.where, "another name"),)))
    return unread
