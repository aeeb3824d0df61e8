"""JSONL and JSON, strictly: no doubled key, no NaN, no silent change of a number or a type.

JSONL is read twice, once to check and to choose types, once to convert, so memory stays flat; a JSON array
is read whole. An escaped NUL in a string is kept; a missing key reads null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructify.errors import InstructifyError, Problem
from instructify.sources.block import BLOCK_CHARACTERS, BLOCK_ROWS, Block, Intake
from instructify.sources.shape import Shape
from instructify.sources.text import text_lines, whole_text

if TYPE_CHECKING:
    import pyarrow as pa

MAX_JSON_BYTES = 1 << 30
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # cheap sign that a string may hold half a surrogate pair


@dataclass(frozen=True, slots=True)
class Row:
    """One object of a file, its place and about how many characters it took."""

    value: dict[str, Any]
    where: str
    size: int


Rows = Callable[[Path, list[str]], Iterator[Row]]  # the list takes notes


def read_jsonl(paths: Sequence[Path], encoding: str, raw: Collection[str]) -> Intake:
    """Check JSONL files and return them as an intake; `raw` columns keep their values for the recipe's casts.

    Raises:
        InstructifyError: a line that is not one strict JSON object, or types that disagree.
    """
    return _intake(paths, lambda path, notes: _lines(path, encoding, notes), raw)


def read_json(paths: Sequence[Path], encoding: str, raw: Collection[str]) -> Intake:
    """Like `read_jsonl`, for files that hold one list of objects, or an object with one such list.

    Raises:
        InstructifyError: as `read_jsonl`, or a file over 1 GiB.
    """
    return _intake(paths, lambda path, notes: _array(path, encoding, notes), raw)


def _intake(paths: Sequence[Path], rows: Rows, raw: Collection[str]) -> Intake:
    import pyarrow as pa

    whole, seen, notes = Shape(""), 0, list[str]()
    for path in paths:
        for row in rows(path, notes):
            seen += 1
            checked = (
                {name: value for name, value in row.value.items() if name not in raw} if raw else row.value
            )
            whole.observe(checked, row.where)
            for name in row.value:  # in the row's order: that of `raw` depends on the hash seed
                if name in raw:
                    whole.fields.setdefault(name, Shape(name)).count += 1
    if not whole.fields:
        raise InstructifyError(
            Problem("no row has a key", where=str(paths[0]), expected="at least one object")
        )
    notes += _notes(whole, seen)
    found = {name: None if name in raw else shape.arrow() for name, shape in whole.fields.items()}
    empty = {name for name, kind in found.items() if kind is None} - set(raw)
    types = {name: pa.string() if name in empty else kind for name, kind in found.items()}
    notes += [f"Column {name!r} holds only objects without keys and reads null." for name in sorted(empty)]

    def blocks() -> Iterator[Block]:
        for path in paths:
            for batch in _batches(rows(path, [])):
                yield _block(batch, types, empty)

    return Intake(types, blocks, notes=tuple(notes))


def _notes(whole: Shape, seen: int) -> Iterator[str]:
    for name, shape in whole.fields.items():
        if shape.count < seen:
            yield f"Column {name!r} reads null in {seen - shape.count:,} of {seen:,} rows, which lack it."
    stack = list(whole.fields.values())
    while stack:
        shape = stack.pop(0)
        if shape.mixed:
            place = Path(shape.mixed).name
            yield f"Column {shape.path!r} mixes integers and floats (first at {place}) and is float64."
        stack += [*shape.fields.values(), *([shape.item] if shape.item else [])]


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += row.size
        if len(batch) >= BLOCK_ROWS or size >= BLOCK_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _block(batch: list[Row], types: dict[str, pa.DataType | None], empty: Collection[str]) -> Block:
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for name, kind in types.items():
        values = [None if name in empty else row.value.get(name) for row in batch]
        columns[name] = values if kind is None else pa.array(values, kind)
    return Block(columns, len(batch), lambda row: batch[row].where)


def _lines(path: Path, encoding: str, notes: list[str]) -> Iterator[Row]:
    blank = 0
    for number, line in text_lines(path, encoding):
        if not line.strip(" \t\r"):
            blank += 1
            continue
        value = _parse(line, path, number)
        if type(value) is not dict:
            hint = "one object on each line; if the file is one JSON list, set format: json"
            raise InstructifyError(Problem(f"the row is {_what(value)}", f"{path}:{number}", hint))
        yield Row(value, f"{path}:{number}", len(line))
    if blank:
        notes.append(f"{blank:,} blank lines of {path.name} were skipped.")


def _array(path: Path, encoding: str, notes: list[str]) -> Iterator[Row]:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InstructifyError(
            Problem(
                "a JSON file over 1 GiB is not read", str(path), "the same rows as JSONL, one on each line"
            )
        )
    text = whole_text(path, encoding)
    value = _parse(text, path, None)
    if type(value) is dict:
        lists = [name for name, entry in value.items() if type(entry) is list]
        if len(lists) == 1:
            notes.append(f"The rows of {path.name} are those of its key {lists[0]!r}.")
            value = value[lists[0]]
    if type(value) is not list:
        hint = "a list of objects, or an object with exactly one list"
        raise InstructifyError(Problem(f"the file holds {_what(value)}", str(path), hint))
    size = len(text) // max(1, len(value))
    del text
    for number, row in enumerate(value):
        where = f"{path} row {number}"
        if type(row) is not dict:
            raise InstructifyError(Problem(f"the row is {_what(row)}", where, "an object"))
        yield Row(row, where, size)


def _parse(text: str, path: Path, line: int | None) -> Any:
    where = str(path) if line is None else f"{path}:{line}"
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        if SURROGATE.search(text):
            _check_surrogates(value)
    except json.JSONDecodeError as error:
        at = f"{path}:{error.lineno if line is None else line}"
        hint = "valid JSON"
        if line is None and error.msg == "Extra data":
            hint = "one JSON value; if each line is an object, set format: jsonl"
        raise InstructifyError(
            Problem(f"not JSON, or cut short: {error.msg} at column {error.colno}", at, hint)
        ) from None
    except RecursionError:
        raise InstructifyError(Problem("the JSON nests too deep", where)) from None
    except ValueError as error:
        what = "an integer has over 4,300 digits" if "digits" in str(error) else str(error)
        raise InstructifyError(Problem(what, where)) from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} occurs twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON; expected a number or null")


def _check_surrogates(value: Any) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"a string holds half a surrogate pair (\\u{ord(value[error.start]):04x})"
            ) from None
    elif isinstance(value, list):
        for entry in value:
            _check_surrogates(entry)
    elif isinstance(value, dict):
        for name, entry in value.items():
            _check_surrogates(name)
            _check_surrogates(entry)


def _what(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", type(None): "null"}
    return names.get(type(value), "a number or truth value")
