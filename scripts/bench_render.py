"""Times rendering, Arrow to Arrow, on one core: ours against promptsource's apply and Jinja compiled once.

    python scripts/bench_render.py                     nine templates of three shapes
    python scripts/bench_render.py --cases DIR         every template of a conformance set, on its own rows

The nine are also rendered through `datasets.map` and by unitxt, if installed (pip install unitxt).
Rounds are interleaved and medians shown. Ours renders different batches one after the other, as a build does,
for 20 ms, about as long as the others take. Trust the ratios of one run, not the rates.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench_engines import apply, environment, once
from bench_others import by_map, by_unitxt, is_installed
from bench_shapes import NINE, table, templates
from instructify.keys import Key
from instructify.render.compiled import BatchTemplate, Rows
from instructify.templates import Template

KEY = Key.of("bench")
WINDOW, MAX_BATCHES = 0.02, 8


def timed(function: Callable[[], object], count: int) -> float:
    """Return seconds a row."""
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) / count


def compare(template: Template, rows: pa.Table, rounds: int, with_others: bool = False) -> dict[str, float]:
    """Return rows a second of each engine: apply, Jinja compiled once, ours, and others where asked for."""
    env, ours = environment(), BatchTemplate(template)
    used = [name for name in rows.column_names if name in ours.reference.variables]
    rows = rows.select(used) if used else rows
    sample = rows.slice(0, 40).to_pylist()
    fewer = rows.slice(0, min(1_000, len(rows)))
    numbers = np.arange(len(rows))
    ours.render(Rows(rows, numbers), KEY)
    took = timed(lambda: ours.render(Rows(rows, numbers), KEY), 1)
    batches = [rows.take(pa.array(numbers)) for _ in range(min(MAX_BATCHES, math.ceil(WINDOW / took)))]
    many = len(rows) * len(batches)
    engines: dict[str, tuple[Callable[[], object] | None, int]] = {
        "apply": (lambda: [apply(env, template, row) for row in sample], len(sample)),
        "once": (lambda: once(env, template, fewer), len(fewer)),
        "ours": (lambda: [len(ours.render(Rows(batch, numbers), KEY).kept) for batch in batches], many),
    }
    if with_others and is_installed("datasets"):
        engines["map"] = by_map(env, template, fewer), len(fewer)
    if with_others and is_installed("unitxt"):
        engines["unitxt"] = by_unitxt(env, template, fewer.to_pylist()), len(fewer)
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, (render, count) in engines.items():
            if render is not None:
                times[name].append(timed(render, count))
    return {name: 1 / statistics.median(values) for name, values in times.items()}


OTHERS = {"apply": "apply", "once": "Jinja once", "map": "datasets.map", "unitxt": "unitxt"}


def nine(count: int, rounds: int) -> None:
    """Print a Markdown table of the nine templates."""
    for name in ("datasets", "unitxt"):
        if not is_installed(name):
            print(f"{name} is not installed, so its columns stay empty")
    titles = [f"{other} rows/s" for other in (*OTHERS.values(), "ours")]
    titles += [f"over {other}" for other in OTHERS.values()]
    print(f"| template | {' | '.join(titles)} |")
    print("|---|" + "--:|" * (2 * len(OTHERS) + 1))
    over: dict[str, list[float]] = defaultdict(list)
    for name, (dataset, wanted, make) in NINE.items():
        rows = table(make, count)
        gc.collect()
        gc.freeze()
        found = compare(templates(dataset)[wanted], rows, rounds, with_others=True)
        ratios = {other: found["ours"] / found[other] for other in OTHERS if other in found}
        for other, ratio in ratios.items():
            over[other].append(ratio)
        cells = [f"{found[other]:,.0f}" if other in found else "–" for other in OTHERS]
        cells += [f"{found['ours']:,.0f}", *(_times(ratios.get(other)) for other in OTHERS)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    means = [_times(statistics.geometric_mean(over[other]) if over[other] else None) for other in OTHERS]
    print(f"| geometric mean | {'| ' * (len(OTHERS) + 1)}{' | '.join(means)} |")


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"x{ratio:,.0f}" if ratio >= 100 else f"x{ratio:.1f}"


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
        found = compare(template, batch, rounds)
        over_apply.append(found["ours"] / found["apply"])
        over_once.append(found["ours"] / found["once"])
        if over_once[-1] < 1:
            slower.append(f"{fact['dataset']} / {fact['template_name']}: x{over_once[-1]:.2f}")
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
