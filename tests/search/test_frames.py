"""How far the judge is from the loop that plans: each layer between them has to be worth reading."""

import asyncio
import inspect
import sys
import threading
from pathlib import Path

import pytest

from envs.llm.sending.transport import Connection
from search.algorithms.bayes import BayesSearch
from search.algorithms.greedy import GreedySearch
from search.algorithms.gumbel import GumbelSearch
from search.algorithms.halving import HalvingSearch
from search.algorithms.mcts import MCTSSearch
from search.planning import PlanOptions, plan_scenario
from tests.envs.llm_cases import judge, scenario, server
from tests.search.search_cases import scenario_of

REPO = Path(__file__).resolve().parents[2]
ROOT = str(REPO / "search")


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


def ours(frames):
    rooms = tuple(str(REPO / name) for name in ("envs", "search"))
    return [f.f_code.co_qualname for f in frames if f.f_code.co_filename.startswith(rooms)]


def callers(frame):
    while frame is not None:
        yield frame
        frame = frame.f_back


def awaited(coroutine):
    while inspect.iscoroutine(coroutine):
        yield coroutine.cr_frame
        coroutine = coroutine.cr_await


def test_a_reply_passes_ten_functions_on_its_way_to_the_search(tmp_path, monkeypatch):
    """From the one that receives it over HTTP to the one that backs it up, over two threads and two tasks."""
    ways, planning = [], threading.get_ident()
    post = Connection._posted

    async def noted(self, out):
        answer = await post(self, out)
        asking = ours(callers(sys._getframe(1)))
        waiting = [ours(awaited(t.get_coro())) for t in asyncio.all_tasks() - {asyncio.current_task()}]
        waiting = [way for way in waiting if way[-1:] == ["Client.reply"]]
        thread = ours(callers(sys._current_frames()[planning]))
        if "MCTSSearch.run_judge" in thread and len(waiting) == 1:
            thread = thread[: thread.index("MCTSSearch.run_judge") + 1]
            ways.append(["Connection._posted", *asking, *waiting[0][::-1], *thread])
        return answer

    monkeypatch.setattr(Connection, "_posted", noted)
    with server() as running:
        asked = judge(running.url, tmp_path, mode="direct")
        plan_scenario(scenario(4), asked, MCTSSearch(6), PlanOptions(budget=2, max_judge_calls=8))
    assert ways
    assert max(map(len, ways)) <= 10, ways[0]
