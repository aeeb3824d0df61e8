"""Our template format: one `.jinja` file a template, YAML front matter, then `prompt ||| target`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from instructify.errors import InstructifyError, Problem
from instructify.recipe import yaml
from instructify.recipe.alike import ALIKE, ONE_FORM, alike
from instructify.recipe.load import validate
from instructify.templates.model import Template

FENCE = "---"
_JINJA = re.compile(r"\{[{%#]")
_NAMED = re.compile(rb"^\s*[\"']?name[\"']?\s*:", re.MULTILINE)


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
    aliases: list[str] = []
    origin: list[str] = []
    description: str = ""

    @property
    def folder(self) -> str:
        """The folder it belongs in: dataset, or dataset/subset."""
        return f"{self.dataset}/{self.subset}" if self.subset else self.dataset


@dataclass(frozen=True, slots=True)
class Head:
    """The front matter of a template's file: its values, their places, its lines; and the body after it."""

    data: Any
    positions: yaml.Positions
    lines: int
    body: str


def read_template(path: Path, dataset: str, collection: str) -> Template:
    """Return the template of a file; raises InstructifyError naming file and line."""
    return parse_template(read_text(path), str(path), path.stem, dataset, collection)


def name_of(path: Path) -> str | None:
    """Return the name of a template whose file cannot be read; None where the file may give another."""
    try:
        return None if _NAMED.search(path.read_bytes()) else path.stem
    except OSError:
        return None


def parse_template(text: str, where: str, stem: str, dataset: str, collection: str) -> Template:
    """Return the template that `text` describes; `stem` is its name where the front matter gives none."""
    head = read_head(text, where)
    front = validate(FrontMatter, head.data, head.positions, where)
    if problems := list(_choice_problems(front.answer_choices, head.positions, where)):
        raise InstructifyError(*problems)
    name = front.name or stem
    _check_name(name, where)
    choices = tuple(front.answer_choices) if isinstance(front.answer_choices, list) else front.answer_choices
    return Template(
        dataset=dataset,
        name=name,
        dialect="strict",
        body=head.body,
        choices=choices,
        rationale=front.rationale,
        id=f"{dataset}/{name}",
        collection=collection,
        origin=where,
        line=head.lines + 1,
        metrics=tuple(front.metrics),
        languages=tuple(front.languages),
        choices_in_prompt=front.choices_in_prompt,
        original_task=front.original_task,
        author=front.author,
        reference=front.reference,
        kind=front.kind,
    )


def _check_name(name: str, where: str) -> None:
    """Raise InstructifyError for a name that cannot be written, of a file that another system has named."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        what, expected = "the file's name is not UTF-8", "another name for it, or name in its front matter"
        raise InstructifyError(Problem(what, where, expected)) from error


def read_head(text: str, where: str) -> Head:
    """Return the front matter of a template's text; raises InstructifyError where it is not YAML."""
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[0].strip() != FENCE:
        return Head({}, yaml.parse("", where)[1], 0, "\n".join(lines))
    end = next((i for i, line in enumerate(lines[1:], 1) if line.strip() == FENCE), 0)
    if not end:
        raise InstructifyError(Problem("the front matter has no end", f"{where}:1", f"a line {FENCE}"))
    data, positions = yaml.parse("\n".join(lines[1:end]), where, first_line=2)
    return Head({} if data is None else data, positions, end + 1, "\n".join(lines[end + 1 :]))


def _choice_problems(
    choices: str | list[str] | None, positions: yaml.Positions, where: str
) -> Iterator[Problem]:
    """Yield what is wrong with answer choices that can be told from the file alone.

    A blank choice is no answer, and the label of one given twice would be ambiguous. Choices with Jinja in
    them are for the rows to judge.
    """
    whole = f"{where}:{positions.line(('answer_choices',))}"
    if choices is not None and not choices:
        yield Problem("answer_choices: none are given", whole, "at least one, or no answer_choices")
    elif isinstance(choices, str) and not choices.strip():
        yield Problem("answer_choices: the expression is blank", whole, "a list, or an expression")
    seen: set[str] = set()
    for number, choice in enumerate(choices if isinstance(choices, list) else []):
        text = choice.strip()
        place = f"{where}:{positions.line(('answer_choices', number))}"
        if not text:
            yield Problem(f"answer_choices[{number}]: the choice is blank", place, "a text")
        elif text in seen and not _JINJA.search(text):
            yield Problem(f"answer_choices[{number}]: {text!r} is given twice", place, "each choice once")
        seen.add(text)


def read_task_file(path: Path, folder: str | None = None) -> TaskFile:
    """Return the contents of a `task.yaml`; raises InstructifyError with every problem.

    `folder` is the one that it lies in, relative to its collection; `dataset[/subset]` must be the same.
    """
    where = str(path)
    data, positions = yaml.parse(read_text(path), where)
    facts = validate(TaskFile, {} if data is None else data, positions, where)
    if folder is not None and facts.folder != folder:
        key = "subset" if facts.subset and facts.dataset == folder.partition("/")[0] else "dataset"
        what = f"{key}: the templates of {facts.folder!r} cannot lie in the folder {folder!r}"
        expected = "the folder's name: dataset, or dataset/subset"
        if alike(facts.folder, [folder]):
            what, expected = f"{what}, whose name {ALIKE}", ONE_FORM
        raise InstructifyError(Problem(what, f"{where}:{positions.line((key,))}", expected))
    return facts


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file; raises InstructifyError for what cannot be read."""
    try:
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        what = f"not UTF-8 at byte {error.start}"
        raise InstructifyError(Problem(what, f"{path}:{line}", "a file saved as UTF-8")) from error
    except OSError as error:
        raise InstructifyError(Problem(f"cannot be read: {error.strerror}", str(path))) from error
