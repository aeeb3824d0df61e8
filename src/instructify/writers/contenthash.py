"""A hash of what a table says, whatever its chunks, offsets, hidden bytes or library version.

Every column is three streams: whether each value is there (one byte each), the lengths of those that are
(64-bit, for text and lists), and their bytes (little-endian numbers, UTF-8 text; a list's values are a
column of their own). Because streams only ever grow at the end, how the rows are cut cannot matter.

Streams are hashed with XXH3 (128 bits), many times faster than SHA-256: this hash tells whether two builds
say the same, and whether somebody has changed a file is for the SHA-256 of each file to tell.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import xxhash

if TYPE_CHECKING:
    import pyarrow as pa

_VERSION = b"instructify/content/2"


def content_hash(table: pa.Table) -> str:
    """Return the content hash of a table as 64 hexadecimal characters; raises TypeError, as ContentHasher."""
    hasher = ContentHasher(table.schema)
    hasher.update(table)
    return hasher.hexdigest()


class ContentHasher:
    """The content hash of rows that come in pieces, in flat memory.

    Raises TypeError for types other than numbers, booleans, text, binary and lists of those.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._columns = [(field.name, _Stream(field.type)) for field in schema]
        self.rows = 0

    def update(self, table: pa.Table) -> None:
        """Add the rows of a table that has the same columns in the same order."""
        if table.column_names != [name for name, _ in self._columns]:
            raise ValueError(f"other columns than before: {table.column_names}")
        for (_, stream), column in zip(self._columns, table.columns, strict=True):
            for chunk in column.chunks:
                stream.update(chunk)
        self.rows += table.num_rows

    def hexdigest(self) -> str:
        """Return the hash of all rows so far."""
        whole = hashlib.sha256(_VERSION + self.rows.to_bytes(8, "little"))
        for name, stream in self._columns:
            for part in (name.encode("utf-8"), stream.name.encode("ascii"), stream.digest()):
                whole.update(len(part).to_bytes(8, "little") + part)
        return whole.hexdigest()


class _Stream:
    """The running hashes of one column, or of the values in a column of lists."""

    def __init__(self, kind: pa.DataType) -> None:
        import pyarrow.types as kinds

        self._validity, self._lengths, self._values = (xxhash.xxh3_128() for _ in range(3))
        self._child: _Stream | None = None
        self._is_text = True
        if kinds.is_string(kind) or kinds.is_large_string(kind):
            self.name = "string"
        elif kinds.is_binary(kind) or kinds.is_large_binary(kind):
            self.name = "binary"
        elif kinds.is_list(kind) or kinds.is_large_list(kind):
            self._child = _Stream(kind.value_type)
            self.name = f"list<{self._child.name}>"
        elif kinds.is_boolean(kind) or kinds.is_integer(kind) or kinds.is_floating(kind):
            self._is_text = False
            self.name = str(kind)
        else:
            raise TypeError(f"no content hash for columns of type {kind}")

    def update(self, array: pa.Array) -> None:
        import numpy as np
        import pyarrow.compute as pc

        self._validity.update(array.is_valid().to_numpy(zero_copy_only=False).astype(np.uint8).tobytes())
        values = array.drop_null()
        if self._child is not None:
            self._lengths.update(_little(pc.list_value_length(values)))
            self._child.update(values.flatten())
        elif self._is_text:
            self._lengths.update(_little(pc.binary_length(values)))
            self._values.update(_text_bytes(values))
        else:
            array = values.to_numpy(zero_copy_only=False)
            self._values.update(array.astype(array.dtype.newbyteorder("<")).tobytes())

    def digest(self) -> bytes:
        child = self._child.digest() if self._child is not None else b""
        return self._validity.digest() + self._lengths.digest() + self._values.digest() + child


def _little(lengths: pa.Array) -> bytes:
    data: bytes = lengths.to_numpy(zero_copy_only=False).astype("<i8").tobytes()
    return data


def _text_bytes(values: pa.Array) -> Any:
    """Return the bytes of text or binary values one after the other; `values` has no nulls."""
    import numpy as np
    import pyarrow.types as kinds

    if len(values) == 0:
        return b""
    large = kinds.is_large_string(values.type) or kinds.is_large_binary(values.type)
    _, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, np.int64 if large else np.int32)
    start, stop = ends[values.offset], ends[values.offset + len(values)]
    return memoryview(data)[start:stop] if data is not None else b""
