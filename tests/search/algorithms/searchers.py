"""Every searcher, for what holds for all of them; a new one is added here, as its YAML is named."""

import numpy as np
import pytest

from search.algorithms.bayes import BayesSearch
from search.algorithms.beam import BeamSearch
from search.algorithms.exhaustive import ExhaustiveSearch
from search.algorithms.greedy import GreedySearch
from search.algorithms.gumbel import GumbelSearch
from search.algorithms.halving import HalvingSearch
from search.algorithms.mcts import MCTSSearch
from search.algorithms.random_search import RandomSearch
from search.algorithms.static import StaticSearch


class StaticInSchemaOrder:
    """`StaticSearch` with every attribute of the problem at hand."""

    def plan(self, problem, rng):
        return StaticSearch(problem.names).plan(problem, rng)


SEARCHERS = {
    "bayes": BayesSearch(60),
    "beam": BeamSearch(),
    "exhaustive": ExhaustiveSearch(),
    "greedy": GreedySearch(),
    "greedy lazy": GreedySearch(lazy=True),
    "gumbel": GumbelSearch(60),
    "gumbel of 3": GumbelSearch(60, max_considered=3, batch_size=1),
    "halving": HalvingSearch(60),
    "mcts": MCTSSearch(num_simulations=60),
    "mcts one by one": MCTSSearch(num_simulations=60, batch_size=1),
    "uct": MCTSSearch(num_simulations=60, selection="uct"),
    "mcts mean": MCTSSearch(num_simulations=60, backup="mean"),
    "mcts rollout": MCTSSearch(num_simulations=60, backup="mean", rollout=True),
    "mcts_paper": MCTSSearch(60, exploration=1.0, backup="mean", rollout=True, batch_size=1),
    "random": RandomSearch(60),
    "static": StaticInSchemaOrder(),
}

every_searcher = pytest.mark.parametrize("searcher", SEARCHERS.values(), ids=SEARCHERS)


def plan_of(searcher, problem, seed=0):
    return searcher.plan(problem, np.random.default_rng(seed))
