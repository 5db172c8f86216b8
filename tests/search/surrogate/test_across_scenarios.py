"""What `search=bayes` learns across scenarios: effects recovered, the next scenario planned better."""

import numpy as np
import pytest

from search.algorithms.bayes import BayesSearch
from search.problem import Observations
from search.surrogate.across_scenarios import SurfaceHistory
from search.surrogate.response_surface import SurfacePrior, membership, with_pairs
from tests.search.algorithms.test_bayes import noisy_problem
from tests.search.search_cases import mask_of, subsets

N, BUDGET = 8, 3
ALL = np.arange(1 << N, dtype=np.uint64)
SINGLE = with_pairs(membership(ALL, N))[:, :N]
COMMON = np.array([0.5, 0.4, 0.3, 0.1, 0.1, 0.05, 0.0, 0.0])


def person(seed):
    """Return (table, group, codes): in domain "a" attribute 6 matters, in "b" 7; level 1 doubles a weight."""
    rng = np.random.default_rng([seed, 3])
    group = "ab"[seed % 2]
    codes = rng.integers(0, 2, N).astype(np.int8)
    weights = COMMON * (1 + codes) * np.exp(0.2 * rng.standard_normal(N))
    weights[6 if group == "a" else 7] += 0.8
    return 2.8 + 1.4 * -np.expm1(-SINGLE @ weights), group, codes


def observed(seed, calls=25, noise=0.3):
    table, group, codes = person(seed)
    problem = noisy_problem(table, BUDGET, noise, seed, group=group, codes=codes, max_judge_calls=calls)
    BayesSearch().plan(problem, np.random.default_rng(seed))
    return Observations(f"s{seed}", group, codes, *problem.observations())


@pytest.fixture(scope="module")
def history():
    return [observed(seed) for seed in range(30)]


def prior_of(memory, group, codes):
    default = SurfacePrior.default(N, BUDGET)
    return memory.prior(group, np.asarray(codes, np.int8), default, True)


def test_effects_of_attributes_domains_and_levels_are_recovered(history):
    memory = SurfaceHistory(history)
    a, _ = prior_of(memory, "a", [0] * N)
    b, _ = prior_of(memory, "b", [0] * N)
    assert a.weight[6] - a.weight[7] > 0.1
    assert b.weight[7] - b.weight[6] > 0.1
    assert a.weight[:2].min() > a.weight[3:6].max()
    default = SurfacePrior.default(N, BUDGET)
    assert a.weight_sd.mean() < 0.8 * default.weight_sd.mean()
    assert a.base == pytest.approx(2.8, abs=0.25)
    high, _ = prior_of(memory, "a", [1] * N)
    assert high.weight[0] > a.weight[0]


def test_an_unseen_domain_or_level_is_less_certain(history):
    memory = SurfaceHistory(history)
    known, _ = prior_of(memory, "a", [0] * N)
    other, _ = prior_of(memory, "elsewhere", [0] * N)
    assert np.all(other.weight_sd > known.weight_sd)
    level, _ = prior_of(memory, "a", [0] * (N - 1) + [5])
    assert level.weight_sd[-1] > known.weight_sd[-1]
    np.testing.assert_array_equal(level.weight_sd[:-1], known.weight_sd[:-1])


def test_structures_keep_one_curvature_and_the_noise_that_was_seen(history):
    memory = SurfaceHistory(history)
    _, structures = prior_of(memory, "a", [0] * N)
    assert len(np.unique(structures.curvature)) == 1
    assert max(structures.residuals, key=structures.residuals.get) == 0.28
    _, exact = memory.prior("a", np.zeros(N, np.int8), SurfacePrior.default(N, BUDGET), False)
    assert max(exact.residuals) < 0.1  # misfits: what noise was says nothing of them


def test_a_learned_prior_saves_calls(history):
    plain = BayesSearch(num_simulations=12)
    learned = plain.fit(history)
    lost = {"plain": [], "learned": []}
    for seed in range(100, 124):
        table, group, codes = person(seed)
        best = table[subsets(range(N), BUDGET)].max()
        for name, searcher in (("plain", plain), ("learned", learned)):
            problem = noisy_problem(table, BUDGET, 0.3, seed, group=group, codes=codes)
            plan = searcher.plan(problem, np.random.default_rng(seed))
            lost[name].append(best - table[mask_of(plan.path)])
    assert np.mean(lost["learned"]) < 0.6 * np.mean(lost["plain"])


def test_summaries_are_taken_over_and_change_nothing(history):
    first = SurfaceHistory(history[:20])
    again = SurfaceHistory(history, earlier=first)
    assert all(again.summaries[i] is first.summaries[i] for i in first.summaries)
    fresh = SurfaceHistory(history)
    codes = np.zeros(N, np.int8)
    one, two = prior_of(again, "a", codes)[0], prior_of(fresh, "a", codes)[0]
    np.testing.assert_array_equal(one.weight, two.weight)
    np.testing.assert_array_equal(one.pair_sd, two.pair_sd)


def test_nothing_learned_from_nothing(history):
    default = SurfacePrior.default(N, BUDGET)
    nan = history[0]._replace(scores=np.full(len(history[0].scores), np.nan))
    for observations in ([], [nan]):
        memory = SurfaceHistory(observations)
        assert memory.prior("a", np.zeros(N, np.int8), default, True)[0] is default
    other = SurfaceHistory(history).prior("a", np.zeros(5, np.int8), SurfacePrior.default(5, 2), True)[0]
    assert len(other.weight) == 5


def test_unscored_looks_are_left_out(history):
    seen = history[0]
    gaps = seen._replace(
        masks=np.append(seen.masks, np.uint64(3)),
        samples=np.append(seen.samples, 0),
        scores=np.append(seen.scores, np.nan),
    )
    plain = prior_of(SurfaceHistory([seen]), "a", [0] * N)[0]
    np.testing.assert_array_equal(prior_of(SurfaceHistory([gaps]), "a", [0] * N)[0].weight, plain.weight)
