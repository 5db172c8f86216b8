"""Sequential halving over sets: its arms, its rounds, and what it loses against enumeration."""

import math

import numpy as np
import pytest

from envs import UserError
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from search.algorithms.exhaustive import ExhaustiveSearch
from search.algorithms.greedy import GreedySearch
from search.algorithms.halving import HalvingSearch, _arms, _first_sets
from search.problem import Problem
from tests.search.algorithms.searchers import plan_of
from tests.search.noise import evaluated, noisy_problem
from tests.search.search_cases import mask_of, subsets, surface_problem, table_problem
from tests.search.surrogate.surfaces import random_additive, random_pairs

N, BUDGET = 10, 4
SETS = subsets(range(N), BUDGET)
MASKS = np.arange(1 << N, dtype=np.uint64)


@pytest.mark.parametrize(
    ("total", "arms"), [(0, 2), (2, 2), (7, 3), (8, 4), (14, 4), (15, 5), (24, 8), (48, 12)]
)
def test_arms_are_as_many_as_have_a_look_in_each_round(total, arms):
    """K * ceil(log2 K) <= T: 12 * 4 = 48, 8 * 3 = 24, 5 * 3 = 15, 4 * 2 = 8."""
    assert _arms(total) == arms


def test_the_first_looks_hold_each_attribute():
    problem = Problem(10, 4, lambda m, _: np.full(len(m), 3.0), known=0b1, askable=0b1111111110)
    rng = np.random.default_rng(0)
    assert _first_sets(problem, 20, rng) == [1, *(1 | 1 << a for a in range(1, 10))]
    blocks = _first_sets(problem, 19, rng)
    assert blocks[0] == 1
    assert [(m & ~1).bit_count() for m in blocks[1:]] == [4, 4, 1]
    assert sum(m & ~1 for m in blocks[1:]) == 0b1111111110


def tables(family, count, seed):
    """Yield float64[1024] of true scores. Those of the simulated judge are simulated."""
    scenarios = load_bundled()
    for i in range(count):
        if family == "pairs":
            surface = random_pairs(np.random.default_rng([seed, i]), N)
            yield np.array([surface.function(m, surface.params) for m in MASKS])
        else:
            judge = SimulatedJudge(preset=family, model_seed=seed + i % 10)
            yield judge.dimensions(scenarios[(7 * i) % 140], MASKS).mean(axis=1)


def regret(make, family, noise, limit, count=40, seed=50):
    """Return the normalised regret, sum(best - true) / sum(best - empty), at `limit` judge calls."""
    lost = possible = 0.0
    for i, table in enumerate(tables(family, count, seed)):
        if noise:
            problem = noisy_problem(table, BUDGET, noise, i, max_judge_calls=limit)
        else:
            problem = table_problem(table, BUDGET, max_judge_calls=limit)
        plan = plan_of(make(limit), problem, i)
        assert problem.judge_calls <= limit
        lost += table[SETS].max() - table[mask_of(plan.path)]
        possible += table[SETS].max() - table[0]
    return lost / possible


@pytest.mark.parametrize(
    ("family", "calls", "most"),
    [
        ("varied", 34, 0.005),
        ("published", 34, 0.005),
        ("varied", 60, 0.004),
        ("published", 60, 0.001),
        ("pairs", 60, 0.02),
    ],
)
def test_few_calls_find_nearly_the_best_without_noise(family, calls, most):
    assert regret(HalvingSearch, family, 0.0, calls) <= most


@pytest.mark.slow
def test_under_noise_it_loses_less_than_one_look_at_everything_and_than_greedy():
    """Where pairs count. Where attributes nearly add up, greedy that evaluations again is as good."""
    halving = regret(HalvingSearch, "pairs", 0.3, 60)
    assert halving < 0.8 * regret(lambda _: GreedySearch(), "pairs", 0.3, 60)
    assert halving < 0.8 * regret(lambda _: ExhaustiveSearch(), "pairs", 0.3, 60)


def test_later_rounds_look_at_fewer_sets():
    weights = np.array([0.5, 0.48, 0.46, 0.1, 0.08, 0.06])  # the best sets are too close to be settled
    table = 2 + np.array([sum(weights[a] for a in range(6) if m >> a & 1) for m in range(1 << 6)])
    table[0b111] = table[0b11] + 0.01
    problem = noisy_problem(table, 3, 0.2, max_judge_calls=200)
    plan = plan_of(HalvingSearch(200), problem)
    counts = sorted((len(row) for row in evaluated(problem).values()), reverse=True)
    assert sum(counts) == problem.judge_calls == 200
    assert sum(counts[:2]) > 200 / 4
    assert counts[20] <= 5
    assert table[mask_of(plan.path)] > 2.9


def test_it_ends_when_the_best_set_is_settled():
    table = np.full(1 << 6, 2.0)
    table[0b11] = 4.5
    problem = noisy_problem(table, 2, 0.05)
    plan = plan_of(HalvingSearch(5000), problem)
    assert plan.stopped == "the best set is settled"
    assert problem.judge_calls < 4000
    assert mask_of(plan.path) == 0b11


def test_it_ends_when_every_set_is_scored():
    problem = table_problem(np.random.default_rng(0).uniform(1, 5, 1 << 6), 3)
    plan = plan_of(HalvingSearch(1000), problem)
    assert plan.stopped == "every set is scored"
    assert problem.judge_calls == 42 == plan.simulations


def test_unscored_sets_are_not_looked_at_again_and_again():
    table = np.full(1 << 5, math.nan)
    table[[0, 1, 2, 4, 3]] = 2.0, 2.5, 2.5, 2.5, 3.5
    problem = noisy_problem(table, 2, 0.1, max_judge_calls=80)
    plan = plan_of(HalvingSearch(80), problem)
    # as often as in the round in which they were found out, in turns round its sets
    assert max(len(row) for mask, row in evaluated(problem).items() if math.isnan(table[mask])) <= 2
    assert mask_of(plan.path) == 0b11


def test_many_attributes_are_searched_without_enumeration():
    """40 attributes, budget 4: 102,091 sets. Scores add up: nothing asked and the singles tell all."""
    surface = random_additive(np.random.default_rng(0), 40)
    problem = surface_problem(surface, 40, 4, compiled=False)
    plan = plan_of(HalvingSearch(100, max_sets=1000), problem)
    assert set(plan.path) == set(np.argsort(surface.params[1:])[-4:].tolist())
    assert problem.judge_calls <= 115


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_simulations": 1}, "search.num_simulations: found 1"),
        ({"optimism": -1.0}, "search.optimism: found -1.0"),
        ({"max_sets": 0}, "search.max_sets: found 0"),
    ],
)
def test_options_out_of_range_are_told(options, words):
    with pytest.raises(UserError) as error:
        HalvingSearch(**options)
    assert words in str(error.value)
