"""Exemplars: never the query or a copy, no copies among them, as many as can be, each label in turn."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.compose.exemplars import NONE, Pool, draw_exemplars, make_pool
from instructify.compose.texts import Texts, normalised
from instructify.keys import Key

CALM = settings(max_examples=100, deadline=None)

KEY = Key.of("test")
ROWS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2)), max_size=14)


def column(values: list[int]) -> pa.Array:
    return pa.array([f"t{value}" for value in values], pa.large_string())


def pool_of(rows: list[tuple[int, int, int]]) -> Pool:
    """Return a pool of rows of two prints and a label, numbered from 0."""
    one, other, labels = zip(*rows, strict=True) if rows else ((), (), ())
    prompts = column(list(one))
    texts = Texts(np.arange(len(rows)), prompts, prompts, None, pa.array(labels, pa.int32()))
    return make_pool(texts, (prompts, column(list(other))))


def drawn(
    pool: Pool, queries: list[tuple[int, int, int]], shots: list[int], balanced: bool
) -> list[list[int]]:
    """Return the row numbers of each query's exemplars; queries are a row number and two prints."""
    rows, one, other = zip(*queries, strict=True) if queries else ((), (), ())
    prints = (column(list(one)), column(list(other)))
    chosen = draw_exemplars(
        pool, np.array(rows, np.int64), prints, np.array(shots, np.int64), 8, KEY, balanced=balanced
    )
    return [[int(pool.texts.rows[place]) for place in own if place != NONE] for own in chosen]


@CALM
@given(ROWS, ROWS, st.lists(st.integers(0, 6), min_size=14, max_size=14), st.booleans())
def test_no_exemplar_is_a_copy_and_none_is_missing_that_could_be_there(rows, others, shots, balanced) -> None:
    queries = [(number + 5, one, other) for number, (one, other, _) in enumerate(others)]
    shots = shots[: len(queries)]
    found = drawn(pool_of(rows), queries, shots, balanced)
    for (number, *own), wanted, exemplars in zip(queries, shots, found, strict=True):
        seen = [(number, *own), *((row, *rows[row][:2]) for row in exemplars)]
        for place in range(3):
            values = [one[place] for one in seen]
            assert len(set(values)) == len(values), "a copy"
        assert len(exemplars) <= wanted
        if len(exemplars) < wanted:
            left = [
                row
                for row, (one, other, _) in enumerate(rows)
                if all((row, one, other)[place] not in {s[place] for s in seen} for place in range(3))
            ]
            assert left == [], "one more could have stood here"


@CALM
@given(ROWS, ROWS, st.booleans(), st.randoms())
def test_a_query_has_its_exemplars_whatever_is_asked_with_it(rows, others, balanced, random) -> None:
    queries = [(number + 5, one, other) for number, (one, other, _) in enumerate(others)]
    shots = [random.randrange(5) for _ in queries]
    whole = drawn(pool_of(rows), queries, shots, balanced)
    chosen = [place for place in range(len(queries)) if random.random() < 0.5]
    part = drawn(pool_of(rows), [queries[n] for n in chosen], [shots[n] for n in chosen], balanced)
    assert part == [whole[place] for place in chosen]


@pytest.mark.parametrize("shots", [1, 2, 3, 5, 8])
def test_labels_have_their_turn_even_where_one_is_rare(shots: int) -> None:
    labels = [0] * 200 + [1] * 40 + [2] * 12
    rows = [(100 + n, 100 + n, label) for n, label in enumerate(labels)]
    queries = [(1000 + n, n % 7, 0) for n in range(500)]
    firsts = Counter()
    for exemplars in drawn(pool_of(rows), queries, [shots] * len(queries), True):
        found = [labels[row] for row in exemplars]
        counted = [found.count(label) for label in range(3)]
        assert max(counted) - min(counted) <= 1
        firsts[found[0]] += 1
    assert min(firsts.values()) > 100, "every label may come first"
    plain = drawn(pool_of(rows), queries, [shots] * len(queries), False)
    counted = Counter(labels[row] for exemplars in plain for row in exemplars)
    assert counted[0] > 5 * counted[2], "as the rows have them"


def test_a_pool_of_copies_gives_one_exemplar() -> None:
    rows = [(1, n, 0) for n in range(50)]
    assert [len(own) for own in drawn(pool_of(rows), [(99, 2, 77), (98, 1, 78)], [4, 4], True)] == [1, 0]


@pytest.mark.parametrize(
    "copy",
    [
        "WE LANDED, LATE; in Busan!",
        "We landed late in Busan",
        "“We landed late – in Busan…”",
        "we  landed\u00a0late\nin\u2028busan",
    ],
)
def test_copies_with_other_case_punctuation_and_spacing_are_the_same(copy: str) -> None:
    one, other, third = normalised(
        pa.array(["We landed late in Busan.", copy, "We landed late in Seoul."], pa.large_string())
    ).to_pylist()
    assert one == other != third
