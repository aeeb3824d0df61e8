"""`preview`: what templates make of real rows, in the terminal and as a page."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instructify.cli import show
from instructify.cli.building import DataRoot, Json

if TYPE_CHECKING:
    from instructify.preview import Bench, Card, Sheet


Target = Annotated[
    str,
    typer.Argument(
        help="A template file, a folder of one dataset's templates, a dataset name, or a recipe.",
        show_default=False,
    ),
]
Named = Annotated[str, typer.Option("--template", "-t", help="Glob pattern of template names.")]
OfTask = Annotated[str, typer.Option(help="Glob pattern of task names, for a recipe.")]
InVariant = Annotated[
    str | None,
    typer.Option(
        help="Glob pattern of variants: the recipe's; or zero_shot, few_shot, options_hidden, by_marker, "
        "reason_first, answer_first.",
    ),
]
Data = Annotated[
    str | None, typer.Option(help="File, folder or glob of rows; {split} stands for the split's name.")
]
OfSplit = Annotated[
    str | None, typer.Option(help="Split to take rows from, train or the first there is unless told.")
]
Rows = Annotated[int, typer.Option("--rows", "-n", min=1, max=100, help="Rows to show.")]
Row = Annotated[list[int] | None, typer.Option(help="Index of a row to show; may be given several times.")]
Seed = Annotated[
    int, typer.Option(min=0, max=2**63 - 1, help="Seed of the draws, unless the target is a recipe.")
]
Tokenizer = Annotated[
    str | None,
    typer.Option(help="tiny, a tokenizer.json, a folder with one, or a model of the hub: counts and cuts."),
]
MaxInput = Annotated[
    int | None, typer.Option(min=1, help="Most tokens of a prompt; 512 unless a recipe says otherwise.")
]
MaxTarget = Annotated[
    int | None, typer.Option(min=1, help="Most tokens of a target; 256 unless a recipe says otherwise.")
]
Against = Annotated[Path | None, typer.Option(help="Template file to compare with, instead of git's HEAD.")]
Html = Annotated[Path | None, typer.Option(help="Write one page for review here, instead of showing rows.")]
Watch = Annotated[bool, typer.Option("--watch", help="Show a template again whenever it is saved.")]


def preview(
    target: Target,
    template: Named = "*",
    task: OfTask = "*",
    variant: InVariant = None,
    data: Data = None,
    split: OfSplit = None,
    rows: Rows = 3,
    row: Row = None,
    seed: Seed = 0,
    tokenizer: Tokenizer = None,
    max_input: MaxInput = None,
    max_target: MaxTarget = None,
    against: Against = None,
    html: Html = None,
    watch: Watch = False,
    data_root: DataRoot = None,
    json: Json = False,
) -> None:
    """Show what templates make of real rows, or why they drop them.

    Rows are as a build makes them in its first epoch; where a mixture repeats rows, later ones draw anew. The
    leak gate is not run. Exits with 1 when every row shown is dropped.

    Example: instructify preview world/reviews -n 2
    """
    if json and (html is not None or watch):
        raise typer.BadParameter("is for one preview in the terminal", param_hint="--json")
    if html is not None and html.suffix in (".jinja", ".yaml", ".yml"):
        raise typer.BadParameter("would be written over a template or a recipe", param_hint="--html")
    from instructify.preview import Wanted, find, open_bench, sheets

    wanted = Wanted(
        target, template, task, variant, data, split, seed, data_root, tokenizer, max_input, max_target
    )
    if not wanted.is_recipe:
        _check_target(target)
    with tempfile.TemporaryDirectory() as work:
        found = find(wanted, Path(work))
        bench = open_bench(found, rows, row or [], Path(work), against)
        made = sheets(bench)
        if json:
            show.as_json([_data(sheet, card) for sheet in made for card in sheet.cards])
        else:
            _present(bench, made, made, html)
        if watch:
            _watch(bench, made, html)
            return
    if all(card.now.example is None for sheet in made for card in sheet.cards):
        raise typer.Exit(1)


def _check_target(target: str) -> None:
    """Raise InstructifyError for a whole collection, and for a path or dataset of which nothing is there."""
    import os
    import re

    from instructify.errors import InstructifyError, Problem, nearest
    from instructify.preview.target import TARGETS
    from instructify.recipe.load import NAME_PATTERN
    from instructify.templates.library import Collection

    if os.path.isdir(target):  # noqa: PTH112  any text may be asked for
        whole = Collection(target, Path(target))
        datasets = [] if whole.loose() else whole.datasets()
        if datasets:
            many = f"{len(datasets):,} datasets" if len(datasets) > 1 else "one dataset"
            expected = f"one of them, as {(Path(target) / datasets[0]).as_posix()}"
            raise InstructifyError(Problem(f"this is a collection of {many}", target, expected))
    is_path = "/" in target or target.endswith(".jinja")
    if is_path and re.fullmatch(NAME_PATTERN, target) and not os.path.lexists(target):
        known = _datasets()
        if target not in known:
            parent = Path(target).parent
            beside = [path.as_posix() for path in parent.iterdir()] if parent.is_dir() else []
            what = f"there is no file or folder {target!r}, and no dataset with templates is called so"
            raise InstructifyError(
                Problem(what, expected=TARGETS, nearest=nearest(target, [*beside, *known]))
            )


def _datasets() -> list[str]:
    """Return the datasets that can be previewed by their names."""
    from instructify.templates import open_library, promptsource

    collections = ["builtin", "promptsource"] if promptsource.installed_root() else ["builtin"]
    return open_library(collections, Path.cwd()).datasets()


def _present(bench: Bench, made: list[Sheet], new: list[Sheet], html: Path | None) -> None:
    """Write the page, or show the new sheets in the terminal; then say how many rows make an example."""
    from instructify.cli.cards import show_sheets
    from instructify.preview import write_page
    from instructify.preview.words import summary

    if html is not None:
        write_page(html, bench.found.wanted.target, made, bench.found.budget)
        show.line(f"{html}: {summary(made)}")
        return
    show_sheets(new, bench.found.budget)
    show.say(summary(new))


def _watch(bench: Bench, made: list[Sheet], html: Path | None) -> None:
    """Show templates again whenever they are saved, until the user ends it."""
    import time

    from instructify.errors import InstructifyError
    from instructify.preview import refreshed, sheets
    from instructify.preview.watch import changes

    screen = show.console()
    _say_watching("")
    try:
        for number, _ in enumerate(changes(bench.folders)):
            began = time.perf_counter()
            try:
                fresh = refreshed(bench)
                before = made if fresh.columns == bench.columns else []
                old = made
                bench, made = fresh, sheets(fresh, before)
                if not number and made == old:
                    continue
                screen.clear()  # does nothing where the output is no terminal
                _present(bench, made, [sheet for sheet in made if sheet not in old] or made, html)
            except InstructifyError as error:
                screen.clear()
                for problem in error.problems:
                    show.line(f"error: {problem}")
            _say_watching(f"rendered in {(time.perf_counter() - began) * 1000:.0f} ms; ")
    except KeyboardInterrupt:
        return


def _say_watching(before: str) -> None:
    import sys

    show.line(f"{before}watching, Ctrl-C ends")
    sys.stdout.flush()


def _data(sheet: Sheet, card: Card) -> dict[str, Any]:
    from dataclasses import asdict

    example = card.now.example
    was = card.was if card.changed else None
    return {
        "task": sheet.task,
        "template": sheet.template.name,
        "row": card.row,
        "variant": card.variant,
        "inputs": example.inputs if example else None,
        "targets": example.targets if example else None,
        "answer_choices": list(example.choices) if example and example.choices is not None else None,
        "label": example.label if example else None,
        "rationale": example.rationale if example else None,
        "exemplars": list(example.exemplars) if example else None,
        "cut": example.cut if example else None,
        "cut_text": (example.gone or None) if example else None,
        "tokens": asdict(example.size) if example and example.size else None,
        "dropped": card.now.reason or None,
        "meaning": card.now.meaning or None,
        "detail": card.now.detail or None,
        "was": list(was.text) if was else None,
        "diff": list(sheet.diff) or None,
    }
