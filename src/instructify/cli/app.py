"""The table of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from instructify.cli import (
    building,
    evaluating,
    linting,
    planning,
    previewing,
    reporting,
    setup,
    templating,
    training,
)

app = typer.Typer(
    name="instructify",
    help="Instruction data one can trust: prompt templates rendered over labelled datasets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"instructify {version('instructify')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


app.command("init")(setup.init)
app.command("plan")(planning.plan)
app.command("build")(building.build)
app.command("verify")(building.verify)
app.command("finetune")(training.finetune)
app.command("lint")(linting.lint)
app.command("preview")(previewing.preview)
app.command("evaluate")(evaluating.evaluate)
app.command("report")(reporting.report)
app.add_typer(evaluating.export, name="export")
app.add_typer(templating.app, name="templates")
app.command("schema")(setup.schema)
app.command("doctor")(setup.doctor)
