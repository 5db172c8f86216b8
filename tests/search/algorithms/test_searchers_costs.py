"""What holds for every searcher when asking costs: objective = score - cost_weight * cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.algorithms.beam import BeamSearch
from search.algorithms.exhaustive import ExhaustiveSearch
from search.algorithms.gumbel import GumbelSearch
from search.algorithms.halving import HalvingSearch
from search.algorithms.mcts import MCTSSearch
from tests.search.algorithms.searchers import StaticInSchemaOrder, every_searcher, plan_of
from tests.search.noise import noisy_problem
from tests.search.search_cases import mask_of, subsets, table_problem

N = 6
LIMITS = settings(deadline=None, max_examples=12)
THOROUGH = {
    "beam": BeamSearch(width=1000),
    "exhaustive": ExhaustiveSearch(),
    "gumbel": GumbelSearch(10_000),
    "gumbel of 2": GumbelSearch(10_000, max_considered=2),
    "halving": HalvingSearch(10_000),
    "mcts": MCTSSearch(10_000),
    "uct": MCTSSearch(10_000, selection="uct"),
}
"""With enough calls these score every set."""


def costly_table(seed):
    """Return (float64[64] scores with shrinking gains and a pair that complements, float64[6] costs)."""
    rng = np.random.default_rng(seed)
    weights, pair = rng.uniform(0.0, 1.0, N), rng.choice(N, 2, replace=False)
    sums = [sum(weights[a] for a in range(N) if m >> a & 1) for m in range(1 << N)]
    both = mask_of(pair.tolist())
    complete = np.array([(m & both) == both for m in range(1 << N)])
    return 2 + 1.5 * np.tanh(np.array(sums) / 2) + 0.8 * complete, rng.uniform(0.2, 2.0, N)


def objectives(table, costs, weight):
    return np.array(
        [table[m] - weight * sum(costs[a] for a in range(N) if m >> a & 1) for m in range(1 << N)]
    )


@pytest.mark.parametrize("searcher", THOROUGH.values(), ids=THOROUGH)
@pytest.mark.parametrize("compiled", [False, True])
@LIMITS
@given(seed=st.integers(0, 10**6), weight=st.floats(0.0, 1.5), budget=st.integers(1, N))
def test_with_enough_calls_the_best_objective_is_found(searcher, compiled, seed, weight, budget):
    table, costs = costly_table(seed)
    problem = table_problem(table, budget, compiled=compiled, costs=costs, cost_weight=weight)
    plan = plan_of(searcher, problem)
    values = objectives(table, costs, weight)
    assert values[mask_of(plan.path)] == pytest.approx(values[subsets(range(N), budget)].max(), abs=1e-9)


@every_searcher
@LIMITS
@given(seed=st.integers(0, 10**6), weight=st.floats(0.0, 1.5))
def test_no_question_of_a_path_is_worth_less_than_it_costs(searcher, seed, weight):
    """The end of the path is the best of its prefixes, and of all scored sets (static: of its prefixes)."""
    table, costs = costly_table(seed)
    problem = table_problem(table, 4, costs=costs, cost_weight=weight)
    plan = plan_of(searcher, problem)
    values = objectives(table, costs, weight)
    prefixes = [mask_of(plan.path[:d]) for d in range(len(plan.path) + 1)]
    scored = prefixes if isinstance(searcher, StaticInSchemaOrder) else problem.observations()[0].tolist()
    assert values[prefixes[-1]] >= values[prefixes + scored].max() - 1e-9
    if plan.path:
        assert values[prefixes[-1]] > values[0]
    believed = plan.scores[~np.isnan(plan.scores)]
    assert believed[-1] == table[prefixes[-1]]  # scores are scores, whatever asking costs


@every_searcher
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_nothing_is_asked_where_no_question_pays(searcher, noise):
    table, _ = costly_table(1)
    options = {"costs": np.full(N, 1.0), "cost_weight": 5.0}
    problem = noisy_problem(table, 4, noise, **options) if noise else table_problem(table, 4, **options)
    assert plan_of(searcher, problem).path == ()


@every_searcher
def test_a_path_ends_before_the_budget_when_questions_no_longer_pay(searcher):
    """Gains 1, .5, .25, ... in schema order at a cost of .4 each: two questions pay; without costs all do."""
    gains = np.array([1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125])
    table = np.array([2 + sum(gains[a] for a in range(N) if m >> a & 1) for m in range(1 << N)])
    assert len(plan_of(searcher, table_problem(table, 4)).path) == 4
    assert plan_of(searcher, table_problem(table, 4, cost_weight=0.4)).path == (0, 1)


@every_searcher
def test_a_path_ends_before_the_budget_under_noise(searcher):
    """Gains of .8 and .7, then nothing, at a cost of .3: by what is believed the third is not worth it."""
    gains = np.array([0.8, 0.7, 0.0, 0.0, 0.0, 0.0])
    table = np.array([2 + sum(gains[a] for a in range(N) if m >> a & 1) for m in range(1 << N)])
    lengths = []
    for seed in range(6):
        # Who looks at full sets alone needs calls for the prefixes of the best one.
        problem = noisy_problem(table, 4, 0.15, seed, cost_weight=0.3, max_judge_calls=120)
        lengths.append(len(plan_of(searcher, problem).path))
    assert 1.5 <= np.mean(lengths) <= 2.5
