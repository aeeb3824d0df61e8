"""Quotas are exact, capped, in proportion, and blind to the order of tasks."""

from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from instructify.mix import TaskSize, largest_remainder, quotas

names = st.text("abcdef", min_size=1, max_size=4)
caps = st.none() | st.integers(0, 500)
sizes = st.builds(
    TaskSize,
    task=names,
    templates=st.lists(names, min_size=1, max_size=6, unique=True).map(tuple),
    rows=st.integers(0, 1000),
    cap=caps,
    cap_per_template=caps,
)
mixtures = st.lists(sizes, max_size=6, unique_by=lambda task: task.task)
weights = st.dictionaries(names, st.integers(0, 10**6), max_size=8)


def total(made):
    return sum(sum(of_task.values()) for of_task in made.values())


def offer(task):
    """State again, slowly, what a task offers."""
    each = [task.rows, *([] if task.cap_per_template is None else [task.cap_per_template])]
    whole = min(each) * len(task.templates)
    return whole if task.cap is None else min(whole, task.cap)


@settings(max_examples=1000)
@given(st.integers(0, 10**6), weights)
@example(1, {"a": 1, "b": 1})
@example(5, {})
@example(5, {"a": 0})
def test_largest_remainder_is_exact_and_off_by_less_than_one(whole, given_weights):
    shares = largest_remainder(whole, given_weights)
    weight = sum(given_weights.values())
    assert shares.keys() == given_weights.keys()
    assert sum(shares.values()) == (whole if weight else 0)
    for name, share in shares.items():
        if weight:
            assert abs(share - Fraction(whole * given_weights[name], weight)) < 1


@settings(max_examples=1000)
@given(st.integers(0, 10**6), weights, st.randoms(use_true_random=False))
def test_largest_remainder_does_not_see_the_order(whole, given_weights, random):
    shuffled = list(given_weights.items())
    random.shuffle(shuffled)
    assert largest_remainder(whole, dict(shuffled)) == largest_remainder(whole, given_weights)


def test_a_tie_goes_to_the_name_that_sorts_first():
    assert largest_remainder(1, {"b": 1, "a": 1}) == {"b": 0, "a": 1}
    assert largest_remainder(5, {"c": 1, "b": 1, "a": 1}) == {"c": 1, "b": 2, "a": 2}


def test_the_largest_remainder_gets_what_is_left():
    assert largest_remainder(10, {"a": 33, "b": 33, "c": 34}) == {"a": 3, "b": 3, "c": 4}


@settings(max_examples=1000)
@given(mixtures)
def test_without_a_size_every_task_gives_what_it_offers(tasks):
    made = quotas(tasks)
    assert {name: sum(of_task.values()) for name, of_task in made.items()} == {
        task.task: offer(task) for task in tasks
    }


@settings(max_examples=1000)
@given(mixtures, st.integers(0, 4000))
def test_a_size_is_met_exactly_and_no_cap_is_exceeded(tasks, size):
    made = quotas(tasks, size)
    assert total(made) == min(size, sum(map(offer, tasks)))
    for task in tasks:
        of_task = made[task.task]
        assert of_task.keys() == set(task.templates)
        assert task.cap is None or sum(of_task.values()) <= task.cap
        for quota in of_task.values():
            assert 0 <= quota <= task.rows
            assert task.cap_per_template is None or quota <= task.cap_per_template


@settings(max_examples=1000)
@given(mixtures, st.none() | st.integers(0, 4000), st.randoms(use_true_random=False))
def test_quotas_do_not_see_the_order_of_tasks_or_templates(tasks, size, random):
    shuffled = [
        TaskSize(t.task, tuple(reversed(t.templates)), t.rows, t.cap, t.cap_per_template) for t in tasks
    ]
    random.shuffle(shuffled)
    assert quotas(shuffled, size) == quotas(tasks, size)


@settings(max_examples=1000)
@given(mixtures, sizes)
def test_without_a_size_a_new_task_changes_no_other(tasks, newcomer):
    if newcomer.task in {task.task for task in tasks}:
        return
    more = quotas([*tasks, newcomer])
    assert more.pop(newcomer.task)
    assert more == quotas(tasks)


def test_a_cap_is_shared_evenly_among_templates():
    assert quotas([TaskSize("t", ("a", "b", "c"), 100, cap=10)]) == {"t": {"a": 4, "b": 3, "c": 3}}


@pytest.mark.parametrize("size", [300, 301, 10**9])
def test_a_size_beyond_the_offer_changes_nothing(size):
    tasks = [TaskSize("t", ("a", "b"), 100), TaskSize("u", ("a",), 100)]
    assert quotas(tasks, size) == quotas(tasks) == {"t": {"a": 100, "b": 100}, "u": {"a": 100}}


def test_a_size_is_shared_in_proportion_to_the_offers():
    tasks = [TaskSize("t", ("a",), 300), TaskSize("u", ("a",), 100)]
    assert quotas(tasks, 100) == {"t": {"a": 75}, "u": {"a": 25}}
