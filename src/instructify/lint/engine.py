"""Runs the rules over the templates of one dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from instructify.checks import check
from instructify.compose.marks import FIT_CLOSE, FIT_OPEN, OPTIONS, plain
from instructify.errors import InstructifyError, Problem, RowError
from instructify.keys import Key
from instructify.lint.ignores import key_lines, read_ignores
from instructify.lint.model import BUDGET, Found, Render, Sample, Severity, Subject, Tokens
from instructify.lint.pieces import body_of
from instructify.lint.table import RULES, Rule
from instructify.render.reference import ReferenceTemplate, reference, sandbox
from instructify.templates.model import Template

MAX_RUNAWAYS = 3
"""Rows over budget after which no more are rendered."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A template as its file gives it, with the file's text; `unread` says why it is none."""

    template: Template
    text: str = ""
    unread: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Data:
    """What is known of the dataset: its columns (None where it is not at hand), label names, sample rows."""

    columns: tuple[str, ...] | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: tuple[tuple[int, Mapping[str, Any]], ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding at one place; `line` is that of the file."""

    rule: str
    severity: Severity
    path: str
    line: int
    dataset: str
    template: str
    what: str
    expected: str


def lint(
    drafts: Sequence[Draft],
    data: Data,
    tokens: Tokens | None = None,
    budget: int = BUDGET,
    rules: Mapping[str, Rule] = RULES,
) -> list[Finding]:
    """Return what the rules find in the templates of one dataset, in the order of the templates."""
    findings: list[Finding] = []
    before: list[Subject] = []
    for draft in drafts:
        subject = _subject(draft, data, tokens, budget)
        subject = replace(subject, siblings=tuple(before))
        findings += _run(subject, rules)
        if not draft.unread:
            before.append(replace(subject, siblings=(), samples=()))
    return findings


def _run(subject: Subject, rules: Mapping[str, Rule]) -> list[Finding]:
    ignored = {ignore.rule for ignore in subject.ignores if not ignore.wrong}
    ran: dict[str, bool] = {}
    findings: list[Finding] = []
    for name, rule in rules.items():
        if _can_run(name, rule, subject):
            found = list(dict.fromkeys(rule.check(replace(subject, ran=ran))))
            ran[name] = bool(found)
            if name not in ignored:
                findings += [_finding(name, rule, subject.template, one) for one in found]
    return findings


def _can_run(name: str, rule: Rule, subject: Subject) -> bool:
    """Tell whether all is at hand that a rule needs."""
    if subject.unread:
        return name == "unreadable"
    at_hand = {
        "text": True,
        "columns": subject.columns is not None or bool(subject.labels),
        "rows": bool(subject.samples),
        "tokenizer": bool(subject.samples) and subject.tokens is not None,
    }
    return at_hand[rule.needs]


def _finding(name: str, rule: Rule, template: Template, found: Found) -> Finding:
    return Finding(
        name,
        rule.severity,
        template.origin,
        _line(template, found.line),
        template.dataset,
        template.name,
        found.what,
        found.expected,
    )


def _line(template: Template, line: int) -> int:
    """Return the line of the file: a promptsource body has no lines of its own in its file."""
    if template.dialect == "promptsource":
        return template.line
    return max(1, template.line + line - 1) if line else 1


def _subject(draft: Draft, data: Data, tokens: Tokens | None, budget: int) -> Subject:
    template = draft.template
    subject = Subject(
        template,
        unread=draft.unread,
        columns=data.columns,
        labels=data.labels,
        tokens=tokens,
        budget=budget,
        ignores=read_ignores(draft.text, RULES),
        text=draft.text,
        keys=key_lines(draft.text),
    )
    if draft.unread:
        return subject
    try:
        compiled = reference(template)
    except InstructifyError as error:
        return replace(subject, broken=error.problems)
    body = body_of(sandbox(template.dialect).parse(template.body))
    subject = replace(subject, body=body, variables=compiled.variables)
    if data.columns is not None and compiled.variables - set(data.columns):
        return subject
    render = _renderer(compiled)
    return replace(subject, samples=tuple(_samples(data, render)), render=render)


def _samples(data: Data, render: Render) -> Iterator[Sample]:
    """Yield what becomes of the rows, up to where it is clear that the template runs away."""
    runaways = 0
    for number, row in data.rows:
        sample = render(row, number)
        yield sample
        runaways += sample.reason == "over-budget"
        if runaways == MAX_RUNAWAYS:
            return


def _renderer(compiled: ReferenceTemplate) -> Render:
    key = Key.of("lint", compiled.template.hash)

    def render(row: Mapping[str, Any], number: int) -> Sample:
        try:
            rendered = compiled.render(row, key, number)
        except RowError as error:
            return Sample(number, row, reason=error.reason, detail=error.detail)
        sample = Sample(number, row, choices=rendered.choices, none_printed=rendered.none_printed)
        try:
            example = check(rendered)
        except RowError as error:
            detail = error.detail or _detail(error.reason, rendered.parts)
            return replace(sample, reason=error.reason, detail=detail)
        return replace(
            sample,
            prompt=plain(example.inputs),
            target=example.targets,
            rationale=example.rationale,
            has_options=OPTIONS in example.inputs,
            rigid=plain(_rigid(example.inputs)),
        )

    return render


def _detail(reason: str, parts: Sequence[str]) -> str:
    return repr(parts[1]) if reason == "target-not-in-choices" else ""


def _rigid(text: str) -> str:
    """Return a prompt without what may be cut from it."""
    pieces: list[str] = []
    depth = 0
    for character in text:
        depth += (character == FIT_OPEN) - (character == FIT_CLOSE)
        if not depth:
            pieces.append(character)
    return "".join(pieces)


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """Return the number of templates that each rule speaks of, in the order of the table."""
    places = {(finding.rule, finding.path, finding.dataset, finding.template) for finding in findings}
    names = [place[0] for place in places]
    return {name: names.count(name) for name in RULES if name in names}
