"""How far the judge is from the loop that plans: each layer between them has to be worth reading."""

import inspect
from pathlib import Path

import pytest

from search.algorithms.bayes import BayesSearch
from search.algorithms.greedy import GreedySearch
from search.algorithms.gumbel import GumbelSearch
from search.algorithms.halving import HalvingSearch
from search.algorithms.mcts import MCTSSearch
from search.planning import PlanOptions, plan_scenario
from tests.search.search_cases import scenario_of

ROOT = str(Path(__file__).resolve().parents[2] / "search")


class Deep:
    """A judge that notes how it was reached."""

    stochastic = True

    def __init__(self):
        self.ways = []

    def score(self, scenario, contexts, samples):
        own = [f for f in inspect.stack(0)[1:] if f.filename.startswith(ROOT)]
        self.ways.append([f.function for f in reversed(own)])
        return [2.0 + len(names) / 8 for names in contexts]


@pytest.mark.parametrize(
    "searcher", [MCTSSearch(20), BayesSearch(12), GumbelSearch(20), HalvingSearch(), GreedySearch()]
)
def test_the_judge_is_six_frames_from_the_planning_loop(searcher):
    judge = Deep()
    plan_scenario(scenario_of(4), judge, searcher, PlanOptions(budget=2, max_judge_calls=16))
    first = judge.ways[0]
    assert first[0] == "plan_scenario"
    assert len(first) + 1 <= 6, first  # and `score` itself
