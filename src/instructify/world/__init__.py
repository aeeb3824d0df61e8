"""The offline world: small labelled datasets in many task clusters, made from seeded grammars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instructify.errors import InstructifyError, Problem, nearest
from instructify.world.catalogue import WORLD
from instructify.world.table import SPLITS, WorldDataset, dirty_rows, table

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SPLITS", "WORLD", "WorldDataset", "build_table", "dirty_rows", "world_names"]


def world_names() -> tuple[str, ...]:
    """Return the names of all world datasets in alphabetical order."""
    return tuple(sorted(WORLD))


def build_table(name: str, split: str, rows: int | None = None) -> pa.Table:
    """Return a split of a world dataset as an Arrow table; more rows only add to fewer.

    By default train has 2,000 rows, validation and test have 400 each. The schema carries the `datasets`
    library's metadata, so that label names are readable.

    Raises:
        InstructifyError: there is no such dataset or split, or `rows` is negative.
    """
    if name not in WORLD:
        raise InstructifyError(
            Problem(
                what=f"there is no world dataset {name!r}",
                expected=f"one of {', '.join(world_names())}",
                nearest=nearest(name, world_names()),
            )
        )
    return table(WORLD[name], split, rows)
