"""Quotas are exact, capped, shared by the policy, and blind to the order of tasks and templates."""

import os
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from instructify.keys import Key, positions
from instructify.mix import TaskSize, allot, mixture_problems, preset_note
from instructify.mix.apportion import fill, largest_remainder
from instructify.mix.policies import rate
from instructify.recipe.mixture import Mixture
from mix_kit import NAMES, TASKS, caps_of, mixtures, tasks

EXAMPLES = int(os.environ.get("INSTRUCTIFY_FUZZ_EXAMPLES", "100"))
often = settings(max_examples=EXAMPLES, deadline=None)
amounts = st.dictionaries(NAMES, st.integers(0, 10**6), max_size=8)


def quotas(given_tasks, **mixture):
    return allot(given_tasks, Mixture.model_validate(mixture)).quotas


def totals(made):
    return {name: sum(of_task.values()) for name, of_task in made.items()}


# apportionment


@settings(max_examples=1000)
@given(st.integers(0, 10**6), amounts)
@example(1, {"a": 1, "b": 1})
@example(5, {})
@example(5, {"a": 0})
def test_largest_remainder_is_exact_and_off_by_less_than_one(whole, weights):
    shares = largest_remainder(whole, weights)
    weight = sum(weights.values())
    assert shares.keys() == weights.keys()
    assert sum(shares.values()) == (whole if weight else 0)
    for name, share in shares.items():
        if weight:
            assert abs(share - Fraction(whole * weights[name], weight)) < 1


@settings(max_examples=1000)
@given(st.integers(0, 10**6), amounts, st.randoms(use_true_random=False))
def test_largest_remainder_does_not_see_the_order(whole, weights, random):
    shuffled = list(weights.items())
    random.shuffle(shuffled)
    assert largest_remainder(whole, dict(shuffled)) == largest_remainder(whole, weights)


def test_a_tie_goes_to_the_name_that_sorts_first():
    assert largest_remainder(1, {"b": 1, "a": 1}) == {"b": 0, "a": 1}
    assert largest_remainder(5, {"c": 1, "b": 1, "a": 1}) == {"c": 1, "b": 2, "a": 2}


def test_the_largest_remainder_gets_what_is_left():
    assert largest_remainder(10, {"a": 33, "b": 33, "c": 34}) == {"a": 3, "b": 3, "c": 4}
    assert largest_remainder(7, {"a": Fraction(1, 3), "b": Fraction(2, 3)}) == {"a": 2, "b": 5}


@settings(max_examples=1000)
@given(
    st.integers(0, 4000),
    st.dictionaries(NAMES, st.tuples(st.integers(0, 50), st.integers(0, 900)), max_size=8),
)
def test_filling_is_exact_within_limits_and_leaves_nobody_open_below_its_share(total, members):
    weights = {name: weight for name, (weight, _) in members.items()}
    limits = {name: limit for name, (_, limit) in members.items()}
    given_ = fill(total, weights, limits)
    assert sum(given_.values()) == min(total, sum(limits[name] for name in weights if weights[name]))
    assert all(0 <= given_[name] <= limits[name] for name in weights)
    # of those that are not full, nobody has less than another has by weight, but for rounding
    open_ = [name for name in weights if weights[name] and given_[name] < limits[name]]
    level = [Fraction(given_[name], weights[name]) for name in open_]
    for name in weights:
        if weights[name] and open_:
            assert given_[name] <= (min(level) + 1) * weights[name] + 1


# every mixture


@often
@given(mixtures())
def test_quotas_sum_exactly_to_the_size_or_to_what_is_offered(drawn):
    found, mixture = drawn
    made = allot(found, mixture)
    due, offered, got = made.due, made.offered, totals(made.quotas)
    weighed = sum(due.values())
    assert weighed in (0, mixture.size)
    assert weighed == mixture.size or not any(offered.values())
    if mixture.exhausted == "spill":
        assert sum(got.values()) == min(mixture.size, sum(offered.values()))
    else:
        assert got == {name: min(due[name], offered[name]) for name in got}


@often
@given(mixtures())
def test_caps_are_never_exceeded_and_no_row_is_used_again_unless_asked(drawn):
    found, mixture = drawn
    made = allot(found, mixture)
    assert made.quotas.keys() == {task.task for task in found}
    for task in found:
        of_task = made.quotas[task.task]
        cap, cap_per_template = caps_of(task, mixture)
        assert of_task.keys() == set(task.templates)
        assert cap is None or sum(of_task.values()) <= cap
        epochs = mixture.max_epochs or 1
        for quota in of_task.values():
            assert 0 <= quota <= task.rows * epochs
            assert cap_per_template is None or quota <= cap_per_template
    if mixture.exhausted != "repeat":
        assert all(max(made.quotas[task.task].values()) <= task.rows for task in found)


@often
@given(mixtures(), st.randoms(use_true_random=False))
def test_quotas_do_not_see_the_order_of_tasks_templates_or_groups(drawn, random):
    found, mixture = drawn
    shuffled = [
        TaskSize(t.task, t.templates[::-1], t.rows, t.cap, t.cap_per_template, t.inverted, t.cluster)
        for t in found
    ]
    random.shuffle(shuffled)
    section = mixture.model_dump()
    section["groups"].reverse()
    assert allot(shuffled, Mixture.model_validate(section)) == allot(found, mixture)


@often
@given(mixtures())
def test_an_inverted_share_is_exact_to_the_nearest_example(drawn):
    found, mixture = drawn
    made = allot(found, mixture)
    for task in found:
        of_task = made.quotas[task.task]
        plain = [name for name in task.templates if name not in task.inverted]
        if mixture.inverted is None or not plain or not task.inverted:
            continue
        exact = sum(of_task.values()) * Fraction(str(mixture.inverted))
        assert abs(sum(of_task[name] for name in task.inverted) - exact) < 1


def rows_chosen(task, template, quota):
    """Return the rows that a quota takes: the first of an order that its own names decide."""
    order = positions(Key.of("rows", task.task, template), task.rows, np.arange(task.rows))
    return set(np.flatnonzero(order < quota).tolist())


@often
@given(mixtures(), tasks())
def test_adding_a_task_leaves_the_rows_of_all_others_a_part_of_what_they_were_or_the_other_way(drawn, new):
    found, mixture = drawn
    assume(new.task not in {task.task for task in found} and not mixture.groups)
    before, after = allot(found, mixture), allot([*found, new], mixture)
    for task in found:
        for template in task.templates:
            old = rows_chosen(task, template, before.quotas[task.task][template])
            now = rows_chosen(task, template, after.quotas[task.task][template])
            assert old <= now or now <= old
    # what a task is due can only shrink, but for rounding
    assert all(after.due[task.task] <= before.due[task.task] + 1 for task in found)


@often
@given(TASKS, tasks(), st.none() | st.integers(1, 500), st.sampled_from([None, 0.1, 0.5]))
def test_without_a_size_adding_a_task_changes_no_other(found, new, cap, inverted):
    assume(new.task not in {task.task for task in found})
    mixture = {"cap_per_dataset": cap, "rate_cap": cap and cap * 2, "inverted": inverted}
    more = quotas([*found, new], **mixture)
    assert more.pop(new.task)
    assert more == quotas(found, **mixture)


# sizes and caps


def offer(task):
    """State again, slowly, what a task offers."""
    each = [task.rows, *([] if task.cap_per_template is None else [task.cap_per_template])]
    whole = min(each) * len(task.templates)
    return whole if task.cap is None else min(whole, task.cap)


@often
@given(TASKS)
def test_without_a_size_every_task_gives_what_it_offers(found):
    assert totals(quotas(found)) == {task.task: offer(task) for task in found}


@often
@given(TASKS, st.integers(1, 4000))
def test_a_size_is_met_exactly_where_tasks_offer_so_much(found, size):
    assert sum(totals(quotas(found, size=size)).values()) == min(size, sum(map(offer, found)))


def test_a_cap_is_shared_evenly_among_templates():
    assert quotas([TaskSize("t", ("a", "b", "c"), 100, cap=10)]) == {"t": {"a": 4, "b": 3, "c": 3}}


@pytest.mark.parametrize("size", [300, 301, 10**9])
def test_a_size_beyond_the_offer_changes_nothing(size):
    found = [TaskSize("t", ("a", "b"), 100), TaskSize("u", ("a",), 100)]
    expected = {"t": {"a": 100, "b": 100}, "u": {"a": 100}}
    assert quotas(found, size=size) == quotas(found) == expected


def test_a_size_is_shared_in_proportion_to_the_offers():
    found = [TaskSize("t", ("a",), 300), TaskSize("u", ("a",), 100)]
    assert quotas(found, size=100) == {"t": {"a": 75}, "u": {"a": 25}}


# policies

SMALL, LARGE = TaskSize("small", ("a",), 100), TaskSize("large", ("a",), 10_000)


@pytest.mark.parametrize(
    ("policy", "small", "large"),
    [
        ({"policy": "proportional", "size": 1010}, 10, 1000),
        ({"policy": "proportional", "rate_cap": 900, "size": 1000}, 100, 900),
        ({"policy": "proportional", "rate_cap": 300}, 100, 300),
        ({"policy": "equal", "size": 100}, 50, 50),
        ({"policy": "temperature", "temperature": 2, "size": 110}, 10, 100),
        ({"policy": "temperature", "temperature": 2, "rate_cap": 400, "size": 90}, 30, 60),
        ({"policy": "temperature", "temperature": 1, "size": 1010}, 10, 1000),
        ({"policy": "weights", "weights": {"*": 1, "small": 0.25}, "size": 100}, 20, 80),
        ({"policy": "weights", "weights": {"s*": 3, "*": 1}, "size": 100}, 75, 25),
    ],
)
def test_a_policy_shares_by_its_formula(policy, small, large):
    assert totals(quotas([SMALL, LARGE], **policy)) == {"small": small, "large": large}


def test_temperature_lies_between_proportional_and_equal():
    sizes = [10, 1000]
    small = []
    for temperature in (0.5, 1, 2, 5, 1000):
        mixture = Mixture(policy="temperature", temperature=float(temperature), size=1)
        rates = [rate(mixture, size) for size in sizes]
        small.append(rates[0] / sum(rates))
    assert small == sorted(small)
    assert abs(small[1] - Fraction(10, 1010)) < Fraction(1, 10**30)
    assert Fraction(49, 100) < small[-1] < Fraction(1, 2)


def test_rows_are_counted_once_however_many_templates_there_are():
    found = [TaskSize("one", ("a",), 100), TaskSize("three", ("a", "b", "c"), 100)]
    assert totals(quotas(found, size=40)) == {"one": 10, "three": 30}
    assert totals(quotas(found, size=40, count="rows")) == {"one": 20, "three": 20}
    assert totals(quotas(found, count="rows")) == {"one": 100, "three": 100}


def test_groups_share_first_and_then_their_tasks():
    found = [SMALL, LARGE, TaskSize("other", ("a",), 500, cluster="nli")]
    groups = [
        {"name": "sizes", "tasks": ["small", "large"], "weight": 3, "policy": "equal"},
        {"name": "rest", "clusters": ["nli"], "weight": 1},
    ]
    made = quotas(found, size=200, policy="weights", groups=groups)
    assert totals(made) == {"small": 75, "large": 75, "other": 50}


def test_groups_lie_in_groups_and_the_first_that_names_a_task_has_it():
    found = [TaskSize(name, ("a",), 1000) for name in ("a1", "a2", "b1", "b2")]
    inner = [{"name": "one", "tasks": ["a1"], "weight": 9}, {"name": "rest", "tasks": ["*"], "weight": 1}]
    groups = [
        {"name": "a", "tasks": ["a*"], "policy": "weights", "groups": inner},
        {"name": "all", "tasks": ["*"], "policy": "equal"},
    ]
    made = quotas(found, size=400, policy="equal", groups=groups)
    assert totals(made) == {"a1": 180, "a2": 20, "b1": 100, "b2": 100}


# exhaustion


@pytest.mark.parametrize(
    ("exhausted", "small", "large"),
    [
        ({"exhausted": "stop"}, 100, 500),
        ({"exhausted": "spill"}, 100, 900),
        ({"exhausted": "repeat", "max_epochs": 3}, 300, 500),
        ({"exhausted": "repeat", "max_epochs": 9}, 500, 500),
    ],
)
def test_a_task_that_is_used_up_stops_repeats_or_leaves_its_share_to_others(exhausted, small, large):
    made = allot([SMALL, LARGE], Mixture.model_validate({"policy": "equal", "size": 1000, **exhausted}))
    assert totals(made.quotas) == {"small": small, "large": large}
    assert made.due == {"small": 500, "large": 500}


def test_repeating_does_not_break_a_cap():
    task = TaskSize("t", ("a", "b"), 10, cap=25)
    made = allot([task], Mixture(size=1000, exhausted="repeat", max_epochs=4))
    assert made.quotas == {"t": {"a": 13, "b": 12}}


# inverted templates


def test_inverted_templates_count_like_others_unless_they_have_a_share():
    task = TaskSize("t", ("a", "b", "c", "i"), 300, inverted=frozenset("i"))
    assert totals(quotas([task])) == {"t": 1200}
    assert quotas([task], inverted=0.1) == {"t": {"a": 300, "b": 300, "c": 300, "i": 100}}
    assert quotas([task], inverted=0.5, size=100) == {"t": {"a": 17, "b": 17, "c": 16, "i": 50}}
    assert quotas([task], inverted=0.5)["t"]["i"] == 300
    assert quotas([TaskSize("t", ("a", "b"), 10)], inverted=0.5) == {"t": {"a": 10, "b": 10}}


# presets


def test_t0_caps_jump_at_500000_rows():
    ten = tuple("abcdefghij")
    found = [TaskSize("below", ten, 500_000), TaskSize("above", ten, 500_001), TaskSize("s", ten, 7)]
    made = totals(quotas(found, preset="t0"))
    assert made == {"below": 5_000_000, "above": 500_000, "s": 70}
    note = preset_note(Mixture(preset="t0"), found)
    assert "above" in note
    assert "below" in note
    three = TaskSize("three", ("a", "b", "c"), 600_000)
    assert quotas([three], preset="t0") == {"three": dict.fromkeys("abc", 166_666)}


def test_flan2021_weighs_rows_up_to_3000_and_takes_30000_of_a_dataset_at_most():
    found = [
        TaskSize("tiny", ("a", "b"), 250),
        TaskSize("small", ("a", "b"), 4_000),
        TaskSize("huge", ("a", "b"), 400_000),
    ]
    assert totals(quotas(found, preset="flan2021")) == {"tiny": 250, "small": 3_000, "huge": 3_000}
    made = allot(found, Mixture(preset="flan2021", size=100_000, exhausted="spill"))
    assert totals(made.quotas) == {"tiny": 500, "small": 8_000, "huge": 30_000}


def test_flan2022_shares_by_group_and_caps_by_group():
    names = ("flan", "t0", "niv2", "cot", "dialog")
    found = [TaskSize(f"{name}{n}", ("a",), 10**6) for name in names for n in (1, 2)]
    groups = [{"name": name, "tasks": [f"{name}*"]} for name in names]
    made = totals(quotas(found, preset="flan2022", size=10_000, groups=groups))
    by_group = {name: made[f"{name}1"] + made[f"{name}2"] for name in names}
    assert by_group == {"flan": 4000, "t0": 3200, "niv2": 2000, "cot": 500, "dialog": 300}
    full = totals(quotas(found, preset="flan2022", size=10**7, groups=groups))
    assert {full["flan1"], full["t01"], full["niv21"], full["cot1"], full["dialog1"]} == {
        30_000,
        20_000,
        5_000,
        100_000,
        150_000,
    }
    assert preset_note(Mixture(preset="flan2022", size=1, groups=groups[:2]), found).startswith(
        "preset flan2022: no group niv2, cot, dialog"
    )


# what a recipe may not say


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"policy": "equal"}, "size is needed"),
        ({"exhausted": "spill"}, "exhausted: spill needs a size"),
        ({"size": 5, "exhausted": "repeat"}, "max_epochs belongs to exhausted: repeat"),
        ({"size": 5, "max_epochs": 2}, "max_epochs belongs to exhausted: repeat"),
        ({"size": 5, "temperature": 2}, "temperature belongs to policy: temperature"),
        ({"size": 5, "policy": "temperature"}, "temperature belongs to policy: temperature"),
        ({"size": 5, "weights": {"a": 1}}, "weights belong to policy: weights"),
        ({"size": 5, "policy": "weights"}, "weights belong to policy: weights"),
        ({"size": 5, "policy": "equal", "rate_cap": 5}, "rate_cap is of no use"),
        ({"groups": [{"name": "a"}]}, "a group needs tasks or clusters"),
        ({"groups": [{"name": "a", "tasks": ["a"], "weight": 1}]}, "each group has a weight"),
        (
            {"size": 5, "policy": "weights", "groups": [{"name": "a", "tasks": ["a"]}]},
            "each group has a weight",
        ),
        ({"groups": [{"name": "a", "tasks": ["a"]}] * 2}, "given twice: a"),
        ({"preset": "t0", "cap_per_dataset": 5}, "preset: t0 sets cap_per_dataset itself"),
        ({"preset": "flan2021", "groups": [{"name": "a", "tasks": ["a"]}]}, "sets groups itself"),
        ({"preset": "flan2022", "size": 5}, "needs groups, called flan"),
        ({"preset": "flan2022", "groups": [{"name": "flan", "tasks": ["a"]}]}, "size is needed"),
        (
            {"preset": "flan2022", "size": 5, "groups": [{"name": "cot", "tasks": ["a"], "rate_cap": 2}]},
            "sets the rest of cot",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(section, said):
    with pytest.raises(ValidationError, match=said):
        Mixture.model_validate(section)


def test_every_task_needs_a_place_and_every_pattern_a_task():
    known = [("glue/rte", "nli"), ("imdb", "sentiment")]
    groups = [{"name": "one", "tasks": ["glue/*", "gleu/rte"]}, {"name": "two", "clusters": ["sentimnt"]}]
    said = [str(problem) for problem in mixture_problems(Mixture.model_validate({"groups": groups}), known)]
    clusters = "expected one of nli, sentiment"
    assert said == [
        "mixture: no task is called 'gleu/rte'; did you mean 'glue/rte'?",
        f"mixture: no task is in the cluster 'sentimnt'; {clusters}; did you mean 'sentiment'?",
        "mixture: the task imdb (cluster sentiment) is in no group",
    ]
    place = lambda *path: ".".join(map(str, path))  # noqa: E731
    found = mixture_problems(Mixture.model_validate({"groups": groups}), known, (), place)
    assert [problem.where for problem in found] == ["groups.0.tasks.1", "groups.1.clusters.0", "groups"]
    nested = {"groups": [{"name": "all", "tasks": ["*"], "groups": groups}]}
    found = mixture_problems(Mixture.model_validate(nested), known, (), place)
    assert found[0].where == "groups.0.groups.0.tasks.1"
    weights = Mixture(policy="weights", size=1, weights={"glue/*": 1, "imbd": 2})
    assert [problem.where for problem in mixture_problems(weights, known, (), place)] == [
        "weights.imbd",
        "weights",
    ]
    weights = Mixture(policy="weights", size=1, weights={"glue/*": 1})
    assert [p.what for p in mixture_problems(weights, known)] == ["mixture: the task imdb has no weight"]
    assert mixture_problems(Mixture(), known) == []


def test_held_out_tasks_need_no_place_and_their_names_are_known():
    groups = [{"name": "one", "tasks": ["glue/*"]}, {"name": "two", "clusters": ["sentiment"]}]
    mixture = Mixture.model_validate({"groups": groups})
    train, held_out = [("glue/rte", "nli")], [("imdb", "sentiment"), ("copa", "completion")]
    assert mixture_problems(mixture, train, held_out) == []
    assert totals(allot([TaskSize("glue/rte", ("a",), 9, cluster="nli")], mixture).quotas) == {"glue/rte": 9}
