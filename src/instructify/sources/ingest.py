"""Ingest: write an intake once, as Parquet with checksums, under a name made from its fingerprint."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from instructify.errors import InstructifyError, Problem
from instructify.recipe.models import Columns
from instructify.sources.block import Intake
from instructify.sources.columns import check_columns, visible_block, visible_types
from instructify.sources.stamps import stamp_of
from instructify.types import OpenSource, RowFile

READER = 1  # raise when readers change what they make of the same bytes
KEY = b"instructify"


def ingest(
    work: Path,
    fingerprint: str,
    spec: Columns,
    where: str,
    make: Callable[[], Intake],
    check: Callable[[], None] = lambda: None,
) -> OpenSource:
    """Return the source that was ingested under this fingerprint, ingesting it now if it was not.

    The file appears under its final name complete and flushed to disk, or not at all. `check` raises when
    the input is no longer what the fingerprint was made of; it is called after the last row was read.

    Raises:
        InstructifyError: the input or the recipe's column options do not hold, or the disk refuses.
    """
    target = work / f"{fingerprint}.{READER}.parquet"
    found = _opened(target, fingerprint)
    if found is None:
        try:
            work.mkdir(parents=True, exist_ok=True)
            _write(target, make(), spec, where, check)
        except InstructifyError:
            check()  # a change says more than the damage it did
            raise
        except OSError as error:
            raise InstructifyError(
                Problem(f"cannot be written: {error.strerror or error}", where=str(work))
            ) from error
        found = _opened(target, fingerprint)
    if found is None:
        raise InstructifyError(Problem("was written but cannot be read back", where=str(target)))
    return found


def _opened(target: Path, fingerprint: str) -> OpenSource | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        stamp = stamp_of(target)
        metadata = pq.read_metadata(target)
        schema = metadata.schema.to_arrow_schema()
        kept = json.loads(schema.metadata[KEY])
    except (InstructifyError, OSError, KeyError, TypeError, ValueError, pa.ArrowException):
        return None
    return OpenSource(
        files=(RowFile(target, metadata.num_rows, stamp),),
        start=0,
        stop=metadata.num_rows,
        columns=tuple(schema.names),
        fingerprint=fingerprint,
        labels={name: tuple(names) for name, names in kept["labels"].items()},
        notes=tuple(kept["notes"]),
    )


def _write(target: Path, intake: Intake, spec: Columns, where: str, check: Callable[[], None]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_columns(spec, list(intake.types), where)
    types = visible_types(intake.types, spec)
    kept = json.dumps({"labels": visible_labels(intake.labels, spec), "notes": intake.notes}, sort_keys=True)
    schema = pa.schema(list(types.items()), metadata={KEY: kept.encode()})
    partial = target.with_name(f"{target.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        with (
            partial.open("wb") as file,
            pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer,
        ):
            for block in intake.blocks():
                writer.write_table(visible_block(block, spec, types).replace_schema_metadata(schema.metadata))
        check()
        _sync(partial)
        partial.replace(target)
        _sync(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def visible_labels(stored: Mapping[str, tuple[str, ...]], spec: Columns) -> dict[str, tuple[str, ...]]:
    """Return label names by visible name; the recipe's win, and a column cast from integers loses its own."""
    found = {spec.rename.get(name, name): names for name, names in stored.items()}
    found = {name: names for name, names in found.items() if spec.cast.get(name, "int64") == "int64"}
    return found | {name: tuple(names) for name, names in spec.label_names.items()}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
