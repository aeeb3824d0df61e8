"""Sample rows of a dataset: drawn by its content, so the same each time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructify.keys import Key
from instructify.lint.engine import Data, Draft
from instructify.lint_run.find import Batch
from instructify.render.sandbox import GLOBALS

if TYPE_CHECKING:
    from instructify.types import OpenSource

RUN = 8
"""Sample rows are taken in runs of this many, so that few row groups of a large file are decoded."""


def read_data(batch: Batch, count: int, work: Path) -> Data:
    """Return what is known of a batch's dataset, with `count` sample rows of it; converts it into `work`."""
    if batch.source is None or not count:
        return Data(labels=batch.label_names or {})
    from instructify.sources import open_source

    source = open_source(batch.source, batch.split, batch.base, work)
    labels = {**(batch.label_names or {}), **source.labels}
    columns = _needed(batch.drafts, source.columns)
    return Data(source.columns, labels, tuple(_rows(source, count, columns)))


def _needed(drafts: Sequence[Draft], columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that some template reads, by whose names any of its texts mention."""
    texts = [
        "\n".join((d.template.body, str(d.template.choices or ""), d.template.rationale or ""))
        for d in drafts
    ]
    return tuple(name for name in columns if name not in GLOBALS and any(name in text for text in texts))


def _rows(source: OpenSource, count: int, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the index and the values of `count` rows, drawn in short runs by the content's key."""
    from instructify.sources import read_rows

    runs = -(-source.rows // RUN)
    key = Key.of("lint", source.fingerprint)
    left = min(count, source.rows)
    chosen: set[int] = set()
    number = found = 0
    while found < left:
        run = key.below(runs, number)
        if run not in chosen:
            chosen.add(run)
            found += min(RUN, source.rows - run * RUN)  # the last run may be a short one
        number += 1
    for at in sorted(chosen):
        start = source.start + at * RUN
        table = read_rows(source, start, min(start + RUN, source.stop, start + left), columns)
        left -= table.num_rows
        yield from enumerate(table.to_pylist(), start)
