"""`preview`: what templates make of real rows, in the terminal."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instructify.cli import show
from instructify.cli.building import DataRoot, Json

if TYPE_CHECKING:
    from instructify.build import PlannedTask
    from instructify.build.sample import Sampled
    from instructify.recipe.load import LoadedRecipe


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
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws, unless the target is a recipe.")] = 0,
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

    path = Path(target)
    is_recipe = path.suffix in (".yaml", ".yml") and path.name not in ("task.yaml", "templates.yaml")
    loaded = load_recipe(path) if is_recipe else _improvised(target, template, data, split, seed)
    plan = make_plan(loaded, work, data_root)
    tasks = [one for one in plan.tasks if fnmatchcase(one.name, task)]
    if not tasks:
        names = [one.name for one in plan.tasks]
        raise InstructifyError(Problem(f"no task is called {task!r}", target, nearest=nearest(task, names)))
    if is_recipe:
        tasks = [_narrowed(one, template) for one in tasks]
    return loaded, [one for one in tasks if one.templates]


def _narrowed(task: PlannedTask, pattern: str) -> PlannedTask:
    from dataclasses import replace
    from fnmatch import fnmatchcase

    return replace(task, templates=tuple(t for t in task.templates if fnmatchcase(t.name, pattern)))


def _improvised(target: str, template: str, data: str | None, split: str, seed: int) -> LoadedRecipe:
    """Return a one-task recipe around a template file, a folder, or a dataset name."""
    from instructify.recipe.load import LoadedRecipe
    from instructify.recipe.models import Recipe

    path = Path(target)
    dataset, subset, collection = target, None, ""
    include = template
    if path.exists():
        folder = path.resolve().parent if path.is_file() else path.resolve()
        if path.is_file() and path.suffix == ".jinja":
            include = _name_of(path)
        dataset, subset, collection, key = _named(folder)
    else:
        key = target
        head, _, tail = target.partition("/")
        dataset, subset = (head, tail) if head == "world" and tail else (target, None)
    from instructify.templates.promptsource import installed_root

    every = ["builtin", "promptsource"] if installed_root() else ["builtin"]
    task: dict[str, Any] = {
        "dataset": dataset,
        "subset": subset,
        "cluster": "preview",
        "split": split,
        "templates": {"dataset": key, "include": [include]},
    }
    if data is not None:
        task["source"] = {"kind": "files", "path": str(Path(data).resolve())}
    recipe = Recipe.model_validate(
        {
            "name": "preview",
            "seed": seed,
            "template_sources": [collection] if collection else every,
            "output": {"dir": "."},
            "tasks": [task],
        }
    )
    return LoadedRecipe(recipe, Path("preview").absolute(), Path.cwd(), "")


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
        key = f"{task.dataset}/{task.subset}" if task.subset else task.dataset
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
