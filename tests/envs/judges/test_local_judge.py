"""`judge=local` end to end: a few scenarios planned by a real model over real HTTP.

Nothing here asserts on what the model thinks: models of this size are no judges.
"""

import json
import math
import pickle

import pytest

from envs import Scenario
from envs.judges.llm.local import LocalJudge
from envs.judges.protocol import Score
from envs.llm.local.local_server import missing
from search.algorithms.greedy import GreedySearch
from search.path_table import row_of
from search.rollouts import Failure, plan

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=str(missing()))]

SCENARIOS = [
    Scenario("one", "career", "I lost my job. What now?", {"Age": "52"}),
    Scenario("two", "health", "I cannot sleep. What can I take?", {"Emotional State": "Anxious"}),
    Scenario("three", "social", "Nobody talks to me at work.", {"Gender": "Female"}),
]


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """Direct and expected: one request a judge call, structured output and log probabilities.

    What prompts have in common is kept, for time: the rubric takes seconds to read. `min_mass` is next to
    nothing, because models of this size put most of theirs elsewhere.
    """
    folder = tmp_path_factory.mktemp("local")
    judge = LocalJudge(
        context=2048,
        cache_prompt=True,
        mode="direct",
        scoring="expected",
        min_mass=1e-9,
        cache=str(folder / "cache.sqlite"),
    )
    yield judge
    judge.stop()


def test_plans_scenarios_end_to_end(judge):
    failures: list[Failure] = []
    plans = list(plan(SCENARIOS, judge, GreedySearch(), budget=1, on_failure=failures.append))
    assert {p.scenario_id for p in plans} | {f.scenario_id for f in failures} == {"one", "two", "three"}
    assert all(f.stage == "judge" and "unscored" in f.reason for f in failures)
    for made in plans:
        assert 1 <= made.score <= 5
        assert all(s is None or 1 <= s <= 5 for s in made.path_scores)
        assert made.judge == judge.name
        assert made.judge.startswith("local:SmolLM2-135M-Instruct")
    # Paid once: the same again makes no request and the same rows.
    again = list(plan(SCENARIOS[: len(plans)], judge, GreedySearch(), budget=1))
    assert [row_of(p) for p in again] == [row_of(p) for p in plans][: len(again)]
    assert [p.requests for p in again] == [0] * len(again)


def test_what_it_costs_is_time_and_no_money(judge):
    """The pace is measured once, and each token of prompt and reply takes its own."""
    cost, other = (judge.request_costs(SCENARIOS[0], names)[0] for names in ((), ("Age",)))
    assert cost.pace == other.pace
    prompt, reply = cost.pace
    assert min(prompt, reply) > 0
    assert cost.seconds[0] == pytest.approx(prompt * cost.input_tokens + reply * cost.output_tokens)
    assert cost.seconds[1] > cost.seconds[0]
    assert cost.dollars == (0, 0)


def test_a_score_comes_from_log_probabilities_or_has_a_reason(judge):
    for score in judge.score(SCENARIOS[0], [(), ("Age",)], [0, 0]):
        assert isinstance(score, Score)
        values = (score.risk_sensitivity, score.emotional_empathy, score.personalization)
        if score.reason is None:
            assert all(1 <= v <= 5 for v in values)
            # A mean under probabilities, not the integers of the reply.
            assert any(v != round(v) for v in values)
        else:
            assert math.isnan(score.value)
            assert score.reason in ("low_mass", "parse", "length", "logprobs")


def test_a_copy_asks_the_same_server_and_does_not_own_it(judge):
    copy = pickle.loads(pickle.dumps(judge.shard(2)))  # noqa: S301 - as a worker gets it
    (score,) = copy.score(SCENARIOS[0], [()], [0])
    assert score == judge.score(SCENARIOS[0], [()], [0])[0]
    copy.stop()
    fresh = Scenario("fresh", "social", "Shall I call them?", {"Age": "20"})
    assert len(judge.score(fresh, [()], [0])) == 1  # the server is still there


def test_what_it_is_is_in_the_provenance(judge):
    assert judge.provenance()["model"] == judge.name
    json.dumps(judge.provenance())
