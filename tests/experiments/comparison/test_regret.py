"""Regret on cases worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from experiments.comparison.regret import by_search, needle_finds, normalised_regrets
from experiments.stats import binomial_interval


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
