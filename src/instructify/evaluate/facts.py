"""What there is to say of a scored task besides its scores: sizes, baselines, and what the base had seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from instructify.evaluate.heldout import HeldOutTask
from instructify.evaluate.task import is_ranked
from instructify.evaluate.tokens import encode_choices
from instructify.recipe.training import Evaluate
from instructify.seen import seen_by
from instructify.stats import majority, random_chance, spread, template_scores
from instructify.stats.resample import F64

Row = Mapping[str, Any]


def task_facts(
    task: HeldOutTask,
    variant: str,
    scored: Sequence[Row],
    tokenizer: Any,
    settings: Evaluate,
    base: str,
    *,
    proven: bool = True,
) -> dict[str, Any]:
    """Return the facts of a variant of a task as plain data.

    `scored` are one model's rows of it, `base` names the base model; `proven` is false where the training of
    a model that is scored is not known.

    `colliding` counts the examples two of whose choices are the same tokens, so that no model can tell them
    apart. `headline` is the main metric of most templates; the templates with another are left out of the
    table and counted in `others`. `random` and `majority` are accuracies, null where the headline is another.
    """
    ranked = [row for row in scored if row["kind"] == "rank"]
    counts = [len(row["choices"]) for row in ranked]
    main = headline(scored)
    guessed = [row for row in ranked if row["primary"] == main]
    seen = seen_by(base, task.dataset, task.subset)
    word: str = seen.word
    if word == "zero-shot":
        word = "unproven" if not proven else "few-shot" if variant in task.few_shot else word
    return {
        "task": task.name,
        "variant": variant,
        "title": task.title(variant),
        "cluster": task.cluster,
        "dataset": task.dataset,
        "subset": task.subset,
        "examples": len(scored),
        "documents": len({row["document"] for row in scored}),
        "templates": len({row["template"] for row in scored}),
        "ranked": len(ranked),
        "generated": len(scored) - len(ranked),
        "truncated": sum(row["truncated"] for row in scored),
        "colliding": _colliding(task, variant, tokenizer, settings),
        "choices": {"fewest": min(counts), "most": max(counts)} if counts else None,
        "headline": main,
        "others": len({row["template"] for row in scored if row["primary"] != main}),
        "random": random_chance(panel(guessed, lambda row: len(row["choices"]))) if guessed else None,
        "majority": majority(panel(guessed, lambda row: row["label"])) if guessed else None,
        "seen": {
            "status": seen.status,
            "word": word,
            "note": seen.note,
            "sources": list(seen.sources),
        },
    }


def headline(rows: Sequence[Row]) -> str:
    """Return the main metric of most templates, the first by name where as many have another."""
    templates = {(row["template"], row["primary"]) for row in rows}
    counts = Counter(str(primary) for _, primary in templates)
    return min(counts, key=lambda name: (-counts[name], name))


def summary(rows: Sequence[Row], metric: str) -> dict[str, float | None]:
    """Return one model's score on a task over its templates, and its accuracy by the choice prior alone."""
    ranked = [row for row in rows if row["primary"] == metric and row["kind"] == "rank"]
    prior = None
    if ranked:
        hits = panel(ranked, lambda row: row["prior_predicted"] == row["label"])
        prior = float(np.median(np.nanmean(hits, axis=1)))
    return {**over_seeds([rows], metric), "prior": prior}


def over_seeds(seeds: Sequence[Sequence[Row]], metric: str) -> dict[str, float]:
    """Return one model's score on a task, its training seeds averaged under each template."""
    panels = [
        panel([row for row in rows if row["primary"] == metric], lambda row: _value(row, metric))
        for rows in seeds
    ]
    return asdict(spread(template_scores(np.stack(panels))))


def panel(rows: Sequence[Row], value: Callable[[Row], float]) -> F64:
    """Return values as an array (templates, documents), NaN where a document has no row."""
    templates = sorted({row["template"] for row in rows})
    documents = sorted({row["document"] for row in rows})
    place = {key: n for n, key in enumerate(templates)}
    column = {document: n for n, document in enumerate(documents)}
    made = np.full((len(templates), len(documents)), np.nan)
    for row in rows:
        made[place[row["template"]], column[row["document"]]] = value(row)
    return made


def _value(row: Row, metric: str) -> float:
    return float(next(pair["value"] for pair in row["metrics"] if pair["name"] == metric))


def _colliding(task: HeldOutTask, variant: str, tokenizer: Any, settings: Evaluate) -> int:
    examples = [example for example in task.examples if example["variant"] == variant]
    lists = [example["answer_choices"] for example in examples if is_ranked(example)]
    ids = encode_choices(tokenizer, {choice for choices in lists for choice in choices}, settings, task.name)
    return sum(len({ids[choice] for choice in choices}) < len(choices) for choices in lists)
