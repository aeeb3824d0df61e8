"""Times rendering, Arrow to Arrow, on one core: ours against promptsource's apply and Jinja compiled once.

    python scripts/bench_render.py                     nine templates of three shapes
    python scripts/bench_render.py --cases DIR         every template of a conformance set, on its own rows

Rounds are interleaved and medians shown. Trust the ratios of one run, not the rates.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench_engines import apply, environment, once
from bench_shapes import NINE, table, templates
from instructify.keys import Key
from instructify.render.compiled import BatchTemplate, Rows
from instructify.templates import Template

KEY = Key.of("bench")


def timed(function: Callable[[], object], count: int) -> float:
    """Return seconds a row."""
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) / count


def compare(template: Template, rows: pa.Table, rounds: int) -> tuple[float, float, float]:
    """Return rows a second of apply, Jinja compiled once, and ours."""
    env, ours = environment(), BatchTemplate(template)
    used = [name for name in rows.column_names if name in ours.reference.variables]
    rows = rows.select(used) if used else rows
    sample = rows.slice(0, 40).to_pylist()
    fewer = rows.slice(0, min(1_000, len(rows)))
    numbers = np.arange(len(rows))
    times: dict[str, list[float]] = defaultdict(list)
    ours.render(Rows(rows, numbers), KEY)
    for _ in range(rounds):
        times["apply"].append(timed(lambda: [apply(env, template, row) for row in sample], len(sample)))
        times["once"].append(timed(lambda: once(env, template, fewer), len(fewer)))
        times["ours"].append(timed(lambda: ours.render(Rows(rows, numbers), KEY), len(rows)))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return 1 / medians["apply"], 1 / medians["once"], 1 / medians["ours"]


def nine(count: int, rounds: int) -> None:
    """Print a Markdown table of the nine templates."""
    print("| template | apply rows/s | Jinja once rows/s | ours rows/s | over apply | over Jinja once |")
    print("|---|--:|--:|--:|--:|--:|")
    over_apply, over_once = [], []
    for name, (dataset, wanted, make) in NINE.items():
        rows = table(make, count)
        gc.collect()
        gc.freeze()
        by_apply, by_once, ours = compare(templates(dataset)[wanted], rows, rounds)
        over_apply.append(ours / by_apply)
        over_once.append(ours / by_once)
        ratios = f"x{over_apply[-1]:,.0f} | x{over_once[-1]:.1f}"
        print(f"| {name} | {by_apply:,.0f} | {by_once:,.0f} | {ours:,.0f} | {ratios} |", flush=True)
    print(
        f"| geometric mean | | | | x{statistics.geometric_mean(over_apply):,.0f} "
        f"| x{statistics.geometric_mean(over_once):.1f} |"
    )


def every(folder: Path, count: int, rounds: int, limit: int | None) -> None:
    """Print what all templates of a conformance set gain, each on its own unaltered rows, repeated."""
    facts = pq.read_table(folder / "templates.parquet").to_pylist()
    cases = pq.read_table(folder / "cases.parquet").to_pylist()
    rows: dict[tuple[str, str, str], list[dict[str, object]]] = defaultdict(list)
    for case in cases:
        if not case["truncate"] and case["parts"] is not None and case["row_kind"] in ("real", "synthetic"):
            rows[case["dataset"], case["subset"], case["template_id"]].append(json.loads(case["row_json"]))
    over_apply, over_once, slower, skipped = [], [], [], 0
    for fact in facts[:limit]:
        key = (fact["dataset"], fact["subset"], fact["template_id"])
        own = rows.get(key)
        try:
            batch = pa.Table.from_pylist(own or [])
        except (pa.ArrowException, OverflowError):
            own = None
        if not own or not batch.num_columns:
            skipped += 1
            continue
        batch = batch.take(pa.array(np.arange(count) % len(own)))
        template = Template(
            fact["dataset"], fact["template_name"], "promptsource", fact["jinja"], fact["answer_choices_expr"]
        )
        by_apply, by_once, ours = compare(template, batch, rounds)
        over_apply.append(ours / by_apply)
        over_once.append(ours / by_once)
        if ours < by_once:
            slower.append(f"{fact['dataset']} / {fact['template_name']}: x{ours / by_once:.2f}")
    print(f"{len(over_apply):,} templates, {skipped} without rows of one type")
    for name, ratios in (("apply", over_apply), ("Jinja once", over_once)):
        mean = statistics.geometric_mean(ratios)
        print(f"over {name}: geometric mean x{mean:,.1f}, least x{min(ratios):,.1f}")
    print(f"slower than Jinja once: {len(slower)}", *slower, sep="\n  ")


def main() -> None:
    """Run the bench that the arguments ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=8_192, help="rows in a batch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", type=Path, help="folder with cases.parquet and templates.parquet")
    parser.add_argument("--limit", type=int, help="only so many templates of --cases")
    chosen = parser.parse_args()
    if chosen.cases is None:
        nine(chosen.rows, chosen.rounds)
    else:
        every(chosen.cases, chosen.rows, chosen.rounds, chosen.limit)


if __name__ == "__main__":
    main()
