"""`plan`: what a recipe will build, before it is built."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instructify.cli import show
from instructify.cli.building import DataRoot, Json, RecipePath

if TYPE_CHECKING:
    from instructify.build import Plan, PlannedTask
    from instructify.build.estimate import Amount, TaskEstimate


def plan(
    recipe: RecipePath,
    data_root: DataRoot = None,
    sample: Annotated[
        bool, typer.Option(help="Render a few rows of each template to tell sizes and time.")
    ] = True,
    json: Json = False,
) -> None:
    """Show exactly what a recipe will build, before it is built.

    Examples are exact, but for rows that are dropped. Tokens, bytes and time are estimates from a sample of
    16 rows a task, which is all that is rendered; the number after ± is one standard error.

    Example: instructify plan recipes/quickstart.yaml
    """
    from instructify.build import make_plan
    from instructify.build.estimate import estimate
    from instructify.recipe.load import load_recipe

    loaded = load_recipe(recipe)
    with tempfile.TemporaryDirectory() as work:
        made = make_plan(loaded, Path(work), data_root)
        estimates = {one.task: one for one in estimate(made, Path(work))} if sample else {}
    if json:
        show.as_json(_data(made, estimates))
    else:
        _show(made, estimates)


def _show(made: Plan, estimates: Mapping[str, TaskEstimate]) -> None:
    columns = ["task", "cluster", "role", "rows>", "templates>", "examples>", "share>", "due>", "dropped>"]
    rows = [_row(made, task, estimates.get(task.name)) for task in made.tasks]
    columns += ["bytes>"] if made.budget is None else ["tokens>", "bytes>"]
    spare = ["cluster", "rows", "templates", "due", "share", "role"]
    spare[4:4] = [] if made.budget is None else ["bytes"]
    show.table(f"plan of {made.recipe.name}", columns, rows, spare)
    _show_variants(made)
    show.say(f"train {made.examples('train'):,} examples, eval {made.examples('held_out'):,} examples")
    show.say("before rows are dropped: leaks, and what a template cannot use; others take their place if any")
    if estimates:
        _show_totals(made, estimates)
    for note in made.notes:
        show.say(f"note: {note}")


def _row(made: Plan, task: PlannedTask, found: TaskEstimate | None) -> tuple[str, ...]:
    whole = made.examples("train")
    given = sum(task.quotas)
    is_train = task.role == "train"
    due = made.mixture.due.get(task.name, given)
    cells = [
        task.name,
        task.cluster,
        task.role.replace("_", " "),
        f"{task.source.rows:,}",
        str(len(task.templates)),
        f"{given:,}",
        f"{given / whole:.1%}" if is_train and whole else "",
        f"{due:,}" if is_train and due != given else "",
        f"{found.dropped:.0%}" if found and found.dropped else "",
    ]
    if made.budget is not None:
        cells.append(_amount(found.tokens) if found and found.tokens else "")
    cells.append(_amount(found.size) if found else "")
    return tuple(cells)


def _show_variants(made: Plan) -> None:
    """Show the quotas of every variant, where there is more than one."""
    from instructify.build.actual import planned_variants

    planned = planned_variants(made)
    names = list(dict.fromkeys(variant for _, variant in planned))
    if len(names) < 2:
        return
    rows = []
    for task in made.tasks:
        found = [planned.get((task.name, name), 0) for name in names]
        rows.append((task.name, *(f"{count:,}" if count else "" for count in found)))
    show.table("examples by variant", ("task", *(f"{name}>" for name in names)), rows)


def _show_totals(made: Plan, estimates: Mapping[str, TaskEstimate]) -> None:
    from instructify.build.estimate import total

    every = list(estimates.values())
    size = f"{_amount(total(one.size for one in every))} bytes"
    counted = [one.tokens for one in every if one.tokens is not None]
    tokens = f"{_amount(total(counted))} tokens, " if counted else ""
    show.say(f"about {tokens}{size} of prompts and targets, from {_sampled(every)}")
    if made.budget is None:
        show.say("tokens are counted where the recipe names a tokenizer (tokens:)")
    seconds = sum(one.seconds for one in every)
    work = f"about {_duration(seconds)} of rendering and composing for one core"
    show.say(f"{work} (rough: from the time of the sample; comparing, sorting and writing come on top)")


def _sampled(every: list[TaskEstimate]) -> str:
    return f"samples of {max((one.sampled for one in every), default=0)} rows a task"


def _amount(amount: Amount) -> str:
    """Return an amount with its standard error, both cut to the digits that mean something."""
    return f"{_short(amount.value)} ± {_short(amount.error)}" if amount.error else _short(amount.value)


def _short(number: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * limit:
            return f"{number / limit:.3g} {unit}"
    return f"{number:.3g}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _data(made: Plan, estimates: Mapping[str, TaskEstimate]) -> dict[str, Any]:
    from instructify.build.actual import planned_variants

    planned = planned_variants(made)
    return {
        "name": made.recipe.name,
        "train": made.examples("train"),
        "eval": made.examples("held_out"),
        "tasks": [
            {
                "task": task.name,
                "cluster": task.cluster,
                "role": task.role,
                "rows": task.source.rows,
                "fingerprint": task.source.fingerprint,
                "examples": sum(task.quotas),
                "due": made.mixture.due.get(task.name),
                "offered": made.mixture.offered.get(task.name),
                "epochs": task.epochs,
                "quotas": {t.name: quota for t, quota in zip(task.templates, task.quotas, strict=True)},
                "variants": {variant: n for (name, variant), n in planned.items() if name == task.name},
                "estimate": _estimate_data(estimates.get(task.name)),
            }
            for task in made.tasks
        ],
        "notes": list(made.notes),
    }


def _estimate_data(found: TaskEstimate | None) -> dict[str, Any] | None:
    if found is None:
        return None

    def amount(one: Amount | None) -> dict[str, float] | None:
        return None if one is None else {"value": round(one.value, 1), "standard_error": round(one.error, 1)}

    return {
        "sampled_rows": found.sampled,
        "dropped": found.dropped,
        "examples": amount(found.examples),
        "bytes": amount(found.size),
        "tokens": amount(found.tokens),
        "seconds": round(found.seconds, 1),
    }
