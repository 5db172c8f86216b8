"""Populations of scenarios, the problem of unknown profiles itself, and what a tree is worth to people."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import Attribute, Level, Scenario, Schema, Score, UserError
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from search.population import scenario_population
from search.population.exact import Solution, best_fixed_path, fixed_tree
from search.population.policy_tree import STOP
from search.population.population_problem import PopulationProblem
from search.population.scenario_population import Population
from search.population.set_table import columns, sets_within
from search.population.tree_building import worth
from search.population.tree_search import PopulationMCTS
from search.problem import PlanningFailed
from tests.search.population.population_cases import all_sets, by_hand, random_problem, schema, worlds


class Counting:
    """2 and half a point for each known attribute, 1 for a profile without values; counts its calls."""

    calls = 0

    def score(self, scenario, contexts):
        self.calls += len(contexts)
        return [2.0 + 0.5 * len(names) for names in contexts]


def people(n_attributes, count, seed=0):
    rng = np.random.default_rng(seed)
    own = Schema(
        Attribute(f"Thing {i}", "?", levels=tuple(Level(f"kind {k}", (f"k{k}",)) for k in range(3)))
        for i in range(n_attributes)
    )
    return [
        Scenario(str(i), "health", "", {name: f"k{rng.integers(3)}" for name in own.names}, own)
        for i in range(count)
    ]


@pytest.mark.parametrize(("n", "budget"), [(1, 1), (3, 2), (5, 5), (10, 4)])
def test_columns_are_the_places_of_sets(n, budget):
    masks = sets_within(n, budget)
    assert masks.tolist() == all_sets(n, budget)
    assert columns(masks, n, budget).tolist() == list(range(len(masks)))
    for missing in ((1 << n + 1) - 1, 1 << n):
        with pytest.raises(ValueError, match=f"more than {budget} attributes, or of others than the {n}"):
            columns([0, missing], n, budget)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.25, 1.0]), st.sampled_from([0.0, 0.4]))
def test_outcomes_are_the_posterior(seed, decline_rate, missing):
    """Belief after two answers, against the worlds that agree with them."""
    problem = random_problem(seed, n=3, budget=2, profiles=6, missing=missing, decline_rate=decline_rate)
    found = {}
    for first, after in problem.outcomes(problem.root(), 0):
        for second, belief in problem.outcomes(after, 2):
            for u, answered, weight in zip(*belief, strict=True):
                key = (first, second, int(u), int(answered))
                found[key] = found.get(key, 0.0) + float(weight)
    expected = {}
    for u, declined, chance in worlds(problem):
        codes = [-1 if declined >> a & 1 else int(problem.codes[u, a]) for a in (0, 2)]
        key = (*codes, u, 0b101 & ~declined)
        expected[key] = expected.get(key, 0.0) + chance
    assert found.keys() == expected.keys()
    assert [found[key] for key in expected] == pytest.approx(list(expected.values()))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3]))
def test_mean_problem_is_the_expectation_over_worlds(seed, decline_rate):
    problem = random_problem(seed, n=3, budget=3, profiles=4, decline_rate=decline_rate)
    mean = problem.mean_problem()
    table = problem.scores_with(all_sets(3, 3))
    for asked in all_sets(3, 3):
        by_worlds = sum(
            chance * table[u, all_sets(3, 3).index(asked & ~declined)]
            for u, declined, chance in worlds(problem)
        )
        assert mean.evaluate(np.array([asked], np.uint64))[0] == pytest.approx(by_worlds)


def test_every_set_is_one_judge_call_and_what_is_missing_is_not_asked_about():
    scenarios = people(4, 3)
    lacking = Scenario(
        "x", "health", "", {"Thing 0": "k1", "Thing 1": "in words of its own"}, scenarios[0].schema
    )
    judge = Counting()
    population = Population([*scenarios, lacking], judge, 2)
    assert judge.calls == 3 * 11 + 4
    problem = population.problem()
    assert problem.codes[3].tolist() == [1, -1, -1, -1]
    row = problem.scores_with([0b0001, 0b0010, 0b0100, 0b1001, 0b1100])[3]
    assert row.tolist() == [
        2.5,
        2.5,
        2.0,
        2.5,
        2.0,
    ]  # words without a level are known to the judge all the same


def test_equal_rows_are_merged_without_changing_anything():
    scenarios = load_bundled()[:30]
    doubled = [*scenarios, *scenarios[:10], *scenarios[:10]]
    population = Population(doubled, SimulatedJudge("varied", 0), 3)
    merged, apart = (population.problem(cost_weight=0.1, merge=m) for m in (True, False))
    assert (len(merged.weights), len(apart.weights)) == (30, 50)
    assert merged.n_profiles == apart.n_profiles == 30
    assert merged.weights[:11].tolist() == pytest.approx([0.06] * 10 + [0.02])
    path = best_fixed_path(merged)
    one, two = (Solution(p, fallback=path, min_profiles=4) for p in (merged, apart))
    assert one.value == pytest.approx(two.value, abs=1e-12)
    assert [n.attribute for n in one.tree().nodes] == [n.attribute for n in two.tree().nodes]


def test_scores_are_those_of_the_judge():
    scenarios = load_bundled()[:5]
    judge = SimulatedJudge("published", 0)
    table = Population(scenarios, judge, 2).problem().scores_with(all_sets(10, 2))
    for row, scenario in zip(table, scenarios, strict=True):
        contexts = [scenario.schema.names_of(mask & scenario.askable) for mask in all_sets(10, 2)]
        assert row.tolist() == pytest.approx([s.value for s in judge.score(scenario, contexts)])


def test_a_noisy_judge_is_looked_at_several_times_and_averaged():
    class Noisy:
        stochastic = True

        def score(self, scenario, contexts, samples):
            return [1.0 + sample + 0.1 * len(names) for names, sample in zip(contexts, samples, strict=True)]

    table = Population(people(2, 1), Noisy(), 2, samples=3).scores
    assert table[0].tolist() == pytest.approx([2.0, 2.1, 2.1, 2.2])
    with pytest.raises(UserError, match="samples: found 0"):
        Population(people(2, 1), Noisy(), 2, samples=0)


def test_parts_of_a_population_and_unscored_rows():
    class Unscored:
        def score(self, scenario, contexts):
            return [
                math.nan if scenario.id == "1" and len(names) == 2 else Score(3, 3, 3) for names in contexts
            ]

    population = Population(people(3, 4), Unscored(), 2)
    assert population.scored().tolist() == [True, False, True, True]
    assert len(population.problem(np.array([0, 2])).codes) == 2
    assert population.problem(np.array([0])).group == "health"


def test_worth_of_each_person():
    problem = by_hand()
    found = worth(problem, Solution(problem).tree())
    assert found.score.tolist() == pytest.approx([2, 5, 3])
    assert found.objective.tolist() == pytest.approx([1.5, 4, 2])
    assert found.questions.tolist() == pytest.approx([1, 2, 2])
    others = PopulationProblem(schema(2), 2, np.array([[-1, 0]]), np.array([[1.0, 2, 3, 4]]), cost_weight=0.5)
    tree = Solution(problem, fallback=(1,)).tree()
    assert worth(others, tree).objective.tolist() == [3.0]  # no branch for a decline: BB is asked too, 4 - 1
    with pytest.raises(ValueError, match="different attributes"):
        worth(random_problem(0, n=3), tree)
    with pytest.raises(ValueError, match="the tree has a budget of 2, the problem one of 1"):
        worth(random_problem(0, n=2, budget=1), tree)


def test_forty_attributes_where_sets_cannot_be_listed(monkeypatch):
    """4.6 million sets: surfaces are kept, dynamic programming is refused, the search still plans."""
    population = Population(people(40, 30), SimulatedJudge("varied", 0), 6)
    assert not isinstance(population.scores, np.ndarray)
    problem = population.problem(cost_weight=0.05)
    with pytest.raises(UserError, match="dynamic programming"):
        Solution(problem)
    found = PopulationMCTS(2000).search(problem, np.random.default_rng(0))
    tree = found.tree()
    objective = float(problem.weights @ worth(problem, tree).objective)
    assert tree.value == pytest.approx(objective)
    assert objective >= found.value - 1e-9
    assert found.value > problem.stop_value(problem.root(), 0) + 0.3
    one = PopulationMCTS(1).search(problem, np.random.default_rng(0))
    assert found.value > one.value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 0}, "budget: found 0"),
        ({"cost_weight": -1.0}, "cost_weight: found -1"),
        ({"cost_weight": math.nan}, "cost_weight: found nan"),
        ({"decline_rate": 1.5}, "decline_rate: found 1.5"),
        ({"weights": [1.0]}, "weights: expected 3"),
        ({"weights": [0.0, 0.0, 0.0]}, "weights: expected at least one"),
        ({"weights": [1.0, math.inf, 1.0]}, "weights: expected 3"),
        ({"codes": np.array([[0, 0], [1, 0], [2, 1]])}, "codes: found one that is no level"),
        ({"scores": np.ones((3, 3))}, r"scores: found shape \(3, 3\), expected \(3, 4\)"),
    ],
)
def test_mistakes_are_one_line(options, message):
    good = by_hand()
    given = {
        "schema": good.schema,
        "budget": 2,
        "codes": good.codes,
        "scores": good.scores_with(all_sets(2, 2)),
        **options,
    }
    with pytest.raises(UserError, match=message) as error:
        PopulationProblem(**given)
    assert "\n" not in str(error.value)


def test_mistakes_in_scenarios():
    with pytest.raises(UserError, match="found 0 lists of attributes"):
        Population([], Counting(), 2)
    with pytest.raises(UserError, match="found 2 lists of attributes"):
        Population([*people(2, 1), *people(3, 1)], Counting(), 2)
    with pytest.raises(UserError, match="budget: found 0"):
        Population(people(2, 1), Counting(), 0)
    with pytest.raises(UserError, match="found 30 scenarios with 4,598,479 sets each"):
        Population(people(40, 30), Counting(), 6)
    with pytest.raises(UserError, match="weights: expected 2"):
        Population(people(2, 2), Counting(), 1).problem(weights=[1.0])


def test_nothing_known_has_to_have_a_score():
    scores = np.array([[math.nan, 2, 2, 2]])
    with pytest.raises(PlanningFailed, match="nothing asked is unscored"):
        PopulationProblem(schema(2), 2, np.array([[0, 0]]), scores)


def test_rows_of_weight_zero_are_left_out():
    problem = by_hand(weights=[1.0, 0.0, 1.0])
    assert problem.codes.tolist() == [[0, 0], [1, 1]]
    assert problem.weights.tolist() == [0.5, 0.5]


def test_a_fixed_path_has_no_branches():
    problem = by_hand()
    tree = fixed_tree(problem, (1, 0))
    assert (len(tree.nodes), tree.nodes[0].attribute, dict(tree.nodes[0].children)) == (1, 1, {})
    assert [tree.next_attribute(x) for x in ({}, {1: 0}, {1: 0, 0: 1})] == [1, 0, STOP]
    assert fixed_tree(problem, ()).next_attribute({}) == STOP


def test_module_constant_decides_between_table_and_surfaces(monkeypatch):
    monkeypatch.setattr(scenario_population, "MAX_TABLE", 10)
    population = Population(load_bundled()[:2], SimulatedJudge(), 2)
    assert not isinstance(population.scores, np.ndarray)
    assert population.scored().all()
