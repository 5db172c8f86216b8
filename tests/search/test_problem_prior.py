"""What a prior does to a search, and what becomes of a bad one."""

import numpy as np
import pytest

from envs import UserError
from search.algorithms.mcts import MCTSSearch, _complete
from tests.search.search_cases import edges_of, rows_of, searched, table_problem


def visits(prior, n_simulations, table, *, budget=1, **options):
    problem = table_problem(np.array(table), budget, prior=prior)
    tree, _, order = searched(
        problem, num_simulations=n_simulations, **{"exploration": 1.0, "batch_size": 1} | options
    )
    return edges_of(tree, 0), order


FLAT = [2.0] * 8


def test_a_prior_steers_visits_as_derived_by_hand():
    """All scores equal, so that Q is 0 and pi0 / (1 + n) decides, here with weights 8, 4, 1.

    8, 4, 1 -> 0; 4, 4, 1: a tie -> 0; 8/3, 4, 1 -> 1; 8/3, 2, 1 -> 0; 2, 2, 1: a tie -> 0; 8/5, 2, 1 -> 1;
    8/5, 4/3, 1 -> 0.
    """
    weights = np.array([8.0, 4.0, 1.0])
    seen = [visits(lambda mask: weights, 1 + k, FLAT, backup="mean")[0] for k in range(1, 8)]
    assert seen == [
        {0: 1},
        {0: 2},
        {0: 2, 1: 1},
        {0: 3, 1: 1},
        {0: 4, 1: 1},
        {0: 4, 1: 2},
        {0: 5, 1: 2},
    ]


def test_a_prior_decides_which_set_is_scored_first():
    for favourite in range(3):
        prior = np.eye(3)[favourite]
        _, order = visits(lambda mask, p=prior: p, 2, FLAT)
        assert order == [0, 1 << favourite]


@pytest.mark.parametrize("silent", [lambda mask: None, lambda mask: np.zeros(3), lambda mask: [1, 1, 1]])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_a_silent_prior_is_the_uniform_one(silent, batch_size):
    table = np.random.default_rng(0).uniform(1, 5, 8)
    options = {"budget": 2, "backup": "mean", "batch_size": batch_size}
    assert visits(silent, 40, table, **options) == visits(None, 40, table, **options)


def test_a_prior_of_zero_on_all_that_can_be_asked_is_uniform():
    """All its weight lies on what is known."""
    table = np.random.default_rng(1).uniform(1, 5, 8)
    trees = []
    for prior in (lambda mask: np.array([1.0, 0.0, 0.0]), None):
        problem = table_problem(table, 2, known=1, prior=prior)
        tree, _, order = searched(problem, num_simulations=30, batch_size=1)
        trees.append((order, {m: tree.node["visits"][row] for m, row in rows_of(tree).items()}))
    assert trees[0] == trees[1]


def test_only_proportions_count_and_only_over_what_can_be_asked():
    table = np.random.default_rng(2).uniform(1, 5, 8)
    for other in (lambda mask: np.array([10.0, 30.0, 20.0]), lambda mask: [1, 3, 2]):
        assert visits(other, 6, table, budget=2) == visits(
            lambda mask: np.array([0.1, 0.3, 0.2]), 6, table, budget=2
        )


def test_the_prior_is_asked_once_for_each_set_and_never_for_a_full_one():
    asked = []

    def prior(mask):
        asked.append(mask)
        return np.ones(6)

    problem = table_problem(np.random.default_rng(3).uniform(1, 5, 64), 2, prior=prior)
    searched(problem, num_simulations=200)
    assert len(asked) == len(set(asked))
    assert all(isinstance(mask, int) for mask in asked)
    assert {m for m in range(64) if m.bit_count() < 2} <= set(asked)
    assert all(m.bit_count() < 2 for m in asked)


def test_the_prior_holds_below_a_set_that_is_unscored():
    """{0} is unscored; which pair is tried below it is still the prior's to say."""
    table = np.array([2.0, np.nan, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    prior = {0: [1.0, 0.0, 0.0], 1: [0.0, 0.0, 1.0]}
    problem = table_problem(table, 2, prior=lambda mask: prior.get(mask))
    _, _, order = searched(problem, num_simulations=3, batch_size=1)
    assert order == [0, 1, 0b101]


def test_uct_knows_no_prior():
    table = np.random.default_rng(4).uniform(1, 5, 8)
    options = {"budget": 2, "selection": "uct", "backup": "mean"}
    assert visits(lambda mask: [0, 0, 1], 40, table, **options) == visits(None, 40, table, **options)
    _, order = visits(lambda mask: [0, 0, 1], 4, FLAT, **options)
    assert order == [0, 1, 2, 4]


def test_rollouts_follow_the_prior_but_for_epsilon():
    """Budget 2 of 4, prior on 3 and then 2: eps = .2 / (1 + exp(d - 1)) is .146 at depth 0 and .1 at depth 1.

    A completion of the depth-1 leaf {0} is {0, 3} unless epsilon chose: .9 + .1 / 3.
    """
    favourites = np.array([0.0, 0.0, 1.0, 3.0])
    problem = table_problem(np.full(16, 2.0), 2, prior=lambda mask: favourites)
    searcher = MCTSSearch(num_simulations=1, backup="mean", rollout=True)
    rules = searcher.rules(problem)
    rng = np.random.default_rng(0)
    found = [_complete(0b0001, problem, rules, rng) for _ in range(4000)]
    share = np.mean([m == 0b1001 for m in found])
    assert 0.917 < share < 0.950  # .9333, four sd = .016
    assert {m.bit_count() for m in found} == {2}


@pytest.mark.parametrize(
    "bad",
    [
        [1.0, 1.0],
        [[1.0, 1.0, 1.0]],
        [1.0, -1.0, 1.0],
        [1.0, np.nan, 1.0],
        [1.0, np.inf, 1.0],
        1.0,
        ["a", "b", "c"],
    ],
    ids=["short", "nested", "negative", "nan", "infinite", "scalar", "words"],
)
@pytest.mark.parametrize("rollout", [False, True])
def test_a_bad_prior_is_told(bad, rollout):
    problem = table_problem(np.full(8, 2.0), 2, prior=lambda mask: bad)
    searcher = MCTSSearch(num_simulations=5, backup="mean", rollout=rollout)
    with pytest.raises(UserError, match=r"prior: found .*expected 3 finite numbers >= 0") as error:
        searcher.plan(problem, np.random.default_rng(0))
    assert "\n" not in str(error.value)
