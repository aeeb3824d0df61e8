"""Which fields of struct columns some templates read, so that the others need not be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from instructify.render.compiled import BatchTemplate
from instructify.sources import FieldPath

if TYPE_CHECKING:
    import pyarrow as pa


def fields_read(templates: Iterable[BatchTemplate], schema: pa.Schema) -> dict[str, frozenset[FieldPath]]:
    """Return the paths of the fields that are read, for each struct column that is not read as a whole."""
    every = [template.paths for template in templates]
    known = [paths for paths in every if paths is not None]
    if len(known) < len(every):
        return {}
    found: dict[str, set[FieldPath]] = {}
    for path in frozenset().union(*known):
        if path[0] in schema.names:
            found.setdefault(path[0], set()).add(_stored(path, schema.field(path[0])))
    return {name: frozenset(paths) for name, paths in found.items() if () not in paths}


def _stored(path: FieldPath, column: pa.Field) -> FieldPath:
    """Return the part of a path that leads through structs, without the column; () where it leads nowhere."""
    import pyarrow.types as kinds

    kind = column.type
    below: FieldPath = ()
    for name in path[1:]:
        if not kinds.is_struct(kind):
            break
        place = kind.get_field_index(name)
        # Parquet readers find fields by names with dots in between
        if place < 0 or "." in name + column.name:
            return ()
        kind = kind.field(place).type
        below = (*below, name)
    return below
