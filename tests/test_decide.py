"""The first quota of surviving places is kept, whatever was rendered beyond, and the account adds up."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.build.decide import Progress, over_limit
from instructify.types import Ledger

REASONS = ("blank-target", "unlabelled", "over-budget")

worlds = st.integers(0, 400).flatmap(
    lambda rows: st.tuples(
        st.just(rows),
        st.integers(0, 450),
        st.dictionaries(st.integers(0, max(0, rows - 1)), st.sampled_from(REASONS), max_size=rows),
        st.booleans(),
    )
)


def progress(rows, quota, epochs=1):
    return Progress("task", "template", "train", rows, quota, epochs)


def fell(fate, low, high):
    """Return what the places [low, high) drop, by reason, in no helpful order."""
    dropped = {}
    for place in reversed(range(low, high)):
        if place in fate:
            dropped.setdefault(fate[place], []).append(place)
    return dropped


def play(rows, quota, fate, epochs=1):
    """Run waves to their end and return the progress and the number of waves."""
    made = progress(rows, quota, epochs)
    waves = 0
    while (window := made.next_window()) is not None:
        low, high = window
        assert low == made.made
        assert low < high <= rows * epochs
        assert low // rows == (high - 1) // rows, "a window lies in one epoch"
        made.add(fell(fate, low, high))
        made.made = high
        waves += 1
        assert waves < 100
    return made, waves


def first_survivors(rows, quota, fate):
    """State again, slowly, which places are kept."""
    return [place for place in range(rows) if place not in fate][:quota]


@settings(max_examples=1000, deadline=None)
@given(worlds)
def test_the_first_quota_of_surviving_places_is_kept(world):
    rows, quota, fate, every_falls = world
    fate = dict.fromkeys(range(rows), "unlabelled") if every_falls and rows % 7 == 0 else fate
    if not rows and quota:
        quota = 0
    made, _ = play(rows, quota, fate)
    kept = [place for place in range(made.cut()) if place not in fate]
    assert kept == first_survivors(rows, quota, fate)


@settings(max_examples=1000, deadline=None)
@given(worlds)
def test_the_ledger_counts_every_place_up_to_the_cut(world):
    rows, quota, fate, _ = world
    quota = min(quota, rows)
    made, _ = play(rows, quota, fate)
    ledger = made.ledger()
    seen = [fate.get(place) for place in range(made.cut())]
    assert ledger.seen == len(seen) == ledger.kept + ledger.dropped.total()
    assert ledger.kept == seen.count(None) == len(first_survivors(rows, quota, fate))
    assert dict(ledger.dropped) == {reason: seen.count(reason) for reason in REASONS if reason in seen}
    assert ledger.kept == quota or ledger.seen == rows


@settings(max_examples=500, deadline=None)
@given(worlds, st.integers(0, 400))
def test_rendering_more_than_needed_changes_nothing(world, more):
    rows, quota, fate, _ = world
    quota = min(quota, rows)
    made, _ = play(rows, quota, fate)
    eager = progress(rows, quota)
    eager.made = min(rows, made.made + more)
    eager.add(fell(fate, 0, eager.made))
    assert eager.ledger() == made.ledger()


@settings(max_examples=500, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 4),
    st.integers(0, 260),
    st.sets(st.integers(0, 240)),
)
def test_epochs_are_one_long_order_that_is_used_from_its_beginning(rows, epochs, quota, falls):
    places = rows * epochs
    fate = {place: "unlabelled" for place in falls if place < places}
    made, _ = play(rows, quota, fate, epochs)
    ledger = made.ledger()
    kept = [place for place in range(made.cut()) if place not in fate]
    assert kept == first_survivors(places, quota, fate)
    assert ledger.kept == len(kept)
    assert ledger.seen == ledger.kept + ledger.dropped.total() <= places
    assert ledger.kept == quota or ledger.seen == places
    assert (ledger.rows, ledger.epochs) == (rows, epochs)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99, 1.0])
def test_waves_are_few_whatever_falls(share):
    rows, quota = 100_000, 1_000
    fate = {place: "unlabelled" for place in range(rows) if place * 7919 % rows < share * rows}
    made, waves = play(rows, quota, fate)
    assert waves <= 8
    assert made.ledger().kept == min(quota, rows - len(fate))


def test_nothing_is_rendered_for_an_empty_quota():
    assert progress(100, 0).next_window() is None
    assert progress(100, 0).ledger().seen == 0


def test_the_first_wave_is_the_quota():
    assert progress(100, 30).next_window() == (0, 30)
    assert progress(20, 30).next_window() == (0, 20)


def test_a_shortfall_asks_for_what_is_missing_and_a_little_more():
    made = progress(10_000, 1_000)
    made.made = 1_000
    made.add({"unlabelled": list(range(500))})
    low, high = made.next_window()
    assert low == 1_000
    assert 1_000 < high - low < 1_300


def test_a_ledger_that_does_not_add_up_is_refused():
    with pytest.raises(AssertionError, match="does not add up"):
        Ledger("t", "p", "train", 10, 5, seen=5, kept=4).check()
    with pytest.raises(AssertionError, match="does not add up"):
        Ledger("t", "p", "train", 4, 5, seen=5, kept=5).check()


def test_only_a_larger_share_of_drops_is_over_the_limit():
    def ledger(seen, dropped):
        made = progress(seen, seen)
        made.made = seen
        made.add({"unlabelled": list(range(dropped))})
        return made.ledger()

    half, most, none = ledger(10, 5), ledger(10, 6), ledger(10, 0)
    assert over_limit([half, most, none], 0.5) == [most]
    assert over_limit([half, most, none], 0.0) == [half, most]
    assert over_limit([half, most, none], 1.0) == []
