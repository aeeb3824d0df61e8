"""Times whole builds: Parquet in, five templates a row, zstd Parquet out.

    python scripts/bench_build.py                    against writing alone, apply and Jinja compiled once
    python scripts/bench_build.py --workers 1 2 4    the same build with more workers
    python scripts/bench_build.py --memory 1 40      peak memory for so many times the rows

Rounds are interleaved and medians shown. Trust the ratios of one run, not the seconds. The first compares CPU
time, which other work on the machine disturbs less; the others measure what one waits for.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from bench_engines import apply, environment, once
from bench_shapes import SHAPES, Shape, table, templates
from instructify.build import build
from instructify.cli.progress import Silence
from instructify.recipe.load import load_recipe
from instructify.writers import WRITERS


def prepare(folder: Path, name: str, shape: Shape, rows: pa.Table, times: int = 1) -> Path:
    """Write the rows, so many times over, and a recipe that renders five templates over them."""
    stem = name.replace(" ", "-").lower()
    with pq.ParquetWriter(folder / f"{stem}.parquet", rows.schema) as writer:
        for _ in range(times):
            writer.write_table(rows, row_group_size=16_384)
    task = {
        "dataset": shape.dataset,
        "cluster": "bench",
        "licence": "CC0-1.0",
        "source": {"kind": "files", "path": f"{stem}.parquet"},
        "templates": {"include": list(shape.templates)},
    }
    recipe = {"name": stem, "template_sources": ["promptsource"], "output": {"dir": "out"}, "tasks": [task]}
    path = folder / f"{stem}.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def write_alone(out: Path, folder: Path) -> float:
    """Return the CPU seconds it takes to write the published Parquet files again, from memory."""
    seconds = 0.0
    for path in sorted((out / "parquet").glob("*.parquet")):
        published = pq.read_table(path).combine_chunks()  # so that no copy of it is timed
        began = time.process_time()
        with (folder / "again.parquet").open("wb") as file:
            WRITERS["parquet"].write(published, file)
        seconds += time.process_time() - began
    return seconds


def others(shape: Shape, rows: pa.Table) -> tuple[float, float]:
    """Return CPU seconds an example of apply and of Jinja compiled once, without reading or writing."""
    env, known = environment(), templates(shape.dataset)
    few, some = rows.slice(0, 40).to_pylist(), rows.slice(0, 1_000)
    began = time.process_time()
    for name in shape.templates:
        for row in few:
            apply(env, known[name], row)
    middle = time.process_time()
    for name in shape.templates:
        once(env, known[name], some)
    ended = time.process_time()
    count = len(shape.templates)
    return (middle - began) / (len(few) * count), (ended - middle) / (len(some) * count)


def compare(folder: Path, count: int, rounds: int) -> None:
    """Print what a build costs beside writing alone, and beside the other engines, in CPU seconds."""
    print("| shape | examples | build | write alone | build / write | over apply | over Jinja once |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, shape in SHAPES.items():
        rows = table(shape.row, count)
        recipe = load_recipe(prepare(folder, name, shape, rows))
        gc.collect()
        gc.freeze()
        times: dict[str, list[float]] = defaultdict(list)
        kept = 0
        for _ in range(rounds):
            shutil.rmtree(folder / "out", ignore_errors=True)
            began = time.process_time()
            result = build(recipe, Silence(), out=folder / "out", workers=1)
            times["build"].append(time.process_time() - began)
            times["write"].append(write_alone(folder / "out", folder))
            by_apply, by_once = others(shape, rows)
            times["apply"].append(by_apply)
            times["once"].append(by_once)
            kept = sum(ledger.kept for ledger in result.ledgers)
        ours, alone, applied, jinja = (
            statistics.median(times[n]) for n in ("build", "write", "apply", "once")
        )
        ratios = f"x{(applied * kept + alone) / ours:,.0f} | x{(jinja * kept + alone) / ours:.1f}"
        print(
            f"| {name} | {kept:,} | {ours:.2f} | {alone:.2f} | x{ours / alone:.2f} | {ratios} |", flush=True
        )


def scale(folder: Path, count: int, rounds: int, workers: list[int]) -> None:
    """Print wall time of the command line by number of workers."""
    shape = SHAPES["NLI"]
    recipe = prepare(folder, "NLI", shape, table(shape.row, min(count, 100_000)), max(1, count // 100_000))
    times: dict[int, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for number in workers:
            shutil.rmtree(folder / "out", ignore_errors=True)
            began = time.perf_counter()
            _command(recipe, "-j", str(number))
            times[number].append(time.perf_counter() - began)
    first = statistics.median(times[workers[0]])
    for number in workers:
        took = statistics.median(times[number])
        print(f"{number} workers: {took:.2f} s, x{first / took:.2f}")


def memory(folder: Path, count: int, factors: list[int]) -> None:
    """Print the peak resident memory of one process by number of input rows."""
    shape = SHAPES["NLI"]
    rows = table(shape.row, count)
    for factor in factors:
        recipe = prepare(folder, "NLI", shape, rows, factor)
        shutil.rmtree(folder / "out", ignore_errors=True)
        peak = _command(recipe, "-j", "1")
        print(f"{count * factor:,} rows: {peak / 1024:,.0f} MB", flush=True)


def _command(recipe: Path, *arguments: str) -> int:
    """Run a build and return its peak resident memory in KiB."""
    command = [sys.executable, "-m", "instructify", "build", str(recipe), "-q", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    return int(usage.ru_maxrss)


def main() -> None:
    """Run the bench that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="input rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", help="numbers of workers to compare")
    parser.add_argument("--memory", type=int, nargs="+", help="multiples of --rows")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if chosen.workers:
            scale(Path(name), chosen.rows, chosen.rounds, chosen.workers)
        elif chosen.memory:
            memory(Path(name), chosen.rows, chosen.memory)
        else:
            compare(Path(name), chosen.rows, chosen.rounds)


if __name__ == "__main__":
    main()
