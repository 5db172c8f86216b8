"""Tree search for unknown profiles: it ends at the optimum, and says no more than it knows before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import UserError
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from search.population import scenario_population, tree_search
from search.population.exact import Solution, best_fixed_path
from search.population.scenario_population import Population
from search.population.tree_search import PopulationMCTS
from tests.search.population.population_cases import by_hand, follow, random_problem


def searched(problem, simulations, seed=0, **options):
    return PopulationMCTS(simulations).search(problem, np.random.default_rng(seed), **options)


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "seed": st.integers(0, 10_000),
            "n": st.integers(1, 5),
            "budget": st.integers(1, 4),
            "levels": st.integers(1, 3),
            "profiles": st.integers(1, 9),
            "missing": st.sampled_from([0.0, 0.3]),
            "nan": st.sampled_from([0.0, 0.1]),
            "cost_weight": st.sampled_from([0.0, 0.5]),
            "decline_rate": st.sampled_from([0.0, 0.25, 1.0]),
            "dropout": st.sampled_from([0.0, 0.2]),
        }
    )
)
def test_ends_at_the_optimum(case):
    problem = random_problem(**case)
    found = searched(problem, 20_000)
    assert found.solved
    assert found.simulations < 20_000
    best = Solution(problem)
    assert found.value == pytest.approx(best.value, abs=1e-9)
    tree = found.tree()
    assert follow(problem, tree) == pytest.approx(best.value, abs=1e-9)
    assert [n.attribute for n in tree.nodes] == [n.attribute for n in best.tree().nodes]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from([2, 3, 50]),
)
def test_ends_at_the_optimum_with_branches_for_many_only(seed, decline_rate, dropout, min_profiles):
    rates = {"cost_weight": 0.2, "decline_rate": decline_rate, "dropout": dropout}
    problem = random_problem(seed, n=4, budget=3, profiles=9, **rates)
    path = best_fixed_path(problem)
    found = searched(problem, 20_000, fallback=path, min_profiles=min_profiles)
    best = Solution(problem, fallback=path, min_profiles=min_profiles)
    assert found.solved
    assert found.value == pytest.approx(best.value, abs=1e-9)
    assert follow(problem, found.tree()) == pytest.approx(best.value, abs=1e-9)


@pytest.mark.parametrize("decline_rate", [0.0, 0.2])
def test_its_value_is_that_of_a_policy_and_grows_with_the_search(decline_rate):
    problem = random_problem(
        1, n=6, budget=4, levels=3, profiles=40, cost_weight=0.2, decline_rate=decline_rate
    )
    best = Solution(problem).value
    values = []
    for simulations in (1, 3, 10, 30, 100, 300, 1000):
        found = searched(problem, simulations)
        values.append(found.value)
        worth = follow(problem, found.tree())
        assert found.simulations <= simulations
        assert found.value <= worth + 1e-9  # the tree evaluations ahead where the search never came
        assert worth <= best + 1e-9
    assert values == sorted(values)
    assert values[-1] > values[0]


def test_by_hand_the_first_simulation_looks_one_question_ahead():
    found = searched(by_hand(), 1)
    assert found.value == pytest.approx(8 / 3 - 0.5)  # AA, then answer
    assert searched(by_hand(), 100).value == pytest.approx(2.5)


def test_same_seed_same_tree_another_seed_another_search():
    problem = random_problem(2, n=6, budget=4, levels=3, profiles=60)
    first, again, other = (searched(problem, 50, seed) for seed in (0, 0, 1))
    assert first.tree() == again.tree()
    assert first.value == again.value
    assert first.value != other.value


def test_room_grows_without_changing_the_search(monkeypatch):
    problem = random_problem(5, n=6, budget=4, levels=3, profiles=30, decline_rate=0.1)
    large = searched(problem, 400)

    monkeypatch.setattr(tree_search, "ROOM", (8, 2, 64))
    small = searched(problem, 400)
    assert small.value == large.value
    assert small.tree() == large.tree()


def test_surfaces_and_table_give_the_same_search(monkeypatch):
    judge, scenarios = SimulatedJudge("varied", 1), load_bundled()[:40]
    table = Population(scenarios, judge, 3).problem(cost_weight=0.1)
    monkeypatch.setattr(scenario_population, "MAX_TABLE", 0)
    population = Population(scenarios, judge, 3)
    assert not isinstance(population.scores, np.ndarray)
    surfaces = population.problem(cost_weight=0.1)
    one, two = searched(table, 500), searched(surfaces, 500)
    assert one.value == pytest.approx(two.value, abs=1e-12)
    assert Solution(table).value == pytest.approx(Solution(surfaces).value, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_simulations": 0}, "num_simulations: found 0"),
        ({"exploration": -1.0}, "exploration: found -1"),
        ({"exploration": float("nan")}, "exploration: found nan"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(UserError, match=message):
        PopulationMCTS(**options)
