"""`build` and `verify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instructify.cli import show
from instructify.cli.progress import watching
from instructify.errors import counted

if TYPE_CHECKING:
    from instructify.build import BuildResult
    from instructify.types import Ledger

DIFFERENCES = 30
"""Lines of planned against kept that are shown."""

RecipePath = Annotated[
    Path, typer.Argument(help="The recipe, a YAML file.", show_default=False, readable=False)
]
DataRoot = Annotated[
    Path | None,
    typer.Option(help="Folder of datasets for tasks without a source.", envvar="INSTRUCTIFY_DATA_ROOT"),
]
OutDir = Annotated[
    Path | None, typer.Option("--out", "-o", help="Output directory, instead of the recipe's.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


def build(
    recipe: RecipePath,
    out: OutDir = None,
    workers: Annotated[
        int | None, typer.Option("--workers", "-j", min=1, help="Worker processes; by default one a core.")
    ] = None,
    data_root: DataRoot = None,
    keep_work: Annotated[
        bool, typer.Option(help="Keep rendered shards, so that the next build re-makes only what changed.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where the time went and which rows were not compiled.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build a recipe and publish it: all of it, or nothing.

    A build that was killed goes on where it stopped when it is started again. The bytes are the same for
    any number of workers.

    Example: instructify build recipes/quickstart.yaml -j 4
    """
    from instructify.build import build as run
    from instructify.recipe.load import load_recipe
    from instructify.runners import available_cores

    loaded = load_recipe(recipe)
    with watching(quiet or json) as watcher:
        result = run(
            loaded,
            watcher,
            out=out,
            workers=workers or available_cores(),
            data_root=data_root,
            keep_work=keep_work,
        )
    if json:
        show.as_json(_build_data(result))
    else:
        _show_build(result)
        if profile:
            _show_profile(result)


def verify(
    directory: Annotated[Path, typer.Argument(help="A published build.", show_default=False)],
    json: Json = False,
) -> None:
    """Check every file of a build against its manifest.

    Exits with 1 when anything differs.

    Example: instructify verify build/quickstart
    """
    from instructify.errors import InstructifyError
    from instructify.publish.verify import verify as check

    report = check(directory)
    if json:
        show.as_json(
            {
                "ok": report.ok,
                "files": report.files,
                "bytes": report.bytes,
                "problems": [str(problem) for problem in report.problems],
            }
        )
        raise typer.Exit(0 if report.ok else 1)
    if not report.ok:
        raise InstructifyError(*report.problems)
    show.say(f"ok: {counted(report.files, 'file')}, {report.bytes:,} bytes, all as the manifest says")


def _build_data(result: BuildResult) -> dict[str, Any]:
    from instructify.build.actual import variant_counts

    return {
        "out": str(result.out),
        "content_hash": result.content_hash,
        "examples": {
            part: sum(ledger.kept for ledger in result.ledgers if ledger.role == role)
            for part, role in (("train", "train"), ("eval", "held_out"))
        },
        "ledgers": [ledger.as_json() for ledger in result.ledgers],
        "variants": [asdict(count) for count in variant_counts(result.plan, result.records)],
        "files": [record.path.removeprefix("out/") for record in result.records],
        "notes": list(result.plan.notes),
    }


def _show_build(result: BuildResult) -> None:
    by_task: dict[str, list[Ledger]] = {}
    for ledger in result.ledgers:
        by_task.setdefault(ledger.task, []).append(ledger)
    rows = [_ledger_row(name, ledgers) for name, ledgers in by_task.items()]
    columns = ("task", "role", "templates>", "rows in>", "kept>", "dropped>", "why")
    show.table(f"ledger of {result.plan.recipe.name}", columns, rows, ["templates", "rows in"])
    seen = sum(ledger.seen for ledger in result.ledgers)
    kept = sum(ledger.kept for ledger in result.ledgers)
    why = _why(result.ledgers)
    show.say(f"in {seen:,} = kept {kept:,} + dropped {seen - kept:,}" + (f" ({why})" if why else ""))
    short = [ledger for ledger in result.ledgers if ledger.kept < ledger.quota]
    if short:
        missing = sum(ledger.quota - ledger.kept for ledger in short)
        templates = f"{len(short):,} of {counted(len(result.ledgers), 'template')}"
        show.say(f"{templates} ran out of rows, {counted(missing, 'example')} short")
    _show_differences(result)
    empty = [ledger for ledger in result.ledgers if ledger.quota and not ledger.kept]
    for ledger in empty[:10]:
        show.say(f"note: {ledger.task} / {ledger.template} kept nothing")
    if len(empty) > 10:
        more = counted(len(empty) - 10, "more template")
        show.say(f"note: {more} kept nothing; see README.md of the build")
    for note in result.plan.notes:
        show.say(f"note: {note}")
    show.line(f"content hash {result.content_hash}")
    show.line(f"published {result.out}")
    show.next_step("verify", result.out)


def _show_differences(result: BuildResult) -> None:
    """Show where a task has other than the planned examples in a variant."""
    from instructify.build.actual import variant_counts

    rows = [
        (count.task, count.variant, f"{count.planned:,}", f"{count.kept:,}")
        for count in variant_counts(result.plan, result.records)
        if count.kept != count.planned
    ]
    if rows:
        columns = ("task", "variant", "planned>", "kept>")
        show.table("planned and kept, where they differ", columns, rows[:DIFFERENCES])
    if len(rows) > DIFFERENCES:
        show.say(f"and {len(rows) - DIFFERENCES:,} more, in manifest.json")


def _ledger_row(name: str, ledgers: list[Ledger]) -> tuple[str, ...]:
    return (
        name,
        ledgers[0].role.replace("_", " "),
        str(len(ledgers)),
        f"{sum(ledger.seen for ledger in ledgers):,}",
        f"{sum(ledger.kept for ledger in ledgers):,}",
        f"{sum(ledger.dropped.total() for ledger in ledgers):,}",
        _why(ledgers),
    )


def _why(ledgers: Sequence[Ledger]) -> str:
    """Return the three commonest reasons that rows were dropped for, with their counts."""
    dropped: Counter[str] = Counter()
    for ledger in ledgers:
        dropped.update(ledger.dropped)
    ordered = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    why = [f"{reason} {count:,}" for reason, count in ordered[:3]]
    return ", ".join(why + ["..."] * (len(ordered) > 3))


def _show_profile(result: BuildResult) -> None:
    profile = result.profile
    total = sum(profile.seconds.values()) or 1.0
    rows = [(step, f"{took:.2f}", f"{took / total:.0%}") for step, took in profile.seconds.items()]
    show.table("time by step, summed over workers", ("step", "seconds>", "share>"), rows)
    rendered = profile.rendered.values()
    count, kernels, reference, audited = (sum(numbers[n] for numbers in rendered) for n in range(4))
    python = count - kernels - reference
    show.say(
        f"rendered {counted(count, 'row')}: {kernels:,} by Arrow kernels, "
        f"{python:,} by generated functions, {reference:,} by the reference; {audited:,} audited, none differ"
    )
    slow = sorted(
        ((key, numbers) for key, numbers in profile.rendered.items() if numbers[2]),
        key=lambda item: -item[1][2],
    )
    if slow:
        shown = [
            (
                f"{task} / {name}",
                f"{n[0]:,}",
                f"{n[2]:,}",
                profile.refusals.get((task, name), "rows that raise"),
            )
            for (task, name), n in slow[:20]
        ]
        show.table("rows left to the reference", ("template", "rows>", "by reference>", "why"), shown)
    if len(slow) > 20:
        show.say(f"and {counted(len(slow) - 20, 'more template')}")
