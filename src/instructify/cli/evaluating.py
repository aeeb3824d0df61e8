"""`evaluate`, `export lm-eval` and `export compare`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instructify.cli import show
from instructify.cli.building import Json, Quiet
from instructify.cli.progress import watching
from instructify.cli.training import BuildDir, RunDir, build_notes
from instructify.errors import counted

if TYPE_CHECKING:
    from instructify.evaluate import Candidate
    from instructify.recipe.models import Recipe
    from instructify.recipe.training import Evaluate, ModelSection

export = typer.Typer(help="Write builds and scores for other tools.", no_args_is_help=True)

Target = Annotated[
    Path,
    typer.Argument(metavar="RECIPE", help="The recipe; or a run folder, with --build.", show_default=False),
]
OtherModel = Annotated[
    str | None,
    typer.Option("--model", help="Score this model instead of the recipe's, and none of the training runs."),
]
Adapter = Annotated[
    Path | None, typer.Option(help="Score the model with this adapter, instead of the training runs.")
]
OutDir = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder for the scores, instead of RUN/evaluation.")
]
Tasks = Annotated[
    list[str] | None, typer.Option("--task", help="Only this held-out task; may be given again.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Most examples of one task.")]
Device = Annotated[
    str, typer.Option(help="cpu, cuda, cuda:1 and so on; auto takes a GPU where there is one.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of CPU arithmetic; by default one a core.")]


def evaluate(
    target: Target,
    model: OtherModel = None,
    adapter: Adapter = None,
    build: BuildDir = None,
    run: RunDir = None,
    out: OutDir = None,
    task: Tasks = None,
    limit: Limit = None,
    device: Device = "auto",
    threads: Threads = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score base and tuned models on held-out tasks.

    Scored are the base model and the finished training runs of a recipe, on the held-out part of its build.
    Scores go to RUN/evaluation/scores.parquet, one row for every example and model. An evaluation that was
    stopped goes on where it was when it is started again.

    Example: instructify evaluate recipes/tiny.yaml
    """
    partial = {"--task": task, "--limit": limit, "--model": model, "--adapter": adapter}
    if out is None and (given := [name for name, value in partial.items() if value]):
        what = "scores that are not the whole experiment's need a folder of their own: name one with --out"
        raise typer.BadParameter(what, param_hint=given[0])
    from instructify.evaluate import Job, read_held_out
    from instructify.evaluate import evaluate as score
    from instructify.finetune import require_apart
    from instructify.recipe.training import ModelSection
    from instructify.runners import available_cores
    from instructify.seq2seq import require_train_extra

    # threads that spin while they wait starve each other where cores are shared; read when torch is loaded
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    require_train_extra()
    place = _place(target, run, build)
    require_apart(out or place.run, place.build)
    candidates, notes = _candidates(place, model, adapter)
    notes += build_notes(place.build, place.recipe) if place.recipe else []
    job = Job(
        out or place.run / "evaluation",
        read_held_out(place.build, task or (), limit),
        place.model if model is None else ModelSection(name=model, dtype=place.model.dtype),
        place.base if model is None else Path.cwd(),
        candidates,
        place.settings,
        device,
        threads or available_cores(),
        limit,
        tuple(notes),
    )
    with watching(quiet or json) as watcher:
        document = score(job, watcher)
    if json:
        show.as_json(document)
        return
    _show(document, job.folder)
    if len(candidates) > 1 and out is None:
        show.next_step("report", place.run)


@export.command("lm-eval")
def lm_eval(
    build: Annotated[Path, typer.Option("--build", help="A published build.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new or empty folder.", show_default=False)],
    task: Tasks = None,
    limit: Limit = None,
    score_eos: Annotated[
        bool, typer.Option(help="Let the harness score the end of a choice; as evaluate.score_eos.")
    ] = True,
    eos: Annotated[str, typer.Option(help="End-of-sequence text of the model's tokenizer.")] = "</s>",
) -> None:
    """Write held-out tasks for lm-evaluation-harness.

    Example: instructify export lm-eval --build build/tiny --out lm-eval
    """
    from instructify.evaluate import read_held_out
    from instructify.export.lm_eval import export_lm_eval

    held_out = read_held_out(build, task or (), limit)
    made, left_out = export_lm_eval(held_out, out, eos if score_eos else None)
    documents = sum(one.documents for one in made)
    show.line(f"wrote {counted(len(made), 'task')} with {counted(documents, 'document')} to {out}")
    if left_out:
        show.say(f"note: {left_out:,} examples without choices to rank are left out")
    show.line(f"next: {out}/README.md says how to run them")


@export.command("compare")
def compare(
    ours: Annotated[Path, typer.Option(help="scores.parquet of an evaluation.", show_default=False)],
    lm_eval: Annotated[
        Path, typer.Option("--lm-eval", help="Results of lm-evaluation-harness.", show_default=False)
    ],
    model: Annotated[str, typer.Option(help="Which of our models: base, tuned, shuffled.")] = "base",
    seed: Annotated[int | None, typer.Option(help="Its training seed; the base has none.")] = None,
    json: Json = False,
) -> None:
    """Compare our scores with lm-evaluation-harness's.

    Exits with 1 unless every choice, every accuracy to four decimals and every log-likelihood to 0.001 agree.

    Example: instructify export compare --ours runs/tiny/evaluation/scores.parquet --lm-eval lm-eval/results
    """
    from instructify.export.compare import compare as compared

    found = compared(ours, lm_eval, model, seed)
    agree = all(one.agrees for one in found)
    if json:
        show.as_json({"agree": agree, "tasks": [{**asdict(one), "agrees": one.agrees} for one in found]})
        raise typer.Exit(0 if agree else 1)
    rows = [
        (
            one.name,
            f"{one.documents:,}",
            f"{one.ours:.4f}",
            f"{one.theirs:.4f}",
            f"{one.differing:,}",
            f"{one.largest:.1e}",
            "yes" if one.agrees else "no",
        )
        for one in found
    ]
    columns = (
        "harness task",
        "documents>",
        "ours>",
        "lm-eval>",
        "other choice>",
        "log-likelihood +->",
        "agree",
    )
    show.table("accuracy and log-likelihoods, ours and lm-eval's", columns, rows, ["documents"])
    if missing := sum(one.missing for one in found):
        show.say(f"note: {missing:,} of its documents have no score of ours")
    if tied := sum(one.tied for one in found):
        show.say(f"note: {tied:,} of the other choices are ties, as between choices of the same tokens")
    agreeing = f"{sum(one.agrees for one in found):,} of {counted(len(found), 'task')} agree"
    show.say(f"{agreeing}, {counted(sum(one.documents for one in found), 'document')}")
    raise typer.Exit(0 if agree else 1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an experiment lies, its model (a folder is relative to `base`) and how it is to be scored.

    `recipe` is None where a run folder was given.
    """

    run: Path
    build: Path
    base: Path
    model: ModelSection
    settings: Evaluate
    recipe: Recipe | None


def _place(target: Path, run: Path | None, build: Path | None) -> Place:
    """Return where the experiment of a recipe or of a run folder lies."""
    from instructify.errors import InstructifyError, Problem
    from instructify.evaluate import sections
    from instructify.finetune import run_folder
    from instructify.recipe.load import load_recipe
    from instructify.recipe.models import resolve

    if target.is_dir():
        if build is None:
            what = "a run folder does not say where its build lies"
            raise InstructifyError(Problem(what, str(target), "--build, or the recipe"))
        return Place(run or target, build, Path.cwd(), *sections(target), None)
    loaded = load_recipe(target)
    recipe = loaded.recipe
    return Place(
        run_folder(loaded, run),
        build or resolve(recipe.output.dir, loaded.base),
        loaded.base,
        recipe.model,
        recipe.evaluate,
        recipe,
    )


def _candidates(
    place: Place, model: str | None, adapter: Path | None
) -> tuple[tuple[Candidate, ...], list[str]]:
    """Return the models to score, the base first, and notes on what is not scored."""
    from instructify.evaluate import BASE, finished, of_adapter

    if adapter is not None:
        return (BASE, of_adapter(adapter)), []
    if model is not None:
        return (BASE,), []
    found, notes = finished(place.run, place.recipe)
    return (BASE, *found), notes


def _show(document: Mapping[str, Any], folder: Path) -> None:
    labels = list(dict.fromkeys(model["model"] for model in document["models"]))
    rows = [
        (
            task["title"],
            task["headline"],
            f"{task['examples']:,}",
            *(_percent(one["median"]) for one in task["over_seeds"]),
            _percent(task["random"]),
            _percent(task["majority"]),
            _percent(task["results"][0]["prior"]),
            task["seen"]["word"],
        )
        for task in document["tasks"]
    ]
    columns = (
        "task",
        "metric",
        "examples>",
        *(f"{label}>" for label in labels),
        "random>",
        "majority>",
        "prior>",
        "base saw it",
    )
    title = f"median over templates, in per cent: {document['base']['name']}"
    show.table(title, columns, rows, ["prior", "metric", "majority", "examples", "base saw it", "random"])
    for note in _notes(document):
        show.say(f"note: {note}")
    for model in document["models"]:
        title = model["model"] if model["seed"] is None else f"{model['model']}, seed {model['seed']}"
        show.say(f"{title}: {model['seconds']:,.1f} s, {model['examples_per_second']:,.0f} examples/s")
    show.line(f"wrote {folder}")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _notes(document: Mapping[str, Any]) -> list[str]:
    """Return what a reader of the table should know, one sentence each."""
    notes = list(document["notes"])
    for task in document["tasks"]:
        if task["truncated"]:
            notes.append(f"{task['title']}: prompts that are truncated: {task['truncated']:,}")
        if task["colliding"]:
            notes.append(f"{task['title']}: examples with choices of the same tokens: {task['colliding']:,}")
        if task["others"]:
            notes.append(f"{task['title']}: templates with another metric, not shown: {task['others']:,}")
    by_note: dict[str, list[str]] = {}
    for task in document["tasks"]:
        by_note.setdefault(task["seen"]["note"], []).append(task["title"])
    return [*notes, *(f"{', '.join(tasks)}: {note}" for note, tasks in by_note.items())]
