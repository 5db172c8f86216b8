"""What a run is said to take, against counts by hand and against what runs then took."""

import math

import pytest

from envs import Scenario
from envs.judges.llm import LLMJudge
from envs.judges.simulated import SimulatedJudge
from envs.llm.scripted.scripted_replies import Completion, default_completion
from envs.llm.scripted.scripted_server import Script, ScriptedServer
from envs.loading import load_bundled
from envs.priors import LLMPrior
from experiments.runs.cost_estimate import spending
from search.algorithms.bayes import BayesSearch
from search.algorithms.greedy import GreedySearch
from search.algorithms.mcts import MCTSSearch
from search.planning import PlanOptions
from search.rollouts import plan

SCENARIOS = load_bundled()[:6]


def judge(folder, url="http://localhost:1/v1", model="gpt-4o", **keys):
    return LLMJudge(model, url, cache=str(folder / "cache.sqlite"), timeout_s=5.0, **keys)


def test_calls_by_hand():
    """Budget 2 of 10: 1 + 10 + 45 = 56 sets; greedy looks at 1 + 10 + 9; 3 prefixes and the full context."""
    found = spending(SCENARIOS, PlanOptions(budget=2), GreedySearch(), SimulatedJudge())
    assert (found.most.search_calls, found.expected.search_calls) == (6 * 56, 6 * 20)
    assert (found.most.report_calls, found.most.full_calls) == (0, 6)
    assert not found.spends
    noisy = SimulatedJudge(noise_std=0.1)
    options = PlanOptions(budget=2, report_samples=3, max_judge_calls=40)
    found = spending(SCENARIOS, options, MCTSSearch(30), noisy)
    assert (found.most.search_calls, found.expected.search_calls) == (6 * 40, 6 * 40)  # further looks
    assert (found.expected.report_calls, found.expected.full_calls) == (6 * 3 * 3, 6 * 3)


def test_a_search_that_knows_its_most_calls_is_believed():
    """Two of 10 attributes: 56 sets, and with noise looks beyond them; bayes has a limit of its own."""
    noisy = SimulatedJudge(noise_std=0.1)
    for calls, most in ((60, 60), (200, 200)):
        found = spending(SCENARIOS, PlanOptions(budget=2), BayesSearch(calls), noisy)
        assert found.most.search_calls == 6 * most
    assert (
        spending(SCENARIOS, PlanOptions(budget=2), BayesSearch(60), SimulatedJudge()).most.search_calls
        == 6 * 56
    )


def test_few_attributes_bound_the_sets():
    bare = Scenario("bare", "health", "q", {"Age": "30", "Gender": "Male"})
    found = spending([bare], PlanOptions(budget=4), MCTSSearch(300), SimulatedJudge())
    assert found.most.search_calls == found.expected.search_calls == 4


@pytest.mark.parametrize(("mode", "each"), [("direct", 1), ("response", 2)])
def test_requests_by_hand(mode, each, tmp_path):
    options = PlanOptions(budget=2, report_samples=3)
    found = spending(SCENARIOS, options, GreedySearch(), judge(tmp_path, mode=mode))
    calls = 20 + 3 * 3 + 3
    assert found.expected.requests == 6 * calls * each
    assert found.most.requests == 6 * (56 + 3 * 3 + 3) * each * 3  # every reply unusable twice
    assert f"expected {6 * calls:,} judge calls, {6 * calls * each:,} requests" in found.first_line()
    assert found.expected.tokens < found.most.tokens
    assert 0 < found.expected.dollars < found.most.dollars


def test_dollars_by_hand(tmp_path):
    """$2 for a million tokens in, $8 out; the verdict is 40 tokens, or 300 at most."""
    prices = tmp_path / "prices.yaml"
    prices.write_text("priced: {input: 2.0, output: 8.0}\nfree: {input: 0.0, output: 0.0}\n")
    keys = {"mode": "direct", "scoring": "expected", "prices": str(prices)}
    options = PlanOptions(budget=1)
    found = spending(SCENARIOS[:1], options, GreedySearch(), judge(tmp_path, model="priced", **keys))
    calls = 11 + 1
    inputs = found.expected.tokens - calls * 40
    assert found.expected.dollars == pytest.approx((2 * inputs + 8 * calls * 40) / 1e6)
    most = found.most.tokens - 3 * calls * 300
    assert found.most.dollars == pytest.approx((2 * most + 8 * 3 * calls * 300) / 1e6)
    free = judge(tmp_path, model="free", **keys, max_output_tokens=None)
    found = spending(SCENARIOS, options, GreedySearch(), free)
    assert math.isinf(found.most.tokens)
    assert found.most.dollars == 0
    unknown = spending(SCENARIOS, options, GreedySearch(), judge(tmp_path, model="nobody's", **keys))
    assert "dollars unknown (no price)" in unknown.first_line()


def test_limits_bound_what_it_takes_and_are_named_where_they_end_it(tmp_path):
    limited = judge(tmp_path, mode="direct", max_requests=100, max_cost=1.0)
    found = spending(SCENARIOS, PlanOptions(budget=2), GreedySearch(), limited)
    assert (found.most.requests, found.most.dollars) == (100, 1.0)
    assert found.first_line().endswith("; judge.max_requests=100 will end the run early")


def test_rankings_are_counted(tmp_path):
    ask = LLMPrior("gpt-4o", "http://localhost:1/v1", cache=str(tmp_path / "c"), depth=2)
    options = PlanOptions(budget=2)
    found = spending(SCENARIOS, options, MCTSSearch(7), SimulatedJudge(), ask)
    assert found.spends
    assert (found.expected.requests, found.most.requests) == (6 * 7, 6 * 11 * 3)


@pytest.mark.parametrize("mode", ["direct", "response"])
def test_a_run_takes_about_what_was_said(mode, tmp_path):
    """Over real HTTP: the scripted server answers with as much text as a model would."""

    def rule(body):
        said = default_completion(body)  # a verdict, or a sentence of its own for each prompt
        return said if "response_format" in body else Completion(said.text + " word" * 200)

    options = PlanOptions(budget=2, report_samples=2)
    with ScriptedServer(Script(rule=rule)) as running:
        asked = judge(tmp_path, running.url, mode=mode)
        said = spending(SCENARIOS, options, GreedySearch(), asked)
        plans = list(plan(SCENARIOS, asked, GreedySearch(), budget=2, report_samples=2))
        took = asked.spent
    assert sum(p.judge_calls + p.full_calls for p in plans) <= said.expected.judge_calls
    assert took.requests == pytest.approx(said.expected.requests, rel=0.2)
    assert took.input_tokens + took.output_tokens == pytest.approx(said.expected.tokens, rel=0.25)
    assert took.input_tokens + took.output_tokens < said.most.tokens
    assert took.cost < said.most.dollars
