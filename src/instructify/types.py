"""The nouns that cross floors: roles, the opened source, the ledger, and the Example columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Role = Literal["train", "held_out"]
Part = Literal["train", "eval"]
Stamp = tuple[int, int, int]  # inode, size in bytes and time of the last change in nanoseconds

EXAMPLE_COLUMNS: Mapping[str, str] = {
    "id": "stable hash of task, dataset, subset, split, row, template and variant; 32 hexadecimal characters",
    "inputs": "the prompt the model reads",
    "targets": "the text the model should answer",
    "answer_choices": "the choices of a classification or multiple-choice task; null when it has none",
    "label": "index of the target in answer_choices; null when there are no choices",
    "rationale": "the reasoning, where the template gives one; null otherwise",
    "answer_start": "where the answer begins in a target that reasons, in characters; null in other targets",
    "answer_end": "where the answer ends in a target that reasons; null in other targets",
    "task": "task name: dataset, with its subset after a slash",
    "cluster": "task cluster",
    "dataset": "dataset name",
    "subset": "configuration of the dataset; null when it has only one",
    "split": "split the row came from",
    "row": "index of the row in that split, from 0",
    "template": "name of the prompt template",
    "template_hash": "hash of all that decides what the template renders; 16 hexadecimal characters",
    "variant": "name of the variant that the example was composed in",
    "shots": "number of exemplars in the prompt",
    "exemplars": "row indices of the exemplars in the training split; null when there are none",
    "cut": "characters cut out of the prompt to fit the token budget",
    "language": "language tag of the template",
    "licence": "licence of the source; null when unknown",
}


def example_schema() -> pa.Schema:
    """Return the Arrow schema of a published example; see EXAMPLE_COLUMNS for the meaning of each column."""
    import pyarrow as pa

    special: dict[str, Any] = {
        "answer_choices": pa.list_(pa.string()),
        "label": pa.int32(),
        "answer_start": pa.int32(),
        "answer_end": pa.int32(),
        "cut": pa.int32(),
        "row": pa.int64(),
        "shots": pa.int32(),
        "exemplars": pa.list_(pa.int64()),
    }
    nullable = set("answer_choices label rationale answer_start answer_end subset exemplars licence".split())
    return pa.schema(
        [pa.field(name, special.get(name, pa.string()), name in nullable) for name in EXAMPLE_COLUMNS]
    )


@dataclass(frozen=True, slots=True)
class RowFile:
    """One Parquet file of an opened source and the number of rows in it.

    `stamp` is the file's as it was opened: reading it with another is an error, so that one build never
    mixes the rows of two files. It is no part of any fingerprint or key.
    """

    path: Path
    rows: int
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class OpenSource:
    """One split of a source, ready to be read in row ranges by any process.

    `files` are Parquet files in order; `start` and `stop` are the slice of their concatenated rows that
    the recipe asked for (row indices everywhere are those of the whole split). `renames` maps the stored
    column name to the name templates see. `labels` holds ClassLabel names by column (template-visible
    name). `fingerprint` is a hash of the content, `revision` the resolved commit of a hub dataset.
    `notes` are things the user should know, each one sentence.
    """

    files: tuple[RowFile, ...]
    start: int
    stop: int
    columns: tuple[str, ...]
    fingerprint: str
    renames: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    revision: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows in the slice."""
        return self.stop - self.start


@dataclass(slots=True)
class Ledger:
    """What became of the rows of one task under one template.

    `seen` rows were rendered and counted: `seen = kept + sum(dropped.values())`. `rows` is the size of the
    source slice; `rows - seen` were never needed, because the quota was full. `quota` is what the plan
    asked for; kept < quota means the source ran out of rows. A row may be rendered `epochs` times.
    """

    task: str
    template: str
    role: Role
    rows: int
    quota: int
    seen: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    epochs: int = 1

    def check(self) -> None:
        """Raise AssertionError unless every seen row is accounted for."""
        if self.seen != self.kept + self.dropped.total() or self.seen > self.rows * self.epochs:
            raise AssertionError(f"the ledger of {self.task} / {self.template} does not add up: {self}")

    def as_json(self) -> dict[str, Any]:
        """Return the ledger as plain data, drop reasons in alphabetical order."""
        return {
            "task": self.task,
            "template": self.template,
            "role": self.role,
            "rows": self.rows,
            "epochs": self.epochs,
            "quota": self.quota,
            "in": self.seen,
            "kept": self.kept,
            "dropped": dict(sorted(self.dropped.items())),
        }
