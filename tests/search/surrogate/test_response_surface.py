"""The response surface against exact regression, quadrature, finite differences and its own prior."""

import math

import numpy as np
import pytest

from search.algorithms.bayes import best_sets
from search.core import saturating_link
from search.core.surface_regression import linearised
from search.problem import Problem
from search.surrogate.ensemble import Ensemble, Structures
from search.surrogate.posterior import Posterior
from search.surrogate.response_surface import (
    Evaluations,
    Sets,
    SurfaceModels,
    SurfacePrior,
    membership,
    with_pairs,
)

N = 5
ALL = np.arange(1 << N, dtype=np.uint64)


def features(masks, n):
    return with_pairs(membership(masks, n))


def links(y, m):
    """Return (s - b, ds/dy) of y, float64[G, C] each."""
    both = [[saturating_link.link(v, k) for v in row] for row, k in zip(y, m.curvature, strict=True)]
    return np.moveaxis(np.array(both) * m.scale[:, None, None], 2, 0)


def link(y, m):
    return links(y, m)[0]


def models(*rows):
    """Each row: (curvature, height, pair scale, noise, misfit); equally probable."""
    columns = np.array(rows, dtype=float).T
    return SurfaceModels(*columns, np.full(len(rows), -math.log(len(rows))))


def some_prior(seed=0):
    rng = np.random.default_rng(seed)
    n_pairs = N * (N - 1) // 2
    return SurfacePrior(
        base=3.0,
        base_sd=0.7,
        weight=rng.uniform(0.1, 0.4, N),
        weight_sd=rng.uniform(0.1, 0.4, N),
        shared_sd=0.2,
        pair=rng.normal(0, 0.1, n_pairs),
        pair_sd=rng.uniform(0.05, 0.2, n_pairs),
    )


def drawn_y(prior, pair_scale, rng):
    weights = (
        prior.weight + prior.weight_sd * rng.standard_normal(N) + prior.shared_sd * rng.standard_normal()
    )
    pairs = prior.pair + pair_scale * prior.pair_sd * rng.standard_normal(len(prior.pair))
    return features(ALL, N) @ np.concatenate([weights, pairs])


def evaluated(masks, truth, noise, rng, times=None):
    times = np.ones(len(masks), int) if times is None else times
    scores = [truth[m] + noise * rng.standard_normal(k) for m, k in zip(masks, times, strict=True)]
    return Evaluations.of(masks, [seen.tolist() for seen in scores]), scores


def test_features_are_memberships_of_attributes_then_pairs():
    assert features(np.array([0b101], np.uint64), 3).tolist() == [[1, 0, 1, 0, 1, 0]]
    assert features(np.array([0b111, 0], np.uint64), 3).tolist() == [[1] * 6, [0] * 6]


def test_looks_are_summed_up():
    evaluations = Evaluations.of([4, 2], [[1.0, 3.0], [5.0]])
    assert evaluations.at.tolist() == [4, 2]
    assert (evaluations.means.tolist(), evaluations.counts.tolist()) == ([2.0, 5.0], [2.0, 1.0])
    assert (evaluations.within, evaluations.repeats) == (2.0, 1)


def naive_straight(prior, pair_scale, noise, misfit, rows, scores):
    """Regress on (b, shared, weights, pairs); return mean, covariance, log evidence of all evaluations.

    One column and one more parameter for each set's own misfit; straight link of height 1.
    """
    masks = np.repeat(rows, [len(s) for s in scores])
    x = design(masks, rows)
    mean = np.concatenate([[prior.base, 0.0], prior.weight, prior.pair, np.zeros(len(rows))])
    sd = np.concatenate(
        [
            [prior.base_sd, prior.shared_sd],
            prior.weight_sd,
            pair_scale * prior.pair_sd,
            np.full(len(rows), misfit),
        ]
    )
    y = np.concatenate(scores)
    cov = (x * sd**2) @ x.T + noise**2 * np.eye(len(y))
    gain = (x * sd**2).T @ np.linalg.inv(cov)
    posterior = np.diag(sd**2) - gain @ (x * sd**2)
    off = y - x @ mean
    evidence = -0.5 * (off @ np.linalg.solve(cov, off) + np.linalg.slogdet(cov)[1])
    return mean + gain @ off, posterior, evidence


def design(masks, rows):
    single_and_pair = features(masks, N)
    size = single_and_pair[:, :N].sum(axis=1)
    own = (masks[:, None] == np.asarray(rows)[None, :]).astype(float)
    return np.column_stack([np.ones(len(masks)), size, single_and_pair, own])


def test_a_straight_link_is_bayesian_regression():
    rng = np.random.default_rng(1)
    prior = some_prior()
    truth = 3.0 + drawn_y(prior, 0.8, rng)
    rows = np.array([0, 3, 9, 28, 14, 30, 1], np.uint64)
    evaluations, scores = evaluated(rows.astype(int), truth, 0.3, rng, times=[3, 1, 2, 1, 1, 1, 4])
    sets = Sets(ALL, prior)
    posterior = Posterior(sets, models((1e-7, 1.0, 0.8, 0.3, 0.05)), evaluations)
    mean, cov, _ = naive_straight(prior, 0.8, 0.3, 0.05, rows, scores)
    x = design(ALL, rows)
    beliefs = posterior.beliefs(sets)
    np.testing.assert_allclose(beliefs.mean, x @ mean, atol=1e-5)
    unseen = np.where(np.isin(ALL, rows), 0.0, 0.05**2)  # the misfit of a set not looked at
    np.testing.assert_allclose(beliefs.variance, np.diag(x @ cov @ x.T) + unseen, atol=1e-5)
    some = np.array([3, 7, 0, 31])
    expected = (x @ cov @ x.T)[some]
    expected[np.arange(4), some] += unseen[some]
    np.testing.assert_allclose(beliefs.covariance(some), expected, atol=1e-5)


def test_evidence_compares_noises_as_regression_on_single_looks_does():
    rng = np.random.default_rng(2)
    prior = some_prior()
    rows = np.array([0, 3, 9, 28], np.uint64)
    evaluations, scores = evaluated(
        rows.astype(int), 3.0 + drawn_y(prior, 1.0, rng), 0.3, rng, times=[3, 1, 2, 5]
    )
    options = [(1e-7, 1.0, scale, noise, 0.05) for scale in (0.5, 1.0) for noise in (0.1, 0.3, 0.6)]
    found = Posterior(Sets(ALL, prior), models(*options), evaluations)
    naive = np.array([naive_straight(prior, o[2], o[3], o[4], rows, scores)[2] for o in options])
    np.testing.assert_allclose(np.diff(found.log_evidence), np.diff(naive), atol=1e-3)
    weight = np.exp(naive - naive.max())
    np.testing.assert_allclose(found.weight, weight / weight.sum(), atol=1e-3)


def test_link_is_one_height_at_one_continuous_and_its_tangent_its_derivative():
    m = models((0.01, 0.7, 1, 0, 0), (1.0, 0.7, 1, 0, 0), (5.0, 0.7, 1, 0, 0))
    at = lambda y: link(np.full((3, 1), y), m)[:, 0]  # noqa: E731
    np.testing.assert_allclose(at(1.0), 0.7)
    np.testing.assert_allclose(at(0.0), 0.0, atol=1e-12)
    for y in (-0.8, -1e-4, 1e-4, 0.4, 2.0):
        slope = (at(y + 1e-6) - at(y - 1e-6)) / 2e-6
        np.testing.assert_allclose(links(np.full((3, 1), y), m)[1][:, 0], slope, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(at(-2.0) - at(-1.0), at(-3.0) - at(-2.0))


def test_best_linear_fit_against_a_fine_grid():
    m = models((1.0, 0.7, 1, 0, 0), (2.5, 1.2, 1, 0, 0))
    z = np.linspace(-7, 7, 20001)
    density = np.exp(-0.5 * z**2)
    density /= density.sum()
    for mean, sd in ((1.0, 0.1), (1.5, 0.3), (2.0, 0.5)):
        found = linearised(np.full((2, 1), mean), np.full((2, 1), sd**2), m.curvature, m.scale)
        at_gain, at_slope, at_bent = (part[:, 0] for part in found)
        s = link(np.tile(mean + sd * z, (2, 1)), m)
        gain = s @ density
        slope = (s * z) @ density / sd
        np.testing.assert_allclose(at_gain, gain, rtol=2e-3)
        np.testing.assert_allclose(at_slope, slope, rtol=2e-2, atol=1e-3)
        bent = (s**2) @ density - gain**2 - slope**2 * sd**2
        np.testing.assert_allclose(at_bent, bent, rtol=0.1, atol=2e-4)


def test_the_climb_ends_at_the_mode():
    rng = np.random.default_rng(3)
    prior = some_prior()
    m = models((2.5, 1.0, 1.0, 0.1, 0.02))
    truth = 2.8 + link(drawn_y(prior, 1.0, rng)[None, :], m)[0]
    rows = [0, 3, 9, 28, 14, 30, 1, 17]
    evaluations, _ = evaluated(rows, truth, 0.1, rng)
    sets = Sets(ALL, prior)
    found = Posterior(sets, m, evaluations, climbs=30)
    kernel = sets.kernel(m, evaluations.at, evaluations.at)[0]

    def log_posterior(dual, base):
        y = sets.mean[evaluations.at] + kernel @ dual
        off = evaluations.means - base - link(y[None, :], m)[0]
        return -0.5 * (
            off @ off / (0.1**2 + 0.02**2 + 1e-8)
            + dual @ kernel @ dual
            + ((base - prior.base) / prior.base_sd) ** 2
        )

    dual, base = found.start.dual[0], float(found.start.base[0])
    top = log_posterior(dual, base)
    for _ in range(200):
        size = 10.0 ** rng.uniform(-3, 0)
        assert (
            log_posterior(dual + size * rng.standard_normal(len(dual)), base + size * rng.normal())
            <= top + 1e-6
        )


def test_warm_start_and_cold_start_agree():
    rng = np.random.default_rng(4)
    prior = some_prior()
    m = models((1.0, 1.0, 1.0, 0.1, 0.02), (2.5, 0.6, 0.5, 0.2, 0.02))
    truth = 2.8 + link(drawn_y(prior, 1.0, rng)[None, :], m.take(np.array([0])))[0]
    evaluations, _ = evaluated([0, 3, 9, 28, 14, 30, 1, 17], truth, 0.1, rng)
    sets = Sets(ALL, prior)
    fewer = Evaluations(evaluations.at[:5], evaluations.means[:5], evaluations.counts[:5], 0.0, 0)
    warm = Posterior(sets, m, evaluations, Posterior(sets, m, fewer, climbs=30).start, climbs=30).beliefs(
        sets
    )
    cold = Posterior(sets, m, evaluations, climbs=30).beliefs(sets)
    np.testing.assert_allclose(warm.mean, cold.mean, atol=1e-6)
    np.testing.assert_allclose(warm.variance, cold.variance, atol=1e-6)


def test_a_mixture_has_the_mean_and_variance_of_its_members():
    rng = np.random.default_rng(5)
    prior = some_prior()
    rows = ((1.0, 1.0, 1.0, 0.1, 0.02), (2.5, 0.6, 0.5, 0.2, 0.02), (0.01, 0.3, 0.1, 0.4, 0.02))
    evaluations, _ = evaluated([0, 3, 9, 28, 14], np.linspace(2.5, 3.5, 32), 0.1, rng)
    sets = Sets(ALL, prior)
    mixed = Posterior(sets, models(*rows), evaluations)
    alone = [Posterior(sets, models(row), evaluations).beliefs(sets) for row in rows]
    means = np.array([b.mean for b in alone])
    second = mixed.weight @ np.array([b.variance + b.mean**2 for b in alone])
    beliefs = mixed.beliefs(sets)
    np.testing.assert_allclose(beliefs.mean, mixed.weight @ means, atol=1e-8)
    np.testing.assert_allclose(beliefs.variance, second - beliefs.mean**2, atol=1e-7)
    everything = np.arange(32)
    np.testing.assert_allclose(np.diag(beliefs.covariance(everything)), beliefs.variance, atol=1e-7)
    assert np.linalg.eigvalsh(beliefs.covariance(everything)).min() > -1e-8


def test_a_floor_keeps_every_member_in():
    evaluations, _ = evaluated([0, 3, 9], np.full(32, 3.0), 0.1, np.random.default_rng(0))
    rows = ((1.0, 1.0, 1.0, 0.1, 0.02), (1.0, 1.0, 1.0, 5.0, 0.02))
    sets = Sets(ALL, some_prior())
    assert Posterior(sets, models(*rows), evaluations).weight.min() < 0.01
    floored = Posterior(sets, models(*rows), evaluations, floor=0.05).weight
    assert floored.min() > 0.04
    assert floored.sum() == pytest.approx(1.0)


def test_draws_have_the_moments_of_the_beliefs():
    rng = np.random.default_rng(6)
    prior = some_prior()
    evaluations, _ = evaluated([0, 3, 9, 28, 14], 3.0 + drawn_y(prior, 1.0, rng), 0.2, rng)
    m = models((1e-7, 1.0, 1.0, 0.2, 1e-6))
    sets = Sets(ALL, prior)
    posterior = Posterior(sets, m, evaluations)
    beliefs = posterior.beliefs(sets)
    x = np.column_stack([np.ones(32), features(ALL, N)])
    draws = np.array([posterior.draw(rng) for _ in range(3000)])
    assert draws[0, 1:3].tolist() == [1.0, 1e-7]
    scores = draws[:, [0, *range(3, draws.shape[1])]] @ x.T
    np.testing.assert_allclose(
        scores.mean(axis=0), beliefs.mean, atol=4 * np.sqrt(beliefs.variance.max() / 3000)
    )
    np.testing.assert_allclose(scores.var(axis=0), beliefs.variance, rtol=0.15, atol=1e-4)
    mean = posterior.draw(None)
    np.testing.assert_allclose(mean[[0, *range(3, len(mean))]] @ x.T, beliefs.mean, atol=1e-5)


@pytest.mark.parametrize(("curvature", "allowed"), [(1e-3, 0.01), (1.0, 0.01), (2.0, 0.04)])
def test_believed_best_is_not_promised_more_than_it_holds(curvature, allowed):
    """No winner's curse where the prior is true: of the highest belief, (belief - true) averages 0."""
    rng = np.random.default_rng(7)
    prior = some_prior()
    m = models((curvature, 1.0, 1.0, 0.3, 0.02))
    sets = Sets(ALL, prior)
    off = []
    for _ in range(400):
        truth = 3.0 + 0.7 * rng.standard_normal() + link(drawn_y(prior, 1.0, rng)[None, :], m)[0]
        truth = truth + 0.02 * rng.standard_normal(32)
        evaluations, _ = evaluated([0, *rng.choice(np.arange(1, 32), 12, replace=False)], truth, 0.3, rng)
        mean = Posterior(sets, m, evaluations).beliefs(sets).mean
        off.append(mean.max() - truth[np.argmax(mean)])
    assert abs(np.mean(off)) < allowed + 3 * np.std(off) / math.sqrt(len(off))


def test_kernel_is_the_covariance_of_drawn_surfaces():
    rng = np.random.default_rng(8)
    prior = some_prior()
    sets = Sets(ALL, prior)
    m = models((1.0, 1.0, 0.5, 0.1, 0.02))
    drawn = np.array([drawn_y(prior, 0.5, rng) for _ in range(20000)])
    np.testing.assert_allclose(drawn.mean(axis=0), sets.mean, atol=0.03)
    np.testing.assert_allclose(np.cov(drawn.T), sets.kernel(m, np.arange(32))[0], atol=0.06)
    np.testing.assert_allclose(sets.own(m)[0], np.diag(sets.kernel(m, np.arange(32))[0]))


def test_what_is_known_has_no_part_in_y():
    sets = Sets(np.array([0b00110, 0b01111], np.uint64), some_prior(), known=0b00110)
    assert sets.member[0].sum() == 0
    assert sets.member[1].tolist() == [1.0, 0.0, 0.0, 1.0, 0.0]


def test_prior_covariances_are_the_same_however_many_sets_there_are():
    """Between all of a few sets they are kept, of many they are worked out for the rows asked for."""
    prior = SurfacePrior.default(11, 4)
    many = Sets(np.arange(1 << 11, dtype=np.uint64), prior)
    rows, columns = np.array([5, 2047, 640]), np.array([0, 7, 1031, 2047])
    few = Sets(np.concatenate([rows, columns]).astype(np.uint64)[:6], prior)
    for one, other in zip(many.gram(rows, columns[:3]), few.gram(np.arange(3), np.arange(3, 6)), strict=True):
        assert one.tolist() == other.tolist()
    for one, other in zip(few.gram(np.arange(3)), many.gram(rows), strict=True):
        assert one.tolist() == other[:, [5, 2047, 640, 0, 7, 1031]].tolist()


def test_members_that_are_only_compared_have_the_same_evidence():
    rng = np.random.default_rng(9)
    prior = some_prior()
    truth = 3.0 + drawn_y(prior, 1.0, rng)
    evaluations, _ = evaluated([0, 3, 9, 28, 14], truth, 0.2, rng, times=[3, 1, 2, 1, 1])
    two = models((1.0, 1.0, 1.0, 0.2, 0.02), (2.0, 0.5, 0.25, 0.1, 0.02))
    whole, part = (Posterior(Sets(ALL, prior), two, evaluations, passes=p) for p in (1, 0))
    assert whole.log_evidence.tolist() == part.log_evidence.tolist()
    assert whole.start.dual.tolist() == part.start.dual.tolist()


@pytest.mark.parametrize("cost_weight", [0.0, 0.03])
def test_best_sets_are_the_best_of_all_by_enumeration(cost_weight):
    rng = np.random.default_rng(10)
    n, known = 12, 0b100001
    costs = rng.uniform(0.5, 2.0, n)
    problem = Problem(
        n, 4, lambda masks, samples: np.zeros(len(masks)), known=known, costs=costs, cost_weight=cost_weight
    )
    every = np.arange(1 << n, dtype=np.uint64)
    free = every[(every & known) == 0]
    free = free[np.bitwise_count(free) <= 4]
    m = models((1.0, 1.3, 1, 0, 0))
    for _ in range(20):
        theta = np.concatenate([rng.normal(0.1, 0.4, n), rng.normal(0, 0.2, n * (n - 1) // 2)])
        y = features(free, n) @ theta
        worth = problem.objectives(free | np.uint64(known), link(y[None, :], m)[0])
        draw = np.concatenate([[2.5, 1.3, 1.0], theta])
        assert best_sets(problem, [draw]) == [known | int(free[np.argmax(worth)])]


def test_beliefs_about_other_sets_are_those_about_all():
    rng = np.random.default_rng(12)
    prior = some_prior()
    sets = Sets(ALL, prior)
    evaluations, _ = evaluated([9, 0, 3], 3.0 + drawn_y(prior, 1.0, rng), 0.2, rng)
    rows = ((1.0, 1.0, 1.0, 0.1, 0.02), (2.5, 0.6, 0.5, 0.2, 0.02))
    posterior = Posterior(sets, models(*rows), evaluations)
    some = np.array([3, 17, 9, 30, 0])
    whole, part = posterior.beliefs(sets), posterior.beliefs(Sets(ALL[some], prior))
    np.testing.assert_array_equal(part.mean, whole.mean[some])
    np.testing.assert_array_equal(part.variance, whole.variance[some])
    first = np.array([1, 2])
    np.testing.assert_array_equal(part.covariance(first), whole.covariance(some[first])[:, some])


def test_ensemble_finds_the_noise_and_the_link_of_many_looks():
    rng = np.random.default_rng(11)
    sets = Sets(ALL, SurfacePrior.default(N, N))
    for noise, curved in ((0.1, True), (0.45, False)):
        weights = rng.uniform(0.05, 0.35, N) * (4.0 if curved else 1.0)
        y = features(ALL, N)[:, :N] @ weights
        truth = 2.5 + (1.2 * -np.expm1(-y) if curved else y)
        evaluations, _ = evaluated(np.arange(32), truth, noise, rng, times=np.full(32, 4))
        ensemble = Ensemble(Structures.default(noisy=True), noisy=True)
        beliefs = ensemble.posterior(sets, evaluations).beliefs(sets)
        assert beliefs.noise == pytest.approx(noise, rel=0.4)
        assert np.sqrt(np.mean((beliefs.mean - truth) ** 2)) < noise / 2
        assert {0.06, 0.25, 1.0} <= set(ensemble.posterior(sets, evaluations).models.pair_scale.tolist())
