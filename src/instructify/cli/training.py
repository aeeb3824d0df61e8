"""`finetune`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from instructify.cli import show
from instructify.cli.building import Json, Quiet, RecipePath
from instructify.cli.progress import watching

if TYPE_CHECKING:
    from instructify.finetune import Finished, Settings
    from instructify.finetune.loop import Watcher
    from instructify.recipe.load import LoadedRecipe
    from instructify.recipe.models import Recipe

RunDir = Annotated[
    Path | None, typer.Option("--run", help="Folder of the experiment; by default the recipe's.")
]
BuildDir = Annotated[
    Path | None,
    typer.Option("--build", help="The published build; by default the recipe's output."),
]


def finetune(
    recipe: RecipePath,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**31 - 1, help="Train this seed only, instead of all of the recipe's."),
    ] = None,
    run: RunDir = None,
    build: BuildDir = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:1 and so on; auto takes a GPU where there is one.")
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of CPU arithmetic; by default one a core.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart/--resume", help="Begin anew, or go on from the last checkpoint.")
    ] = False,
    merge: Annotated[
        bool, typer.Option("--merge", help="Also write base model and adapter as one model folder, merged/.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune the recipe's model on its build, once for each seed.

    A run that was killed goes on from its last checkpoint when it is started again, and ends with the same
    weights; a finished one is left as it is.

    Example: instructify finetune recipes/tiny.yaml --seed 0
    """
    from instructify.finetune import Settings, run_folder
    from instructify.recipe.load import load_recipe
    from instructify.recipe.models import resolve
    from instructify.runners import available_cores

    loaded = load_recipe(recipe)
    settings = Settings(
        build or resolve(loaded.recipe.output.dir, loaded.base),
        run_folder(loaded, run),
        device,
        threads or available_cores(),
        restart,
    )
    seeds = loaded.recipe.finetune.seeds
    with watching(quiet or json) as watcher:
        results = [
            _train(loaded, each, settings, merge, watcher) for each in (seeds if seed is None else [seed])
        ]
    if json:
        show.as_json([{"folder": str(done.folder), **done.record} for done in results])
        return
    _show(f"fine-tuning of {loaded.recipe.model.name}", results)
    for note in build_notes(settings.build, loaded.recipe):
        show.say(f"note: {note}")
    if seed is not None and seed not in seeds:
        show.say(f"note: {seed} is not one of the recipe's seeds, so that evaluate leaves it out")
    folders = [("--build", build), ("--run", run)]
    options = [part for name, folder in folders if folder is not None for part in (name, folder)]
    show.next_step("evaluate", recipe, *options)


def build_notes(build: Path, recipe: Recipe) -> list[str]:
    """Return a note if a build was made from another recipe than this, whatever its name."""
    from instructify.finetune import other_sections

    differing = [section for section in other_sections(build, recipe) if section != "name"]
    return [f"the build is of a recipe with other {', '.join(differing)}"] if differing else []


def _train(loaded: LoadedRecipe, seed: int, settings: Settings, merge: bool, watcher: Watcher) -> Finished:
    from instructify.finetune import finetune as train
    from instructify.finetune.save import save_merged

    done = train(loaded, seed, settings, watcher)
    if merge:
        save_merged(loaded.recipe.model, loaded.base, done.folder / "adapter", done.folder / "merged")
    return done


def _show(title: str, results: Sequence[Finished]) -> None:
    rows = [
        (
            str(done.record["seed"]),
            f"{done.record['steps']:,}",
            f"{done.record['loss']:.4f}",
            f"{done.record['seconds']:,.0f}",
            f"{done.record['examples_per_second']:,.0f}",
            f"{done.record['peak_memory_bytes'] / 2**20:,.0f}",
            "finished before" if done.before else "trained",
        )
        for done in results
    ]
    columns = ("seed", "steps>", "loss>", "seconds>", "examples/s>", "peak MiB>", "")
    show.table(title, columns, rows)
    for done in results:
        show.line(f"wrote {done.folder}")
