"""Agreement of raters against definitions written out in loops, and against published examples."""

import math

import numpy as np
import pytest

from experiments.judging.agreement import correlation, jackknife, krippendorff_alpha, weighted_kappa

NAN = math.nan


def naive_alpha(scores):
    """1 - D_o / D_e, every pair written out."""
    units = [[v for v in row if not math.isnan(v)] for row in scores]
    units = [unit for unit in units if len(unit) > 1]
    values = [v for unit in units for v in unit]
    n = len(values)
    observed = sum(
        sum((a - b) ** 2 for i, a in enumerate(u) for j, b in enumerate(u) if i != j) / (len(u) - 1)
        for u in units
    )
    expected = sum((a - b) ** 2 for i, a in enumerate(values) for j, b in enumerate(values) if i != j) / (
        n - 1
    )
    return 1 - observed / expected


def test_alpha_of_the_published_example():
    """Krippendorff 2011, section C: four observers, twelve units, interval alpha .849."""
    rows = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
    assert krippendorff_alpha(np.array(rows).T) == pytest.approx(0.849, abs=5e-4)


def test_alpha_is_the_naive_one_whatever_is_missing():
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = rng.normal(3.0, 1.0, (rng.integers(2, 12), rng.integers(2, 6)))
        scores[rng.random(scores.shape) < 0.3] = NAN
        scores[0] = 1.0, 4.0, *([NAN] * (scores.shape[1] - 2))
        assert krippendorff_alpha(scores) == pytest.approx(naive_alpha(scores.tolist()))
        assert krippendorff_alpha(scores + 1e6) == pytest.approx(krippendorff_alpha(scores), abs=1e-6)


def test_alpha_of_three_raters_of_known_noise_and_one_biased():
    """Units of sd 1, errors of sd .5: alpha tends to 1 / (1 + .25); a biased rater lowers it."""
    rng = np.random.default_rng(1)
    truth = rng.normal(3.0, 1.0, (20_000, 1))
    scores = truth + rng.normal(0.0, 0.5, (20_000, 3))
    assert krippendorff_alpha(scores) == pytest.approx(1 / 1.25, abs=0.01)
    scores[:, 2] += 1.0
    # within: .25 + mean squared bias apart / 2; between: all of it and the truth's 1
    within = 0.25 + 1.0 / 3.0
    total = 1.0 + 0.25 + 2.0 / 9.0
    assert krippendorff_alpha(scores) == pytest.approx(1 - within / total, abs=0.01)


def test_alpha_says_nothing_without_two_scores_or_without_any_difference():
    assert math.isnan(krippendorff_alpha(np.array([[1.0, NAN], [NAN, 2.0]])))
    assert math.isnan(krippendorff_alpha(np.full((4, 3), 3.0)))
    assert krippendorff_alpha(np.array([[1.0, 1.0], [5.0, 5.0]])) == 1.0


def test_kappa_by_hand():
    """Six pairs on three levels: sum w o = 2/6, sum w e by the margins."""
    a, b = np.array([1, 1, 2, 2, 3, 3.0]), np.array([1, 2, 2, 2, 3, 2.0])
    rows, columns = np.array([2, 2, 2]) / 6, np.array([1, 4, 1]) / 6
    expected = sum((i - j) ** 2 * rows[i] * columns[j] for i in range(3) for j in range(3))
    assert weighted_kappa(a, b) == pytest.approx(1 - (2 / 6) / expected)
    assert weighted_kappa(a, a) == 1.0
    assert weighted_kappa(a, 4 - a) == pytest.approx(-1.0)
    assert weighted_kappa(np.append(a, NAN), np.append(b, 1.0)) == weighted_kappa(a, b)
    assert math.isnan(weighted_kappa(np.ones(4), np.ones(4)))


def test_kappa_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(2)
    a = rng.integers(1, 6, 200)
    b = np.clip(a + rng.integers(-1, 2, 200), 1, 5)
    wanted = metrics.cohen_kappa_score(a, b, weights="quadratic", labels=[1, 2, 3, 4, 5])
    assert weighted_kappa(a.astype(float), b.astype(float)) == pytest.approx(wanted)


def test_correlation():
    a = np.array([1.0, 2.0, 4.0, NAN])
    assert correlation(a, np.array([2.0, 4.0, 8.0, 1.0])) == pytest.approx(1.0)
    assert correlation(a[:3], np.array([1.0, 3.0, 2.0])) == pytest.approx(np.corrcoef(a[:3], [1, 3, 2])[0, 1])
    assert math.isnan(correlation(a, np.ones(4)))


@pytest.mark.parametrize("people", [6, 40])
def test_intervals_of_a_correlation_are_of_people_and_not_of_their_answers(people):
    """Two ways of asking about four answers to each person; Fisher's interval takes these for independent."""
    rng, owners = np.random.default_rng(1), np.repeat(np.arange(people), 4)
    truth = 0.5 / 1.09  # of .5 between people, with errors of variance .09 an answer
    hits = blind = 0
    for _ in range(300):
        one = rng.normal(size=people)
        other = 0.5 * one + np.sqrt(0.75) * rng.normal(size=people)
        a, b = (x[owners] + 0.3 * rng.normal(size=len(owners)) for x in (one, other))
        found = jackknife(correlation, a, b, owners, 0.99)
        hits += found.low <= truth <= found.high
        half = 2.5758 / np.sqrt(len(owners) - 3)
        blind += abs(np.arctanh(found.estimate) - np.arctanh(truth)) <= half
    assert hits >= 290
    assert blind < 270


def test_jackknife_leaves_out_what_has_no_partner_and_has_no_interval_of_one_person():
    a, b = np.array([1.0, 2.0, 3.0, NAN, 2.0]), np.array([1.0, 3.0, 2.0, 1.0, NAN])
    assert math.isnan(jackknife(correlation, a, b, np.zeros(5, int)).low)
    assert jackknife(correlation, a, b, np.arange(5)).estimate == pytest.approx(0.5)
    same = jackknife(correlation, np.arange(8.0), np.arange(8.0), np.arange(8))
    assert same == pytest.approx((1.0, 1.0, 1.0), abs=1e-5)
