"""Findings as text, JSON, SARIF 2.1.0 and annotations of GitHub Actions."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from urllib.parse import quote

from instructify.errors import counted
from instructify.lint.engine import Finding, counts
from instructify.lint.table import RULES

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
SARIF_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
GITHUB_LEVELS = {"error": "error", "warning": "warning", "info": "notice"}


@dataclass(frozen=True, slots=True)
class Report:
    """What was linted and what was found; `notes` say which rules could not run, and why."""

    findings: tuple[Finding, ...]
    templates: int
    datasets: int
    rows: int
    notes: tuple[str, ...] = ()

    def fails(self, strict: bool = False) -> bool:
        """Tell whether there are errors, or warnings where those count too."""
        grave = {"error", "warning"} if strict else {"error"}
        return any(finding.severity in grave for finding in self.findings)


def as_text(report: Report, version: str) -> str:
    """Return one line for each finding, then the notes and a summary."""
    lines = [
        f"{f.path}:{f.line}: {f.severity} {f.rule}: {_named(f)}{f.what}"
        + (f"; expected {f.expected}" if f.expected else "")
        for f in report.findings
    ]
    lines += [f"note: {note}" for note in report.notes]
    severities = Counter(finding.severity for finding in report.findings)
    told = ", ".join(counted(severities[severity], severity) for severity in ("error", "warning"))
    lines.append(
        f"{counted(report.templates, 'template')} of {counted(report.datasets, 'dataset')}, "
        f"{counted(report.rows, 'sample row')}: {told}, {severities['info']:,} info"
    )
    return "\n".join(lines) + "\n"


def as_json(report: Report, version: str) -> str:
    """Return everything as one JSON object."""
    whole = {
        "ok": not report.fails(),
        "templates": report.templates,
        "datasets": report.datasets,
        "sample_rows": report.rows,
        "templates_by_rule": counts(report.findings),
        "findings": [asdict(finding) for finding in report.findings],
        "notes": list(report.notes),
    }
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def as_sarif(report: Report, version: str) -> str:
    """Return a SARIF 2.1.0 log with one run."""
    names = list(RULES)
    driver = {
        "name": "instructify",
        "version": version,
        "rules": [
            {
                "id": name,
                "shortDescription": {"text": rule.summary},
                "defaultConfiguration": {"level": SARIF_LEVELS[rule.severity]},
            }
            for name, rule in RULES.items()
        ],
    }
    results = [
        {
            "ruleId": f.rule,
            "ruleIndex": names.index(f.rule),
            "level": SARIF_LEVELS[f.severity],
            "message": {"text": _named(f) + f.what + (f"; expected {f.expected}" if f.expected else "")},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": _uri(f.path)},
                        "region": {"startLine": f.line},
                    }
                }
            ],
        }
        for f in report.findings
    ]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, ensure_ascii=False) + "\n"


def as_github(report: Report, version: str) -> str:
    """Return workflow commands that GitHub shows beside the lines of a pull request."""
    lines = [
        f"::{GITHUB_LEVELS[f.severity]} file={_property(_near(f.path))},line={f.line},"
        f"title={_property(f.rule)}::"
        + _message(_named(f) + f.what + (f"; expected {f.expected}" if f.expected else ""))
        for f in report.findings
    ]
    return "".join(line + "\n" for line in lines)


FORMATS: Mapping[str, Callable[[Report, str], str]] = {
    "text": as_text,
    "json": as_json,
    "sarif": as_sarif,
    "github": as_github,
}


def _named(finding: Finding) -> str:
    """Return the template's name where the file does not give it away."""
    return "" if PurePath(finding.path).stem == finding.template else f"{finding.template!r}: "


def _near(path: str) -> str:
    """Return a path relative to the working directory, where it lies below."""
    whole = Path(path).absolute()
    return whole.relative_to(Path.cwd()).as_posix() if whole.is_relative_to(Path.cwd()) else whole.as_posix()


def _uri(path: str) -> str:
    near = _near(path)
    quoted = quote(os.fsencode(near))
    return f"file://{quoted}" if near.startswith("/") else quoted


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def sorted_findings(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings by file, line and the rules' order."""
    names = list(RULES)
    return tuple(sorted(findings, key=lambda f: (f.path, f.line, names.index(f.rule), f.what)))
