"""Scores: one row for every (task, template, document, model, seed), with every choice's log-likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

SCORE_COLUMNS: Mapping[str, str] = {
    "task": "task name",
    "cluster": "task cluster",
    "dataset": "dataset name",
    "subset": "configuration of the dataset; null when it has only one",
    "template": "prompt template name",
    "variant": "how the example was composed",
    "document": "index of the row in its source: the `row` of the example",
    "example_id": "the `id` of the example",
    "model": "base, tuned, or shuffled for the negative control",
    "seed": "training seed; null for the base",
    "kind": "rank: the likeliest choice is the answer; generate: the answer is written out",
    "choices": "answer choices; null when generated",
    "loglikelihoods": "log-likelihood of each choice given the prompt, natural logarithm, summed over tokens",
    "prior_loglikelihoods": "the same given an empty prompt",
    "label": "index of the right choice",
    "predicted": "index of the choice with the highest log-likelihood, the first of equals",
    "prior_predicted": "the same given an empty prompt",
    "target": "the right answer",
    "prediction": "the answer that was written out; null when ranked",
    "metrics": "name and value of each metric, from 0 to 1, higher is better",
    "primary": "name of the metric that is the task's headline",
    "truncated": "whether tokens of the prompt were cut off",
}


def score_schema() -> pa.Schema:
    """Return the Arrow schema of scores; see SCORE_COLUMNS for the meaning of each column."""
    import pyarrow as pa

    logs = pa.list_(pa.float64())
    special: dict[str, Any] = {
        "document": pa.int64(),
        "seed": pa.int32(),
        "choices": pa.list_(pa.string()),
        "loglikelihoods": logs,
        "prior_loglikelihoods": logs,
        "label": pa.int32(),
        "predicted": pa.int32(),
        "prior_predicted": pa.int32(),
        "metrics": pa.list_(pa.struct([("name", pa.string()), ("value", pa.float64())])),
        "truncated": pa.bool_(),
    }
    required = {"task", "template", "variant", "document", "example_id", "model", "kind", "target", "metrics"}
    return pa.schema(
        [pa.field(name, special.get(name, pa.string()), name not in required) for name in SCORE_COLUMNS]
    )
