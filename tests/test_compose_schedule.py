"""The schedule of variants: Webster's apportionment in every prefix, and counts that need not be counted."""

from __future__ import annotations

from fractions import Fraction
from math import gcd

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.compose.schedule import counts, schedule

CALM = settings(max_examples=100, deadline=None)

SHARES = st.lists(st.integers(1, 40), min_size=1, max_size=6)


def webster(shares: list[int], seats: int) -> list[int]:
    """Return who wins each seat, by the highest quotient, the first of equals."""
    won = [0] * len(shares)
    order = []
    for _ in range(seats):
        quotients = [Fraction(share, 2 * own + 1) for share, own in zip(shares, won, strict=True)]
        winner = quotients.index(max(quotients))
        won[winner] += 1
        order.append(winner)
    return order


@CALM
@given(SHARES, st.integers(0, 300))
def test_every_prefix_is_the_apportionment_of_webster(shares: list[int], places: int) -> None:
    assert schedule(shares, np.arange(places)).tolist() == webster(shares, places)


@CALM
@given(SHARES, st.integers(0, 500), st.integers(0, 500))
def test_counts_are_what_counting_gives(shares: list[int], one: int, other: int) -> None:
    low, high = sorted((one, other))
    found = schedule(shares, np.arange(low, high))
    assert counts(shares, low, high) == [int((found == number).sum()) for number in range(len(shares))]
    assert sum(counts(shares, low, high)) == high - low


@CALM
@given(SHARES)
def test_shares_are_exact_after_as_many_places_as_they_add_up_to(shares: list[int]) -> None:
    divisor = gcd(*shares)
    assert counts(shares, 0, sum(shares) // divisor) == [share // divisor for share in shares]


@CALM
@given(SHARES, st.integers(1, 400))
def test_of_two_variants_none_is_more_than_half_a_place_from_its_share(
    shares: list[int], places: int
) -> None:
    one, other = shares[0], shares[-1]
    found = counts([one, other], 0, places)
    assert abs(found[0] - Fraction(places * one, one + other)) <= Fraction(1, 2)


@CALM
@given(SHARES, st.integers(0, 200), st.randoms())
def test_a_place_has_its_variant_whatever_is_asked_with_it(shares: list[int], places: int, random) -> None:
    every = np.arange(places)
    chosen = np.array([place for place in range(places) if random.random() < 0.3], np.int64)
    assert (schedule(shares, every)[chosen] == schedule(shares, chosen)).all()


def test_large_shares_are_as_exact_as_small_ones() -> None:
    shares = [10_000, 9_999, 9_973, 1]
    order = schedule(shares, np.arange(2_000))
    assert order.tolist() == webster(shares, 2_000)
    assert counts(shares, 0, sum(shares)) == shares
