"""Exact plans for unknown profiles, against enumeration of all policies and a naive recursion."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import UserError
from search.population import exact
from search.population.exact import Solution, States, best_fixed_path, fixed_tree
from search.population.policy_tree import STOP, PolicyNode
from search.population.population_problem import PopulationProblem
from search.population.tree_building import expected, worth
from tests.search.population.population_cases import (
    all_policies,
    best_value,
    by_hand,
    follow,
    policy_value,
    random_problem,
    schema,
    table_of,
)

CASES = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "n": st.integers(1, 4),
        "budget": st.integers(1, 4),
        "levels": st.integers(1, 3),
        "profiles": st.integers(1, 7),
        "missing": st.sampled_from([0.0, 0.3]),
        "nan": st.sampled_from([0.0, 0.1]),
        "cost_weight": st.sampled_from([0.0, 0.5]),
        "decline_rate": st.sampled_from([0.0, 0.25, 1.0]),
        "dropout": st.sampled_from([0.0, 0.0, 0.2]),
    }
)


def test_golden_tree_by_hand():
    problem = by_hand()
    path = best_fixed_path(problem)
    solution = Solution(problem, fallback=path)
    assert path == (0, 1)
    assert fixed_tree(problem, path).value == pytest.approx(7 / 3)
    assert solution.value == pytest.approx(2.5)
    tree = solution.tree()
    shown = [
        (
            node.attribute,
            *(round(x, 9) for x in (node.probability, node.value, node.stop_value)),
            dict(node.children),
        )
        for node in tree.nodes
    ]
    third = round(1 / 3, 9)
    assert shown == [
        (0, 1.0, 2.5, 1.0, {0: 1, 1: 2}),
        (STOP, third, 1.5, 1.5, {}),
        (1, round(2 / 3, 9), 3.0, 2.5, {0: 3, 1: 4}),
        (STOP, third, 4.0, 4.0, {}),
        (STOP, third, 2.0, 2.0, {}),
    ]
    assert (tree.group, tree.planner, tree.n_profiles, tree.fallback) == ("health", "exact", 3, (0, 1))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("decline_rate", [0.0, 0.3])
def test_no_policy_at_all_is_better(seed, decline_rate):
    problem = random_problem(
        seed,
        n=3 if decline_rate == 0 else 2,
        budget=3,
        profiles=4,
        cost_weight=0.4,
        decline_rate=decline_rate,
        dropout=0.2 * (seed % 2),
    )
    table = table_of(problem)
    best = max(policy_value(problem, table, policy) for policy in all_policies(problem))
    assert Solution(problem).value == pytest.approx(best, abs=1e-9)


@settings(max_examples=150, deadline=None)
@given(CASES)
def test_equals_the_naive_recursion_and_its_tree_is_worth_what_it_says(case):
    problem = random_problem(**case)
    solution = Solution(problem)
    tree = solution.tree()
    assert solution.value == pytest.approx(best_value(problem), abs=1e-9)
    assert tree.value == pytest.approx(solution.value, abs=1e-9)
    assert follow(problem, tree) == pytest.approx(solution.value, abs=1e-9)
    assert expected(problem, worth(problem, tree).objective) == pytest.approx(solution.value, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(CASES, st.sampled_from([1, 2, 3, 100]))
def test_few_profiles_go_on_with_the_fallback_and_get_no_branch(case, min_profiles):
    problem = random_problem(**{**case, "nan": 0.0})
    path = best_fixed_path(problem)
    solution = Solution(problem, fallback=path, min_profiles=min_profiles)
    tree = solution.tree()
    assert solution.value == pytest.approx(best_value(problem, path, min_profiles), abs=1e-9)
    assert tree.value == pytest.approx(solution.value, abs=1e-9)
    assert follow(problem, tree) == pytest.approx(solution.value, abs=1e-9)
    few = [node for node in tree.nodes[1:] if node.probability * problem.n_profiles < min_profiles - 1e-6]
    assert few == []
    assert fixed_tree(problem, path).value - 1e-9 <= solution.value <= Solution(problem).value + 1e-9


@settings(max_examples=100, deadline=None)
@given(CASES)
def test_order_of_values(case):
    problem = random_problem(**{**case, "nan": 0.0})
    path = best_fixed_path(problem)
    fixed = fixed_tree(problem, path)
    chain = States(problem, order=path)
    stopping = Solution(problem, states=chain, fallback=path)
    branching = Solution(problem, min_questions=len(path), fallback=path)
    best = Solution(problem, fallback=path).value
    assert follow(problem, fixed) == pytest.approx(fixed.value, abs=1e-9)
    assert fixed.value <= min(stopping.value, branching.value) + 1e-9
    assert max(stopping.value, branching.value) <= best + 1e-9
    assert follow(problem, stopping.tree()) == pytest.approx(stopping.value, abs=1e-9)
    stays = 1 - problem.dropout
    least = sum(stays ** (k + 1) for k in range(len(path)))
    assert np.all(worth(problem, branching.tree()).questions >= least - 1e-9)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.4]))
def test_answers_that_tell_nothing_are_worth_nothing(seed, cost_weight):
    """Everybody answers alike: the optimum is the best set."""
    problem = random_problem(seed, n=4, budget=3, levels=1, cost_weight=cost_weight)
    path = best_fixed_path(problem)
    solution = Solution(problem, fallback=path)
    assert solution.value == pytest.approx(fixed_tree(problem, path).value, abs=1e-9)
    assert solution.tree().depth == len(path)


def test_scores_that_do_not_depend_on_the_profile_are_worth_no_branch():
    scores = np.tile([1.0, 2.0, 3.0, 4.0], (3, 1))
    problem = PopulationProblem(schema(2), 2, np.array([[0, 0], [1, 0], [1, 1]]), scores)
    assert Solution(problem).value == pytest.approx(4.0)
    assert fixed_tree(problem, best_fixed_path(problem)).value == pytest.approx(4.0)


def test_a_question_that_costs_more_than_it_brings_is_not_asked():
    tree = Solution(by_hand(cost_weight=10.0)).tree()
    assert tree.nodes == (PolicyNode(STOP, 1.0, 1.0, 1.0),)


def test_ties_go_to_stopping_then_to_the_first_attribute():
    flat = np.ones((2, 4))
    assert Solution(PopulationProblem(schema(2), 2, np.array([[0, 1], [1, 0]]), flat)).tree().depth == 0
    rising = np.array([[1.0, 2.0, 2.0, 2.0]] * 2)
    tree = Solution(PopulationProblem(schema(2), 2, np.array([[0, 1], [1, 0]]), rising)).tree()
    assert tree.nodes[0].attribute == 0
    assert tree.depth == 1


def test_nobody_stops_where_a_score_is_missing():
    codes, nan = np.array([[0, 0], [1, 0]]), math.nan
    problem = PopulationProblem(schema(2), 2, codes, np.array([[1, 4, 1, 5], [1, nan, 1, 2]], dtype=float))
    tree = Solution(problem).tree()
    assert tree.value == pytest.approx(3.5)
    assert tree.nodes[0].attribute == 0
    assert tree.next_attribute({0: 1}) == 1  # {AA} has no score for who says a1
    assert math.isinf(tree.nodes[tree.nodes[0].children[1]].stop_value)


def test_a_decline_is_told_apart_from_what_is_missing_by_the_posterior_only():
    """One of two has no value: after a decline he is twice as likely, by Bayes, at a rate of one half."""
    codes = np.array([[-1], [0]])
    problem = PopulationProblem(schema(1), 1, codes, np.array([[1.0, 1.0], [1.0, 5.0]]), decline_rate=0.5)
    node = Solution(problem).tree().node({0: -1})
    assert node.probability == pytest.approx(0.75)
    assert node.value == pytest.approx(1.0)
    assert Solution(problem).value == pytest.approx(0.75 * 1 + 0.25 * 5)


def test_too_many_states_are_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(exact, "MAX_STATES", 10)
    with pytest.raises(UserError, match=r"^dynamic programming: found 20 pairs[^\n]*$"):
        Solution(random_problem(0, n=3, budget=1, profiles=5))


def test_solutions_that_share_states_equal_those_that_do_not():
    problem = random_problem(3, n=4, budget=3, profiles=8, cost_weight=0.2)
    states = States(problem)
    path = best_fixed_path(problem)
    for options in ({}, {"min_questions": 2}, {"fallback": path, "min_profiles": 3}):
        assert Solution(problem, states=states, **options).tree() == Solution(problem, **options).tree()
