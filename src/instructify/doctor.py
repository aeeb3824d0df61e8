"""What `instructify doctor` looks at: versions, templates, the offline world, and what extras are there."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass
from pathlib import Path

from instructify.errors import InstructifyError
from instructify.runners import available_cores
from instructify.templates import open_library
from instructify.templates.library import builtin_root
from instructify.templates.promptsource import installed_root

NEEDED = ("jinja2", "pydantic", "PyYAML", "pyarrow", "datasets", "numpy", "orjson", "typer", "rich")
EXTRAS = {"torch": "train", "transformers": "train", "peft": "train"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; a hint says what to do about it."""

    what: str
    ok: bool
    found: str
    hint: str = ""
    required: bool = True


def examine() -> list[Finding]:
    """Return everything doctor looks at, in the order it is shown."""
    findings = [
        Finding("Python", True, platform.python_version()),
        Finding("cores", True, str(available_cores())),
    ]
    findings += [_package(name) for name in NEEDED]
    findings += [_templates(), _promptsource(), _world()]
    findings += [_extra(name, extra) for name, extra in EXTRAS.items()]
    return findings


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _package(name: str) -> Finding:
    version = _version(name)
    hint = "" if version else f"pip install {name}"
    return Finding(name, version is not None, version or "missing", hint)


def _extra(name: str, extra: str) -> Finding:
    version = _version(name)
    hint = "" if version else f"pip install 'instructify[{extra}]'"
    return Finding(name, version is not None, version or "not installed", hint, required=False)


def _templates() -> Finding:
    try:
        library = open_library(["builtin"], Path())
        datasets = library.datasets()
        count = sum(len(library.templates(name)) for name in datasets)
    except InstructifyError as error:
        return Finding("templates", False, str(error).splitlines()[0])
    return Finding("templates", count > 0, f"{count:,} for {len(datasets):,} datasets in {builtin_root()}")


def _promptsource() -> Finding:
    root = installed_root()
    hint = "" if root else "instructify templates add promptsource"
    return Finding("promptsource", root is not None, str(root or "not installed"), hint, required=False)


def _world() -> Finding:
    from instructify.world import build_table, world_names

    try:
        rows = build_table(world_names()[0], "train", 8).num_rows
    except InstructifyError as error:
        return Finding("offline world", False, str(error).splitlines()[0])
    return Finding("offline world", rows == 8, f"{len(world_names())} datasets")
