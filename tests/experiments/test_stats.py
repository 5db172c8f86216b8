"""Intervals on cases whose answer is known."""

import math

import numpy as np
import pytest
from scipy import stats

from envs import UserError
from experiments.stats import (
    CrossedBootstrap,
    Interval,
    NestedBootstrap,
    binomial_interval,
    clustered_mean,
    clustered_share,
    normal_interval,
    student_quantile,
)


def bootstrap(profiles, judges=None, n_draws=400, level=0.95, seed=0):
    judges = np.zeros(len(profiles), int) if judges is None else np.array(judges)
    return CrossedBootstrap(np.array(profiles), judges, np.random.default_rng(seed), n_draws, level)


def test_a_mean_without_spread_between_profiles_has_no_interval():
    boot = bootstrap([0, 0, 1, 1, 2, 2])
    # Each profile has the rows 1 and 3: whoever is drawn, the mean is 2.
    assert boot.mean(np.array([1.0, 3, 1, 3, 1, 3])) == (2.0, 2.0, 2.0)


def test_profiles_are_drawn_whole():
    values = np.array([0.0] * 10 + [1.0] * 10)
    clustered = bootstrap([0] * 10 + [1] * 10).means(values)
    # Two profiles: both halves, or one of them twice.
    assert set(clustered[1:].tolist()) == {0.0, 0.5, 1.0}
    single = bootstrap(list(range(20))).mean(values)
    assert single.low > 0.2
    assert single.high < 0.8


def test_a_profile_counts_by_its_rows():
    values = np.array([1.0, 1.0, 1.0, 5.0])
    means = bootstrap([7, 7, 7, 9]).means(values)
    assert means[0] == 2.0
    # Drawn once each: (3 + 5) / 4; the first twice: 1; the second twice: 5.
    assert set(np.round(means[1:], 12).tolist()) == {1.0, 2.0, 5.0}


def test_judges_are_drawn_whole_as_well():
    profiles, judges = [0, 1, 0, 1], [0, 0, 1, 1]
    values = np.array([0.0, 0.0, 4.0, 4.0])  # the draws of the judge differ, the profiles do not
    boot = bootstrap(profiles, judges)
    assert set(boot.means(values)[1:].tolist()) == {0.0, 2.0, 4.0}
    assert bootstrap(profiles).mean(values) == (2.0, 2.0, 2.0)


def test_the_interval_of_many_profiles_is_the_normal_one():
    rng = np.random.default_rng(3)
    values = rng.normal(size=400)
    found = bootstrap(list(range(400)), n_draws=4000).mean(values)
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(200):
        effects = rng.normal(size=30)  # one a profile, five rows each
        values = np.repeat(effects, 5) + 0.1 * rng.normal(size=150)
        found = CrossedBootstrap(np.repeat(np.arange(30), 5), np.zeros(150, int), rng, 300).mean(values)
        covered += found.low <= 0.0 <= found.high
    assert 175 <= covered <= 199  # 95 % of 200, a little less for 30 profiles


def test_differences_are_paired():
    rng = np.random.default_rng(5)
    first = rng.normal(3.0, 1.0, size=50)
    boot = bootstrap(list(range(50)))
    assert boot.mean(first + 0.25 - first).low == pytest.approx(0.25)
    assert boot.means(first).shape == (401,)


def test_unscored_rows_take_no_part():
    boot = bootstrap([0, 1, 2])
    found = boot.mean(np.array([2.0, math.nan, 4.0]))
    assert found.estimate == 3.0
    assert (found.low, found.high) == (2.0, 4.0)
    nothing = boot.mean(np.full(3, math.nan))
    assert all(math.isnan(value) for value in nothing)
    only = boot.mean(np.array([2.0, 5.0, 4.0]), np.array([True, False, False]))
    assert only == pytest.approx((2.0, math.nan, math.nan), nan_ok=True)  # one person has no interval


def test_one_person_has_no_interval_however_many_rows():
    one = bootstrap([7, 7, 7])
    values = np.array([2.0, 3.0, 4.0])
    for found, estimate in ((one.mean(values), 3.0), (one.ratio(values, np.ones(3)), 3.0)):
        assert found == pytest.approx((estimate, math.nan, math.nan), nan_ok=True)
        assert found.verdict == "undecided"
    assert math.isnan(one.interval(one.means(values)).low)
    two = bootstrap([7, 7, 8])
    assert two.mean(values).low < two.mean(values).high
    assert math.isnan(two.mean(values, np.array([True, True, False])).low)


def test_a_share_is_the_ratio_of_sums_not_the_mean_of_ratios():
    boot = bootstrap([0, 1])
    found = boot.ratio(np.array([1.0, 1.0]), np.array([1.0, 3.0]))
    assert found.estimate == 0.5
    assert (found.low, found.high) == pytest.approx((1 / 3, 1.0))
    # Where either side is unscored the row is left out of both.
    assert boot.ratio(np.array([1.0, math.nan]), np.array([2.0, 9.0])).estimate == 0.5


def test_the_same_seed_gives_the_same_draws():
    values = np.arange(6.0)
    assert bootstrap(range(6)).mean(values) == bootstrap(range(6)).mean(values)
    assert bootstrap(range(6)).mean(values) != bootstrap(range(6), seed=1).mean(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"n_draws": 0}, "0 draws"), ({"level": 1.0}, "level: found 1.0"), ({"level": 0.0}, "level: found 0.0")],
)
def test_numbers_out_of_range(change, message):
    with pytest.raises(UserError, match=message):
        bootstrap([0, 1], **change)


def test_no_rows():
    with pytest.raises(UserError, match="no rows"):
        bootstrap([])


def test_excluding_zero():
    assert Interval(1.0, 0.1, 2.0).excludes_zero()
    assert Interval(-1.0, -2.0, -0.1).excludes_zero()
    assert not Interval(1.0, -0.1, 2.0).excludes_zero()
    assert not Interval(1.0, 0.0, 2.0).excludes_zero()


def test_resamples_keep_the_number_and_draw_all_alike():
    counts = NestedBootstrap([3] * 5, 1, 4000).counts
    assert counts.shape == (4000, 5)
    assert (counts.sum(axis=1) == 5).all()
    # a problem's count is binomial(5, 1/5): mean 1, variance .8
    assert counts.mean(axis=0) == pytest.approx(1.0, abs=4 * math.sqrt(0.8 / 4000))
    assert counts.var(axis=0) == pytest.approx(0.8, abs=0.1)


def test_judges_are_drawn_first_then_their_people():
    counts = NestedBootstrap([0, 0, 0, 1, 1, 1], 2, 4000).counts
    by_judge = counts[:, :3].sum(axis=1)
    # two judges with replacement: 0, 3 or 6 people of the first, with chances 1/4, 1/2, 1/4
    assert set(by_judge.tolist()) == {0, 3, 6}
    assert np.mean(by_judge == 3) == pytest.approx(0.5, abs=0.035)
    assert (counts.sum(axis=1) == 6).all()


def test_resamples_are_a_function_of_the_seed():
    first = NestedBootstrap([0, 1, 1], 3, 50).counts
    assert (first == NestedBootstrap([0, 1, 1], 3, 50).counts).all()
    assert (first != NestedBootstrap([0, 1, 1], 4, 50).counts).any()


def drawn(counts):
    """A bootstrap whose samples are given."""
    found = NestedBootstrap([0] * len(counts[0]), 0, len(counts))
    found.counts = np.array(counts)
    return found


def test_a_ratio_is_of_sums_and_its_interval_of_resamples():
    found = drawn([[2, 0], [0, 2], [1, 1]]).ratio(np.array([1.0, 0.0]), np.array([1.0, 3.0]))
    assert found.estimate == 0.25
    # the three resamples give 1, 0 and 1/4; linear quantiles between them
    assert found.low == pytest.approx(0.05 * 0.25)
    assert found.high == pytest.approx(1 - 0.05 * 0.75)


def test_a_ratio_with_nothing_to_gain_is_no_number():
    assert all(math.isnan(v) for v in drawn([[1, 1]] * 3).ratio(np.zeros(2), np.zeros(2)))
    # resamples of people with nothing to gain alone are left out
    assert drawn([[2, 0], [0, 2]]).ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0])).high == 0.5


def test_interval_of_a_nested_mean_agrees_with_theory():
    values = np.random.default_rng(0).normal(1.0, 2.0, 400)
    found = NestedBootstrap([0] * 400, 0, 4000).mean(values)
    half = 1.96 * values.std() / 20
    assert found.estimate == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.02)
    assert found.high == pytest.approx(values.mean() + half, abs=0.02)


def test_a_normal_interval_is_two_standard_errors_wide():
    low, high = stats.norm.interval(0.95, 1.0, 0.5)
    assert normal_interval(1.0, 0.5) == pytest.approx((1.0, low, high), abs=1e-4)
    assert normal_interval(1.0, 0.5).verdict == "above"
    assert normal_interval(1.0, 0.52).verdict == "undecided"


def test_what_was_written_is_read_with_null_as_no_number():
    written = {"estimate": 1.0, "low": 0.5, "high": 2.0}
    assert Interval.from_json(written) == (1.0, 0.5, 2.0)
    assert all(math.isnan(value) for value in Interval.from_json(dict.fromkeys(written)))


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((-0.2, -0.3, -0.1), "below"),
        ((0.2, 0.1, 0.3), "above"),
        ((0.1, -0.1, 0.3), "undecided"),
        ((0.0, 0.0, 0.0), "undecided"),
        ((math.nan,) * 3, "undecided"),
    ],
)
def test_verdict(interval, verdict):
    assert Interval(*interval).verdict == verdict


@pytest.mark.parametrize(("hits", "trials"), [(0, 20), (3, 20), (20, 20), (60, 210), (1, 1), (500, 1000)])
def test_binomial_interval_is_the_exact_one(hits, trials):
    found = binomial_interval(hits, trials)
    exact = stats.binomtest(hits, trials).proportion_ci(0.95, "exact")
    assert found.estimate == hits / trials
    assert found.low == pytest.approx(exact.low, abs=1e-9)
    assert found.high == pytest.approx(exact.high, abs=1e-9)


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 8, 29, 100])
@pytest.mark.parametrize("p", [0.5, 0.75, 0.9, 0.975, 0.9995])
def test_quantiles_of_students_t(p, df):
    assert student_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("values", [[1.0, 3.0], [2.0, 2.5, 4.0], [0.5, 1.0, 4.0, 4.5, 3.0, 1.25, 2.0]])
def test_interval_of_a_mean_is_students(values, level):
    expected = stats.t.interval(level, len(values) - 1, np.mean(values), stats.sem(values))
    found = clustered_mean(np.array([np.nan, *values]), np.arange(len(values) + 1), level)
    assert found == pytest.approx((np.mean(values), *expected), rel=1e-9)


def test_one_value_or_none_has_no_interval():
    two = np.arange(2)
    assert clustered_mean(np.array([2.0, np.nan]), two) == pytest.approx((2.0, np.nan, np.nan), nan_ok=True)
    assert clustered_mean(np.full(2, np.nan), two) == pytest.approx((np.nan,) * 3, nan_ok=True)
    assert clustered_mean(np.array([2.0, 2.0]), two) == (2.0, 2.0, 2.0)


def test_clustered_mean_by_hand():
    # The mean is 3; residuals sum to -3 and 3 in two clusters, so the variance is 2 / 1 * 18 / 4**2 = 2.25.
    values, clusters = np.array([1.0, 2.0, np.nan, 4.0, 5.0]), np.array([7, 7, 7, 9, 9])
    half = stats.t.ppf(0.95, 1) * 1.5
    assert clustered_mean(values, clusters, 0.9) == pytest.approx((3.0, 3.0 - half, 3.0 + half), rel=1e-6)
    assert clustered_mean(np.array([np.nan]), np.array([1])) == pytest.approx((np.nan,) * 3, nan_ok=True)
    assert clustered_mean(values[:2], clusters[:2]) == pytest.approx((1.5, np.nan, np.nan), nan_ok=True)


@pytest.mark.parametrize(("hits", "trials"), [(0, 20), (3, 20), (20, 20), (60, 210)])
def test_a_share_without_clusters_is_the_binomial_one(hits, trials):
    values = np.append(np.arange(trials) < hits, np.nan)
    found = clustered_share(values, np.arange(trials + 1), 0.99)
    assert found == pytest.approx(binomial_interval(hits, trials, 0.99))


def test_a_share_in_whole_clusters_is_that_of_the_clusters():
    """Of 20 people four miss all of their six answers, so that there are 20 observations, and not 120."""
    people = np.repeat(np.arange(20), 6)
    found = clustered_share((people < 4).astype(float), people)
    of_people = binomial_interval(4, 20)
    assert of_people.low - 0.03 <= found.low <= of_people.low
    assert of_people.high <= found.high <= of_people.high + 0.05
    assert math.isnan(clustered_share(np.ones(5), np.zeros(5)).low)


@pytest.mark.parametrize(("people", "each", "share"), [(12, 22, 0.2), (20, 6, 0.25), (40, 22, 0.1)])
def test_intervals_of_clustered_shares_are_wide_enough(people, each, share):
    """Of 300, 95 % intervals from a dozen people hold the share 279 times, from 40 people 286 times."""
    rng = np.random.default_rng(8)
    owners = np.repeat(np.arange(people), each)
    hits = naive = 0
    for _ in range(300):
        chances = rng.beta(share, 1.0 - share, people)  # correlation .5 within a person
        values = (rng.random(people * each) < chances[owners]).astype(float)
        found = clustered_share(values, owners)
        hits += found.low <= share <= found.high
        alone = binomial_interval(int(values.sum()), len(values))
        naive += alone.low <= share <= alone.high
    assert hits >= 277  # 95 % of 300, less two standard errors
    assert naive < 270
