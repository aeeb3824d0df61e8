"""Native Parquet: checked and read where it lies; copied only when a cast or labels change its values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructify.errors import InstructifyError, Problem
from instructify.recipe.models import Columns
from instructify.sources.block import BLOCK_ROWS, Block, Intake
from instructify.sources.columns import cast_type, check_columns, parquet_labels, visible_block, visible_types
from instructify.sources.ingest import ingest, visible_labels
from instructify.sources.read import plain_schema
from instructify.sources.stamps import Marked
from instructify.types import OpenSource, RowFile

if TYPE_CHECKING:
    import pyarrow as pa


def open_parquet(mark: Marked, spec: Columns, work: Path) -> OpenSource:
    """Open the Parquet files of one split.

    Raises:
        InstructifyError: a file is corrupt or changes, two files disagree, or the recipe's column options
            do not fit.
    """
    import pyarrow as pa

    paths = mark.paths
    footers = [_footer(path) for path in paths]
    schema = _same_schema(paths, [found for _, found in footers], spec)
    labels = _same_labels(paths, [found for _, found in footers])
    stored = {field.name: field.type for field in schema}
    check_columns(spec, list(stored), str(paths[0]))
    casts = {
        name for name in stored if (to := spec.cast.get(seen(spec, name))) and cast_type(to) != stored[name]
    }
    texts = {
        name
        for name in stored
        if seen(spec, name) in spec.label_names and not pa.types.is_integer(stored[name])
    }
    if casts or texts:
        types = {name: None if seen(spec, name) in spec.cast else kind for name, kind in stored.items()}
        intake = Intake(types, lambda: _blocks(paths, list(stored)), labels)
        return ingest(work, mark.fingerprint, spec, str(paths[0]), lambda: intake, mark.check)
    _check_labels(paths, spec, stored)
    files = tuple(
        RowFile(path, rows, stamp) for path, (rows, _), stamp in zip(paths, footers, mark.stamps, strict=True)
    )
    mark.check_stamps()
    total = sum(file.rows for file in files)
    return OpenSource(
        files=files,
        start=0,
        stop=total,
        columns=tuple(seen(spec, name) for name in stored),
        fingerprint=mark.fingerprint,
        renames=dict(spec.rename),
        labels=visible_labels(labels, spec),
    )


def seen(spec: Columns, stored: str) -> str:
    """Return the name that templates see for a stored column."""
    return spec.rename.get(stored, stored)


def _footer(path: Path) -> tuple[int, pa.Schema]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return file.metadata.num_rows, file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InstructifyError(Problem(f"is no readable Parquet file: {reason}", where=str(path))) from None


def _same_schema(paths: Sequence[Path], schemas: Sequence[pa.Schema], spec: Columns) -> pa.Schema:
    """Return the schema that all files share, but for column order, nullability and metadata."""
    plain = [plain_schema(schema) for schema in schemas]
    for path, schema in zip(paths, plain, strict=True):
        twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
        if twice:
            raise InstructifyError(Problem(f"the column name {twice[0]!r} occurs twice", where=str(path)))
        odd = sorted(set(schema.names) ^ set(plain[0].names))
        if odd:
            raise InstructifyError(
                Problem(f"column {odd[0]!r} is in only one of {paths[0].name} and {path.name}", str(path))
            )
        for field in plain[0]:
            other = schema.field(field.name).type
            if other != field.type:
                raise InstructifyError(
                    Problem(
                        f"column {field.name!r} is {other} but {field.type} in {paths[0].name}",
                        where=str(path),
                        expected="one type in all files of a split; rewrite the odd one",
                    )
                )
    return plain[0]


def _same_labels(paths: Sequence[Path], schemas: Sequence[pa.Schema]) -> dict[str, tuple[str, ...]]:
    labels: dict[str, tuple[str, ...]] = {}
    first: dict[str, Path] = {}
    for path, schema in zip(paths, schemas, strict=True):
        for name, names in parquet_labels(schema.metadata).items():
            if name in labels and labels[name] != names:
                raise InstructifyError(
                    Problem(f"the label names of {name!r} are not those of {first[name].name}", str(path))
                )
            labels[name] = names
            first.setdefault(name, path)
    return labels


def _check_labels(paths: Sequence[Path], spec: Columns, stored: dict[str, Any]) -> None:
    """Check that the integers of every column with label names in the recipe lie within them."""
    names = [name for name in stored if seen(spec, name) in spec.label_names]
    if names:
        types = visible_types({name: stored[name] for name in names}, spec)
        for block in _blocks(paths, names):
            visible_block(block, spec, types)


def _blocks(paths: Iterable[Path], columns: list[str]) -> Iterator[Block]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in paths:
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                done = 0
                for batch in file.iter_batches(BLOCK_ROWS, columns=columns, use_threads=False):
                    plain = plain_schema(batch.schema)
                    arrays = {f.name: batch.column(f.name).cast(f.type) for f in plain if f.name in columns}
                    yield Block(arrays, batch.num_rows, _rows_of(path, done))
                    done += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise InstructifyError(Problem(f"cannot be read: {error}", where=str(path))) from None


def _rows_of(path: Path, start: int) -> Callable[[int], str]:
    return lambda row: f"{path} row {start + row}"
