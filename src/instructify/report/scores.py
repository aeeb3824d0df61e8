"""scores.parquet as arrays: for every dataset and variant a panel (templates, documents) a model and seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from instructify.errors import InstructifyError, Problem
from instructify.stats.resample import F64

BASE, TUNED = "base", "tuned"
COT = "cot_answer_accuracy"
I64 = npt.NDArray[np.int64]

_NAMES = ("task", "variant", "template", "cluster", "model", "primary")
_NUMBERS = ("document", "seed", "label", "predicted", "prior_predicted")


@dataclass(frozen=True, slots=True)
class Scored:
    """One variant of a dataset under its headline metric; NaN where a row was not scored.

    `title` names the variant where the dataset has several.
    `models` are panels (seeds, templates, documents), seeds in ascending order.
    `choices` and `labels` are of shape (templates, documents), NaN for rows without choices. `priors` is the
    accuracy of each model's choice prior, the median over templates, and `means` are metric -> model -> mean
    over templates, for every metric that rows of the dataset have.
    """

    task: str
    variant: str
    title: str
    cluster: str
    metric: str
    templates: tuple[str, ...]
    documents: I64
    models: Mapping[str, F64]
    choices: F64
    labels: F64
    priors: Mapping[str, float]
    means: Mapping[str, Mapping[str, float]]


def read_scores(path: Path) -> tuple[Scored, ...]:
    """Return the datasets of a scores.parquet, by cluster, name and variant; raises InstructifyError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [*_NAMES, *_NUMBERS, "choices", "metrics"]
    try:
        table = pq.read_table(path, columns=columns)
        rows = _Rows(table)
    except (pa.ArrowException, KeyError) as error:
        raise InstructifyError(Problem(f"cannot be read as scores: {error}", str(path))) from None
    for model in (BASE, TUNED):
        if model not in rows.names["model"]:
            hint = "rows of both base and tuned; instructify evaluate writes them after instructify finetune"
            raise InstructifyError(Problem(f"holds no rows of the {model} model", str(path), hint))
    return tuple(rows.scored(*names) for names in rows.headlines())


class _Rows:
    """The columns of the table as numpy arrays: names as codes into sorted lists, null numbers as NaN."""

    def __init__(self, table: Any) -> None:
        import pyarrow.compute as pc

        self.names: dict[str, list[str]] = {}
        self.codes: dict[str, I64] = {}
        columns = {name: table[name].to_numpy() for name in _NAMES}
        for name, column in columns.items():
            values, self.codes[name] = np.unique(column.astype(str), return_inverse=True)
            self.names[name] = values.tolist()
        self.numbers: dict[str, F64] = {
            name: np.asarray(table[name].cast("float64").to_numpy(), float) for name in _NUMBERS
        }
        self.numbers["choices"] = pc.list_value_length(table["choices"]).cast("float64").to_numpy()
        metrics = table["metrics"].combine_chunks()
        self.parents = pc.list_parent_indices(metrics).to_numpy()
        flat = pc.list_flatten(metrics)
        self.metrics = flat.field("name").to_numpy(zero_copy_only=False).astype(str)
        self.values = flat.field("value").to_numpy(zero_copy_only=False)
        primary = np.array(self.names["primary"])[self.codes["primary"]]
        self.score = self._scores(self.metrics == primary[self.parents])

    def _scores(self, chosen: npt.NDArray[np.bool_]) -> F64:
        """Return for every row the value of its chosen metric, NaN where it has none."""
        found = np.full(len(self.codes["task"]), np.nan)
        found[self.parents[chosen]] = self.values[chosen]
        return found

    def headlines(self) -> list[tuple[str, str, str, str]]:
        """Return cluster, task, variant and headline metric, which is the metric of most templates."""
        columns = ("cluster", "task", "variant", "primary", "template")
        kept = ~np.isnan(self.score)
        codes = np.unique(np.stack([self.codes[name][kept] for name in columns]), axis=1).T
        named = [[self.names[name][n] for name, n in zip(columns, row, strict=True)] for row in codes]
        counts = Counter((cluster, task, variant, metric) for cluster, task, variant, metric, _ in named)
        best: dict[tuple[str, str, str], str] = {}
        for cluster, task, variant, metric in sorted(counts, key=lambda names: (-counts[names], names)):
            best.setdefault((cluster, task, variant), metric)
        return [(*names, best[names]) for names in sorted(best)]

    def scored(self, cluster: str, task: str, variant: str, metric: str) -> Scored:
        """Return one variant of a dataset under its headline metric."""
        of_task = self._is("task", task)
        several = len(np.unique(self.codes["variant"][of_task])) > 1
        of_task &= self._is("variant", variant)
        kept = of_task & self._is("primary", metric) & ~np.isnan(self.score)
        templates, t = np.unique(self.codes["template"][kept], return_inverse=True)
        documents, d = np.unique(self.numbers["document"][kept], return_inverse=True)
        shape = (len(templates), len(documents))
        model, seed, score = self.codes["model"][kept], self.numbers["seed"][kept], self.score[kept]
        panels: dict[str, F64] = {}
        for code in np.unique(model):
            name = self.names["model"][code]
            own = model == code
            found = np.unique(seed[own])
            masks = [own & ((seed == s) | (np.isnan(seed) & np.isnan(s))) for s in found]
            panels[name] = np.stack([_panel(shape, t[m], d[m], score[m]) for m in masks])
        base = self._is("model", BASE)[kept]
        choices, labels = (
            _panel(shape, t[base], d[base], self.numbers[name][kept][base]) for name in ("choices", "label")
        )
        return Scored(
            task,
            variant,
            f"{task}, variant {variant}" if several else task,
            cluster,
            metric,
            tuple(self.names["template"][code] for code in templates),
            documents.astype(np.int64),
            panels,
            choices,
            labels,
            self._by_model(kept, self._prior_hits(), np.median),
            self._means(of_task),
        )

    def _is(self, name: str, value: str) -> npt.NDArray[np.bool_]:
        equal: npt.NDArray[np.bool_] = self.codes[name] == self.names[name].index(value)
        return equal

    def _prior_hits(self) -> F64:
        label, prior = self.numbers["label"], self.numbers["prior_predicted"]
        return np.where(np.isnan(label) | np.isnan(prior), np.nan, label == prior)

    def _means(self, rows: npt.NDArray[np.bool_]) -> dict[str, dict[str, float]]:
        names = np.unique(self.metrics[rows[self.parents]]).tolist()
        return {name: self._by_model(rows, self._scores(self.metrics == name), np.mean) for name in names}

    def _by_model(
        self, rows: npt.NDArray[np.bool_], values: F64, over: Callable[[list[float]], Any]
    ) -> dict[str, float]:
        """Return for each model its mean over rows by template, brought together by `over`."""
        found: dict[str, float] = {}
        rows = rows & ~np.isnan(values)
        for code, name in enumerate(self.names["model"]):
            own = rows & (self.codes["model"] == code)
            if own.any():
                template, own_values = self.codes["template"][own], values[own]
                found[name] = float(over([own_values[template == t].mean() for t in np.unique(template)]))
        return found


def _panel(shape: tuple[int, int], t: I64, d: I64, values: F64) -> F64:
    """Return the values laid out by template and document; rows that share a cell are averaged."""
    sums, counts = np.zeros(shape), np.zeros(shape)
    known = ~np.isnan(values)
    np.add.at(sums, (t[known], d[known]), values[known])
    np.add.at(counts, (t[known], d[known]), 1)
    with np.errstate(invalid="ignore"):
        panel: F64 = sums / counts
    return panel
