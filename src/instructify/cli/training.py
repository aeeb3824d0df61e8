"""`finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instructify.cli import show
from instructify.cli.building import Json, Quiet, RecipePath
from instructify.cli.progress import watching

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
    from instructify.finetune import finetune as train
    from instructify.finetune.save import save_merged
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
    results = []
    with watching(quiet or json) as watcher:
        for each in loaded.recipe.finetune.seeds if seed is None else [seed]:
            results.append(train(loaded, each, settings, watcher))
            if merge:
                folder = results[-1].folder
                save_merged(loaded.recipe.model, loaded.base, folder / "adapter", folder / "merged")
    if json:
        show.as_json([{"folder": str(done.folder), **done.record} for done in results])
        return
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
    show.table(f"fine-tuning of {loaded.recipe.model.name}", columns, rows)
    for done in results:
        show.line(f"wrote {done.folder}")
    show.line(f"next: instructify evaluate {recipe}")
