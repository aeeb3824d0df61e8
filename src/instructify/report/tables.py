"""The tables of a report, as text that the page and its Markdown twin lay out each in its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from instructify.errors import counted
from instructify.report.chart import interval_bar
from instructify.report.findings import Finding, Findings
from instructify.report.scores import BASE, COT, TUNED, Scored
from instructify.report.text import DASH, interval, percent, points, probability
from instructify.stats import Macro, Spread


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one field: text, a smaller line under it, a tone (up, down or none) and a drawing."""

    text: str
    small: str = ""
    tone: str = ""
    drawing: Markup | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Column titles and rows of as many cells; the first names its row. The last `summary` rows sum up."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    summary: int = 0


Seen = Mapping[tuple[str, str], Mapping[str, Any]]
"""Task and variant -> what the base had seen of it."""


def headline(findings: Findings, seen: Seen) -> Table:
    """Return the main table: baselines, base and tuned model, and the change, a dataset a row."""
    reach = _reach(findings.datasets)
    thoughts = any(COT in finding.scored.means for finding in findings.datasets)
    rows = [_headline_row(finding, seen, reach, thoughts) for finding in findings.datasets]
    columns = ["dataset", "finding", "base model had", "random", "majority", "choice prior", "base", "tuned"]
    columns += ["change, points", "templates improved", "p (Holm)", "detectable"]
    columns += ["chain of thought"] * thoughts
    rows += [_left_out_row(scored, reason, len(columns)) for scored, reason in findings.left_out]
    rows += [
        _average_row(
            f"average, variant {variant}" if findings.has_variants else "average", one, reach, thoughts
        )
        for variant, one in findings.averages.items()
    ]
    return Table(tuple(columns), tuple(rows), len(findings.averages))


def details(findings: Findings) -> Table:
    """Return every interval of every dataset, and the spread over seeds."""
    columns = ["dataset", "documents", "mean change", "95 %, other documents", "95 %, other templates too"]
    columns += ["t interval over templates", "change of the median", "by seed", "SD over seeds"]
    return Table(tuple(columns), tuple(_detail_row(finding) for finding in findings.datasets))


def controls(findings: Findings) -> Table:
    """Return what every control model gained over the base, which should be nothing."""
    rows = [
        (Cell(model), Cell(one.title, one.metric), Cell(points(change.mean), interval(change.interval)))
        for model, changes in findings.controls.items()
        for one, change in changes
    ]
    return Table(("model", "dataset", "change from base, points"), tuple(rows))


def templates(finding: Finding) -> Table:
    """Return base and tuned score of every template of a dataset."""
    change = finding.change
    rows = zip(
        finding.scored.templates,
        change.before_by_template,
        change.after_by_template,
        change.by_template,
        strict=True,
    )
    return Table(
        ("prompt template", "base", "tuned", "change"),
        tuple(
            (Cell(name), Cell(percent(old)), Cell(percent(new)), Cell(points(gain), tone=_tone(gain)))
            for name, old, new, gain in rows
        ),
    )


def other_metrics(findings: Findings) -> Table:
    """Return the metrics that are no dataset's headline, base and tuned, the mean over templates."""
    rows = [
        (Cell(scored.title), Cell(metric), Cell(percent(means[BASE])), Cell(percent(means[TUNED])))
        for scored in (finding.scored for finding in findings.datasets)
        for metric, means in scored.means.items()
        if metric != scored.metric and BASE in means and TUNED in means
    ]
    return Table(("dataset", "metric", "base", "tuned"), tuple(rows))


def _headline_row(finding: Finding, seen: Seen, reach: float, thoughts: bool) -> tuple[Cell, ...]:
    scored, change = finding.scored, finding.change
    about = seen.get((scored.task, scored.variant), {})
    tone = {"improved": "up", "got worse": "down"}.get(finding.verdict, "")
    cells = [
        Cell(scored.title, f"{scored.cluster}, {scored.metric}"),
        Cell(finding.verdict, tone=tone),
        Cell(SEEN.get(str(about.get("status")), SEEN["unknown"]), str(about.get("word") or "unproven")),
        Cell(_percent(finding.chance)),
        Cell(_percent(finding.majority)),
        Cell(_before_after(scored.priors)),
        _spread(change.before, len(change.by_template)),
        _spread(change.after, len(change.by_template)),
        _change(change.mean, change.interval, change.template_interval, reach),
        Cell(f"{change.improved} of {len(change.by_template)}"),
        Cell(probability(finding.p), f"alone {probability(change.p)}"),
        Cell(f"±{percent(change.detectable)}" if change.decidable else "none"),
    ]
    if thoughts:
        cells.append(Cell(_before_after(scored.means.get(COT, {}))))
    return tuple(cells)


SEEN = {
    "seen": "seen the task",
    "text": "read such text",
    "unseen": "not seen it",
    "unknown": "unknown data",
}
"""Status in the seen-by-base registry -> what the table says."""


def _left_out_row(scored: Scored, reason: str, columns: int) -> tuple[Cell, ...]:
    """Return the row of a dataset that could not be compared, the reason in the column of findings."""
    name = Cell(scored.title, f"{scored.cluster}, {scored.metric}")
    return (name, Cell(reason), *[Cell("")] * (columns - 2))


def _average_row(name: str, average: Macro, reach: float, thoughts: bool) -> tuple[Cell, ...]:
    blank = Cell("")
    return (
        Cell(name, f"{counted(average.datasets, 'dataset')}, equal weight, means"),
        *[blank] * 5,
        Cell(percent(average.before)),
        Cell(percent(average.after)),
        _change(average.mean, average.interval, None, reach),
        blank,
        Cell(probability(average.p)),
        *[blank] * (1 + thoughts),
    )


def _detail_row(finding: Finding) -> tuple[Cell, ...]:
    change = finding.change
    widened = f"{change.changed} changed: widened" if change.widened else f"{change.changed:,} changed"
    return (
        Cell(finding.scored.title, finding.scored.metric),
        Cell(f"{change.documents:,}", widened),
        Cell(points(change.mean), tone=_tone(change.mean)),
        Cell(interval(change.interval)),
        Cell(interval(change.template_interval)),
        Cell(interval(change.template_t)),
        Cell(points(change.median), interval(change.median_interval)),
        Cell(", ".join(map(points, change.by_seed))),
        Cell(percent(change.seed_sd) if change.seed_sd is not None else DASH),
    )


def _reach(datasets: Sequence[Finding]) -> float:
    """Return the half width of the scale that all intervals are drawn on; wider ones are cut off there."""
    return max([0.02, *(abs(end) for finding in datasets for end in finding.change.interval)])


def _change(mean: float, inner: tuple[float, float], outer: tuple[float, float] | None, reach: float) -> Cell:
    return Cell(points(mean), interval(inner), drawing=interval_bar(mean, inner, outer, reach))


def _spread(spread: Spread, templates: int) -> Cell:
    quartiles = f"IQR {percent(spread.low)}–{percent(spread.high)}\nmean {percent(spread.mean)}"
    return Cell(percent(spread.median), quartiles if templates > 1 else "one template")


def _before_after(values: Mapping[str, float]) -> str:
    if BASE not in values or TUNED not in values:
        return DASH
    return f"{percent(values[BASE])} → {percent(values[TUNED])}"


def _percent(share: float | None) -> str:
    return DASH if share is None else percent(share)


def _tone(gain: float) -> str:
    return "up" if gain > 0 else "down" if gain < 0 else ""
