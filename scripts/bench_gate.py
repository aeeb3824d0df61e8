"""Times the leak gate, and measures what it finds.

    python scripts/bench_gate.py                              1,000,000 made training rows, 100,000 held out
    python scripts/bench_gate.py --workers 1 2 4              the same with more workers
    python scripts/bench_gate.py --recall DATA                planted near copies of real texts, by length
    python scripts/bench_gate.py --clean DATA                 datasets that have nothing to do with each other
    python scripts/bench_gate.py --rendered BUILD             rendered examples, against folding each text

DATA is a folder with <dataset>[/<subset>]/<split>.parquet, BUILD one that was built with held-out
tasks. Trust the ratios of one run, not the seconds.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import resource
import string
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from instructify.build.gate import GateTask, run_gate
from instructify.keys import Key
from instructify.origins import Identity, relation
from instructify.overlap.fields import text_leaves
from instructify.overlap.fold import fold
from instructify.overlap.heldout import HeldOutIndex, prepare
from instructify.overlap.ngrams import NgramIndex, template_ngrams
from instructify.overlap.units import Limits
from instructify.overlap.words import batches
from instructify.recipe.leaks import LeakGate
from instructify.recipe.models import FilesSource
from instructify.runners import open_runner
from instructify.sources import open_source

KEY = Key.of("bench_gate")
WORDS = 30_000
PLANTED = 50  # one row in so many is a held-out row, and one a held-out row with a word changed


def vocabulary() -> list[str]:
    """Return made words of two to ten letters; the first ones are the shortest and will come most often."""
    letters = np.array(list(string.ascii_lowercase))
    sizes = np.sort(KEY.belows(9, np.arange(WORDS))) + 2
    return ["".join(letters[KEY.belows(26, np.arange(size), 10 + n)]) for n, size in enumerate(sizes)]


def made_rows(words: list[str], first: int, count: int) -> pa.Table:
    """Return rows of a premise (12 to 59 words by Zipf's law), a hypothesis (6 to 17) and a label."""
    rows = np.arange(first, first + count)
    columns = {}
    for number, (name, least, span) in enumerate((("premise", 12, 48), ("hypothesis", 6, 12))):
        lengths = KEY.belows(span, rows, number) + least
        draws = KEY.draws(np.arange(lengths.sum()) + (first << 16), 8 + number) >> np.uint64(11)
        picked = (float(WORDS) ** (draws.astype(np.float64) / 2.0**53)).astype(np.int64) - 1
        text = [words[n] for n in picked.tolist()]
        ends = np.cumsum(lengths).tolist()
        columns[name] = [" ".join(text[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    return pa.table({**columns, "label": KEY.belows(3, rows, 4)})


def planted(rows: pa.Table, held_out: pa.Table, words: list[str], first: int) -> pa.Table:
    """Return the rows with copies and near copies of held-out premises among them, each of another one."""
    premises = rows["premise"].to_pylist()
    others = held_out["premise"].to_pylist()
    for place in range(0, len(premises) - 1, PLANTED):
        number = (first + place) // PLANTED
        premises[place] = others[number % len(others)].upper() + "!"
        near = others[(number + len(others) // 2) % len(others)].split()
        near[len(near) // 2] = words[-1 - number % 1000]
        premises[place + 1] = " ".join(near)
    return rows.set_column(0, "premise", pa.array(premises))


def write_made(folder: Path, train: int, held_out: int) -> None:
    """Write the two made sources, in lots, so that the bench's own memory stays small."""
    words = vocabulary()
    kept = made_rows(words, 1 << 30, held_out)
    pq.write_table(kept, folder / "held_out.parquet", row_group_size=16_384)
    with pq.ParquetWriter(folder / "train.parquet", kept.schema) as writer:
        for first in range(0, train, 50_000):
            lot = made_rows(words, first, min(50_000, train - first))
            writer.write_table(planted(lot, kept, words, first), row_group_size=16_384)


def opened(folder: Path, name: str, work: Path) -> GateTask:
    """Return a Parquet file below the folder as a task, with all its columns."""
    spec = FilesSource(kind="files", path=f"{name}.parquet")
    source = open_source(spec, Path(name).name, folder, work)
    return GateTask(name, source, source.columns)


def timed(folder: Path, workers: int, near_duplicates: bool) -> str:
    """Return one line on one run: seconds, peak memory, and what was found."""
    train, held_out = (opened(folder, name, folder / "work") for name in ("train", "held_out"))
    settings = LeakGate(near_duplicate="drop" if near_duplicates else "off")
    marks: list[float] = []
    began = time.perf_counter()
    with open_runner(workers) as runner:
        result = run_gate(
            [train], [held_out], settings, runner, folder, lambda rows: marks.append(time.perf_counter())
        )
    took = time.perf_counter() - began
    index = marks[-(-held_out.source.rows // 16_384) - 1] - began
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in usage)
    own, below = (one.ru_maxrss / 1024 for one in usage)
    found = {reason: len(rows) for reason, rows in result.dropped["train"].items()}
    return (
        f"| {train.source.rows:,} | {held_out.source.rows:,} | {workers} | {index:.1f} | {took:.1f} | "
        f"{cpu:.1f} | {own:,.0f} | {below:,.0f} | {found} |"
    )


def speed(train: int, held_out: int, workers: list[int], near_duplicates: bool) -> None:
    """Print a table of runs, each in a process of its own, so that peak memory is the run's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "work").mkdir()
        context = multiprocessing.get_context("spawn")
        writer = context.Process(target=write_made, args=(folder, train, held_out))
        writer.start()
        writer.join()
        print("| training | held out | workers | index s | all s | CPU s | MB | MB a worker | found |")
        print("|--:|--:|--:|--:|--:|--:|--:|--:|---|")
        for number in workers:
            process = context.Process(target=_print_timed, args=(folder, number, near_duplicates))
            process.start()
            process.join()


def _print_timed(folder: Path, workers: int, near_duplicates: bool) -> None:
    print(timed(folder, workers, near_duplicates), flush=True)


def spoil_case(text: str, row: int) -> str:
    """Return the text in capitals or in lower case."""
    return text.upper() if row % 2 else text.lower()


def spoil_punctuation(text: str, row: int) -> str:
    """Return the text with punctuation gone, or more of it, and spaces doubled."""
    bare = "".join(" " if c in string.punctuation else c for c in text)
    return (
        bare
        if row % 2
        else "  ".join(f"{word}," if n % 3 else f"({word})" for n, word in enumerate(text.split()))
    )


def spoil_word(text: str, row: int) -> str:
    """Return the text with one word, drawn, replaced by another."""
    words = text.split()
    place = KEY.below(len(words), row, 1)
    letters = "".join(c for c in words[place] if c.isalnum())
    words[place] = f"zq{letters[::-1]}"
    return " ".join(words)


def spoil_two_words(text: str, row: int) -> str:
    """Return the text with two words next to each other swapped and one changed."""
    words = spoil_word(text, row).split()
    place = KEY.below(max(1, len(words) - 1), row, 2)
    words[place : place + 2] = reversed(words[place : place + 2])
    return " ".join(words)


SPOILS: dict[str, Callable[[str, int], str]] = {
    "case": spoil_case,
    "punctuation": spoil_punctuation,
    "one word changed": spoil_word,
    "one changed, two swapped": spoil_two_words,
}
LENGTHS = (15, 25, 30, 40, 50, 80, 160, 320, 100_000)


def recall(data: Path) -> None:
    """Print, by number of letters and digits, the share of spoilt copies of real texts that are found."""
    texts: dict[str, None] = {}
    for path in sorted(data.glob("**/*.parquet")):
        table = pq.read_table(path).slice(0, 1_000)
        texts |= dict.fromkeys(text_leaves(table, np.arange(table.num_rows)).texts)
    sized = zip(texts, np.diff(fold(list(texts)).texts).tolist(), strict=True)
    fit = [(text, n) for text, n in sized if n >= LENGTHS[0] and "\n" not in text and len(text.split()) >= 4]
    every, sizes = [text for text, _ in fit], np.array([n for _, n in fit])
    limits = Limits()
    table = pa.table({"text": every})
    index = HeldOutIndex.of(
        [("t", part) for part in prepare(text_leaves(table, np.arange(len(every))), limits)], limits
    )
    print("| letters | texts | " + " | ".join(SPOILS) + " |\n|--:|--:|" + "--:|" * len(SPOILS))
    shares = {name: found(index, every, spoil) for name, spoil in SPOILS.items()}
    for low, high in itertools.pairwise(LENGTHS):
        inside = (sizes >= low) & (sizes < high)
        cells = " | ".join(f"{found_[inside].mean():.4f}" for found_ in shares.values())
        print(f"| {low} to {high - 1} | {inside.sum():,} | {cells} |")


def found(
    index: HeldOutIndex, texts: Sequence[str], spoil: Callable[[str, int], str]
) -> npt.NDArray[np.bool_]:
    """Tell of each text whether its spoilt copy is found."""
    copies = pa.table({"text": [spoil(text, row) for row, text in enumerate(texts)]})
    matches = index.find(text_leaves(copies, np.arange(len(texts))))
    seen = np.zeros(len(texts), np.bool_)
    seen[matches.row] = True
    return seen


def clean(data: Path) -> None:
    """Print every match between a train split and another dataset's evaluation split that no fact relates."""
    names = [path.relative_to(data).with_suffix("").as_posix() for path in sorted(data.glob("**/*.parquet"))]
    with tempfile.TemporaryDirectory() as name, open_runner(1) as runner:
        folder = Path(name)
        tasks = [opened(data, each, folder) for each in names]
        train = [task for task in tasks if task.name.endswith("/train")]
        held_out = [task for task in tasks if not task.name.endswith("/train")]
        settings = LeakGate(duplicate="off", max_dropped=1.0)
        result = run_gate(train, held_out, settings, runner, folder)
        pairs = [(t, h) for t in train for h in held_out if not _related(t.name, h.name)]
        bad = [count for count in result.counts if not _related(count.train, count.held_out)]
        for count in bad:
            print(f"{count.train} in {count.held_out}, {count.level}: {count.rows:,} rows")
            for example in count.examples:
                print(f"    {example.text!r}\n    {example.held_out_text!r}")
        rows = sum(task.source.rows for task, _ in pairs)
        print(f"{len(bad)} matches in {len(pairs):,} pairs; {sum(c.rows for c in bad)} of {rows:,} rows")


def _related(train: str, held_out: str) -> bool:
    one, other = (Identity(name.rpartition("/")[0]) for name in (train, held_out))
    return relation(one, other) is not None


def rendered(build: Path) -> None:
    """Print how fast the training examples of a build are compared with its held-out ones, on one core."""
    held_out, train = (_said(sorted((build / "parquet").glob(f"{part}-*"))) for part in ("eval", "train"))
    index = NgramIndex.of([("held out", template_ngrams([(held_out, np.arange(len(held_out)))]))])
    began = time.process_time()
    hits = len(index.find(train)[0])
    took = time.process_time() - began
    began = time.process_time()
    for _, some in batches(train, 1 << 18):
        fold(some.to_pylist())
    folded = time.process_time() - began
    size = pc.sum(pc.binary_length(train)).as_py() / 1e6
    print(f"{len(train):,} training examples, {size:,.0f} MB, {len(held_out):,} held out: {hits:,} hits")
    print(f"{took:.2f} CPU seconds, {size / took:.0f} MB/s; to fold each text alone takes {folded:.2f} s")


def _said(paths: Sequence[Path]) -> pa.Array:
    table = pa.concat_tables([pq.read_table(path, columns=["inputs", "targets"]) for path in paths])
    columns = [column.cast(pa.large_string()) for column in table.columns]
    end = pa.scalar("\n", pa.large_string())
    return pc.binary_join_element_wise(*columns, end).combine_chunks()


def main() -> None:
    """Run the bench that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="training rows")
    parser.add_argument("--held-out", type=int, default=100_000, help="held-out rows")
    parser.add_argument("--workers", type=int, nargs="+", default=[1], help="numbers of workers to compare")
    parser.add_argument("--near-duplicates", action="store_true", help="look for them in training too")
    parser.add_argument("--recall", type=Path, help="folder of real data")
    parser.add_argument("--clean", type=Path, help="folder of real data")
    parser.add_argument("--rendered", type=Path, help="a build with held-out tasks")
    chosen = parser.parse_args()
    if chosen.recall:
        recall(chosen.recall)
    elif chosen.clean:
        clean(chosen.clean)
    elif chosen.rendered:
        rendered(chosen.rendered)
    else:
        speed(chosen.rows, chosen.held_out, chosen.workers, chosen.near_duplicates)


if __name__ == "__main__":
    main()
