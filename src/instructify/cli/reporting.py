"""`report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from instructify.cli import show


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run that was evaluated.", show_default=False)],
    build: Annotated[
        Path | None, typer.Option(help="The published build, if it is no longer where it was scored.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The HTML file, by default report.html in the run.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Write the transfer report of a run.

    One self-contained HTML file, and its Markdown twin beside it.

    Example: instructify report runs/tiny
    """
    from instructify.report import write_report

    written = write_report(run, build, out)
    if json:
        show.as_json(_data(written))
        return
    for sentence in written.page.summary:
        show.say(sentence)
    for note in written.notes:
        show.say(f"note: {note}")
    show.line(f"wrote {written.html} and {written.markdown}")


def _data(written: Any) -> dict[str, Any]:
    return {
        "html": str(written.html),
        "markdown": str(written.markdown),
        "summary": list(written.page.summary),
        "notes": list(written.notes),
        "datasets": [
            {
                "task": finding.scored.task,
                "variant": finding.scored.variant,
                "metric": finding.scored.metric,
                "base": finding.change.before.median,
                "tuned": finding.change.after.median,
                "change": finding.change.mean,
                "interval": list(finding.change.interval),
                "p_holm": finding.p,
                "detectable": finding.change.detectable,
                "finding": finding.verdict,
            }
            for finding in written.findings.datasets
        ],
    }
