"""A preview as one static HTML page that needs nothing but itself, for the review of templates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from instructify.compose.budget import Budget
from instructify.errors import InstructifyError
from instructify.preview import words
from instructify.preview.model import Sheet
from instructify.publish.single import write_single
from instructify.report.text import shown
from instructify.templates import Template, ours


def write_page(path: Path, title: str, sheets: Sequence[Sheet], budget: Budget | None) -> None:
    """Write the page, in one step; raises InstructifyError where the disk refuses."""
    write_single(path, page(title, sheets, budget))


def page(title: str, sheets: Sequence[Sheet], budget: Budget | None) -> str:
    """Return the page; every text in it is escaped, and control characters are spelled out."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: shown(value) if type(value) is str else value,
    )
    return environment.from_string(_resource("page.html.jinja")).render(
        css=Markup(_resource("page.css")),  # noqa: S704  (our own style sheet)
        title=title,
        sheets=sheets,
        summary=words.summary(sheets),
        standing=words.standing,
        facts=_facts,
        source=_source,
        notes=partial(words.notes, budget=budget),
        changes=words.changes,
    )


def _facts(sheet: Sheet) -> str:
    """Return what the front matter says, in one line."""
    template = sheet.template
    said = [sheet.task, ", ".join(template.languages), template.kind]
    said += [f"metrics {', '.join(template.metrics)}"] if template.metrics else []
    said += ["the original task"] if template.original_task else []
    said += ["choices in the prompt"] if template.choices_in_prompt else []
    said += [f"by {template.author}"] if template.author else []
    return " · ".join(said)


def _source(template: Template) -> str:
    """Return the text of the template's file; of a promptsource template, its body."""
    if template.dialect == "strict" and template.origin:
        try:
            return ours.read_text(Path(template.origin)).rstrip("\n")
        except InstructifyError:  # gone since
            pass
    return template.body


def _resource(name: str) -> str:
    return files("instructify.preview").joinpath(name).read_text("utf-8")
