"""`lint`: rules on templates, their rows, and how a tokenizer reads them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from instructify.cli.building import DataRoot, Json
from instructify.cli.previewing import Data, OfSplit

if TYPE_CHECKING:
    from instructify.lint import Rule
    from instructify.lint_run import Batch


Paths = Annotated[
    list[str] | None,
    typer.Argument(
        help="Template files, folders of templates, recipes; or datasets of a --collection.",
        show_default=False,
    ),
]
Collection = Annotated[
    str | None, typer.Option(help="A whole collection: builtin, promptsource or a folder.")
]
Rows = Annotated[
    int, typer.Option("--rows", "-n", min=0, max=100_000, help="Sample rows of each dataset; 0 for none.")
]
Tokenizer = Annotated[
    str | None,
    typer.Option(
        help="tiny, a tokenizer.json, a folder with one, or a model of the hub: turns on its rules."
    ),
]
Budget = Annotated[int, typer.Option(min=1, help="Tokens that a prompt may have.")]
Select = Annotated[
    list[str] | None,
    typer.Option(help="Run these rules only; may be a pattern, and given several times."),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(help="Leave these rules out; may be a pattern, and given several times."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")]


def _known_format(name: str) -> str:
    """Return the name of a format; typer's own enumerations speak of it in words of the library below."""
    from instructify.errors import nearest
    from instructify.lint.reports import FORMATS

    if name in FORMATS:
        return name
    guess = nearest(name, FORMATS)
    hint = f"; did you mean {guess!r}?" if guess else ""
    raise typer.BadParameter(f"{name!r} is none of {', '.join(FORMATS)}{hint}")


InFormat = Annotated[
    str,
    typer.Option(
        "--format",
        help="How findings are written.",
        metavar="text|json|sarif|github",
        callback=_known_format,
    ),
]


def lint(
    paths: Paths = None,
    collection: Collection = None,
    data: Data = None,
    split: OfSplit = None,
    rows: Rows = 200,
    tokenizer: Tokenizer = None,
    budget: Budget = 512,
    select: Select = None,
    ignore: Ignore = None,
    strict: Strict = False,
    format_: InFormat = "text",
    data_root: DataRoot = None,
    json: Json = False,
) -> None:
    """Find what is wrong with templates, in text and over real rows.

    Rows come from the recipe's sources, from --data, from the data root, or from the offline world. Without
    any, only the rules on text are run. Exits with 1 when there is an error, with 2 for wrong usage.

    Example: instructify lint world/reviews --collection builtin
    """
    from importlib.metadata import version

    from instructify.lint.reports import FORMATS
    from instructify.lint_run import Options, check_data_root, load_tokenizer, run

    rules = _rules(select or ["*"], ignore or [])
    for option, value in (("PATHS", paths or []), ("--collection", [collection]), ("--data", [data])):
        if "" in value:
            raise typer.BadParameter("no name is given", param_hint=option)
    batches = _batches([Path(path) for path in paths or []], collection, data, data_root, split)
    if data_root is not None and data is None and rows:
        check_data_root(data_root, batches)
    tokens = load_tokenizer(tokenizer) if tokenizer is not None else None
    with tempfile.TemporaryDirectory() as work:
        report = run(batches, Options(rules, rows, tokens, budget), Path(work))
    chosen = "json" if json else format_
    sys.stdout.write(FORMATS[chosen](report, version("instructify")))
    if report.fails(strict):
        raise typer.Exit(1)


def _rules(select: list[str], ignore: list[str]) -> dict[str, Rule]:
    from fnmatch import fnmatchcase

    from instructify.errors import nearest
    from instructify.lint import RULES

    for option, patterns in (("--select", select), ("--ignore", ignore)):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in RULES):
                guess = nearest(pattern, RULES)
                hint = f"; did you mean {guess!r}?" if guess else ""
                raise typer.BadParameter(f"no rule is called {pattern!r}{hint}", param_hint=option)
    return {
        name: rule
        for name, rule in RULES.items()
        if any(fnmatchcase(name, pattern) for pattern in select)
        and not any(fnmatchcase(name, pattern) for pattern in ignore)
    }


def _batches(
    paths: list[Path], collection: str | None, data: str | None, data_root: Path | None, split: str | None
) -> list[Batch]:
    from instructify.errors import InstructifyError
    from instructify.lint_run import from_collection, from_paths, from_recipe

    if not paths and collection is None:
        raise typer.BadParameter(
            "name a template, a folder or a recipe, or a --collection", param_hint="PATHS"
        )
    recipes = [path for path in paths if collection is None and path.exists() and _is_recipe(path)]
    others = [path for path in paths if path not in recipes]
    if recipes and (data is not None or split is not None):
        raise typer.BadParameter(
            "a recipe names its own rows", param_hint="--data" if data is not None else "--split"
        )
    found = [batch for recipe in recipes for batch in from_recipe(recipe, data_root)]
    try:
        if collection is not None:
            names = [path.as_posix() for path in others]
            return from_collection(collection, names, data, data_root, split)
        return found + from_paths(others, data, data_root, split)
    except InstructifyError as error:
        raise typer.BadParameter(str(error), param_hint="PATHS") from None


def _is_recipe(path: Path) -> bool:
    return path.suffix in (".yaml", ".yml") and path.name not in ("task.yaml", "templates.yaml")
