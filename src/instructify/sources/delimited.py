"""CSV and TSV, strictly: a cell is text, and nothing becomes null or a number unasked.

A column is int64 only when every cell of the whole file is a plain integer. Files are read twice, once to
check and to choose types, once to convert, so memory stays flat.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from instructify.errors import InstructifyError, Problem, nearest
from instructify.recipe.models import FilesSource
from instructify.sources.block import BLOCK_CHARACTERS, BLOCK_ROWS, Block, Intake
from instructify.sources.text import codec_name, text_lines

if TYPE_CHECKING:
    import pyarrow as pa

INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
MAX_CELL = 1 << 20  # characters
MAX_CELL_LINES = 1000

Record = tuple[int, list[str]]  # line number and cells


@dataclass(frozen=True, slots=True)
class Dialect:
    """How cells are told apart, with every default filled in."""

    encoding: str
    delimiter: str
    quoted: bool
    header: tuple[str, ...] | None
    nulls: frozenset[str]


@dataclass(slots=True)
class _Column:
    """What the first pass learnt of one column."""

    integers: bool  # every cell so far that is not blank
    numbers: bool
    cells: int = 0
    blank: str = ""  # where the first blank cell lies

    @property
    def whole(self) -> bool:
        return self.integers and self.cells > 0 and not self.blank


@dataclass(slots=True)
class _Tally:
    columns: dict[str, _Column] = field(default_factory=dict)
    blank_lines: int = 0


def dialect_of(spec: FilesSource, kind: str) -> Dialect:
    """Return the dialect of a CSV or TSV source; minimal quoting is the default for CSV only."""
    delimiter = spec.delimiter or ("\t" if kind == "tsv" else ",")
    if delimiter in '"\r\n\0\ufeff':
        raise InstructifyError(Problem(f"{delimiter!r} cannot be a delimiter", expected="another character"))
    return Dialect(
        encoding=codec_name(spec.encoding),
        delimiter=delimiter,
        quoted=(spec.quoting or ("none" if kind == "tsv" else "minimal")) == "minimal",
        header=None if spec.header is None else tuple(spec.header),
        nulls=frozenset(spec.null_values),
    )


def read_delimited(paths: Sequence[Path], dialect: Dialect, raw: Collection[str]) -> Intake:
    """Check CSV or TSV files and return them as an intake; `raw` columns stay text for the recipe's casts.

    Raises:
        InstructifyError: a ragged row, a stray or unclosed quote, a bad header or bytes, a huge cell.
    """
    import pyarrow as pa

    names = _same_names(paths, dialect)
    tally = _Tally({name: _Column(name not in raw, name not in raw) for name in names})
    for path in paths:
        _survey(path, dialect, names, tally)
    types: dict[str, pa.DataType | None] = {
        name: None if name in raw else pa.int64() if column.whole else pa.string()
        for name, column in tally.columns.items()
    }

    def blocks() -> Iterator[Block]:
        for path in paths:
            own = header_of(path, dialect)
            for records in _batches(_rows(path, dialect, len(own), _Tally())):
                yield _block(path, own, records, types, dialect)

    return Intake(types, blocks, notes=tuple(_notes(tally)))


def header_of(path: Path, dialect: Dialect) -> tuple[str, ...]:
    """Return the column names of one file.

    Raises:
        InstructifyError: the file has no header, or a name is empty or occurs twice.
    """
    first = next(records(path, dialect, _Tally()), None)
    if first is None:
        raise InstructifyError(Problem("the file has no row", where=str(path)))
    line, names = first
    where = f"{path}:{line}" if dialect.header is None else str(path)
    if dialect.header is not None:
        names = list(dialect.header)
    elif any("\r" in name for name in names):
        raise InstructifyError(
            Problem("a carriage return stands inside the header", where, "lines that end in a newline")
        )
    problems = [
        Problem(f"column {number} has no name", where, "a name for each column, or header: in the recipe")
        for number, name in enumerate(names, 1)
        if not name.strip()
    ]
    twice = sorted({name for name in names if name.strip() and names.count(name) > 1})
    problems += [
        Problem(f"the column name {name!r} occurs twice", where, "different names") for name in twice
    ]
    if problems:
        raise InstructifyError(*problems)
    return tuple(names)


def records(path: Path, dialect: Dialect, tally: _Tally) -> Iterator[Record]:
    """Yield the line number and the cells of every record; blank lines are counted and left out."""
    lines = text_lines(path, dialect.encoding)
    for number, line in lines:
        if dialect.quoted and '"' in line:
            yield number, _quoted(line, number, lines, path, dialect.delimiter)
            continue
        text = line.removesuffix("\r")
        if not text:
            tally.blank_lines += 1
            continue
        if dialect.quoted and "\r" in text:
            raise InstructifyError(
                Problem(
                    "a carriage return stands outside quotes",
                    f"{path}:{number}",
                    "quotes around such a cell, and lines that end in a newline",
                )
            )
        cells = text.split(dialect.delimiter)
        if len(text) > MAX_CELL:
            _check_sizes(cells, path, number)
        yield number, cells


def _quoted(
    line: str, number: int, lines: Iterator[tuple[int, str]], path: Path, delimiter: str
) -> list[str]:
    """Return the cells of a record with quotes, taking further lines while a quote is open."""
    cells: list[str] = []
    at, last = 0, number
    while True:
        if line[at : at + 1] == '"':
            cell, line, end, last = _in_quotes(line, at + 1, last, lines, path)
            if line[end:] in ("", "\r"):
                end = -1
            elif line[end] != delimiter:
                _refuse_quote("text follows a closing quote", path, last)
        else:
            end = line.find(delimiter, at)
            cell = line[at:].removesuffix("\r") if end < 0 else line[at:end]
            if '"' in cell or "\r" in cell:
                what = "quote" if '"' in cell else "carriage return"
                _refuse_quote(f"a {what} stands inside a cell that is not quoted", path, last)
        cells.append(cell)
        if end < 0:
            _check_sizes(cells, path, number)
            return cells
        at = end + 1


def _in_quotes(
    line: str, at: int, opened: int, lines: Iterator[tuple[int, str]], path: Path
) -> tuple[str, str, int, int]:
    """Return a quoted cell, and the line, place and line number right after its closing quote."""
    parts: list[str] = []
    last = opened
    while True:
        close = line.find('"', at)
        if close >= 0 and line[close + 1 : close + 2] == '"':
            parts.append(line[at : close + 1])
            at = close + 2
        elif close >= 0:
            parts.append(line[at:close])
            return "".join(parts), line, close + 1, last
        else:
            parts += [line[at:], "\n"]
            if last - opened >= MAX_CELL_LINES or sum(map(len, parts)) > MAX_CELL:
                _refuse_quote("the quote is not closed within 1,000 lines or 1 Mi characters", path, opened)
            last, line = next(lines, (0, ""))
            at = 0
            if not last:
                _refuse_quote("the quote is never closed", path, opened)


def _refuse_quote(what: str, path: Path, line: int) -> NoReturn:
    raise InstructifyError(
        Problem(what, f"{path}:{line}", 'cells quoted as in "say ""yes""", or quoting: none in the recipe')
    )


def _check_sizes(cells: Iterable[str], path: Path, line: int) -> None:
    if any(len(cell) > MAX_CELL for cell in cells):
        raise InstructifyError(
            Problem("a cell is longer than 1 Mi characters", f"{path}:{line}", "shorter cells")
        )


def _rows(path: Path, dialect: Dialect, width: int, tally: _Tally) -> Iterator[Record]:
    """Yield the records after the header, each as wide as the header."""
    found = records(path, dialect, tally)
    if dialect.header is None:
        next(found, None)
    for line, cells in found:
        if len(cells) != width:
            other = (
                "" if dialect.quoted or not any('"' in cell for cell in cells) else ", or quoting: minimal"
            )
            source = "the header" if dialect.header is None else "header: in the recipe"
            raise InstructifyError(
                Problem(
                    f"the row has {len(cells)} cells", f"{path}:{line}", f"{width}, as in {source}{other}"
                )
            )
        yield line, cells


def _batches(rows: Iterator[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    for record in rows:
        batch.append(record)
        size += sum(map(len, record[1]))
        if len(batch) >= BLOCK_ROWS or size >= BLOCK_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _same_names(paths: Sequence[Path], dialect: Dialect) -> tuple[str, ...]:
    names = header_of(paths[0], dialect)
    for path in paths[1:]:
        other = header_of(path, dialect)
        if set(other) != set(names):
            odd = sorted(set(other) ^ set(names))
            raise InstructifyError(
                Problem(
                    f"column {odd[0]!r} is in only one of {paths[0].name} and {path.name}",
                    where=str(path),
                    expected=f"the columns {', '.join(names)}",
                    nearest=nearest(odd[0], sorted(set(names) & set(other))),
                )
            )
    return names


def _survey(path: Path, dialect: Dialect, names: Sequence[str], tally: _Tally) -> None:
    """Read one file through, checking it and learning which columns hold integers or numbers."""
    own = header_of(path, dialect)
    for batch in _batches(_rows(path, dialect, len(names), tally)):
        open_columns = [i for i, name in enumerate(own) if tally.columns[name].numbers]
        for i in open_columns:
            column = tally.columns[own[i]]
            values = [cells[i] for _, cells in batch if cells[i] not in dialect.nulls]
            filled = [value for value in values if value]
            column.cells += len(filled)
            if len(filled) < len(values) and not column.blank:
                column.blank = next(f"{path.name}:{line}" for line, cells in batch if not cells[i])
            column.integers = column.integers and all(INTEGER.fullmatch(v) and _fits(v) for v in filled)
            column.numbers = column.integers or all(map(FLOAT.fullmatch, filled))


def _fits(text: str) -> bool:
    return len(text) < 19 or -(2**63) <= int(text) < 2**63


def _block(
    path: Path,
    names: Sequence[str],
    batch: list[Record],
    types: Mapping[str, pa.DataType | None],
    dialect: Dialect,
) -> Block:
    import pyarrow as pa

    columns: dict[str, pa.Array | Sequence[str | None]] = {}
    for name, cells in zip(names, zip(*(cells for _, cells in batch), strict=True), strict=True):
        values = [None if cell in dialect.nulls else cell for cell in cells] if dialect.nulls else list(cells)
        kind = types[name]
        if kind is None:
            columns[name] = values
        elif kind == pa.int64():
            columns[name] = pa.array([None if value is None else int(value) for value in values], kind)
        else:
            columns[name] = pa.array(values, kind)
    return Block(columns, len(batch), lambda row: f"{path}:{batch[row][0]}")


def _notes(tally: _Tally) -> Iterator[str]:
    if tally.blank_lines:
        yield f"{tally.blank_lines:,} blank lines were skipped."
    for name, column in tally.columns.items():
        if column.numbers and column.cells and not column.integers:
            yield f"Column {name!r} holds numbers and stays text; cast: {{{name}: float64}} makes it numeric."
        elif column.numbers and column.cells and column.blank:
            yield (
                f"Column {name!r} holds integers and blanks (first at {column.blank}) and stays text; "
                f'null_values: [""] makes the blanks null and the column int64.'
            )
