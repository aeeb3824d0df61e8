"""`preview`: what templates make of real rows, in the terminal."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instructify.cli import show
from instructify.cli.building import DataRoot, Json

if TYPE_CHECKING:
    from instructify.build import PlannedTask
    from instructify.build.sample import Sampled
    from instructify.recipe.load import LoadedRecipe

TARGETS = "a template file, a folder of one dataset's templates, a dataset name, or a recipe"


def preview(
    target: Annotated[
        str,
        typer.Argument(
            help="A template file, a folder of one dataset's templates, a dataset name, or a recipe.",
            show_default=False,
        ),
    ],
    template: Annotated[str, typer.Option("--template", "-t", help="Glob pattern of template names.")] = "*",
    task: Annotated[str, typer.Option(help="Glob pattern of task names, for a recipe.")] = "*",
    data: Annotated[
        str | None, typer.Option(help="File, folder or glob of rows; {split} stands for the split's name.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split to take rows from.")] = "train",
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=100, help="Rows to show.")] = 3,
    row: Annotated[
        list[int] | None, typer.Option(help="Index of a row to show; may be given several times.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Seed of the draws, unless the target is a recipe.")
    ] = 0,
    data_root: DataRoot = None,
    json: Json = False,
) -> None:
    """Show what templates make of real rows, or why they drop them.

    Exits with 1 when every row shown is dropped.

    Example: instructify preview world/reviews -n 2
    """
    from instructify.build.sample import first_rows, sample

    with tempfile.TemporaryDirectory() as work:
        loaded, tasks = _planned(target, template, task, data, split, seed, data_root, Path(work))
        found: list[tuple[PlannedTask, Sampled]] = []
        for one in tasks:
            numbers = _checked_rows(one, row) if row else first_rows(one, loaded.recipe.seed, rows)
            found += [(one, item) for item in sample(one, loaded.recipe.seed, numbers)]
    if json:
        show.as_json([_data(one, item) for one, item in found])
    else:
        _show(found)
    if all(item.example is None for _, item in found):
        raise typer.Exit(1)


def _planned(
    target: str,
    template: str,
    task: str,
    data: str | None,
    split: str,
    seed: int,
    data_root: Path | None,
    work: Path,
) -> tuple[LoadedRecipe, list[PlannedTask]]:
    from fnmatch import fnmatchcase

    from instructify.build import make_plan
    from instructify.errors import InstructifyError, Problem, nearest
    from instructify.recipe.load import load_recipe

    if not target:
        raise InstructifyError(Problem("the target is empty", expected=TARGETS))
    path = Path(target)
    is_recipe = path.suffix in (".yaml", ".yml") and path.name not in ("task.yaml", "templates.yaml")
    loaded = load_recipe(path) if is_recipe else _improvised(target, template, data, split, seed)
    plan = make_plan(loaded, work, data_root)
    tasks = [one for one in plan.tasks if fnmatchcase(one.name, task)]
    if not tasks:
        names = [one.name for one in plan.tasks]
        raise InstructifyError(Problem(f"no task is called {task!r}", target, nearest=nearest(task, names)))
    if not is_recipe:
        return loaded, tasks
    narrowed = [one for one in (_narrowed(one, template) for one in tasks) if one.templates]
    if not narrowed:
        known = [found.name for one in tasks for found in one.templates]
        what = f"no template is called {template!r}"
        raise InstructifyError(Problem(what, target, nearest=nearest(template, known)))
    return loaded, narrowed


def _narrowed(task: PlannedTask, pattern: str) -> PlannedTask:
    from dataclasses import replace

    from instructify.templates import matches

    return replace(task, templates=tuple(t for t in task.templates if matches(t.name, pattern)))


def _improvised(target: str, template: str, data: str | None, split: str, seed: int) -> LoadedRecipe:
    """Return a one-task recipe around a template file, a folder, or a dataset name."""
    from instructify.recipe import yaml
    from instructify.recipe.load import LoadedRecipe, validate
    from instructify.recipe.models import Recipe

    place, include = _place(target), template
    if place is None:
        dataset, subset, key, collections = _known(target)
    else:
        folder = place.parent if place.is_file() else place
        if place.suffix == ".jinja" and place.is_file():
            include = _name_of(place)
        dataset, subset, collection, key = _named(folder)
        collections = [collection]
        for name in (dataset, subset or dataset, key):
            _check_name(name, str(folder))
    _check_options(data, split)
    task: dict[str, Any] = {
        "dataset": dataset,
        "subset": subset,
        "cluster": "preview",
        "split": split,
        "templates": {"dataset": key, "include": [include]},
    }
    if data is not None:
        task["source"] = {"kind": "files", "path": str(Path(data).resolve())}
    whole = {
        "name": "preview",
        "seed": seed,
        "template_sources": collections,
        "output": {"dir": "."},
        "tasks": [task],
    }
    recipe = validate(Recipe, whole, yaml.parse("", target)[1], target)
    return LoadedRecipe(recipe, Path("preview").absolute(), Path.cwd(), "")


def _place(target: str) -> Path | None:
    """Return the template file or folder that a target names; None where it is no path."""
    from instructify.errors import InstructifyError, Problem

    try:
        place = Path(target).resolve()
        is_file = place.is_file()
        if not is_file and not place.is_dir():
            return None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR):
            return None
        raise InstructifyError(Problem(f"cannot be read: {(error.strerror or '').lower()}", target)) from None
    except (RuntimeError, ValueError) as error:  # links in a circle, a NUL
        raise InstructifyError(Problem(f"cannot be read: {error}", target)) from None
    if is_file and place.suffix != ".jinja" and place.name not in ("task.yaml", "templates.yaml"):
        raise InstructifyError(Problem("this is no template", target, TARGETS))
    return place


def _known(target: str) -> tuple[str, str | None, str, list[str]]:
    """Return dataset, subset, key and collections of a dataset name."""
    from instructify.templates import open_library
    from instructify.templates.promptsource import installed_root

    collections = ["builtin", "promptsource"] if installed_root() else ["builtin"]
    library = open_library(collections, Path.cwd())
    _check_name(target, "", library.datasets)
    return *library.parts(target), target, collections


def _check_name(name: str, where: str, known: Callable[[], list[str]] = list) -> None:
    """Raise InstructifyError unless a dataset can be called so."""
    import re

    from instructify.errors import InstructifyError, Problem, nearest
    from instructify.recipe.load import NAME_PATTERN, PATTERNS

    if len(name) > 200 or not re.fullmatch(NAME_PATTERN, name) or name.endswith("\n"):
        shown = repr(name if len(name) <= 80 else name[:77] + "...")
        if where:
            raise InstructifyError(
                Problem(f"a dataset cannot be called {shown}", where, PATTERNS[NAME_PATTERN])
            )
        what = f"there is no file or folder {shown}, and no dataset can be called so"
        raise InstructifyError(Problem(what, expected=TARGETS, nearest=nearest(name, known())))


def _check_options(data: str | None, split: str) -> None:
    from instructify.errors import InstructifyError, Problem
    from instructify.recipe.models import SPLIT

    problems = []
    if not SPLIT.fullmatch(split):
        expected = "a name with an optional slice, as in train, train[:500], test[10%:20%]"
        problems.append(Problem(f"{split!r} is no split", "--split", expected))
    if data == "":
        problems.append(Problem("no path is given", "--data", "a file, folder or glob of rows"))
    if problems:
        raise InstructifyError(*problems)


def _name_of(path: Path) -> str:
    from glob import escape

    from instructify.templates.ours import read_template

    return escape(read_template(path, "", "").name)


def _named(folder: Path) -> tuple[str, str | None, str, str]:
    """Return dataset, subset, collection root and key of a folder of templates."""
    from instructify.templates.ours import read_task_file

    facts = folder / "task.yaml"
    if facts.is_file():
        task = read_task_file(facts)
        key = task.folder
        if folder.as_posix().endswith("/" + key):
            return task.dataset, task.subset, folder.as_posix().removesuffix("/" + key) or "/", key
        return task.dataset, task.subset, str(folder.parent), folder.name
    return folder.name, None, str(folder.parent), folder.name


def _checked_rows(task: PlannedTask, rows: Sequence[int]) -> list[int]:
    from instructify.errors import InstructifyError, Problem

    source = task.source
    wrong = [row for row in rows if not source.start <= row < source.stop]
    if wrong:
        expected = f"an index in {source.start}..{source.stop - 1}"
        raise InstructifyError(Problem(f"there is no row {wrong[0]}", task.name, expected))
    return list(rows)


def _data(task: PlannedTask, item: Sampled) -> dict[str, Any]:
    example = item.example
    return {
        "task": task.name,
        "template": item.template.name,
        "row": item.row,
        "inputs": example.inputs if example else None,
        "targets": example.targets if example else None,
        "answer_choices": list(example.choices) if example and example.choices is not None else None,
        "label": example.label if example else None,
        "rationale": example.rationale if example else None,
        "dropped": item.reason or None,
        "detail": item.detail or None,
    }


def _show(found: Sequence[tuple[PlannedTask, Sampled]]) -> None:
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    console = show.console()
    for task, item in found:
        title = Text(f"{task.name} / {item.template.name}  row {item.row}", overflow="fold")
        body: list[Text] = []
        if item.example is None:
            body.append(Text(f"dropped: {item.reason}", style="bold red"))
            if item.detail:
                body.append(Text(item.detail))
        else:
            body.append(Text(item.example.inputs))
            body.append(Text("─" * 8 + " target", style="dim"))
            body.append(Text(item.example.targets, style="bold green"))
            if item.example.choices is not None:
                body.append(Text("choices: " + " | ".join(item.example.choices), style="dim"))
            if item.example.rationale:
                body.append(Text("rationale: " + item.example.rationale, style="dim"))
        console.print(Panel(Group(title, Text(), *body), title_align="left"))
    kept = sum(item.example is not None for _, item in found)
    show.line(f"{kept} of {len(found)} rows make an example")
