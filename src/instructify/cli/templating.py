"""`templates list`, `show`, `stats` and `add`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instructify.cli import show
from instructify.cli.building import Json
from instructify.errors import counted

if TYPE_CHECKING:
    from instructify.templates import Template, TemplateLibrary
    from instructify.templates.stats import Coverage, TemplateStats

app = typer.Typer(help="Look at prompt templates, and add collections of them.", no_args_is_help=True)

From = Annotated[
    list[str] | None,
    typer.Option("--from", help="Collection: builtin, promptsource or a folder; may be given several times."),
]


@app.command("list")
def list_(
    dataset: Annotated[str, typer.Argument(help="Part of a dataset name.")] = "",
    source: From = None,
    json: Json = False,
) -> None:
    """List datasets that have templates, or the templates of one.

    Example: instructify templates list world/reviews
    """
    library = _library(source)
    datasets = library.datasets()
    if dataset in datasets:
        templates = library.templates(dataset)
        if json:
            show.as_json([_data(template) for template in templates])
            return
        rows = [(t.name, t.collection, t.kind, ", ".join(t.languages), t.hash) for t in templates]
        show.table(
            dataset, ("template", "collection", "kind", "language", "hash"), rows, ["hash", "collection"]
        )
        return
    matching = {name: library.templates(name) for name in _matching(library, dataset)}
    if json:
        show.as_json({name: [template.name for template in found] for name, found in matching.items()})
        return
    show.table("", ("dataset", "templates>"), [(name, str(len(found))) for name, found in matching.items()])
    total = sum(map(len, matching.values()))
    show.say(f"{counted(total, 'template')} for {counted(len(matching), 'dataset')}")


@app.command("show")
def show_(
    dataset: Annotated[str, typer.Argument(help="Dataset name.", show_default=False)],
    template: Annotated[str, typer.Argument(help="Template name.", show_default=False)],
    source: From = None,
    json: Json = False,
) -> None:
    """Show one template: its text, answer choices and metadata.

    Example: instructify templates show super_glue/rte "does it follow that"
    """
    from instructify.errors import InstructifyError, Problem, nearest

    every = {found.name: found for found in _library(source).templates(dataset)}
    if template not in every:
        what = f"{dataset} has no template {template!r}"
        raise InstructifyError(Problem(what, nearest=nearest(template, every)))
    found = every[template]
    if json:
        show.as_json(_data(found))
        return
    for name, value in _data(found).items():
        if name not in ("body", "answer_choices") and value not in (None, "", []):
            show.line(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
    if found.choices is not None:
        choices = found.choices if isinstance(found.choices, str) else " ||| ".join(found.choices)
        show.line(f"answer_choices: {choices}")
    show.line()
    show.line(found.body.strip("\n"))


@app.command("stats")
def stats(
    dataset: Annotated[str, typer.Argument(help="Part of a dataset name.")] = "",
    source: From = None,
    json: Json = False,
) -> None:
    """Count templates, and measure how varied they are.

    Example: instructify templates stats world
    """
    from dataclasses import asdict

    from instructify.templates.stats import by_author, by_cluster, template_stats

    library = _library(source)
    found = {name: library.templates(name) for name in _matching(library, dataset)}
    if not found:
        show.as_json({"datasets": {}, "total": None}) if json else show.line("no templates")
        return
    by_dataset = {name: template_stats(templates) for name, templates in found.items()}
    total = template_stats([template for templates in found.values() for template in templates])
    infos = {name: library.task_info(name).cluster or "" for name in found}
    clusters, authors = by_cluster(found, infos), by_author(found)
    if json:
        named = [name for name in clusters if name]
        whole = {"datasets": len(found), "clusters": named, **asdict(total)}
        show.as_json(
            {
                "datasets": {name: asdict(one) for name, one in by_dataset.items()},
                "clusters": {name: asdict(one) for name, one in clusters.items()},
                "authors": {name: asdict(one) for name, one in authors.items()},
                "total": whole,
            }
        )
        return
    _show_datasets(by_dataset)
    _show_coverage("task cluster", clusters)
    _show_coverage("author", authors)
    _say_total(total, len(found), sum(map(bool, clusters)))


def _show_datasets(by_dataset: Mapping[str, TemplateStats]) -> None:
    columns = (
        "dataset",
        "all>",
        "inverted>",
        "language",
        "form>",
        "choices>",
        "length>",
        "distinct-2>",
        "self-BLEU>",
    )
    rows = [
        (
            name,
            f"{one.templates:,}",
            f"{one.inverted:,}",
            ", ".join(one.languages),
            f"{one.question}/{one.instruction}/{one.statement}",
            f"{one.with_choices}/{one.choices_in_prompt}/{one.options_blocks}",
            f"{one.shortest}-{one.prompt_characters:.0f}-{one.longest}",
            _share(one.distinct_2),
            _share(one.self_bleu),
        )
        for name, one in by_dataset.items()
    ]
    show.table("", columns, rows, ["language", "inverted", "distinct-2", "length"])
    show.say("form: questions/instructions/statements; length: least-median-most characters")
    show.say("choices: templates that have any/say that the prompt shows them/lay them out as options")


def _show_coverage(what: str, covered: Mapping[str, Coverage]) -> None:
    columns = (what, "datasets>", "templates>", "of each>", "inverted>", "rationales>", "language")
    rows = [
        (
            name or f"(no {what})",
            f"{one.datasets:,}",
            f"{one.templates:,}",
            f"{one.least}" if one.least == one.most else f"{one.least}-{one.most}",
            f"{one.inverted:,}",
            f"{one.rationales:,}",
            ", ".join(one.languages),
        )
        for name, one in covered.items()
    ]
    show.table("", columns, rows, ["language", "rationales"])


def _say_total(total: TemplateStats, datasets: int, clusters: int) -> None:
    covered = f"{counted(datasets, 'dataset')}, {counted(clusters, 'task cluster')}"
    kinds = f"{total.task:,} task, {total.inverted:,} inverted"
    show.say(f"{counted(total.templates, 'template')} for {covered}: {kinds}")
    show.say(
        f"{total.question:,} ask a question, {total.instruction:,} give an instruction, "
        f"{total.statement:,} only state; {total.rationales:,} have a rationale"
    )
    show.say(
        f"of all, {total.with_choices:,} have answer choices, {total.choices_in_prompt:,} are marked as "
        f"showing choices in the prompt, {total.options_blocks:,} lay choices out as options"
    )
    show.say(
        f"median prompt {total.prompt_characters:,.0f} characters, distinct-2 {_share(total.distinct_2)}, "
        f"self-BLEU {_share(total.self_bleu)}"
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _matching(library: TemplateLibrary, part: str) -> list[str]:
    """Return the dataset of this name, or those with it in their names.

    Raises InstructifyError where there are none.
    """
    from instructify.errors import InstructifyError, Problem, nearest

    known = library.datasets()
    found = [part] if part in known else [name for name in known if part in name]
    if part and not found:
        what = f"no dataset with templates has {part!r} in its name"
        raise InstructifyError(Problem(what, nearest=nearest(part, known)))
    return found


@app.command("add")
def add(
    collection: Annotated[str, typer.Argument(help="promptsource.", show_default=False)],
) -> None:
    """Install a collection of templates; its code is never run.

    Example: instructify templates add promptsource
    """
    from instructify.errors import InstructifyError, Problem
    from instructify.templates.install import install_promptsource

    if collection != "promptsource":
        raise InstructifyError(Problem(f"no collection is called {collection!r}", expected="promptsource"))
    root = install_promptsource()
    library = _library([collection])
    count = sum(len(library.templates(name)) for name in library.datasets())
    show.line(f"promptsource: {counted(count, 'template')} in {root}")


def _library(source: list[str] | None) -> TemplateLibrary:
    from instructify.templates import open_library
    from instructify.templates.promptsource import installed_root

    every = ["builtin", "promptsource"] if installed_root() else ["builtin"]
    return open_library(source or every, Path.cwd())


def _data(template: Template) -> dict[str, Any]:
    choices = template.choices
    return {
        "dataset": template.dataset,
        "name": template.name,
        "id": template.id,
        "collection": template.collection,
        "origin": template.where,
        "dialect": template.dialect,
        "kind": template.kind,
        "hash": template.hash,
        "metrics": list(template.metrics),
        "languages": list(template.languages),
        "original_task": template.original_task,
        "choices_in_prompt": template.choices_in_prompt,
        "author": template.author,
        "reference": template.reference,
        "rationale": template.rationale,
        "answer_choices": list(choices) if isinstance(choices, tuple) else choices,
        "body": template.body,
    }
