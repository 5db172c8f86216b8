"""Regret and intervals on cases worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from experiments.comparison.regret import (
    Interval,
    binomial_interval,
    by_search,
    mean_interval,
    needle_finds,
    normalised_regrets,
    ratio,
    resampled,
)


def runs(rows, **same):
    """rows: (search, model_seed, scenario, best, empty, true)."""
    columns = ["search", "model_seed", "scenario_id", "best", "empty", "true"]
    table = pd.DataFrame(rows, columns=columns)
    table["regret"] = table["best"] - table["true"]
    fixed = {"landscape": "additive", "n_attributes": 10, "noise_std": 0.0, "calls": 60}
    for name, value in {
        **fixed,
        "optimism": 0.1,
        "belief_error": 0.2,
        "search_calls": 50,
        "seconds": 0.5,
        **same,
    }.items():
        table[name] = value
    return table


def test_resamples_keep_the_number_and_draw_all_alike():
    counts = resampled([3] * 5, 4000, 1)
    assert counts.shape == (4000, 5)
    assert (counts.sum(axis=1) == 5).all()
    # a problem's count is binomial(5, 1/5): mean 1, variance .8
    assert counts.mean(axis=0) == pytest.approx(1.0, abs=4 * math.sqrt(0.8 / 4000))
    assert counts.var(axis=0) == pytest.approx(0.8, abs=0.1)


def test_judges_are_drawn_first_then_their_people():
    counts = resampled([0, 0, 0, 1, 1, 1], 4000, 2)
    by_judge = counts[:, :3].sum(axis=1)
    # two judges with replacement: 0, 3 or 6 people of the first, with chances 1/4, 1/2, 1/4
    assert set(by_judge.tolist()) == {0, 3, 6}
    assert np.mean(by_judge == 3) == pytest.approx(0.5, abs=0.035)
    assert (counts.sum(axis=1) == 6).all()


def test_resamples_are_a_function_of_the_seed():
    assert (resampled([0, 1, 1], 50, 3) == resampled([0, 1, 1], 50, 3)).all()
    assert (resampled([0, 1, 1], 50, 3) != resampled([0, 1, 1], 50, 4)).any()


def test_ratio_is_of_sums_and_its_interval_of_resamples():
    counts = np.array([[2, 0], [0, 2], [1, 1]])
    found = ratio(np.array([1.0, 0.0]), np.array([1.0, 3.0]), counts)
    assert found.value == 0.25
    # the three resamples give 1, 0 and 1/4; linear quantiles between them
    assert found.low == pytest.approx(0.05 * 0.25)
    assert found.high == pytest.approx(1 - 0.05 * 0.75)


def test_ratio_with_nothing_to_gain_is_no_number():
    assert all(math.isnan(v) for v in ratio(np.zeros(2), np.zeros(2), np.ones((3, 2), int)))
    # resamples of people with nothing to gain alone are left out
    assert ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0]), np.array([[2, 0], [0, 2]])).high == 0.5


def test_interval_of_a_mean_agrees_with_theory():
    values = np.random.default_rng(0).normal(1.0, 2.0, 400)
    found = mean_interval(values, resampled([0] * 400, 4000, 0))
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.02)
    assert found.high == pytest.approx(values.mean() + half, abs=0.02)


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


def test_normalised_regret_by_hand():
    table = normalised_regrets(
        runs(
            [
                ("a", 0, "x", 4.0, 2.0, 3.0),  # regret 1 of a gain of 2
                ("a", 0, "y", 3.0, 2.5, 3.0),  # 0 of .5
                ("b", 0, "y", 3.0, 2.5, 2.5),  # rows of another order
                ("b", 0, "x", 4.0, 2.0, 4.0),
            ]
        ),
        ["b"],
        200,
        0,
    )
    by = table.set_index("search")
    assert by.loc["a", "regret"] == pytest.approx(1.0 / 2.5)
    assert by.loc["b", "regret"] == pytest.approx(0.5 / 2.5)
    assert by.loc["a", "vs_b"] == pytest.approx(0.2)
    assert by.loc["a", "vs_b_verdict"] == "undecided"
    assert pd.isna(by.loc["b", "vs_b"])
    assert by.loc["a", "problems"] == 2
    assert by.loc["a", "judges"] == 1
    assert by.loc["a", "judge_calls"] == 50


def test_the_comparison_is_paired():
    """People differ by much more than the searches, which differ by the same everywhere."""
    rng = np.random.default_rng(1)
    regrets = rng.uniform(0.0, 1.0, 40)
    rows = [("a", i % 4, f"s{i}", 4.0, 2.0, 4.0 - r) for i, r in enumerate(regrets)]
    rows += [("b", i % 4, f"s{i}", 4.0, 2.0, 4.0 - r - 0.02) for i, r in enumerate(regrets)]
    by = normalised_regrets(runs(rows), ["a"], 500, 0).set_index("search")
    assert by.loc["b", "low"] < by.loc["a", "regret"]  # unpaired, the intervals overlap
    for name in ("vs_a", "vs_a_low", "vs_a_high"):
        assert by.loc["b", name] == pytest.approx(0.01)
    assert by.loc["b", "vs_a_verdict"] == "above"


def test_needle_finds_are_counted_against_chance():
    rows = [("a", 0, f"s{i}", 4.5, 2.0, 4.5 if i < 3 else 2.0) for i in range(10)]
    (found,) = needle_finds(runs(rows, landscape="needle")).to_dict("records")
    assert (found["found"], found["of"], found["share"]) == (3, 10, 0.3)
    assert found["chance"] == pytest.approx(59 / 210)
    assert found["low"] == pytest.approx(binomial_interval(3, 10).low)
    nowhere = needle_finds(runs(rows))
    assert nowhere.empty
    assert list(nowhere.groupby(["n_attributes", "noise_std"])) == []  # reports group what is not there
    (all_sets,) = needle_finds(runs(rows, landscape="needle", calls=300)).to_dict("records")
    assert all_sets["chance"] == 1.0


def test_reports_and_beliefs_are_pooled_by_noise_and_search():
    rows = [(name, 0, f"s{i}", 4.0, 2.0, 3.0) for name in "ab" for i in range(4)]
    table = pd.concat([runs(rows), runs(rows, noise_std=0.3, optimism=-0.2, search_calls=30)])
    found = by_search(table, 50, 0).set_index(["noise_std", "search"])
    assert list(found.index) == [(0.0, "a"), (0.0, "b"), (0.3, "a"), (0.3, "b")]
    assert found.loc[(0.3, "a"), "optimism"] == pytest.approx(-0.2)
    assert found.loc[(0.3, "a"), "optimism_high"] == pytest.approx(-0.2)
    assert found.loc[(0.3, "a"), "calls_used"] == 0.5
    assert found.loc[(0.0, "b"), "belief_error"] == pytest.approx(0.2)
    assert found.loc[(0.0, "b"), "plans"] == 4


def test_places_are_kept_apart():
    rows = [("a", 0, "x", 4.0, 2.0, 3.0)]
    table = pd.concat([runs(rows), runs(rows, calls=120), runs(rows, landscape="sketch")])
    found = normalised_regrets(table, [], 10, 0)
    assert found[["landscape", "calls"]].to_numpy().tolist() == [
        ["additive", 60],
        ["additive", 120],
        ["sketch", 60],
    ]


@pytest.mark.parametrize(("hits", "trials"), [(0, 20), (3, 20), (20, 20), (60, 210), (1, 1), (500, 1000)])
def test_binomial_interval_is_the_exact_one(hits, trials):
    found = binomial_interval(hits, trials)
    exact = stats.binomtest(hits, trials).proportion_ci(0.95, "exact")
    assert found.value == hits / trials
    assert found.low == pytest.approx(exact.low, abs=1e-9)
    assert found.high == pytest.approx(exact.high, abs=1e-9)
