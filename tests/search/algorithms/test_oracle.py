"""The default search against enumeration, without noise: regret is sum(best - true) / sum(best - empty).

Scores of the simulated judge are simulated.
"""

import functools

import numpy as np
import pytest

from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from search.algorithms.exhaustive import ExhaustiveSearch
from search.algorithms.gumbel import GumbelSearch
from search.algorithms.halving import HalvingSearch
from search.algorithms.mcts import MCTSSearch
from search.scenario_problem import scenario_problem
from tests.search.search_cases import mask_of, subsets, surface_problem, table_problem
from tests.search.surrogate.surfaces import random_additive, random_pairs

BUDGETS = range(1, 6)
N = 10
ENOUGH = 0.01


def regret(values, problem, plan):
    """Return (best - true, best - empty) over all sets within the budget; `values`: float64[2^n]."""
    asked = [a for a in range(problem.n_attributes) if int(problem.askable) >> a & 1]
    best = values[subsets(asked, problem.budget)].max()
    return best - values[mask_of(plan.path)], best - values[0]


def plan_of(problem, **options):
    return MCTSSearch(**options).plan(problem, np.random.default_rng(0))


@functools.cache
def judged(preset):
    """Return (judge, [(scenario, float64[1024])]) of the bundled scenarios, every set scored."""
    judge = SimulatedJudge(preset=preset)
    masks = np.arange(1 << N, dtype=np.uint64)
    return judge, [(s, judge.dimensions(s, masks).mean(axis=1)) for s in load_bundled()]


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("preset", ["published", "varied"])
def test_regret_is_within_a_hundredth_on_each_bundled_scenario(preset, budget):
    judge, rows = judged(preset)
    assert len(rows) == 140
    bad = []
    for scenario, values in rows:
        problem = scenario_problem(scenario, judge, budget)
        lost, possible = regret(values, problem, plan_of(problem, num_simulations=300))
        if lost > ENOUGH * possible + 1e-9:
            bad.append((scenario.id, lost, possible))
    assert not bad


def family(make, budget, n_problems=200, **options):
    """Return float64[n_problems, 2] of (best - true, best - empty)."""
    rows = []
    for seed in range(n_problems):
        surface = make(np.random.default_rng([seed, budget]), N)
        values = np.array([surface.function(np.uint64(m), surface.params) for m in range(1 << N)])
        problem = surface_problem(surface, N, budget)
        rows.append(regret(values, problem, plan_of(problem, **options)))
    return np.array(rows)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("make", [random_additive, random_pairs])
def test_regret_is_within_a_hundredth_over_random_surfaces(make, budget):
    lost, possible = family(make, budget, num_simulations=300).sum(axis=0)
    assert lost <= ENOUGH * possible


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("make", [random_additive, random_pairs])
def test_enough_simulations_find_the_optimum(make, budget):
    lost = family(make, budget, n_problems=40, num_simulations=1_000_000)[:, 0]
    assert lost.max() <= 1e-12


@pytest.mark.parametrize("preset", ["published", "varied"])
def test_exhausting_a_scenario_plans_what_enumeration_plans(preset):
    judge, rows = judged(preset)
    for scenario, _ in rows[::7]:
        plans = []
        for searcher in (MCTSSearch(num_simulations=1_000_000), ExhaustiveSearch()):
            problem = scenario_problem(scenario, judge, 4)
            plans.append(searcher.plan(problem, np.random.default_rng(0)))
        assert plans[0].path == plans[1].path
        np.testing.assert_array_equal(plans[0].scores, plans[1].scores)


THOROUGH = {
    "puct": MCTSSearch(10_000),
    "uct": MCTSSearch(10_000, selection="uct"),
    "gumbel": GumbelSearch(10_000),
    "gumbel of 1": GumbelSearch(10_000, max_considered=1),
    "gumbel of 3": GumbelSearch(10_000, max_considered=3),
    "halving": HalvingSearch(10_000),
}


@pytest.mark.parametrize("searcher", THOROUGH.values(), ids=THOROUGH)
@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_exhausting_through_a_judge_finds_the_optimum_among_what_is_scored(searcher, gaps):
    rng = np.random.default_rng(4)
    for _ in range(20):
        table = rng.uniform(1, 5, 1 << 7)
        table[rng.random(1 << 7) < gaps] = np.nan
        table[0] = 1.0
        problem = table_problem(table, 3)
        plan = searcher.plan(problem, rng)
        assert plan.stopped == "every set is scored"
        assert problem.judge_calls == 64  # 1 + 7 + 21 + 35
        assert plan.scores[-1] == np.nanmax(table[subsets(range(7), 3)])


def test_the_surfaces_are_the_set_functions_they_say():
    surface = random_additive(np.random.default_rng(0), 3)
    base, *weights = surface.params
    assert surface.function(np.uint64(0b101), surface.params) == base + weights[0] + weights[2]
    surface = random_pairs(np.random.default_rng(1), 4)
    for mask in range(16):
        expected = surface.params[1] + sum(surface.params[2 + i] for i in range(4) if mask >> i & 1)
        for first, second, strength in surface.params[6:].reshape(-1, 3):
            expected += strength * (mask >> int(first) & mask >> int(second) & 1)
        assert surface.function(np.uint64(mask), surface.params) == pytest.approx(expected)
