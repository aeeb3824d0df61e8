"""`init`, `schema` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instructify.cli import show
from instructify.cli.building import Json


def init(
    directory: Annotated[Path, typer.Argument(help="Where to write the recipe.")] = Path(),
    name: Annotated[str, typer.Option(help="Name of the recipe.")] = "my-recipe",
) -> None:
    """Write a commented starter recipe, and its schema for editors.

    Example: instructify init my-project --name my-recipe
    """
    import json

    from instructify.errors import InstructifyError, Problem
    from instructify.recipe.schema import recipe_schema
    from instructify.recipe.starter import SCHEMA_FILE, starter_recipe

    text = starter_recipe(name)
    recipe = directory / f"{name.replace('/', '-')}.yaml"
    if recipe.exists():
        raise InstructifyError(Problem("is already there", str(recipe), "another --name"))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        recipe.write_text(text, encoding="utf-8")
        schema_text = json.dumps(recipe_schema(), indent=2, ensure_ascii=False) + "\n"
        (directory / SCHEMA_FILE).write_text(schema_text, encoding="utf-8")
    except OSError as error:
        raise InstructifyError(Problem(f"cannot be written: {error.strerror}", str(recipe))) from error
    show.line(f"wrote {recipe} and {directory / SCHEMA_FILE}")
    show.next_step("plan", recipe)


def schema() -> None:
    """Print the JSON Schema of recipes.

    Example: instructify schema > recipe.schema.json
    """
    from instructify.recipe.schema import recipe_schema

    show.as_json(recipe_schema())


def doctor(json: Json = False) -> None:
    """Check this installation: packages, templates, offline world.

    Exits with 1 when anything is wrong.

    Example: instructify doctor
    """
    from instructify.doctor import examine

    findings = examine()
    if json:
        show.as_json([{"what": f.what, "ok": f.ok, "found": f.found, "hint": f.hint} for f in findings])
    else:
        rows = [
            (("ok" if f.ok else "wrong") if f.required else ("ok" if f.ok else "-"), f.what, f.found, f.hint)
            for f in findings
        ]
        show.table("", ("", "what", "found", "hint"), rows)
    if any(f.required and not f.ok for f in findings):
        raise typer.Exit(1)
