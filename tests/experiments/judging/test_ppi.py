"""Prediction-powered means: coverage under a known bias, clusters, weights, against the public package."""

import warnings

import numpy as np
import pytest

from experiments.judging.ppi import corrected_mean
from experiments.stats import clustered_mean, student_quantile

BIAS = np.array([0.8, 0.5, 0.2, 0.0, -0.1, 0.6, 0.3])
"""What the judge adds in each of seven domains."""
TRUTH = 3.2


def world(rng, people=300, each=6):
    """Return (human, judge, cluster) of `people` with `each` answers; both share a person's part."""
    cluster = np.repeat(np.arange(people), each)
    human = TRUTH + 0.5 * rng.normal(size=people)[cluster] + 0.4 * rng.normal(size=people * each)
    judge = (
        human
        + BIAS[cluster % 7]
        + 0.3 * rng.normal(size=people)[cluster]
        + 0.3 * rng.normal(size=people * each)
    )
    return human, judge, cluster


def labelled(rng, cluster, people):
    """Return the rows of so many people, wholly labelled."""
    chosen = rng.choice(cluster.max() + 1, people, replace=False)
    return np.flatnonzero(np.isin(cluster, chosen))


def corrected(human, judge, cluster, rows, **keys):
    return corrected_mean(
        judge, cluster, human[rows], judge[rows], cluster[rows], int(cluster.max()) + 1, **keys
    )


def covered(interval, truth=TRUTH):
    return interval.low <= truth <= interval.high


def test_the_corrected_interval_covers_the_truth_and_the_naive_one_does_not():
    rng = np.random.default_rng(0)
    hits, naive, alone, widths = 0, 0, 0, []
    for _ in range(500):
        human, judge, cluster = world(rng)
        rows = labelled(rng, cluster, 40)
        found = corrected(human, judge, cluster, rows)
        of_labels = corrected(human, judge, cluster, rows, weight=0.0).interval()
        hits += covered(found.interval())
        naive += covered(clustered_mean(judge, cluster))
        alone += covered(of_labels)
        widths.append((found.interval().high - found.interval().low) / (of_labels.high - of_labels.low))
    assert hits >= 465
    assert naive <= 5
    assert alone >= 465
    assert np.mean(widths) < 0.9  # and it is worth having


@pytest.mark.parametrize("people", [10, 20])
def test_intervals_from_few_people_are_wide_enough(people):
    """Where lambda is fitted to ten people, one degree of freedom more is gone."""
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(1000):
        human, judge, cluster = world(rng)
        hits += covered(corrected(human, judge, cluster, labelled(rng, cluster, people)).interval())
    assert hits >= 930


def test_width_falls_as_was_said_with_the_number_of_labels():
    rng = np.random.default_rng(1)
    ratios = []
    for _ in range(60):
        human, judge, cluster = world(rng, people=2000)
        found = corrected(human, judge, cluster, labelled(rng, cluster, 40))
        wanted = found.labels_to_halve()
        again = corrected(human, judge, cluster, labelled(rng, cluster, round(wanted / 6)))
        ratios.append(np.sqrt(again.variance / found.variance))
    assert np.mean(ratios) == pytest.approx(0.5, abs=0.05)


def test_a_judge_that_says_nothing_gets_no_weight_and_one_that_is_right_gets_all():
    rng = np.random.default_rng(2)
    human, _, cluster = world(rng, people=2000, each=1)
    rows = labelled(rng, cluster, 200)
    noise = corrected(human, rng.normal(size=2000), cluster, rows)
    right = corrected(human, human + 1.0, cluster, rows)
    assert noise.weight < 0.15
    assert right.weight == pytest.approx(0.9, abs=0.1)  # n / (n + N) of the judge's own part stays
    assert right.variance < 0.3 * noise.variance
    assert right.estimate == pytest.approx(human.mean(), abs=0.02)
    assert right.labels_to_halve() == np.inf


def test_the_interval_by_hand_without_a_judge():
    """Three people, one label each: Student's t of their mean."""
    labels = np.array([2.0, 3.0, 5.0])
    found = corrected_mean(np.zeros(9), np.repeat(np.arange(3), 3), labels, np.zeros(3), np.arange(3), 3)
    assert found.interval() == pytest.approx(clustered_mean(labels, np.arange(3)))
    half = student_quantile(0.975, 2) * np.std(labels, ddof=1) / np.sqrt(3)
    assert found.interval().high == pytest.approx(labels.mean() + half)


def test_unequal_probabilities_are_weighed():
    rng = np.random.default_rng(3)
    hits = {True: 0, False: 0}
    for _ in range(200):
        human, judge, cluster = world(rng, people=1500, each=1)
        chances = np.where(human > TRUTH, 0.15, 0.05)  # the high ones are drawn more often
        rows = np.flatnonzero(rng.random(1500) < chances)
        for weighed in hits:
            keys = {"probabilities": chances[rows]} if weighed else {}
            hits[weighed] += covered(corrected(human, judge, cluster, rows, **keys).interval())
    assert hits[True] >= 180
    assert hits[False] <= 60


def test_differences_are_paired_by_person():
    rng = np.random.default_rng(4)
    hits, pairs, singles = 0, [], []
    for _ in range(300):
        human, judge, cluster = world(rng)
        rows = labelled(rng, cluster, 40)
        one, other = (
            corrected_mean(
                judge[k::2],
                cluster[k::2],
                human[rows[k::2]] + 0.3 * k,
                judge[rows[k::2]],
                cluster[rows[k::2]],
                300,
            )
            for k in (1, 0)
        )
        found = one.minus(other)
        hits += covered(found, 0.3)
        pairs.append(found.high - found.low)
        singles.append(np.sqrt(one.variance + other.variance))
    assert hits >= 276
    assert np.mean(pairs) < 4.04 * np.mean(singles)


def test_nothing_to_say():
    empty = np.zeros(0)
    found = corrected_mean(np.ones(3), np.arange(3), empty, empty, empty.astype(int), 3)
    assert np.isnan(found.estimate)
    assert all(np.isnan(found.interval()))
    two = corrected_mean(
        np.ones(3), np.arange(3), np.array([1.0, 2.0]), np.ones(2), np.arange(2), 3
    )  # nothing is fitted to two people
    assert (two.weight, two.interval()) == (
        0.0,
        pytest.approx(clustered_mean(np.array([1.0, 2.0]), np.arange(2))),
    )
    one = corrected_mean(np.ones(3), np.arange(3), np.ones(1), np.ones(1), np.array([0]), 3)
    assert one.estimate == 1.0
    assert np.isnan(one.interval().low)


@pytest.mark.slow
def test_the_public_package_says_the_same_of_independent_rows_and_too_little_of_clusters():
    with warnings.catch_warnings():  # importing it silences all warnings
        ppi_py = pytest.importorskip("ppi_py", reason="pip install ppi-python")
    rng = np.random.default_rng(5)
    human, judge, cluster = world(rng, people=3000, each=1)
    chosen = np.arange(3000) < 300
    rows, rest = np.flatnonzero(chosen), np.flatnonzero(~chosen)
    for lam in (0.5, 1.0):
        low, high = ppi_py.ppi_mean_ci(human[rows], judge[rows], judge[rest], alpha=0.05, lam=lam)
        found = corrected_mean(
            judge[rest], cluster[rest], human[rows], judge[rows], cluster[rows], 3000, weight=lam
        ).interval()
        assert found.low == pytest.approx(float(np.ravel(low)[0]), abs=0.01)
        assert found.high == pytest.approx(float(np.ravel(high)[0]), abs=0.01)
    hits = 0
    for _ in range(500):
        human, judge, cluster = world(rng)
        rows = labelled(rng, cluster, 40)
        rest = np.setdiff1d(np.arange(len(human)), rows)
        low, high = ppi_py.ppi_mean_ci(human[rows], judge[rows], judge[rest], alpha=0.05, lam=0.7)
        hits += np.ravel(low)[0] <= TRUTH <= np.ravel(high)[0]
    assert hits < 440  # intervals that are blind to people
