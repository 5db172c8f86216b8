"""The regression that pools evaluations, against the normal distribution written out."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from search.surrogate import set_gp
from search.surrogate.set_gp import SetGaussianProcess, evaluations_of
from tests.search.noise import evaluated, noisy_problem
from tests.search.search_cases import subsets, table_problem

N = 5
RNG = np.random.default_rng(3)
TABLE = 2.5 + RNG.normal(0, 0.4, 1 << N)


def asked(seed=0, known=0, noise=0.3, calls=30):
    """Return a noisy problem with `calls` looks at random sets of at most 3 questions, some repeated."""
    problem = noisy_problem(TABLE, 3, noise, seed, known=known)
    free = [a for a in range(N) if not known >> a & 1]
    sets = [known | m for m in subsets(free, 3)]
    rng = np.random.default_rng(seed)
    evaluations = {}
    for mask in rng.choice(sets, calls).tolist():
        problem.evaluate(np.array([mask], np.uint64), [evaluations.get(mask, 0)])
        evaluations[mask] = evaluations.get(mask, 0) + 1
    return problem


def covariance(s, t, values, known=0):
    """The kernel of the module's docstring, for two masks, by counting."""
    s, t = s & ~known, t & ~known
    one, two, common = s.bit_count(), t.bit_count(), (s & t).bit_count()
    total = 1.0 + 0.09 * one * two + 0.09 * min(one, two)
    fading = math.exp(-values.fade * max(0, one - 1)) * math.exp(-values.fade * max(0, two - 1))
    total += fading * values.weight**2 * common
    total += values.pair**2 * math.comb(common, 2)
    return total + (values.misfit**2 if s == t else 0.0)


def matrix(rows, columns, values, known=0):
    return np.array([[covariance(s, t, values, known) for t in columns] for s in rows])


@pytest.mark.parametrize("known", [0, 0b10])
def test_the_posterior_is_that_of_every_single_look(known):
    problem = asked(1, known)
    found = SetGaussianProcess(problem)
    values = found.values
    evaluations = [(mask, score) for mask, row in evaluated(problem).items() for score in row]
    assert len(evaluations) == 30 > len(evaluated(problem))
    masks = [mask for mask, _ in evaluations]
    scores = np.array([score for _, score in evaluations]) - found.evaluations.means.mean()
    within = matrix(masks, masks, values, known) + values.noise**2 * np.eye(len(masks))
    sets = [known | m for m in subsets([a for a in range(N) if not known >> a & 1], 3)]
    cross = matrix(sets, masks, values, known)
    mean = found.evaluations.means.mean() + cross @ np.linalg.solve(within, scores)
    variance = np.diag(matrix(sets, sets, values, known) - cross @ np.linalg.solve(within, cross.T))
    for predicted, expected in zip(found.predict(np.array(sets)), (mean, np.sqrt(variance)), strict=True):
        np.testing.assert_allclose(predicted, expected, atol=1e-5)
    assert found.beliefs(np.array(sets[:2])) == pytest.approx(
        dict(zip(sets[:2], mean[:2], strict=True)), abs=1e-5
    )


def test_the_spreads_are_those_of_the_highest_evidence():
    """On the grid, and no single step along an axis is better, by the density of every single look."""
    problem = asked(2)
    found = SetGaussianProcess(problem)
    evaluations = [(mask, score) for mask, row in evaluated(problem).items() for score in row]
    masks, scores = (
        [m for m, _ in evaluations],
        np.array([s for _, s in evaluations]) - found.evaluations.means.mean(),
    )

    def evidence(spreads):
        values = found._values(spreads)
        within = matrix(masks, masks, values) + values.noise**2 * np.eye(len(masks))
        prior = ((math.log(values.noise) - math.log(0.25)) / 0.8) ** 2
        prior += ((math.log(values.misfit) - math.log(0.03)) / 0.6) ** 2
        return multivariate_normal(cov=within).logpdf(scores) - prior / 2

    best = evidence(found.spreads)
    others = [
        (*found.spreads[:axis], i, *found.spreads[axis + 1 :])
        for axis, grid in enumerate(set_gp._GRID)
        for i in range(len(grid))
    ]
    assert len(set(others)) > 15
    for other in others:
        assert evidence(other) <= best + 1e-4
        difference = found._evidence(other) - found._evidence(found.spreads)
        assert difference == pytest.approx(evidence(other) - best, abs=1e-3)


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_noise_is_learned_from_repeated_looks(noise):
    assert SetGaussianProcess(asked(4, noise=noise, calls=150)).values.noise == pytest.approx(noise, rel=0.4)


def test_without_noise_a_score_is_believed():
    problem = table_problem(TABLE, 3)
    sets = np.array(subsets(range(N), 2), np.uint64)
    problem.evaluate(sets)
    mean, sd = SetGaussianProcess(problem).predict(sets)
    np.testing.assert_allclose(mean, TABLE[sets.astype(int)], atol=1e-3)
    assert sd.max() < 1e-3


def test_additive_scores_are_foreseen():
    """Nothing asked and the singles tell every pair, to the shrinkage of one attribute among five."""
    weights = np.array([0.5, -0.2, 0.1, 0.4, 0.0])
    table = np.array([2.5 + sum(weights[a] for a in range(N) if m >> a & 1) for m in range(1 << N)])
    problem = table_problem(table, 2)
    problem.evaluate(np.array(subsets(range(N), 1), np.uint64))
    pairs = np.array([m for m in range(1 << N) if m.bit_count() == 2], np.uint64)
    mean = SetGaussianProcess(problem).predict(pairs)[0]
    assert np.corrcoef(mean, table[pairs.astype(int)])[0, 1] > 0.99


def test_looks_by_set():
    scores = {(0, 0): 2.0, (1, 0): 3.0, (1, 1): 3.5, (1, 2): math.nan, (2, 0): math.nan}

    def listed(masks, samples):
        return [scores[key] for key in zip(masks.tolist(), samples.tolist(), strict=True)]

    problem = replace(noisy_problem(TABLE, 3, 0.0), scores=listed)
    for mask, sample in scores:
        problem.evaluate(np.array([mask], np.uint64), [sample])
    found = evaluations_of(problem)
    assert found.masks.tolist() == [0, 1]  # 2 has no score
    assert found.counts.tolist() == [1, 2]
    assert found.means.tolist() == [2.0, 3.25]
    assert found.next_look.tolist() == [1, 3]
    assert (found.squares, found.freedom) == (0.125, 1)


def test_nothing_is_scored():
    found = SetGaussianProcess(noisy_problem(TABLE, 3, 0.3))
    assert found.beliefs(found.evaluations.masks) == {}


def test_more_sets_than_are_fitted_have_their_own_looks(monkeypatch):
    problem = asked(5, calls=200)
    whole = SetGaussianProcess(problem)
    monkeypatch.setattr(set_gp, "_MOST_POOLED", 13)
    part = SetGaussianProcess(problem, whole.spreads, refit=False)
    masks = part.evaluations.masks
    assert len(masks) > 20
    assert part._fitted.step == 2
    rest = np.setdiff1d(masks, masks[part._fitted])
    mean, sd = part.predict(rest)
    bare_mean, bare_variance = part._predict(rest)
    own = dict(zip(masks.tolist(), part.evaluations.means.tolist(), strict=True))
    counts = dict(zip(masks.tolist(), part.evaluations.counts.tolist(), strict=True))
    for i, mask in enumerate(rest.tolist()):
        precision = 1 / bare_variance[i] + counts[mask] / part.values.noise**2
        expected = (
            bare_mean[i] / bare_variance[i] + own[mask] * counts[mask] / part.values.noise**2
        ) / precision
        assert mean[i] == pytest.approx(expected, abs=1e-5)
        assert sd[i] == pytest.approx(precision**-0.5, abs=1e-5)
