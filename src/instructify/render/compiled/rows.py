"""A batch of rows as the compiled path reads it: leaves of columns, decoded once for all templates."""

from __future__ import annotations

import ctypes
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.keys import I64
from instructify.render.meter import TUPLE
from instructify.render.reference import PIPES, PROTECTOR

if TYPE_CHECKING:
    import pyarrow as pa

Path = tuple[str, ...]
I32 = np.ndarray[Any, np.dtype[np.int32]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]


class Rows:
    """Rows of one source with their absolute row numbers; columns are decoded when first asked for."""

    def __init__(self, table: pa.Table, numbers: I64) -> None:
        self.table = _plainly_encoded(table)
        self.numbers = numbers
        self._arrays: dict[Path, pa.Array | None] = {}
        self._lists: dict[Path, list[Any]] = {}
        self._held: dict[str, bool] = {}
        self._protected: Rows | None = None

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of the top-level columns."""
        return frozenset(self.table.column_names)

    def take(self, indices: I64) -> Rows:
        """Return the rows at these indices."""
        if len(indices) == len(self):
            return self
        return Rows(rows_at(self.table, indices), self.numbers[indices])

    def array(self, path: Path) -> pa.Array | None:
        """Return the leaf at a path; None where it is not there, or where a null struct hides it."""
        if path not in self._arrays:
            self._arrays[path] = self._find(path)
        return self._arrays[path]

    def is_text(self, path: Path) -> bool:
        """Tell whether every value at a path is a string."""
        array = self.array(path)
        return array is not None and not array.null_count and is_string(array.type)

    def values(self, path: Path, fresh: bool = False) -> list[Any]:
        """Return the Python values at a path; `fresh` ones may be changed by the caller."""
        array = self.array(path)
        if array is None:
            raise KeyError(path)
        if fresh:
            return array.to_pylist()  # type: ignore[no-any-return]
        if path not in self._lists:
            self._lists[path] = array.to_pylist()
        return self._lists[path]

    @cached_property
    def sizes(self) -> I64:
        """Size of each row: its text in bytes, and 16 for every value and list element."""
        total = np.zeros(len(self), np.int64)
        for name in self.table.column_names:
            array = self.array((name,))
            if array is not None:
                total += row_sizes(array)
        return total

    def protected(self) -> Rows:
        """Return the rows as promptsource's templates see them: without ||| in any top-level string."""
        import pyarrow.compute as pc

        if self._protected is not None:
            return self._protected
        table = self.table
        for place, name in enumerate(table.column_names):
            array = self.array((name,))
            if array is not None and is_string(array.type) and self._has_bar(name):
                table = table.set_column(place, name, pc.replace_substring(array, PIPES, PROTECTOR))
        if table is self.table:
            return self
        self._protected = Rows(table, self.numbers)
        return self._protected

    @cached_property
    def with_bar(self) -> BoolArray:
        """Whether any string of the row, at any depth, holds a single |."""
        found = np.zeros(len(self), bool)
        for name in self.table.column_names:
            array = self.array((name,))
            if array is not None and self._has_bar(name):
                found |= rows_that_hold(array, "|")
        return found

    def _has_bar(self, name: str) -> bool:
        """Tell whether a column may hold a | at any depth; its text is looked through once."""
        if name not in self._held:
            array = self.array((name,))
            self._held[name] = array is not None and holds(array, "|")
        return self._held[name]

    def _find(self, path: Path) -> pa.Array | None:
        import pyarrow.compute as pc
        import pyarrow.types as kinds

        if len(path) == 1:
            if path[0] not in self.names:
                return None
            column = self.table[path[0]]
            return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        parent = self.array(path[:-1])
        if parent is None or not kinds.is_struct(parent.type) or parent.null_count:
            return None
        place = parent.type.get_field_index(path[-1])
        return pc.struct_field(parent, [place]) if place >= 0 else None


def rows_at(table: pa.Table, indices: I64) -> pa.Table:
    """Return the rows of a table at these indices, also of one without columns."""
    import pyarrow as pa

    return table.take(pa.array(indices, pa.int64())) if table.column_names else bare_rows(len(indices))


def bare_rows(count: int) -> pa.Table:
    """Return a table of so many rows and no columns, which only one made from structs remembers."""
    import pyarrow as pa

    return pa.Table.from_struct_array(pa.array([{}] * count, pa.struct([])))


def _plainly_encoded(table: pa.Table) -> pa.Table:
    """Return the table with string views and dictionaries decoded: few kernels take them."""
    import pyarrow as pa

    fields = [field.with_type(_plain_type(field.type)) for field in table.schema]
    schema = pa.schema(fields, table.schema.metadata)
    return table if schema == table.schema else table.cast(schema)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa
    import pyarrow.types as kinds

    if kinds.is_dictionary(kind):
        return _plain_type(kind.value_type)
    return pa.string() if kinds.is_string_view(kind) else kind


def is_string(kind: pa.DataType) -> bool:
    """Tell whether a type is a string type."""
    import pyarrow.types as kinds

    return bool(kinds.is_string(kind) or kinds.is_large_string(kind))


def holds(array: pa.Array, text: str) -> bool:
    """Tell whether strings of an array may hold a text; they may where it is not looked into."""
    import pyarrow.types as kinds

    kind = array.type
    if is_string(kind):
        if not len(array):
            return False
        buffer, offsets = array.buffers()[2], string_offsets(array)
        start, end = int(offsets[0]), int(offsets[-1])
        return end > start and _contains(buffer.slice(start, end - start), text.encode())
    if kinds.is_struct(kind):
        return any(holds(field, text) for field in array.flatten())
    if kinds.is_list(kind) or kinds.is_large_list(kind):
        return holds(array.flatten(), text)
    return not (kinds.is_primitive(kind) or kinds.is_decimal(kind) or kinds.is_null(kind))


def string_offsets(array: pa.Array) -> I32 | I64:
    """Return where each string of an array begins in its buffer, and where the last ends."""
    import pyarrow.types as kinds

    kind: Any = np.int64 if kinds.is_large_string(array.type) else np.int32
    offsets: I32 | I64 = np.frombuffer(array.buffers()[1], kind)
    return offsets[array.offset : array.offset + len(array) + 1]


def _contains(buffer: pa.Buffer, text: bytes) -> bool:
    """Tell whether a buffer holds some bytes, without copying it where the C library can look for itself."""
    if _MEMMEM is None:
        return text in buffer.to_pybytes()
    return bool(_MEMMEM(buffer.address, buffer.size, text, len(text)))


def _memmem() -> Any:
    try:
        function = ctypes.CDLL(None).memmem
    except (AttributeError, OSError, TypeError):
        return None
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    return function


_MEMMEM = _memmem()


def rows_that_hold(array: pa.Array, text: str) -> BoolArray:
    """Return which values hold a text in a string at any depth."""
    import pyarrow.compute as pc

    if is_string(array.type):
        found: BoolArray = pc.fill_null(pc.match_substring(array, text), False).to_numpy(zero_copy_only=False)
        return found
    return np.array([text in repr(value) for value in array.to_pylist()], bool)


def _running_sizes(array: pa.Array) -> I64:
    """Return the sizes of the first 0, 1, 2, ... values together, for strings at least that size."""
    if is_string(array.type) and len(array):
        offsets: I64 = string_offsets(array).astype(np.int64)
        running: I64 = offsets - offsets[0] + 16 * np.arange(len(array) + 1)
        return running
    return np.concatenate([[0], np.cumsum(row_sizes(array))])


def row_sizes(array: pa.Array) -> I64:
    """Return the size of each value: text in bytes, and 16 for every value and list element."""
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    kind = array.type
    if is_string(kind) or kinds.is_binary(kind) or kinds.is_large_binary(kind):
        lengths: I64 = pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False)
        return lengths.astype(np.int64) + 16
    if kinds.is_list(kind) or kinds.is_large_list(kind):
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        lengths = lengths.astype(np.int64)
        ends: I64 = np.cumsum(lengths)
        inner = _running_sizes(array.flatten())
        sizes: I64 = inner[ends] - inner[ends - lengths] + 16
        return sizes
    if kinds.is_struct(kind):
        fields = array.flatten()
        named = sum(len(field.name) for field in kind)
        total = np.full(len(array), 16 + named, np.int64)
        for field in fields:
            total += row_sizes(field)
        return total
    if kinds.is_primitive(kind) or kinds.is_decimal(kind) or kinds.is_null(kind):
        return np.full(len(array), 16, np.int64)
    return np.array([_size(value) for value in array.to_pylist()], np.int64)


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return 16 + sum(map(_size, (*value.keys(), *value.values())))
    if isinstance(value, (list, tuple)):
        return (16 if isinstance(value, list) else TUPLE << 3) + sum(map(_size, value))
    return 16 + (
        len(value.encode()) if isinstance(value, str) else len(value) if isinstance(value, bytes) else 0
    )
