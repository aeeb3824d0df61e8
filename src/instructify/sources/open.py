"""Opening a source: each kind's way to Parquet files, then the slice of the split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructify.errors import InstructifyError, Problem
from instructify.recipe.models import Columns, DiskSource, FilesSource, HubSource, WorldSource
from instructify.sources import fingerprint
from instructify.sources.block import BLOCK_ROWS, Block, Intake
from instructify.sources.columns import maybe_raw, parquet_labels
from instructify.sources.delimited import dialect_of, read_delimited
from instructify.sources.found import Found, find_files
from instructify.sources.ingest import ingest
from instructify.sources.jsonlines import read_json, read_jsonl
from instructify.sources.parquet import open_parquet
from instructify.sources.read import plain_schema
from instructify.sources.splits import parse_split, split_name
from instructify.sources.stamps import Marked, mark_files
from instructify.sources.text import codec_name
from instructify.types import OpenSource

if TYPE_CHECKING:
    import pyarrow as pa


def open_source(
    spec: FilesSource | HubSource | DiskSource | WorldSource, split: str, base: Path, work: Path
) -> OpenSource:
    """Open one split, with or without a slice, of a source.

    Paths in `spec` are relative to `base`. Sources that are not Parquet are converted once into `work`.

    Raises:
        InstructifyError: the source, split or slice does not exist, or its data do not hold.
    """
    name = split_name(split)
    if isinstance(spec, FilesSource):
        found = _open_files(spec, name, base, work)
    elif isinstance(spec, HubSource):
        found = _open_hub(spec, name, base, work)
    elif isinstance(spec, DiskSource):
        found = _open_disk(spec, name, base, work)
    else:
        found = _open_world(spec, name, work)
    start, stop = parse_split(split, found.rows)
    if start == stop:
        what = "the split has no row" if not found.rows else f"no row of {found.rows:,} is left"
        raise InstructifyError(Problem(f"{split}: {what}", where=_name_of(spec), expected="at least one row"))
    return replace(found, start=start, stop=stop)


def _open_files(spec: FilesSource, split: str, base: Path, work: Path) -> OpenSource:
    files = find_files(spec, split, base)
    text: Mapping[str, Callable[[], OpenSource]] = {
        "parquet": lambda: open_parquet(_marked(spec, files, format="parquet"), spec, work),
        "csv": lambda: _open_delimited(spec, files, work),
        "tsv": lambda: _open_delimited(spec, files, work),
        "json": lambda: _open_json(spec, files, work),
        "jsonl": lambda: _open_json(spec, files, work),
    }
    found = text[files.format]()
    return replace(found, notes=(*files.notes, *found.notes))


def _open_delimited(spec: FilesSource, files: Found, work: Path) -> OpenSource:
    dialect = dialect_of(spec, files.format)
    mark = _marked(
        spec,
        files,
        format="delimited",
        encoding=dialect.encoding,
        delimiter=dialect.delimiter,
        quoted=dialect.quoted,
        header=dialect.header,
        nulls=sorted(dialect.nulls),
    )
    where = str(files.paths[0])
    return ingest(
        work,
        mark.fingerprint,
        spec,
        where,
        lambda: read_delimited(files.paths, dialect, maybe_raw(spec)),
        mark.check,
    )


def _open_json(spec: FilesSource, files: Found, work: Path) -> OpenSource:
    encoding = codec_name(spec.encoding)
    read = read_jsonl if files.format == "jsonl" else read_json
    mark = _marked(spec, files, format=files.format, encoding=encoding)
    where = str(files.paths[0])
    return ingest(
        work,
        mark.fingerprint,
        spec,
        where,
        lambda: read(files.paths, encoding, maybe_raw(spec)),
        mark.check,
    )


def _marked(spec: FilesSource, files: Found, **reading: object) -> Marked:
    return mark_files(files.paths, fingerprint.options_text(spec, **reading))


def _open_hub(spec: HubSource, split: str, base: Path, work: Path) -> OpenSource:
    from instructify.sources.hub import load_hub

    loaded = load_hub(spec, split, base)
    found = _from_tables(spec, loaded.schema, loaded.tables, loaded.labels, _name_of(spec), work)
    return replace(found, revision=loaded.revision, notes=(*found.notes, *loaded.notes))


def _open_disk(spec: DiskSource, split: str, base: Path, work: Path) -> OpenSource:
    from instructify.sources.hub import load_disk

    loaded = load_disk(spec, split, base)
    return _from_tables(spec, loaded.schema, loaded.tables, loaded.labels, _name_of(spec), work)


def _open_world(spec: WorldSource, split: str, work: Path) -> OpenSource:
    from instructify.world import build_table

    table = build_table(spec.name, split, spec.rows)
    labels = parquet_labels(table.schema.metadata)
    starts = range(0, max(1, table.num_rows), BLOCK_ROWS)

    def tables() -> Iterator[pa.Table]:
        return (table.slice(start, BLOCK_ROWS) for start in starts)

    return _from_tables(spec, table.schema, tables, labels, _name_of(spec), work)


def _from_tables(
    spec: Columns,
    schema: pa.Schema,
    tables: Callable[[], Iterable[pa.Table]],
    labels: Mapping[str, tuple[str, ...]],
    where: str,
    work: Path,
) -> OpenSource:
    """Ingest Arrow tables, known by their values, because their bytes depend on who wrote them."""
    plain = plain_schema(schema)

    def cleaned() -> Iterator[pa.Table]:
        for table in tables():
            yield table.replace_schema_metadata(None).cast(plain)

    def blocks() -> Iterator[Block]:
        done = 0
        for table in cleaned():
            columns = {name: table.column(name) for name in plain.names}
            yield Block(columns, table.num_rows, _rows_of(where, done))
            done += table.num_rows

    types: dict[str, Any] = {
        field.name: None if spec.rename.get(field.name, field.name) in spec.cast else field.type
        for field in plain
    }
    mark = fingerprint.of_values(plain, cleaned(), labels, fingerprint.options_text(spec))
    return ingest(work, mark, spec, where, lambda: Intake(types, blocks, labels))


def _rows_of(where: str, start: int) -> Callable[[int], str]:
    return lambda row: f"{where} row {start + row}"


def _name_of(spec: FilesSource | HubSource | DiskSource | WorldSource) -> str:
    if isinstance(spec, WorldSource):
        return f"world/{spec.name}"
    return spec.path if isinstance(spec.path, str) else ", ".join(spec.path)
