"""Collections of templates: the built-in ones, an installed promptsource, or any folder in either layout."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from instructify.errors import InstructifyError, Problem, nearest
from instructify.templates import ours, promptsource
from instructify.templates.model import Template
from instructify.templates.ours import TaskFile

BUILTIN, PROMPTSOURCE = "builtin", "promptsource"
TASK_FILE = "task.yaml"


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """What a collection knows about a dataset beside its templates; empty where it knows nothing."""

    cluster: str | None = None
    licence: str | None = None
    language: str = "en"
    description: str = ""


@dataclass(frozen=True, slots=True)
class Collection:
    """A folder of templates: `<dataset>[/<subset>]/` with `.jinja` files or a `templates.yaml`."""

    name: str
    root: Path

    def datasets(self) -> list[str]:
        """Return the datasets that have templates here, sorted."""
        found = []
        for folder, names, files in os.walk(self.root):
            names.sort()
            if promptsource.FILE_NAME in files or any(name.endswith(".jinja") for name in files):
                found.append(Path(folder).relative_to(self.root).as_posix())
        return sorted(found)

    def templates(self, dataset: str, truncate: bool) -> list[Template]:
        """Return the templates of one dataset, sorted by name; none where the folder is missing."""
        folder = self.root / dataset
        found: list[Template] = []
        problems: list[Problem] = []
        for path in sorted(folder.glob("*.jinja")) if folder.is_dir() else []:
            try:
                found.append(ours.read_template(path, dataset, self.name))
            except InstructifyError as error:
                problems += error.problems
        if (folder / promptsource.FILE_NAME).is_file():
            path = folder / promptsource.FILE_NAME
            found += promptsource.read_templates(path, dataset, self.name, truncate)
        if problems:
            raise InstructifyError(*problems)
        return sorted(found, key=lambda template: template.name)

    def task_file(self, dataset: str) -> TaskFile | None:
        """Return what the dataset's task.yaml says, or None."""
        path = self.root / dataset / TASK_FILE
        return ours.read_task_file(path) if path.is_file() else None


@dataclass(frozen=True, slots=True)
class TemplateLibrary:
    """Several collections, searched in order; the first template of a name wins."""

    collections: tuple[Collection, ...]
    truncate: bool = False

    def datasets(self) -> list[str]:
        """Return every dataset that has templates, sorted."""
        return sorted({name for collection in self.collections for name in collection.datasets()})

    def templates(self, dataset: str) -> tuple[Template, ...]:
        """Return the templates of a dataset, sorted by name; raises InstructifyError when there are none."""
        found: dict[str, Template] = {}
        for collection in self.collections:
            for template in collection.templates(dataset, self.truncate):
                found.setdefault(template.name, template)
        if not found:
            names = ", ".join(collection.name for collection in self.collections)
            raise InstructifyError(
                Problem(
                    f"no templates for the dataset {dataset!r} in {names}",
                    nearest=nearest(dataset, self.datasets()),
                )
            )
        return tuple(found[name] for name in sorted(found))

    def task_info(self, dataset: str) -> TaskInfo:
        """Return what the first collection with a task.yaml says about a dataset."""
        for collection in self.collections:
            facts = collection.task_file(dataset)
            if facts is not None:
                return TaskInfo(facts.cluster, facts.licence, facts.language, facts.description)
        return TaskInfo()


def builtin_root() -> Path:
    """Return the folder of the templates that ship with instructify."""
    packaged = Path(__file__).resolve().parents[1] / "templates_library"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "templates"


def open_library(names: Sequence[str], base: Path, truncate: bool = False) -> TemplateLibrary:
    """Return the named collections: `builtin`, `promptsource`, or folders relative to `base`.

    Raises InstructifyError for a folder that is missing and for a promptsource that is not installed.
    """
    collections: list[Collection] = []
    problems: list[Problem] = []
    for name in names:
        if name == BUILTIN:
            collections.append(Collection(BUILTIN, builtin_root()))
        elif name == PROMPTSOURCE:
            root = promptsource.installed_root()
            if root is None:
                problems.append(
                    Problem("promptsource is not installed; instructify templates add promptsource does it")
                )
            else:
                collections.append(Collection(PROMPTSOURCE, root))
        elif (base / name).is_dir():
            collections.append(Collection(name, (base / name).resolve()))
        else:
            problems.append(
                Problem(
                    f"no template folder {name!r}",
                    expected="builtin, promptsource, or a folder relative to the recipe",
                    nearest=nearest(name, [BUILTIN, PROMPTSOURCE]),
                )
            )
    if problems:
        raise InstructifyError(*problems)
    return TemplateLibrary(tuple(collections), truncate)
