"""How the rows of a task are cut into the ranges that shards are made of."""

from __future__ import annotations

from collections.abc import Sequence

from instructify.recipe.variants import Variant
from instructify.sources.stamps import check_file
from instructify.types import OpenSource

EXAMPLES_PER_SHARD = 65_536
MIN_ROWS, MAX_ROWS = 1_024, 16_384
TEXT_PER_SHARD, MAX_TEXT_PER_SHARD = 1 << 25, 1 << 26
"""Bytes of row text times templates that a shard should have, and may have at most."""


def shard_ranges(
    source: OpenSource, columns: Sequence[str], variants: Sequence[Sequence[Variant]]
) -> list[tuple[int, int]]:
    """Return the row ranges that one task is made in, so that a shard holds a bounded amount of text.

    `variants` are those of each template that will be rendered: exemplars are rows too.
    """
    fit = TEXT_PER_SHARD // max(1, _row_bytes(source, columns) * sum(map(rows_told, variants)))
    step = max(1, min(MAX_ROWS, max(MIN_ROWS, EXAMPLES_PER_SHARD // max(1, len(variants))), fit))
    return [(at, min(at + step, source.stop)) for at in range(source.start, source.stop, step)]


def rows_told(variants: Sequence[Variant]) -> int:
    """Return how many rows one prompt tells of: its own, and at most so many exemplars."""
    return 1 + max((variant.shot_range[1] for variant in variants), default=0)


def _row_bytes(source: OpenSource, columns: Sequence[str]) -> int:
    """Return about how many bytes a row has in some columns, by what the files say of themselves."""
    import pyarrow.parquet as pq

    stored = {new: old for old, new in source.renames.items()}
    wanted = {stored.get(name, name) for name in columns}
    total = rows = 0
    for file in source.files[:8]:
        check_file(file)
        with pq.ParquetFile(file.path) as opened:
            for number in range(min(opened.num_row_groups, 8)):
                group = opened.metadata.row_group(number)
                parts = (group.column(place) for place in range(group.num_columns))
                total += sum(
                    p.total_uncompressed_size for p in parts if p.path_in_schema.split(".")[0] in wanted
                )
                rows += group.num_rows
    return total // max(1, rows)
