"""Token statistics of a build, from a few examples of every template and shard, and what they refuse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.compose.budget import Budget
from instructify.errors import InstructifyError, Problem

if TYPE_CHECKING:
    import pyarrow as pa

    from instructify.build.make import Shard
    from instructify.build.plan import Plan

SAMPLED = 16
"""Examples of each template and shard whose tokens are counted for the statistics."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of a text: mean, median, 95th percentile and most, special tokens included."""

    mean: float
    median: int
    p95: int
    most: int


@dataclass(frozen=True, slots=True)
class TaskTokens:
    """What the sampled examples of one task say of its tokens.

    `unknown` is the share of tokens that the tokenizer does not know, and `characters` the characters that
    most often stand behind them.
    """

    task: str
    sampled: int
    inputs: Lengths
    targets: Lengths
    unknown: float
    characters: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the statistics as plain data."""
        return {
            "task": self.task,
            "sampled": self.sampled,
            **{
                name: {"mean": one.mean, "median": one.median, "p95": one.p95, "most": one.most}
                for name, one in (("inputs", self.inputs), ("targets", self.targets))
            },
            "unknown": self.unknown,
            "unknown_characters": list(self.characters),
        }


def token_sample(budget: Budget, tables: Sequence[pa.Table]) -> dict[str, Any]:
    """Return the tokens of a few prompts and targets, and what of them the tokenizer does not know."""
    found: dict[str, Any] = {"unknown": 0}
    behind: Counter[str] = Counter()
    for name in ("inputs", "targets"):
        texts: list[str] = []
        for table in tables:
            picked = np.unique(np.linspace(0, table.num_rows - 1, SAMPLED).astype(np.int64))
            texts += table[name].take(picked).to_pylist() if table.num_rows else []
        found[name], unknown, characters = budget.measure(texts)
        found["unknown"] += unknown
        behind.update(characters)
    return {**found, "characters": dict(behind.most_common(20))}


def token_statistics(plan: Plan, shards: Sequence[Shard]) -> tuple[TaskTokens, ...]:
    """Return the statistics of every task that kept anything; none where the recipe has no tokenizer."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for shard in shards:
        entries = shard.record.meta["templates"]
        found.setdefault(shard.task, []).extend(entry["tokens"] for entry in entries if "tokens" in entry)
    tasks = dict.fromkeys(task.name for task in plan.tasks)
    every = (_of_task(name, found[name]) for name in tasks if name in found)
    return tuple(one for one in every if one is not None)


def check_unknown(plan: Plan, statistics: Sequence[TaskTokens]) -> None:
    """Raise InstructifyError for every task whose share of unknown tokens is above the recipe's limit."""
    tokens = plan.recipe.tokens
    problems = [
        Problem(
            f"{one.unknown:.1%} of the sampled tokens are unknown to it: {' '.join(one.characters)}",
            f"{one.task}, tokenizer {tokens.tokenizer}",
            f"at most {tokens.max_unknown:.1%} (tokens.max_unknown), or a tokenizer that knows them",
        )
        for one in statistics
        if tokens is not None and one.unknown > tokens.max_unknown
    ]
    if problems:
        raise InstructifyError(*problems)


def _of_task(name: str, samples: Sequence[Mapping[str, Any]]) -> TaskTokens | None:
    inputs = [count for sample in samples for count in sample["inputs"]]
    targets = [count for sample in samples for count in sample["targets"]]
    if not inputs:
        return None
    characters: Counter[str] = Counter()
    for sample in samples:
        characters.update(sample["characters"])
    unknown = sum(sample["unknown"] for sample in samples) / (sum(inputs) + sum(targets))
    shown = sorted(characters, key=lambda c: (-characters[c], c))[:10]
    return TaskTokens(name, len(inputs), _lengths(inputs), _lengths(targets), round(unknown, 6), tuple(shown))


def _lengths(counts: Sequence[int]) -> Lengths:
    ordered = np.sort(np.array(counts, np.int64))
    last = len(ordered) - 1
    middle, high = ordered[last // 2], ordered[last * 95 // 100]
    return Lengths(round(float(ordered.mean()), 2), int(middle), int(high), int(ordered[-1]))
