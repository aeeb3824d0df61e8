"""Reading rows of an opened source by range, in any process, one decoded row group at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

from instructify.errors import InstructifyError, Problem, nearest
from instructify.sources.stamps import check_file
from instructify.types import OpenSource, RowFile

if TYPE_CHECKING:
    import pyarrow as pa

FieldPath = tuple[str, ...]
"""Names of nested struct fields below a column, from the outside in."""


def source_schema(source: OpenSource) -> pa.Schema:
    """Return the Arrow schema of the rows under the names that templates see.

    Raises:
        InstructifyError: the first file cannot be read any more, or has changed.
    """
    import pyarrow as pa

    check_file(source.files[0])
    schema = _layout(source.files[0])[1]
    return pa.schema([field.with_name(source.renames.get(field.name, field.name)) for field in schema])


def read_rows(
    source: OpenSource,
    start: int,
    stop: int,
    columns: Sequence[str],
    fields: Mapping[str, Collection[FieldPath]] | None = None,
) -> pa.Table:
    """Return rows [start, stop) of the whole split, those columns only, in that order.

    Of the struct columns in `fields` only the fields at those paths are read. Only the row groups that hold
    these rows are decoded, on one thread; the last ones are kept, so that small ranges in order do not
    decode a group twice.

    Raises:
        InstructifyError: a column does not exist or holds impossible dates, or a file cannot be read or has
            changed.
        ValueError: the range is not within the split.
    """
    import pyarrow as pa

    total = sum(file.rows for file in source.files)
    if not 0 <= start <= stop <= total:
        raise ValueError(f"rows {start} to {stop} are not within the {total} rows of the split")
    schema = source_schema(source)
    unknown = [name for name in columns if name not in source.columns]
    if unknown:
        raise InstructifyError(
            *(
                Problem(
                    f"the source has no column {name!r}",
                    where=source.files[0].path.name,
                    expected=f"one of {', '.join(source.columns)}",
                    nearest=nearest(name, source.columns),
                )
                for name in unknown
            )
        )
    chosen = {name: frozenset((fields or {}).get(name, [()])) for name in columns}
    types = ((name, _pruned(schema.field(name).type, chosen[name])) for name in columns)
    wanted = pa.schema([schema.field(name).with_type(kind) for name, kind in types])
    stored = {new: old for old, new in source.renames.items()}
    names = tuple(stored.get(name, name) for name in columns)
    leaves = tuple(
        ".".join((stored.get(name, name), *path)) for name in columns for path in sorted(chosen[name])
    )
    pieces = [piece.rename_columns(list(columns)) for piece in _pieces(source, start, stop, names, leaves)]
    if not columns:
        # a table without columns forgets how many rows it has, unless made from structs without fields
        return pa.Table.from_struct_array(pa.array([{}] * (stop - start), pa.struct([])))
    table = pa.concat_tables(pieces).cast(wanted) if pieces else wanted.empty_table()
    for name in columns:
        _check_times(table[name], f"column {name!r} of {source.files[0].path.name}", start)
    return table


def _check_times(column: pa.ChunkedArray, what: str, first: int) -> None:
    """Raise InstructifyError for a date that Python has no value for; `first` is the column's first row."""
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    if not (kinds.is_timestamp(column.type) or kinds.is_date(column.type)):
        return
    bounds = pc.min_max(column)
    for bound in (bounds["min"], bounds["max"]):
        try:
            bound.as_py()
        except (OverflowError, ValueError):
            row = first + pc.index(column, bound).as_py()
            found = f"{what} holds a date outside of the years 1 to 9999, in row {row:,}"
            raise InstructifyError(Problem(found, expected="other dates, or the column as text")) from None


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return a schema without metadata, dictionaries, extension types and non-null marks."""
    import pyarrow as pa

    return pa.schema([pa.field(field.name, plain_type(field.type)) for field in schema])


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that rows of `kind` are read as: values are the same, storage details are gone."""
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(plain_type(kind.value_type))
    if pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind):
        return pa.large_list(plain_type(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(plain_type(kind.value_type), kind.list_size)
    if pa.types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, plain_type(field.type)) for field in kind])
    return kind


def _pruned(kind: pa.DataType, paths: Collection[FieldPath]) -> pa.DataType:
    """Return a struct type with the fields at some paths only; the empty path stands for all of it."""
    import pyarrow as pa

    if () in paths:
        return kind
    kept = [field for field in kind if any(path[0] == field.name for path in paths)]
    inner = {field.name: {path[1:] for path in paths if path[0] == field.name} for field in kept}
    return pa.struct([field.with_type(_pruned(field.type, inner[field.name])) for field in kept])


def _pieces(
    source: OpenSource, start: int, stop: int, names: tuple[str, ...], leaves: tuple[str, ...]
) -> Iterator[pa.Table]:
    before = 0
    for file in source.files:
        low, high = max(start - before, 0), min(stop - before, file.rows)
        before += file.rows
        if low >= high:
            continue
        check_file(file)
        ends, _ = _layout(file)
        begin = 0
        for group, end in enumerate(ends):
            if begin < high and low < end:
                table = _row_group(file, group, names, leaves)
                first = max(low - begin, 0)
                yield table.slice(first, min(high, end) - begin - first)
            begin = end


@lru_cache(maxsize=64)
def _layout(file: RowFile) -> tuple[tuple[int, ...], pa.Schema]:
    """Return the row at which each row group ends, and the plain schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file.path) as opened:
            groups = range(opened.metadata.num_row_groups)
            ends = tuple(accumulate(opened.metadata.row_group(group).num_rows for group in groups))
            schema = plain_schema(opened.schema_arrow)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from None
    check_file(file)
    return ends, schema


@lru_cache(maxsize=2)
def _row_group(file: RowFile, group: int, names: tuple[str, ...], leaves: tuple[str, ...]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file.path, page_checksum_verification=True) as opened:
            table = opened.read_row_group(group, columns=list(leaves), use_threads=False)
        table = table.select(list(names)).replace_schema_metadata(None)
        table = table.cast(plain_schema(table.schema))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from None
    check_file(file)  # it may have been replaced after the last look and before it was opened
    return table


def _unreadable(file: RowFile, error: Exception) -> InstructifyError:
    check_file(file)  # a change says more than the damage it did
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InstructifyError(Problem(f"cannot be read: {reason}", where=str(file.path)))
