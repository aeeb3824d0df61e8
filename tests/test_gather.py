"""Published files hold rows as they were drawn, the examples of a few hundred of them scattered together."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_kit import recipe, rows_file, succeed, template
from instructify.build import gather, tables
from instructify.errors import InstructifyError

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


KINDS = {"whole": pa.large_string(), "gaps": pa.large_string(), "number": pa.int64()}


@st.composite
def chunked(draw: st.DrawFn) -> pa.Table:
    """Draw a table of texts, some absent, and numbers, in chunks that begin anywhere in their buffers."""
    chunks: dict[str, list[pa.Array]] = {name: [] for name in KINDS}
    for _ in range(draw(st.integers(0, 4))):
        rows = draw(st.lists(st.tuples(TEXTS, st.none() | TEXTS, st.integers(0, 9)), max_size=8))
        first = draw(st.integers(0, len(rows)))
        for place, (name, kind) in enumerate(KINDS.items()):
            chunks[name].append(pa.array([row[place] for row in rows], kind).slice(first))
    return pa.table({name: pa.chunked_array(chunks[name], kind) for name, kind in KINDS.items()})


@pytest.mark.parametrize("viewed", [tables.MAX_VIEWED, 0], ids=["by views", "too large for views"])
@settings(deadline=None)
@given(table=chunked(), data=st.data())
def test_take_gives_what_arrow_does(viewed: int, table: pa.Table, data: st.DataObject) -> None:
    places = data.draw(
        st.lists(st.integers(0, table.num_rows - 1), max_size=20) if table.num_rows else st.just([])
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "MAX_VIEWED", viewed)
        taken = tables.take(table, np.array(places, np.int64))
    taken.validate(full=True)
    assert taken.equals(table.combine_chunks().take(pa.array(places, pa.int64())))


def test_a_work_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "work.arrows"
    with path.open("wb") as file:
        tables.write_table(pa.table({"number": pa.array(range(5))}), file)
    assert tables.map_table(path)["number"].to_pylist() == list(range(5))
    whole = path.read_bytes()
    assert len(whole) > 300
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InstructifyError, match=r"work\.arrows: a work file cannot be read"):
            tables.map_table(path)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(1, 5)), max_size=30),
    window=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_windows_hold_rows_in_their_order_and_examples_in_theirs(
    rows: list[tuple[int, int]], window: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.permutation(np.array([share for share, times in rows for _ in range(times)], np.uint64))
    orders = rng.integers(0, 4, len(shares)).astype(np.uint64) << np.uint64(62)  # many are equal
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gather, "WINDOW", window)
        places = gather.arranged(shares, orders)
    assert sorted(places.tolist()) == list(range(len(shares)))
    windows = [places[start : start + window] for start in range(0, len(places), window)]
    assert all((np.diff(orders[one].astype(object)) >= 0).all() for one in windows)
    assert all(shares[one].max() <= shares[other].min() for one, other in itertools.pairwise(windows))


def test_the_examples_of_a_row_lie_within_two_windows_and_not_together(tmp_path: Path) -> None:
    rows_file(tmp_path / "rows-train.jsonl", [{"text": f"t{n}", "label": n % 2} for n in range(2_000)])
    for number in range(5):
        template(tmp_path / "own" / "rows", f"echo{number}", f"{number}: {{{{ text }}}}\n|||\n{{{{ text }}}}")
    files = {"kind": "files", "path": "rows-{split}.jsonl"}
    task = {"dataset": "rows", "cluster": "c", "source": files}
    succeed("build", recipe(tmp_path, [task], template_sources=["own"]), "-j", "1", "-q")
    [file] = (tmp_path / "out" / "parquet").glob("*.parquet")
    places = defaultdict(list)
    for place, row in enumerate(pq.read_table(file)["row"].to_pylist()):
        places[row].append(place)
    assert {len(own) for own in places.values()} == {5}
    assert max(max(own) - min(own) for own in places.values()) < 2 * gather.WINDOW
    distances = [
        after - before for own in places.values() for before, after in itertools.pairwise(sorted(own))
    ]
    assert np.median(distances) > gather.WINDOW / 16
    firsts = [min(own) for _, own in sorted(places.items())]
    assert abs(np.corrcoef(firsts, range(len(firsts)))[0, 1]) < 0.1


@pytest.mark.parametrize("size", [100_000, 5_000], ids=["one file", "several files"])
def test_a_row_that_is_used_again_lies_elsewhere_each_time(tmp_path: Path, size: int) -> None:
    rows_file(tmp_path / "few-train.jsonl", [{"text": f"t{n}", "label": n % 2} for n in range(40)])
    rows_file(tmp_path / "many-train.jsonl", [{"text": f"t{n}", "label": n % 2} for n in range(9_000)])
    for name in ("few", "many"):
        template(tmp_path / "own" / name, "echo", "{{ text }}\n|||\n{{ text }}")
        template(tmp_path / "own" / name, "again", "again {{ text }}\n|||\n{{ text }}")
    tasks = [
        {"dataset": name, "cluster": "c", "source": {"kind": "files", "path": f"{name}-{{split}}.jsonl"}}
        for name in ("few", "many")
    ]
    asked = {
        "mixture": {"policy": "equal", "size": 20_000, "exhausted": "repeat", "max_epochs": 1_000},
        "output": {"dir": "out", "shard_examples": size},
    }
    succeed("build", recipe(tmp_path, tasks, template_sources=["own"], **asked), "-j", "1", "-q")
    total = 0
    files = sorted((tmp_path / "out" / "parquet").glob("*.parquet"))
    assert len(files) == -(-20_000 // size)
    for file in files:
        rows = pq.read_table(file, columns=["task", "row"]).to_pylist()
        found = [row["row"] if row["task"] == "few" else None for row in rows]
        total += len(found)
        share = 1 - found.count(None) / len(found)
        assert 0.2 < share < 0.8
        for start in range(0, len(found) - gather.WINDOW // 2, gather.WINDOW):
            window = found[start : start + gather.WINDOW]
            few = Counter(row for row in window if row is not None)
            assert abs(few.total() / len(window) - share) < 0.12
            assert len(few) > len(set(found) - {None}) / 2
            assert max(few.values()) < few.total() / 4
    assert total == 20_000
