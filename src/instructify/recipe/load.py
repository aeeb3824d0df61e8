"""From text to checked models: every problem of a file at once, each with its line and the nearest name."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from instructify.errors import InstructifyError, Problem, nearest
from instructify.recipe import yaml
from instructify.recipe.models import Recipe

Model = TypeVar("Model", bound=BaseModel)
Loc = tuple[str | int, ...]
Schema = Mapping[str, Any]

SUFFIXES = (".yaml", ".yml")

# pydantic's error type -> what was expected; the fields are those of the error's context
EXPECTED: Mapping[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "null",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "a number below {lt}",
    "less_than_equal": "{le} or less",
    "string_too_short": "a length of at least {min_length}",
    "string_too_long": "a length of at most {max_length}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
}

NAME_PATTERN = r"^[\w][\w.\-]*(/[\w][\w.\-]*)*$"
# pattern of a field -> its meaning in words
PATTERNS: Mapping[str, str] = {
    NAME_PATTERN: "a name of letters, digits, _ . and -, with / between its parts",
    r"^[\w][\w.\-]*$": "a name of letters, digits, _ . and -",
    r"^[a-z][a-z0-9_]*$": "a name of small letters, digits and _, a letter first",
}


@dataclass(frozen=True, slots=True)
class LoadedRecipe:
    """A recipe and where it came from; paths in it are relative to `base`.

    `positions` are those of the file's values; None where there is no file.
    """

    recipe: Recipe
    path: Path
    base: Path
    text_sha256: str
    positions: yaml.Positions | None = field(default=None, repr=False, compare=False)

    def where(self, task: int) -> str:
        """Return the place of a task in messages, as `recipe.yaml:12`."""
        return self.place("tasks", task)

    def place(self, *path: str | int) -> str:
        """Return the place of a value in messages, as `recipe.yaml:12`; `path` are its keys and indices."""
        return self.path.name if self.positions is None else f"{self.path.name}:{self.positions.line(path)}"


def load_recipe(path: Path) -> LoadedRecipe:
    """Read and check a recipe file; raises InstructifyError with everything that is wrong with it."""
    data = _read(path)
    where = str(path)
    tree, positions = yaml.parse(_decode(data, where), where)
    if tree is None:
        raise InstructifyError(Problem("the recipe is empty", where, "a mapping with name, output and tasks"))
    recipe = validate(Recipe, tree, positions, where)
    full = path.absolute()
    return LoadedRecipe(recipe, full, full.parent, hashlib.sha256(data).hexdigest(), positions)


def validate(model: type[Model], data: Any, positions: yaml.Positions, where: str) -> Model:
    """Return `data` as a `model`, or raise InstructifyError with every problem, by line."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        schema = model.model_json_schema()
        found = [_Fault.of(details, schema) for details in error.errors(include_url=False)]
    problems = [_problem(fault, positions, where) for fault in _without_branches(found)]
    raise InstructifyError(*(problem for _, problem in sorted(problems, key=lambda pair: pair[0])))


@dataclass(frozen=True, slots=True)
class _Fault:
    """One pydantic error, its path freed from the names of union branches, and the schema at that path."""

    path: Loc
    kind: str
    value: Any
    context: Mapping[str, Any]
    message: str
    schema: Schema

    @classmethod
    def of(cls, details: Any, root: Schema) -> _Fault:
        """Find the place that a pydantic error speaks of."""
        path: list[str | int] = []
        here: Schema = root
        for part in details["loc"]:
            here = _plain(here, root)
            branches = here.get("discriminator", {}).get("mapping", {})
            if isinstance(part, int):
                path.append(part)
                here = here.get("items", {})
            elif part in here.get("properties", {}):
                path.append(part)
                here = here["properties"][part]
            elif part in branches:
                here = {"$ref": branches[part]}
            elif isinstance(here.get("additionalProperties"), Mapping):
                path.append(part)
                here = here["additionalProperties"]
            elif "anyOf" in here:
                here = _branch(here["anyOf"], part)
            else:
                path.append(part)
        kind = details["type"]
        if kind == "missing":
            path.pop()
        context = {**details.get("ctx", {}), "key": details["loc"][-1] if details["loc"] else ""}
        return cls(tuple(path), kind, details["input"], context, details["msg"], _plain(here, root))


def _plain(schema: Schema, root: Schema) -> Schema:
    """Follow references, and look through `X or null` to X."""
    while True:
        if "$ref" in schema:
            schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
        elif len(some := [s for s in schema.get("anyOf", ()) if s.get("type") != "null"]) == 1:
            schema = some[0]
        else:
            return schema


def _branch(branches: list[Schema], name: str) -> Schema:
    """Return the union member that pydantic calls `name`, such as `str` or `list[str]`."""
    kinds = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "dict": "object"}
    kind = "array" if name.startswith("list") else kinds.get(name.partition("[")[0], "")
    return next((s for s in branches if s.get("type") == kind), {})


def _without_branches(faults: list[_Fault]) -> list[_Fault]:
    """Merge what the members of one union said: the deepest complaint is the one that was meant."""
    paths = {fault.path for fault in faults}
    kept: dict[tuple[Loc, str], _Fault] = {}
    for fault in faults:
        mistyped = fault.kind.endswith("_type")
        if mistyped and any(len(p) > len(fault.path) and p[: len(fault.path)] == fault.path for p in paths):
            continue
        key = (fault.path, "type" if mistyped else f"{fault.kind} {fault.context['key']}")
        if key in kept and mistyped:
            first = kept[key]
            both = f"{_expected(first)} or {_expected(fault)}"
            fault = _Fault(first.path, "", first.value, {"expected": both, "key": ""}, "", first.schema)
        kept[key] = fault
    return list(kept.values())


def _problem(fault: _Fault, positions: yaml.Positions, where: str) -> tuple[int, Problem]:
    """Put a fault into words; returns its line too, to sort by."""
    known = list(fault.schema.get("properties", ()))
    tags = list(fault.schema.get("discriminator", {}).get("mapping", ()))
    tag_key = str(fault.context.get("discriminator", "")).strip("'")
    key, spot = str(fault.context["key"]), fault.path
    expected, near = _expected(fault), ""
    match fault.kind:
        case "missing":
            what = f"missing key {key!r}"
        case "extra_forbidden":
            what, expected, near = "unknown key", _one_of(known), nearest(key, known)
        case "union_tag_not_found":
            what, expected = f"missing key {tag_key!r}", _one_of(tags)
        case "union_tag_invalid":
            tag, spot = str(fault.context["tag"]), (*fault.path, tag_key)
            what, expected, near = f"unknown {tag_key} {_quoted(tag)}", _one_of(tags), nearest(tag, tags)
        case "literal_error":
            choices = _choices(fault.schema)
            what, expected = _got(fault.value), _one_of(choices)
            near = nearest(fault.value, choices) if isinstance(fault.value, str) else ""
        case "value_error":
            got = f", {_got(fault.value)}" if isinstance(fault.value, str) else ""
            what = f"{fault.context['error']}{got}"
        case _:
            what = _got(fault.value)
    line, name = positions.line(spot), dotted(fault.path)
    return line, Problem(f"{name}: {what}" if name else what, f"{where}:{line}", expected, near)


def _expected(fault: _Fault) -> str:
    """Return what should have stood there, in words; empty where the problem says it all."""
    if fault.kind == "string_type" and isinstance(fault.value, int | float):
        return "text (put it in quotes)"
    if fault.kind == "string_pattern_mismatch":
        pattern = fault.context["pattern"]
        return PATTERNS.get(pattern, f"text that matches {pattern}")
    if fault.kind in EXPECTED:
        return EXPECTED[fault.kind].format(**fault.context)
    if fault.kind in ("missing", "extra_forbidden", "value_error"):
        return ""
    return str(fault.context.get("expected", fault.message))


def dotted(path: Loc) -> str:
    """Return a path as it is written in messages: `tasks[1].source.path`."""
    text = ""
    for part in path:
        if isinstance(part, int) or not re.fullmatch(r"[\w-]+", part):
            text += f"[{part!r}]"
        else:
            text += f".{part}" if text else part
    return text


def _choices(schema: Schema) -> list[str]:
    return [str(value) for value in schema.get("enum", [schema["const"]] if "const" in schema else [])]


def _one_of(names: list[str]) -> str:
    return f"one of {', '.join(names)}" if len(names) > 1 else "".join(names)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _got(value: object) -> str:
    match value:
        case None:
            return "got nothing (null)"
        case bool():
            return f"got {str(value).lower()}"
        case int() | float():
            return f"got the number {value}"
        case str():
            return f"got the text {_quoted(value)}"
        case list():
            return f"got a list of {len(value)}" if value else "got an empty list"
        case _:
            return "got a mapping"


def _read(path: Path) -> bytes:
    """Return the bytes of a file that is a plain one of sane size."""
    where = str(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            what = "this is a folder" if stat.S_ISDIR(status.st_mode) else "this is not a plain file"
            raise InstructifyError(Problem(what, where, "a recipe file"))
        if status.st_size > yaml.MAX_BYTES:
            raise InstructifyError(
                Problem("the file is too large", where, f"at most {yaml.MAX_BYTES >> 20} MiB")
            )
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise InstructifyError(Problem("no such recipe", where, "", _nearest_file(path))) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise InstructifyError(Problem(f"the recipe cannot be read: {reason.lower()}", where)) from None


def _nearest_file(path: Path) -> str:
    try:
        names = sorted(p.name for p in path.parent.iterdir() if p.suffix in SUFFIXES)
    except OSError:
        return ""
    return nearest(path.name, names)


def _decode(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"the byte 0x{data[error.start]:02x} is not UTF-8 text"
        raise InstructifyError(Problem(what, f"{where}:{line}", "a file saved as UTF-8")) from None
