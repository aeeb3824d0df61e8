"""Fingerprints: what a source's rows are, told from its bytes or its values, never from where it lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructify.errors import InstructifyError, Problem
from instructify.keys import hexdigest
from instructify.recipe.models import Columns

if TYPE_CHECKING:
    import pyarrow as pa

HASH_ROWS = 8192  # rows hashed at once; part of the definition of a values' fingerprint


def options_text(spec: Columns, **reading: object) -> str:
    """Return every option that changes rows as canonical JSON; `reading` are the reader's own."""
    options = {"rename": spec.rename, "cast": spec.cast, "label_names": spec.label_names, **reading}
    return json.dumps(options, sort_keys=True, ensure_ascii=True)


def of_files(paths: Iterable[Path], options: str) -> str:
    """Return the fingerprint of files in order: sha256 of each one's bytes, and the options."""
    return hexdigest("files", options, *(_sha256(path) for path in paths))


def of_values(schema: pa.Schema, tables: Iterable[pa.Table], labels: Mapping[str, Any], options: str) -> str:
    """Return the fingerprint of a table's values, whatever its chunks, offsets and Arrow version."""
    import pyarrow as pa

    h = hashlib.blake2b(digest_size=32)
    for table in _blocks(tables):
        for name in schema.names:
            column = table.column(name).combine_chunks()
            chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
            for chunk in chunks:
                _add(h, chunk)
    columns = json.dumps([[field.name, str(field.type)] for field in schema])
    names = json.dumps({name: list(values) for name, values in labels.items()}, sort_keys=True)
    return hexdigest("values", options, columns, names, h.digest())


def _sha256(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise InstructifyError(
            Problem(f"cannot be read: {error.strerror or error}", where=str(path))
        ) from None


def _blocks(tables: Iterable[pa.Table]) -> Iterable[pa.Table]:
    """Cut tables of any sizes into blocks of HASH_ROWS rows."""
    import pyarrow as pa

    waiting: pa.Table | None = None
    for table in tables:
        waiting = table if waiting is None else pa.concat_tables([waiting, table])
        while waiting.num_rows >= HASH_ROWS:
            yield waiting.slice(0, HASH_ROWS)
            waiting = waiting.slice(HASH_ROWS)
    if waiting is not None and waiting.num_rows:
        yield waiting


def _add(h: Any, array: pa.Array) -> None:
    """Hash one array: its length, which values are null, then the values with nulls made equal."""
    import numpy as np
    import pyarrow as pa

    kind = array.type
    h.update(len(array).to_bytes(8, "little"))
    h.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_struct(kind):
        for child in array.flatten():
            _add(h, child)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        h.update(array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype("<i8").tobytes())
        _add(h, array.flatten())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = [text.encode() for text in array.fill_null("").to_pylist()]
        h.update(np.array([len(text) for text in texts], "<i8").tobytes())
        h.update(b"".join(texts))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        h.update(array.fill_null(0).to_numpy(zero_copy_only=False).tobytes())
    else:
        h.update(repr(array.to_pylist()).encode("utf-8", "surrogatepass"))
