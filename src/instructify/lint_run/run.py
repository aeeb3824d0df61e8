"""Running the rules over batches of templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from instructify.lint.engine import Finding, lint
from instructify.lint.model import BUDGET, Tokens
from instructify.lint.reports import Report, sorted_findings
from instructify.lint.table import Rule
from instructify.lint_run.find import Batch
from instructify.lint_run.rows import read_data


@dataclass(frozen=True, slots=True)
class Options:
    """How to lint: rows of each dataset, the tokenizer and its budget, and the rules to run."""

    rules: Mapping[str, Rule]
    rows: int = 200
    tokens: Tokens | None = None
    budget: int = BUDGET


def run(batches: Sequence[Batch], options: Options, work: Path) -> Report:
    """Return what the rules find in some batches; sources that are not Parquet are converted into `work`.

    Raises InstructifyError for a source that is named and cannot be read.
    """
    findings: list[Finding] = []
    rows = 0
    without: list[str] = []
    for batch in batches:
        data = read_data(batch, options.rows, work)
        rows += len(data.rows)
        if not data.rows and batch.drafts:
            without.append(batch.dataset)
        findings += lint((*batch.beside, *batch.drafts), data, options.tokens, options.budget, options.rules)
    notes = tuple(_notes(without, options))
    count = sum(len(batch.drafts) for batch in batches)
    datasets = len({batch.dataset for batch in batches if batch.drafts})
    return Report(sorted_findings(findings), count, datasets, rows, notes)


def _notes(without: Sequence[str], options: Options) -> Iterator[str]:
    needs = {rule.needs for rule in options.rules.values()}
    if without and needs != {"text"}:
        listed = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
        yield f"no rows of {listed}: only the rules on text were run (--data or --data-root give rows)"
    elif options.tokens is None and "tokenizer" in needs:
        yield "no tokenizer: the rules that need one were not run (--tokenizer gives one)"
