"""Changes are paired, intervals are those of a slow bootstrap, and hold the truth as often as they say."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.keys import Key
from instructify.stats import (
    UnpairableError,
    compare,
    holm,
    macro,
    majority,
    random_chance,
    resample,
    spread,
    student,
)
from instructify.stats.change import FEW
from instructify.stats.intervals import between, detectable, p_value, tail
from stats_kit import WORLDS, World, coverage, slow_draws

KEY = Key.of("test")

scores = st.integers(0, 4).map(lambda n: n / 4)


@st.composite
def panels(draw, most_seeds=1):
    """Return base scores and scores of one or more seeds, the same cells unscored in all."""
    templates, documents = draw(st.integers(1, 4)), draw(st.integers(2, 7))
    seeds = draw(st.integers(1, most_seeds))
    cells = st.lists(scores, min_size=documents, max_size=documents)
    rows = st.lists(cells, min_size=templates, max_size=templates)
    before, *after = (np.array(draw(rows)) for _ in range(seeds + 1))
    missing = np.array(draw(st.lists(st.booleans(), min_size=before.size, max_size=before.size)))
    missing = missing.reshape(before.shape) & (np.arange(documents) > 1)  # two documents are whole
    return np.where(missing, np.nan, before), np.where(missing, np.nan, np.array(after))


@pytest.mark.parametrize("df", [1, 2, 3, 4, 7, 30, 199, 1000])
def test_student_agrees_with_printed_tables_and_with_itself(df):
    table = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 7: 2.365, 30: 2.042, 199: 1.972, 1000: 1.962}
    assert student.quantile(0.975, df) == pytest.approx(table[df], abs=5e-4)
    for p in (0.001, 0.3, 0.5, 0.9, 0.9999):
        assert student.cdf(student.quantile(p, df), df) == pytest.approx(p, abs=1e-9)
    assert student.cdf(-1.3, df) == pytest.approx(1 - student.cdf(1.3, df))


@settings(max_examples=60, deadline=None)
@given(panels(), st.integers(1, 40))
def test_the_bootstrap_is_that_of_plain_python(pair, draws):
    before, after = pair[0], pair[1][0]
    weights = (~np.isnan(before)).astype(float)
    old, new = resample.resampled_means((before, after), weights, KEY, draws)
    means, medians = slow_draws(before.tolist(), after.tolist(), KEY, draws)
    assert (new - old).mean(axis=1) == pytest.approx(means, abs=1e-12)
    assert np.median(new, axis=1) - np.median(old, axis=1) == pytest.approx(medians, abs=1e-12)


def test_the_size_of_a_chunk_changes_no_draw(monkeypatch):
    whole = np.vstack(list(resample.document_counts(KEY, 9, 50)))
    monkeypatch.setattr(resample, "CELLS", 20)
    chunks = list(resample.document_counts(KEY, 9, 50))
    assert len(chunks) == 25
    assert (np.vstack(chunks) == whole).all()
    assert (whole.sum(axis=1) == 9).all()


@settings(max_examples=100, deadline=None)
@given(panels(most_seeds=3))
def test_a_change_is_paired_and_its_parts_add_up(pair):
    before, after = pair
    change = compare(before, after, KEY, draws=20)
    gains = [
        statistics.fmean(
            statistics.fmean(float(seed[t, d]) for seed in after) - before[t, d]
            for d in range(before.shape[1])
            if not math.isnan(before[t, d])
        )
        for t in range(len(before))
    ]
    assert change.by_template == pytest.approx(gains, abs=1e-12)
    assert change.mean == pytest.approx(statistics.fmean(gains), abs=1e-12)
    assert change.mean == pytest.approx(statistics.fmean(change.by_seed), abs=1e-12)
    assert change.median == pytest.approx(change.after.median - change.before.median)
    assert change.improved == sum(gain > 0 for gain in change.by_template)
    assert change.before == spread(np.array(change.before_by_template))
    assert (change.template_interval is None) == (change.template_t is None) == (len(gains) == 1)
    assert (change.seed_sd is None) == (len(after) == 1)


def test_rows_that_only_one_model_has_count_for_neither():
    before, after = np.array([[1.0, 0, np.nan, 0]]), np.array([[[1.0, 1, 1, np.nan]]])
    change = compare(before, after, KEY, draws=10)
    assert (change.documents, change.before.mean, change.after.mean) == (2, 0.5, 1.0)


@pytest.mark.parametrize(
    ("before", "after"),
    [([[1.0, np.nan]], [[0.0, 1.0]]), ([[1.0, 0.0], [np.nan, np.nan]], [[1.0, 0.0], [1.0, 0.0]])],
)
def test_too_few_shared_rows_are_refused(before, after):
    with pytest.raises(UnpairableError):
        compare(np.array(before), np.array([after]), KEY)


def test_a_document_keeps_its_templates_together():
    """Ten templates that always agree are worth no more than one."""
    rng = np.random.default_rng(0)
    old, new = (rng.integers(0, 2, size=(1, 80)).astype(float) for _ in range(2))
    one = compare(old, new[None], KEY, draws=500)
    ten = compare(np.repeat(old, 10, axis=0), np.repeat(new, 10, axis=0)[None], KEY, draws=500)
    assert ten.interval == pytest.approx(one.interval)
    assert ten.detectable == pytest.approx(one.detectable)


def test_the_p_value_and_the_interval_never_disagree():
    rng = np.random.default_rng(1)
    seen = set()
    for shift in np.linspace(-0.4, 0.4, 81):
        draws = rng.normal(shift, 0.15, size=2000)
        low, high = between(draws, tail(60))
        outside = low > 0 or high < 0
        p = p_value(draws, 60)
        if abs(p - 0.05) > 0.003:  # between two draws
            assert (p < 0.05) == outside
            seen.add(outside)
    assert seen == {True, False}


def test_no_change_at_all_is_an_ordinary_result():
    same = np.tile([1.0, 0.0], (3, 50))
    change = compare(same, same[None], KEY, draws=500)
    assert (change.mean, change.p, change.changed, change.widened) == (0, 1, 0, True)
    low, high = change.interval
    assert low < 0 < high
    assert change.detectable > 0


def test_few_changed_documents_widen_the_interval():
    old = np.zeros((1, 100))
    intervals = {}
    for changed in (FEW - 1, FEW):
        new = old.copy()
        new[0, :changed] = 1
        change = compare(old, new[None], KEY, draws=2000)
        assert change.widened == (changed < FEW)
        intervals[changed] = change.interval[1] - change.interval[0]
    assert intervals[FEW - 1] > intervals[FEW]


@pytest.mark.parametrize("changed", [0, 1, FEW - 1, FEW, 40])
def test_no_change_that_the_interval_leaves_open_is_called_detectable(changed):
    old = np.zeros((2, 80))
    new = old.copy()
    new[:, :changed] = 1
    change = compare(old, new[None], KEY, draws=2000)
    low, high = change.interval
    assert change.detectable > (high - low) / 2


def test_the_detectable_effect_is_found_four_times_in_five():
    """Half the documents of a panel are ones whose answer changes by chance; then a true effect is added."""
    rng = np.random.default_rng(3)
    documents, repeats = 400, 150
    flips = 0.2
    stated = detectable(np.where(np.arange(documents) < flips * documents, 1.0, 0.0))
    found = 0
    for _ in range(repeats):
        chances = [(flips + stated) / 2, (flips - stated) / 2, 1 - flips]
        gain = rng.choice([1, -1, 0], size=documents, p=chances)
        old = np.where(gain == 1, 0.0, 1.0)
        change = compare(old[None], (old + gain)[None, None], KEY, draws=400)
        found += change.p < 0.05
    assert 0.8 - 0.1 < found / repeats < 0.8 + 0.1


def test_holm_is_the_textbook_step_down():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({}) == {}


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(p_values):
    adjusted = holm(p_values)
    assert list(adjusted) == list(p_values)
    for name, p in p_values.items():
        assert p <= adjusted[name] <= 1
        assert all(adjusted[name] <= adjusted[other] for other in p_values if p < p_values[other])


def test_the_macro_average_gives_every_dataset_the_same_weight():
    rng = np.random.default_rng(5)
    changes = []
    for n, documents in enumerate((40, 400)):
        old = rng.integers(0, 2, size=(2, documents)).astype(float)
        new = np.where(rng.uniform(size=old.shape) < 0.3, 1.0, old)
        changes.append(compare(old, new[None], Key.of("dataset", n), draws=1000))
    whole = macro(changes)
    assert whole.mean == pytest.approx((changes[0].mean + changes[1].mean) / 2)
    assert whole.after - whole.before == pytest.approx(whole.mean)
    sizes = [high - low for low, high in (*(c.interval for c in changes), whole.interval)]
    assert sizes[2] == pytest.approx(math.hypot(*sizes[:2]) / 2, rel=0.1)


def test_baselines_are_medians_over_templates_as_scores_are():
    nan = np.nan
    assert random_chance(np.array([[2.0, 4.0], [2.0, 2.0], [nan, nan], [5.0, 5.0]])) == 0.375
    labels = np.array([[0.0, 1, 1, nan], [2, 2, 2, 2], [nan] * 4, [0, 1, 2, 2]])
    assert majority(labels) == pytest.approx(2 / 3)


def test_what_is_mere_rounding_is_no_change():
    """Three seeds are right on 7 of 10 documents each, other ones each time: their mean is that before."""
    before = np.array([[1.0] * 7 + [0.0] * 3] * 2)
    after = np.stack([np.roll(before, n, axis=1) for n in (0, 1, 2)])
    change = compare(before, after, KEY, draws=50)
    assert (change.improved, change.by_template, change.mean) == (0, (0.0, 0.0), 0.0)
    assert change.after == change.before
    fractions = np.linspace(0.1, 0.9, 12)[None]
    noisy = compare(fractions, fractions[None] + 1e-16 * np.arange(12), KEY, draws=50)
    assert (noisy.improved, noisy.changed, noisy.mean, noisy.p) == (0, 0, 0, 1)
    assert noisy.detectable == compare(fractions, fractions[None], KEY, draws=50).detectable


@pytest.mark.parametrize(("documents", "decidable"), [(3, False), (400, True)])
def test_a_dataset_that_could_show_no_possible_change_is_told(documents, decidable):
    same = np.tile([[1.0, 0.0]], (2, 200))[:, :documents]
    change = compare(same, same[None], KEY, draws=50)
    assert (
        change.decidable
        == decidable
        == (change.detectable <= max(change.before.mean, 1 - change.before.mean))
    )


def test_the_simulated_worlds_are_as_many_as_their_settings():
    assert len(WORLDS) == 4 * 4 * 4


@pytest.mark.parametrize(("documents", "templates"), [(50, 4), (200, 8)])
def test_the_interval_of_the_mean_holds_the_truth_as_often_as_it_says(documents, templates):
    """300 experiments: a true coverage of 95 % leaves the band (four standard errors) once in 16,000."""
    found = coverage(World(documents, templates), 300, draws=400)
    error = math.sqrt(0.95 * 0.05 / 300)
    assert 0.95 - 4 * error < found["mean"] <= 1 - 0.0001
    assert found["templates"] > 0.95 - 4 * error


def test_the_simulation_sees_an_interval_that_is_too_narrow(monkeypatch):
    monkeypatch.setattr("instructify.stats.change.tail", lambda documents: 0.15)
    assert coverage(World(200, 8), 150, draws=400)["mean"] < 0.85


def test_documents_that_each_template_has_of_its_own_are_compared_all_the_same():
    """Eight templates over ten documents each: the added documents weigh no more than others do."""
    scored = np.repeat(np.eye(8), 10, axis=1) > 0
    same = np.where(scored, 1.0, np.nan)
    change = compare(same, same[None], KEY, draws=2000)
    assert (change.documents, change.mean, change.widened) == (80, 0, True)
    whole = compare(np.ones((8, 80)), np.ones((1, 8, 80)), KEY, draws=2000)
    width, expected = (c.interval[1] - c.interval[0] for c in (change, whole))
    assert width == pytest.approx(expected, rel=0.3)
