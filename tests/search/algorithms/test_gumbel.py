"""The Gumbel root: who is drawn, how simulations are divided, what is optimal in the end."""

import math

import numpy as np
import pytest

from envs import UserError
from search.algorithms.gumbel import GumbelSearch, _Root
from search.problem import Problem
from tests.search.algorithms.searchers import plan_of
from tests.search.search_cases import table_problem


def root_visits(plan):
    return {a.attribute: a.visits for a in plan.alternatives if a.step == 0}


def additive(weights):
    n = len(weights)
    return np.array([2 + sum(weights[a] for a in range(n) if m >> a & 1) for m in range(1 << n)])


def test_simulations_are_divided_by_sequential_halving():
    """48 for 8 questions in 3 phases: 48 / (3 * 8) = 2 each, then 4, then 8; one is the root's.

    Attribute 7 is far better than the rest, so that nothing under it is dropped; sigma rules over the noise.
    """
    weights = np.array([0.01, 0.02, 0.03, 0.04, 0.3, 0.4, 0.5, 1.0])
    plan = plan_of(GumbelSearch(48, value_scale=100.0), table_problem(additive(weights), 4))
    visits = root_visits(plan)
    assert sorted(visits.values()) == [2, 2, 2, 2, 6, 6, 13, 14]
    assert plan.simulations == 48
    assert visits[7] >= 13


def test_fewer_are_considered_where_that_is_said():
    """3 of 8: two phases, 24 / (2 * 3) = 4 each, then 24 / (2 * 2) = 6 for two."""
    weights = np.linspace(0.1, 0.8, 8)
    plan = plan_of(GumbelSearch(25, max_considered=3), table_problem(additive(weights), 4), seed=2)
    assert sorted(root_visits(plan).values()) == [0, 0, 0, 0, 0, 4, 10, 10]


def test_questions_are_drawn_by_the_prior_without_replacement():
    """The Gumbel-max trick: the first drawn is a with probability prior(a); a prior of 0 is drawn last."""
    prior = np.array([0.6, 0.3, 0.1, 0.0])
    first, last = [], []
    for seed in range(1500):
        problem = Problem(4, 2, lambda m, _: np.full(len(m), 2.0), prior=lambda mask: prior)
        root = _Root(GumbelSearch(), problem, np.random.default_rng(seed))
        first.append(root.considered[0])
        last.append(root.considered[-1])
    shares = np.bincount(first, minlength=4) / len(first)
    np.testing.assert_allclose(shares, prior, atol=0.045)  # 3.5 sd
    assert set(last) == {3}


def test_the_score_of_a_question_is_that_of_the_paper():
    """g + logit + (50 + max N) * c_scale * q with q in [0, 1]."""
    table = additive(np.array([0.1, 0.4, 0.2]))
    problem = table_problem(table, 1)
    root = _Root(GumbelSearch(10, value_scale=0.2), problem, np.random.default_rng(1))
    noise = np.random.default_rng(1).gumbel(size=3)
    root.phase(3)
    assert set(root.visits.values()) == {1}
    for a, q in ((0, 0.0), (1, 1.0), (2, 1 / 3)):
        assert root._score(a) == pytest.approx(noise[a] - math.log(3) + (50 + 1) * 0.2 * q)


def test_a_set_below_two_questions_is_one_judge_call():
    problem = table_problem(additive(np.full(6, 0.1)), 2)
    plan = plan_of(GumbelSearch(1000), problem)
    assert problem.judge_calls == 22
    assert plan.simulations == 1 + 6 * 6  # each question's tree: itself and five pairs


def test_the_noise_is_the_generators():
    table = np.random.default_rng(0).uniform(1, 5, 1 << 8)
    visits = [root_visits(plan_of(GumbelSearch(40, 4), table_problem(table, 4), seed)) for seed in range(6)]
    assert len({tuple(v.values()) for v in visits}) > 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_simulations": 0}, "search.num_simulations: found 0"),
        ({"max_considered": 0}, "search.max_considered: found 0"),
        ({"value_scale": 0.0}, "search.value_scale: found 0.0"),
        ({"value_scale": math.inf}, "search.value_scale: found inf"),
        ({"selection": "x"}, "search.selection: found 'x'"),
        ({"batch_size": 0}, "search.batch_size: found 0"),
    ],
)
def test_options_out_of_range_are_told(options, words):
    with pytest.raises(UserError) as error:
        GumbelSearch(**options)
    assert words in str(error.value)
