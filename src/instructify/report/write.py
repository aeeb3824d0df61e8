"""Write the report of a run: report.html, and report.md beside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from instructify.errors import InstructifyError, Problem
from instructify.publish.single import write_single
from instructify.report.findings import Findings, find
from instructify.report.page import Page, make_page
from instructify.report.read import read_experiment
from instructify.report.text import cut, fenced, line, loglikelihood, shown
from instructify.report.words import WORDS
from instructify.stats.change import DRAWS

LONGEST = 1500  # characters of a prompt, choice or answer that are printed


@dataclass(frozen=True, slots=True)
class Written:
    """Where the report went, what it says, and what a reader should know of the files it was made from."""

    html: Path
    markdown: Path
    findings: Findings
    page: Page
    notes: tuple[str, ...]


def write_report(run: Path, build: Path | None = None, out: Path | None = None) -> Written:
    """Write the report of a run folder to `out` (RUN/report.html) and return what it says.

    `build` is the published build; without it, it is the one evaluation.json names, if it is still there.
    The bytes depend on nothing but the files read. Raises InstructifyError for files that are missing or
    do not belong together.
    """
    html = out or run / "report.html"
    markdown = html.with_suffix(".md")
    if html == markdown:
        what = "names the HTML page, whose Markdown twin would be written over it"
        raise InstructifyError(Problem(what, str(html), f"as {html.with_suffix('.html').name}"))
    experiment = read_experiment(run, build)
    findings = find(experiment.scored, DRAWS)
    page = make_page(experiment, findings)
    write_single(html, _html(page))
    write_single(markdown, _markdown(page))
    return Written(html, markdown, findings, page, experiment.notes)


def _html(page: Page) -> str:
    css = Markup(_resource("page.css"))  # noqa: S704  (our own style sheet)
    return _render("page.html.jinja", page, escape=True, css=css)


def _markdown(page: Page) -> str:
    return _render("page.md.jinja", page, escape=False)


def _render(name: str, page: Page, *, escape: bool, **more: Any) -> str:
    environment = Environment(
        autoescape=escape,  # noqa: S701  (Markdown has an escape of its own, `line`)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: shown(value) if type(value) is str else value,
    )
    environment.filters.update(
        brief=partial(cut, most=LONGEST), loglikelihood=loglikelihood, line=line, fenced=fenced
    )
    return environment.from_string(_resource(name)).render(page=page, words=WORDS, **more)


def _resource(name: str) -> str:
    return files("instructify.report").joinpath(name).read_text("utf-8")
