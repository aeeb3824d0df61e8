"""Planned against actual: how many examples each task has in each variant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from instructify.build.plan import Plan
from instructify.compose.schedule import counts
from instructify.publish.files import FileRecord

TaskVariant = tuple[str, str]
"""Names of a task and of a variant."""


@dataclass(frozen=True, slots=True)
class VariantCount:
    """Examples of one task in one variant: planned, and kept in the build.

    They differ where rows were dropped: the place of a row decides its variant, and a row that stands in for
    another has its own.
    """

    task: str
    variant: str
    planned: int
    kept: int


def planned_variants(plan: Plan) -> dict[TaskVariant, int]:
    """Return the quota of every task in every variant that some template of it can be composed in."""
    found: Counter[TaskVariant] = Counter()
    for task in plan.tasks:
        for variants, quota in zip(task.variants, task.quotas, strict=True):
            shares = counts([variant.share for variant in variants], 0, quota)
            for variant, share in zip(variants, shares, strict=True):
                found[task.name, variant.name] += share
    return dict(found)


def variant_counts(plan: Plan, records: Sequence[FileRecord]) -> list[VariantCount]:
    """Return planned and kept examples by task and variant; `records` are those of the published files."""
    kept = _kept(records)
    return [
        VariantCount(task, variant, planned, kept.get((task, variant), 0))
        for (task, variant), planned in planned_variants(plan).items()
    ]


def _kept(records: Sequence[FileRecord]) -> Mapping[TaskVariant, int]:
    """Return what the files of one format hold: every format holds the same."""
    files = [record for record in records if "variants" in record.meta]
    kept: Counter[TaskVariant] = Counter()
    for record in files:
        if record.meta["format"] == files[0].meta["format"]:
            for task, variant, count in record.meta["variants"]:
                kept[task, variant] += count
    return kept
