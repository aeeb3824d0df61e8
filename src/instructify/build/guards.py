"""What a build refuses: outputs among its own inputs, too many drops, and parts that came out empty."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from instructify.build.decide import over_limit
from instructify.errors import InstructifyError, Problem
from instructify.recipe.load import LoadedRecipe
from instructify.recipe.models import FilesSource
from instructify.sources.found import find_files
from instructify.sources.splits import split_name
from instructify.types import Ledger

MAX_TOLD = 3
"""Templates that are told by name where none kept a row."""


def check_outside(out: Path, loaded: LoadedRecipe) -> None:
    """Refuse sources that read what the build itself publishes: the next build would read the last one."""
    problems = []
    for number, entry in enumerate(loaded.recipe.tasks):
        if not isinstance(entry.source, FilesSource):
            continue
        for split in (entry.split, entry.eval_split):
            with contextlib.suppress(InstructifyError):  # what cannot be found is the plan's affair
                read = find_files(entry.source, split_name(split), loaded.base).paths
                inside = next((path for path in read if path.resolve().is_relative_to(out)), None)
                if inside is not None:
                    what = f"the source of {entry.task} reads the output directory: {inside}"
                    problems.append(Problem(what, loaded.where(number), "an output directory of its own"))
                    break
    if problems:
        raise InstructifyError(*problems)


def check_apart(target: Path, loaded: LoadedRecipe) -> None:
    """Refuse an output directory that holds the recipe: publishing replaces the whole directory."""
    if loaded.path.resolve().is_relative_to(target.resolve()):
        raise InstructifyError(
            Problem("the output directory holds the recipe itself", str(target), "a directory of its own")
        )


def check_ledgers(ledgers: Sequence[Ledger], limit: float) -> None:
    """Raise InstructifyError when a template dropped more than its share, or a part has nothing left."""
    bad = over_limit(ledgers, limit)
    if bad:
        raise InstructifyError(*(_dropped_too_many(ledger, limit) for ledger in bad))
    _check_emptiness(ledgers)


def _dropped_too_many(ledger: Ledger, limit: float) -> Problem:
    return Problem(
        f"{ledger.dropped.total():,} of {ledger.seen:,} rows dropped ({_reasons(ledger)})",
        f"{ledger.task} / {ledger.template}",
        f"at most {limit:.1%} (checks.max_dropped)",
    )


def _check_emptiness(ledgers: Sequence[Ledger]) -> None:
    held_out = {ledger.task for ledger in ledgers if ledger.role == "held_out"}
    empty = sorted(held_out - {ledger.task for ledger in ledgers if ledger.kept})
    if empty:
        what = f"nothing is left to evaluate of {', '.join(empty)}: every row was dropped"
        found = sorted({reason for ledger in ledgers if ledger.task in empty for reason in ledger.dropped})
        raise InstructifyError(Problem(f"{what} ({', '.join(found)})", expected="another eval_split"))
    train = [ledger for ledger in ledgers if ledger.role == "train"]
    if not any(ledger.kept for ledger in train):
        listed = [_told(ledger) for ledger in train if ledger.seen]
        more = f" and {len(listed) - MAX_TOLD:,} more" if len(listed) > MAX_TOLD else ""
        what = "nothing is left to publish for training: every row was dropped"
        raise InstructifyError(
            Problem(
                f"{what}, {'; '.join(listed[:MAX_TOLD])}{more}",
                expected="rows that make examples: instructify preview RECIPE shows why each row is dropped",
            )
        )


def _told(ledger: Ledger) -> str:
    return f"{ledger.dropped.total():,} of {ledger.task} / {ledger.template} ({_reasons(ledger)})"


def _reasons(ledger: Ledger) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(ledger.dropped.items()))
