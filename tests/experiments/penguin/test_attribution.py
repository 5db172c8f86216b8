"""What attributes are worth: against every order, the simulated judge's truth, and as means by domain."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from envs import Score, UserError
from envs.loading import load_bundled
from experiments.penguin.attribution import attribute, least_calls
from experiments.penguin.sensitivity_tables import ALL, PAIR, SHAPLEY, SINGLE, mean_worths
from experiments.stats import clustered_mean, student_t
from search.scenario_problem import JudgeScores


class SetJudge:
    """Scores by a function of the names of a context; counts its calls."""

    def __init__(self, value):
        self.value, self.calls = value, 0

    def score(self, scenario, contexts):
        self.calls += len(contexts)
        return [self.value(frozenset(context)) for context in contexts]


def small(n):
    """A bundled scenario of which only the first n attributes have a value."""
    scenario = load_bundled()[0]
    kept = dict(itertools.islice(scenario.profile.items(), n))
    return replace(scenario, profile=kept), tuple(kept)


def worth(scenario, judge, calls, seed=0):
    return attribute(scenario, JudgeScores(scenario, judge), calls, np.random.default_rng(seed))


def curved(weights):
    return lambda known: 1.0 + 3.0 * (1.0 - math.exp(-sum(weights[name] for name in known)))


def naive_shapley(names, value):
    orders = list(itertools.permutations(names))
    return [
        np.mean([value(frozenset(o[: o.index(a) + 1])) - value(frozenset(o[: o.index(a)])) for o in orders])
        for a in names
    ]


def test_exact_against_every_order():
    scenario, names = small(5)
    value = curved(dict(zip(names, (0.1, 0.9, 0.4, 0.0, 0.6), strict=True)))
    judge = SetJudge(value)
    found = worth(scenario, judge, 32)
    assert (judge.calls, found.calls) == (32, 32)
    np.testing.assert_allclose(found.shapley[:5], naive_shapley(names, value), atol=1e-12)
    np.testing.assert_allclose(found.single[:5], [value({a}) - value(frozenset()) for a in names])
    assert np.isnan(found.shapley[5:]).all()
    a, b = names[1], names[4]
    both = value({a, b}) - value({a}) - value({b}) + value(frozenset())
    assert math.isclose(found.pairs[1, 4], both)
    assert found.shapley_spread[:5].tolist() == [0.0] * 5


def test_sampling_is_unbiased_and_its_singles_are_exact_without_noise():
    scenario, names = small(6)
    value = curved(dict(zip(names, (0.1, 0.9, 0.4, 0.0, 0.6, 0.2), strict=True)))
    truth = np.array(naive_shapley(names, value))
    found = [worth(scenario, SetJudge(value), 40, seed) for seed in range(400)]
    assert max(f.calls for f in found) <= 40
    np.testing.assert_allclose(found[0].single[:6], [value({a}) - value(frozenset()) for a in names])
    draws = np.array([f.shapley[:6] for f in found])
    error = np.abs(draws.mean(axis=0) - truth)
    assert (error < 4.0 * draws.std(axis=0) / math.sqrt(len(draws)) + 1e-12).all()
    assert draws.std(axis=0).max() > 0.001  # it was estimated, not enumerated


def test_an_additive_judge_has_no_spread_and_no_interaction():
    scenario, names = small(6)
    weights = dict(zip(names, (0.1, 0.5, 0.4, 0.0, 0.6, 0.2), strict=True))
    found = worth(scenario, SetJudge(lambda known: 2.0 + sum(weights[a] for a in known)), 40)
    np.testing.assert_allclose(found.shapley[:6], list(weights.values()), atol=1e-12)
    np.testing.assert_allclose(found.shapley_spread[:6], 0.0, atol=1e-12)
    np.testing.assert_allclose(found.pairs[~np.isnan(found.pairs)], 0.0, atol=1e-12)


def test_what_cannot_be_scored_is_no_number():
    scenario, names = small(6)

    def value(known):
        return Score(reason="refused") if names[2] in known else 3.0

    found = worth(scenario, SetJudge(value), 40)
    assert math.isnan(found.single[2])
    assert found.unscored > 0
    assert np.isnan(found.shapley[2])
    assert not np.isnan(found.single[[0, 1, 3]]).any()


def test_too_few_calls():
    scenario, _ = small(6)
    with pytest.raises(UserError, match=f"expected at least {least_calls(6)} for 6 attributes"):
        worth(scenario, SetJudge(lambda known: 3.0), least_calls(6) - 1)


def test_means_by_domain_cluster_by_person():
    base, names = small(5)
    people = []
    for domain in ("health", "career"):
        for i in range(3):
            profile = dict(base.profile) | {"Age": f"{i + 20}"}
            people += [replace(base, id=f"{domain}{i}{q}", domain=domain, profile=profile) for q in range(2)]
    found = [
        worth(s, SetJudge(lambda known, w=0.1 + 0.1 * (i // 2): 2.0 + w * len(known)), 32)
        for i, s in enumerate(people)
    ]
    rows = {(r.kind, r.domain, r.attribute, r.other): r for r in mean_worths(people, found)}
    health = rows[SINGLE, "health", names[0], ""]
    assert (health.n_scenarios, health.n_people) == (6, 3)
    half = stats.t.ppf(0.975, 2) * stats.sem([0.1, 0.2, 0.3])
    np.testing.assert_allclose(health.worth, (0.2, 0.2 - half, 0.2 + half), atol=1e-6)
    assert rows[SHAPLEY, ALL, names[1], ""].n_scenarios == 12
    assert math.isclose(rows[PAIR, "career", names[0], names[1]].worth.estimate, 0.0, abs_tol=1e-12)


@pytest.mark.parametrize("freedom", [1, 2, 3, 10, 100, 1000])
def test_student_t(freedom):
    assert math.isclose(student_t(freedom), stats.t.ppf(0.975, freedom), rel_tol=1e-5)


def test_clustered_mean_of_one_value_a_cluster_is_the_t_interval():
    values = np.random.default_rng(0).normal(size=30)
    found = clustered_mean(np.append(values, math.nan), np.arange(31))
    low, high = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
    np.testing.assert_allclose(found, (values.mean(), low, high), rtol=1e-5)
    assert math.isnan(clustered_mean(values, np.zeros(30, dtype=int)).low)
