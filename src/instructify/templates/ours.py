"""Our template format: one `.jinja` file a template, YAML front matter, then `prompt ||| target`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from instructify.errors import InstructifyError, Problem
from instructify.recipe import yaml
from instructify.recipe.load import validate
from instructify.templates.model import Template

FENCE = "---"


class FrontMatter(BaseModel):
    """What stands between the `---` lines of a template file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str | None = Field(default=None, min_length=1, max_length=200)
    answer_choices: str | list[str] | None = None
    metrics: list[str] = []
    languages: list[str] = ["en"]
    choices_in_prompt: bool | None = None
    original_task: bool | None = None
    author: str = ""
    reference: str = ""
    kind: Literal["task", "inverted"] = "task"
    rationale: str | None = None


class TaskFile(BaseModel):
    """What `task.yaml` says about the dataset of the templates beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    dataset: str
    subset: str | None = None
    cluster: str | None = None
    licence: str | None = None
    language: str = "en"
    label_names: dict[str, list[str]] = {}
    description: str = ""


def read_template(path: Path, dataset: str, collection: str) -> Template:
    """Return the template of a file; raises InstructifyError naming file and line."""
    return parse_template(read_text(path), str(path), path.stem, dataset, collection)


def parse_template(text: str, where: str, stem: str, dataset: str, collection: str) -> Template:
    """Return the template that `text` describes; `stem` is its name where the front matter gives none."""
    lines = text.removeprefix("\ufeff").split("\n")
    end = 0
    data: Any = {}
    positions = yaml.parse("", where)[1]
    if lines[0].strip() == FENCE:
        end = next((i for i, line in enumerate(lines[1:], 1) if line.strip() == FENCE), 0)
        if not end:
            raise InstructifyError(Problem("the front matter has no end", f"{where}:1", f"a line {FENCE}"))
        data, positions = yaml.parse("\n".join(lines[1:end]), where, first_line=2)
        end += 1
    front = validate(FrontMatter, {} if data is None else data, positions, where)
    body = "\n".join(lines[end:])
    name = front.name or stem
    choices = tuple(front.answer_choices) if isinstance(front.answer_choices, list) else front.answer_choices
    return Template(
        dataset=dataset,
        name=name,
        dialect="strict",
        body=body,
        choices=choices,
        rationale=front.rationale,
        id=f"{dataset}/{name}",
        collection=collection,
        origin=where,
        line=end + 1,
        metrics=tuple(front.metrics),
        languages=tuple(front.languages),
        choices_in_prompt=front.choices_in_prompt,
        original_task=front.original_task,
        author=front.author,
        reference=front.reference,
        kind=front.kind,
    )


def read_task_file(path: Path) -> TaskFile:
    """Return the contents of a `task.yaml`; raises InstructifyError with every problem."""
    data, positions = yaml.parse(read_text(path), str(path))
    return validate(TaskFile, {} if data is None else data, positions, str(path))


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file; raises InstructifyError for what cannot be read."""
    try:
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InstructifyError(Problem(f"not UTF-8 at byte {error.start}", str(path))) from error
    except OSError as error:
        raise InstructifyError(Problem(f"cannot be read: {error.strerror}", str(path))) from error
