"""The clustered bootstrap on cases whose answer is known, and curves read by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import UserError
from experiments.evaluation.bootstrap import Bootstrap, Interval, questions_at, score_at


def bootstrap(profiles, judges=None, n_draws=400, level=0.95, seed=0):
    judges = np.zeros(len(profiles), int) if judges is None else np.array(judges)
    return Bootstrap(np.array(profiles), judges, np.random.default_rng(seed), n_draws, level)


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
        found = Bootstrap(np.repeat(np.arange(30), 5), np.zeros(150, int), rng, 300).mean(values)
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
    assert only == (2.0, 2.0, 2.0)


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


ASKED = np.array([[2.0], [0.0], [4.0]])
SCORES = np.array([[3.0], [1.0], [3.5]])


@pytest.mark.parametrize(("at", "score"), [(0, 1), (1, 2), (3, 3.25), (4, 3.5), (9, 3.5), (-1, 1)])
def test_scores_are_read_between_the_points_of_a_curve(at, score):
    assert score_at(ASKED, SCORES, np.array([float(at)]))[0] == pytest.approx(score)


@pytest.mark.parametrize(("at", "questions"), [(1, 0), (2, 1), (3.25, 3), (3.5, 4), (3.6, np.inf), (0.5, 0)])
def test_questions_are_read_between_the_points_of_a_curve(at, questions):
    assert questions_at(ASKED, SCORES, np.array([float(at)]))[0] == pytest.approx(questions)


def test_nobody_asks_more_for_less():
    asked = np.array([[0.0], [3.0], [4.0]])
    scores = np.array([[1.0], [3.0], [2.5]])
    assert score_at(asked, scores, np.array([4.0]))[0] == 3.0
    assert questions_at(asked, scores, np.array([2.5]))[0] == pytest.approx(2.25)  # on the way from 1 to 3


def test_each_draw_is_read_on_its_own_curve():
    asked = np.array([[0.0, 0.0], [2.0, 4.0]])
    scores = np.array([[1.0, 1.0], [3.0, 3.0]])
    assert score_at(asked, scores, np.array([1.0, 1.0])).tolist() == [2.0, 1.5]


@given(
    st.lists(st.tuples(st.floats(0, 4), st.floats(1, 5)), min_size=1, max_size=5, unique_by=lambda p: p[0]),
    st.floats(0, 4),
)
@settings(max_examples=50, deadline=None)
def test_what_is_read_is_worth_every_point_that_asks_no_more(points, at):
    asked, scores = (np.array([[p[k]] for p in points]) for k in (0, 1))
    read = score_at(asked, scores, np.array([at]))[0]
    assert all(read >= score - 1e-9 for a, score in points if a <= at)
    assert read <= scores.max() + 1e-9
