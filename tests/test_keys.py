"""Draws are pure functions of their key: pinned, in range, alike one by one and by the thousand, and even."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.keys import Key, digest, hexdigest, positions

KEY = Key.of("test", 1)
GOLDEN_DIGEST = "442f6e71e2de80284a69113eb87971b6b7aed31d3cf62796170491655e82c4ac"
GOLDEN_KEY = Key(low=17303183866051989108, high=16250788717335067169)
GOLDEN_DRAWS = [7924489338734859838, 10274509672522290841, 1504454788935456655, 17323303894203053894]
GOLDEN_BELOWS = [4, 5, 7, 4, 0, 9, 4, 4, 7, 5, 3, 9, 1, 5, 9, 9, 3, 7, 6, 2]
GOLDEN_POSITIONS = [2, 4, 14, 8, 7, 11, 12, 19, 16, 10, 9, 1, 6, 17, 18, 0, 13, 3, 5, 15]
GOLDEN_FAR = [103705327, 275234739, 539689037]

keys = st.builds(Key, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))


def test_digests_and_draws_are_what_they_always_were():
    """A refactoring that changes one of these values changes every build."""
    assert hexdigest("a", 1, None, b"b") == GOLDEN_DIGEST
    assert Key.of("seed", 17, "dataset") == GOLDEN_KEY
    assert [KEY.draw(row, number) for row, number in ((0, 0), (1, 0), (0, 1), (10**12, 7))] == GOLDEN_DRAWS
    assert [KEY.below(10, row) for row in range(20)] == GOLDEN_BELOWS
    assert positions(KEY, 20, np.arange(20)).tolist() == GOLDEN_POSITIONS
    assert positions(KEY, 10**9, np.arange(3)).tolist() == GOLDEN_FAR


def test_a_digest_tells_parts_types_and_places_apart():
    different = [("ab",), ("a", "b"), ("b", "a"), (b"ab",), ("1",), (1,), (None,), ("",), (), ("", "")]
    assert len({digest(*parts) for parts in different}) == len(different)


def test_a_digest_takes_a_lone_surrogate():
    assert digest("\ud800") != digest("?")


@given(keys, st.lists(st.integers(0, 2**62), min_size=1, max_size=20), st.integers(0, 50))
def test_vectorised_draws_are_the_scalar_draws(key, rows, number):
    array = np.array(rows, np.int64)
    assert key.draws(array, number).tolist() == [key.draw(row, number) for row in rows]


@given(keys, st.integers(1, 2**32 - 1), st.lists(st.integers(0, 2**40), min_size=1, max_size=20))
def test_bounded_draws_are_in_range_and_alike(key, limit, rows):
    made = key.belows(limit, np.array(rows, np.int64), 3).tolist()
    assert made == [key.below(limit, row, 3) for row in rows]
    assert all(0 <= value < limit for value in made)


@settings(max_examples=300, deadline=None)
@given(keys, st.integers(1, 5000))
def test_positions_are_a_permutation(key, n):
    assert np.array_equal(np.sort(positions(key, n, np.arange(n))), np.arange(n))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 16, 17, 255, 256, 257, 65_536, 65_537])
def test_positions_are_a_permutation_at_the_edges(n):
    assert np.array_equal(np.sort(positions(KEY, n, np.arange(n))), np.arange(n))


def test_positions_of_no_rows_are_none():
    assert positions(KEY, 10, np.arange(0)).tolist() == []


@given(keys, st.integers(2, 10_000), st.data())
@settings(deadline=None)
def test_the_place_of_a_row_depends_on_no_other_row(key, n, data):
    rows = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=30))
    together = positions(key, n, np.array(rows)).tolist()
    assert together == [int(positions(key, n, np.array([row]))[0]) for row in rows]


def test_positions_leave_their_argument_alone():
    rows = np.arange(100)
    positions(KEY, 100, rows)
    assert np.array_equal(rows, np.arange(100))


def test_draws_are_even():
    """Chi-square of 100,000 draws over 50 values; 49 degrees of freedom, 108 is far beyond p = 0.000001."""
    counts = np.bincount(KEY.belows(50, np.arange(100_000)), minlength=50)
    assert float(((counts - 2000) ** 2 / 2000).sum()) < 108


def test_the_numbers_of_a_draw_are_independent():
    """Two draws of the same row fall on each pair of values about equally often."""
    rows = np.arange(40_000)
    pairs = Counter(zip(KEY.belows(4, rows, 0).tolist(), KEY.belows(4, rows, 1).tolist(), strict=True))
    assert len(pairs) == 16
    assert sum((count - 2500) ** 2 / 2500 for count in pairs.values()) < 60


def test_first_places_are_spread_over_the_rows():
    """Of 100 keys, the row in the first place of ten is each row about equally often."""
    rows = np.arange(10)
    first = Counter(int(np.argmin(positions(Key.of("spread", i), 10, rows))) for i in range(2000))
    assert sum((first[row] - 200) ** 2 / 200 for row in range(10)) < 50


def test_small_orders_all_occur():
    orders = {tuple(positions(Key.of("order", i), 3, np.arange(3)).tolist()) for i in range(200)}
    assert len(orders) == 6


def test_neighbouring_keys_and_rows_share_no_draw():
    draws = [Key.of("k", k).draw(row, number) for k in range(20) for row in range(20) for number in range(5)]
    assert len(set(draws)) == len(draws)


def test_draws_are_the_same_under_any_hash_seed():
    code = "from instructify.keys import Key; print(Key.of('a', 1).draw(5, 2))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1")
    }
    assert printed == {f"{Key.of('a', 1).draw(5, 2)}\n"}
