"""promptsource's `templates.yaml`, read unchanged by a safe loader with two constructors of our own.

The format is that of github.com/bigscience-workshop/promptsource @ 7dab96a, promptsource/templates.py; none
of its code is imported.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from instructify.errors import InstructifyError, Problem
from instructify.templates.model import Template
from instructify.templates.ours import read_text

VERSION = "0.2.3"
FILE_NAME = "templates.yaml"
MAX_BYTES = 4 << 20
USERS = frozenset({"craffel", "Zaid"})
"""Folders that promptsource keeps for users of the hub, whose datasets lie one level deeper."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C loader where built
    """PyYAML's safe loader, which also knows the two tags of promptsource."""


def _with_line(loader: Any, node: yaml.MappingNode) -> dict[str, Any]:
    return {**loader.construct_mapping(node, deep=True), "": node.start_mark.line + 1}


_Loader.add_constructor("!Template", _with_line)
_Loader.add_constructor("!TemplateMetadata", _with_line)


def installed_root() -> Path | None:
    """Return the templates folder of an installed promptsource distribution, without importing it."""
    try:
        distribution = importlib.metadata.distribution("promptsource")
    except importlib.metadata.PackageNotFoundError:
        return None
    root = Path(str(distribution.locate_file("promptsource/templates")))
    return root if root.is_dir() else None


def parts(folder: str) -> tuple[str, str | None]:
    """Return dataset and subset of a folder `[<user>/]<dataset>[/<subset>]`, by the known users."""
    head, _, tail = folder.partition("/")
    if head in USERS and tail:
        name, _, tail = tail.partition("/")
        head = f"{head}/{name}"
    return head, tail or None


def read_templates(path: Path, dataset: str, collection: str, truncate: bool = False) -> list[Template]:
    """Return the templates of one file, by name; raises InstructifyError naming file and line."""
    text = read_text(path)
    if len(text) > MAX_BYTES:
        raise InstructifyError(Problem("the file is too large", str(path), f"at most {MAX_BYTES:,} bytes"))
    try:
        data = yaml.load(text, Loader=_Loader)  # noqa: S506  (a safe loader with two constructors)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InstructifyError(Problem(error.problem or "not valid YAML", f"{path}:{line}")) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InstructifyError(Problem("not valid YAML", str(path))) from error
    entries = data.get("templates") if isinstance(data, dict) else None
    if not isinstance(entries, dict):
        raise InstructifyError(
            Problem("no templates in it", str(path), "promptsource's layout, templates: {...}")
        )
    templates = [_template(entry, path, dataset, collection, truncate) for entry in entries.values()]
    return sorted(templates, key=lambda template: template.name)


def _template(entry: Any, path: Path, dataset: str, collection: str, truncate: bool) -> Template:
    line = entry.get("", 1) if isinstance(entry, dict) else 1
    where = f"{path}:{line}"
    if not isinstance(entry, dict):
        raise InstructifyError(Problem("a template is not a !Template", where))
    for field in ("id", "name", "jinja"):
        if not isinstance(entry.get(field), str):
            raise InstructifyError(Problem(f"a template has no {field}", where, "a text"))
    choices = entry.get("answer_choices")
    if choices is not None and not isinstance(choices, str):
        raise InstructifyError(Problem("answer_choices is not a text", where))
    metadata = _metadata(entry, where)
    return Template(
        dataset=dataset,
        name=entry["name"],
        dialect="promptsource",
        body=entry["jinja"],
        choices=choices or None,
        id=entry["id"],
        collection=collection,
        origin=str(path),
        line=line,
        metrics=tuple(metadata.get("metrics") or ()),
        languages=tuple(metadata.get("languages") or ("en",)),
        choices_in_prompt=metadata.get("choices_in_prompt"),
        original_task=metadata.get("original_task"),
        reference=str(entry.get("reference") or ""),
        truncate=truncate,
    )


def _metadata(entry: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    metadata = entry.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise InstructifyError(Problem("metadata is not a !TemplateMetadata", where))
    for field in ("metrics", "languages"):
        listed = metadata.get(field) or []
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            raise InstructifyError(Problem(f"{field} is not a list of texts", where))
    for field in ("choices_in_prompt", "original_task"):
        if not isinstance(metadata.get(field), (bool, type(None))):
            raise InstructifyError(Problem(f"{field} is neither true nor false", where))
    return metadata
