"""Published files hold rows as they were drawn, the examples of a few hundred of them scattered together."""

from __future__ import annotations

import itertools
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_kit import recipe, rows_file, succeed, template
from instructify.build import gather, tables

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


@st.composite
def chunked(draw: st.DrawFn) -> pa.Table:
    """Draw a table of texts, some absent, and numbers, in chunks that begin anywhere in their buffers."""
    pieces = []
    for _ in range(draw(st.integers(1, 4))):
        rows = draw(st.lists(st.tuples(TEXTS, st.none() | TEXTS, st.integers(0, 9)), max_size=8))
        first = draw(st.integers(0, len(rows)))
        whole, gaps, numbers = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
        columns = {
            "whole": pa.array(whole, pa.large_string()),
            "gaps": pa.array(gaps, pa.large_string()),
            "number": pa.array(numbers, pa.int64()),
        }
        pieces.append(pa.table(columns).slice(first))
    return pa.concat_tables(pieces)


@pytest.mark.parametrize("viewed", [tables.MAX_VIEWED, 0], ids=["by views", "too large for views"])
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
