"""The judge over real HTTP: what each model is told, what a score is made of, what is never made a score."""

import json
import math
import pickle
import stat

import pytest

from envs import Score, UserError
from envs.judges.llm import TRANSCRIPTS
from envs.judges.llm.replay import ReplayJudge
from envs.judges.verdicts.verdicts import DIMENSIONS
from envs.llm.endpoint import CacheMiss, EndpointDown, EndpointError
from envs.llm.scripted.scripted_replies import (
    FAULTS,
    LEVELS,
    Completion,
    default_completion,
    identity,
    log_probabilities,
)
from search.problem import Problem
from search.scenario_problem import scenario_problem
from tests.envs.llm_cases import NAMES, judge, scenario, server

CONTEXTS = [(), NAMES[:2], NAMES]


def prompt(body):
    return "\n".join(message["content"] for message in body["messages"])


def test_target_sees_the_known_and_the_judge_sees_all(tmp_path):
    with server(keep_bodies=True) as running:
        judge(running.url, tmp_path).score(scenario(7), [NAMES[:2]], [0])
    target, rating = map(prompt, running.seen.bodies)
    values = [f"value 7 of {name}" for name in NAMES]
    assert [value in target for value in values] == [True] * 2 + [False] * 8
    assert all(value in rating for value in values)
    assert "Question 7?" in target
    assert "Question 7?" in rating
    assert "Scripted reply" in rating
    assert rating.index("value 7 of Emotional State") < rating.index(
        "Scripted reply"
    )  # what varies goes last


def test_direct_asks_once_and_says_what_is_known(tmp_path):
    with server(keep_bodies=True) as running:
        judge(running.url, tmp_path, mode="direct").score(scenario(7), [NAMES[:1]], [0])
    (rating,) = map(prompt, running.seen.bodies)
    assert rating.count("value 7 of Age") == 2
    assert rating.count("value 7 of Gender") == 1


def test_missing_values_are_told_to_nobody(tmp_path):
    with server(keep_bodies=True) as running:
        scene = scenario(7, Age="unknown", Gender="")
        judge(running.url, tmp_path, mode="direct").score(scene, [()], [0])
    assert "Age:" not in prompt(running.seen.bodies[0])
    assert "Gender:" not in prompt(running.seen.bodies[0])


def test_score_is_what_the_model_said(tmp_path):
    said = {"risk_sensitivity": 2, "emotional_empathy": 5, "personalization": 1}
    with server(rule=lambda body: Completion(json.dumps(said))) as running:
        assert judge(running.url, tmp_path, mode="direct").score(scenario(), [()], [0]) == [
            Score(2.0, 5.0, 1.0)
        ]


@pytest.mark.parametrize("output", ["auto", "json_schema", "text"])
@pytest.mark.parametrize("has_schema", [True, False])
def test_output_forms(output, has_schema, tmp_path):
    with server(json_schema=has_schema, keep_bodies=True) as running:
        llm = judge(running.url, tmp_path, mode="direct", output=output)
        if output == "json_schema" and not has_schema:
            with pytest.raises(EndpointError, match="400"):
                llm.score(scenario(), CONTEXTS, [0] * 3)
            return
        assert all(1 <= s.value <= 5 for s in llm.score(scenario(), [()], [0]))
        tried = running.seen.requests
        assert tried == (2 if output == "auto" and not has_schema else 1)
        llm.score(scenario(), CONTEXTS[1:], [0] * 2)
        assert running.seen.requests == tried + 2  # it remembers
        by_schema = ["response_format" in body for body in running.seen.bodies[tried:]]
        assert by_schema == [has_schema and output != "text"] * 2
        # ... and an earlier run's cache tells it, so that nothing is sent to find out again
        judge(running.url, tmp_path, mode="direct", output=output).score(scenario(), CONTEXTS, [0] * 3)
        assert running.seen.requests == tried + 2


def test_expected_is_the_mean_of_what_sampled_draws(tmp_path):
    """The scripted log probabilities say p(v); the mean over them is computed here from the raw numbers."""
    with server(keep_bodies=True) as running:
        llm = judge(running.url, tmp_path, mode="direct", scoring="expected")
        (score,) = llm.score(scenario(), [NAMES[:1]])
        body = running.seen.bodies[0]
        rows = log_probabilities(default_completion(body).text, identity(body))
    digits = [row for row in rows if row["token"] in LEVELS]
    assert len(digits) == 3
    means = []
    for row in digits:
        p = {t["token"]: math.exp(t["logprob"]) for t in row["top_logprobs"] if t["token"] in LEVELS}
        assert sum(p.values()) == pytest.approx(0.9)
        means.append(sum(int(t) * w for t, w in p.items()) / sum(p.values()))
    assert score.value == pytest.approx(sum(means) / 3)


def test_expected_refuses_low_mass(tmp_path):
    with server() as running:
        llm = judge(running.url, tmp_path, mode="direct", scoring="expected", min_mass=0.95)
        assert [s.reason for s in llm.score(scenario(), [()])] == ["low_mass"]
        assert running.seen.requests == 3
        assert llm.unscored == {"low_mass": 1}


@pytest.mark.parametrize(
    ("keys", "stochastic"),
    [
        ({}, True),
        ({"mode": "direct"}, True),
        ({"mode": "direct", "temperature": 0.0}, False),
        ({"mode": "direct", "scoring": "expected"}, False),
        ({"scoring": "expected"}, True),
        ({"scoring": "expected", "target": {"temperature": 0.0}}, False),
        ({"temperature": 0.0, "target": {"temperature": 0.0}}, False),
        ({"temperature": 0.0, "target": {"temperature": None}}, True),
    ],
)
def test_it_says_whether_it_is_stochastic(keys, stochastic, tmp_path):
    with server() as running:
        llm = judge(running.url, tmp_path, **keys)
        assert llm.stochastic is stochastic
        looks = [llm.score(scenario(), [NAMES[:1]], [i])[0].value for i in range(4)]
        assert (len(set(looks)) > 1) == stochastic
        again = judge(running.url, tmp_path, **keys)
        assert [again.score(scenario(), [NAMES[:1]], [i])[0].value for i in range(4)] == looks
        assert scenario_problem(scenario(), llm, 2).noisy is stochastic


def test_one_response_is_paid_for_once_when_the_target_is_deterministic(tmp_path):
    with server() as running:
        llm = judge(running.url, tmp_path, target={"temperature": 0.0})
        llm.score(scenario(), [()] * 5, list(range(5)))
        assert running.seen.requests == 1 + 5
        assert (llm.requests, llm.cache_hits) == (6, 4)


REASONS = {
    "html_ok": "malformed",
    "truncated_json": "malformed",
    "wrong_types": "malformed",
    "empty": "empty",
    "score_0": "parse",
    "score_6": "parse",
    "score_of_10": "parse",
    "score_negative": "parse",
    "refusal": "refused",
    "content_filter": "filtered",
    "length": "length",
    "server_error": "unavailable",
    "html_429": "unavailable",
    "drop": "unavailable",
    "timeout": "unavailable",
}


@pytest.mark.parametrize("fault", REASONS)
@pytest.mark.parametrize("output", ["json_schema", "text"])
def test_no_fault_becomes_a_score(fault, output, tmp_path):
    with server(fault_rate=1.0, faults=[fault]) as running:
        once = {"max_retries": 0, "timeout_s": 0.3 if fault == "timeout" else 20.0}
        llm = judge(running.url, tmp_path, mode="direct", output=output, **once)
        (score,) = llm.score(scenario(), [NAMES[:1]], [0])
        assert (score.reason, math.isnan(score.value)) == (REASONS[fault], True)
        assert running.seen.faults[fault] == running.seen.requests <= 3
        if fault not in ("score_0", "score_6", "score_of_10", "score_negative"):
            whole = judge(running.url, tmp_path, **once)
            assert whole.score(scenario(), [NAMES[:1]], [0])[0].reason == f"target: {REASONS[fault]}"


def test_an_endpoint_that_always_wants_fewer_requests_is_down_and_gives_no_score(tmp_path):
    assert {*REASONS, "rate_limit"} == set(FAULTS)
    with server(fault_rate=1.0, faults=["rate_limit"]) as running, pytest.raises(EndpointDown):
        judge(running.url, tmp_path, mode="direct", give_up_after=0.2).score(scenario(), [()], [0])


def test_replay_answers_from_the_file_alone(tmp_path):
    with server() as running:
        llm = judge(running.url, tmp_path)
        said = llm.score(scenario(), CONTEXTS, [0, 1, 2])
    replay = ReplayJudge(cache=str(tmp_path / "cache.sqlite"))
    assert replay.score(scenario(), CONTEXTS, [0, 1, 2]) == said
    assert (replay.requests, replay.cache_hits, replay.name) == (0, 6, llm.name)
    with pytest.raises(CacheMiss, match="lacks sample 3 of a request to model m") as caught:
        replay.score(scenario(), CONTEXTS, [0, 1, 3])
    assert "value 0" not in str(caught.value)


def test_replay_of_a_file_with_two_models_wants_to_know_which(tmp_path):
    with server() as running:
        judge(running.url, tmp_path, target={"model": "other"}).score(scenario(), [()], [0])
    file = str(tmp_path / "cache.sqlite")
    with pytest.raises(UserError, match="has replies of 2 models"):
        ReplayJudge(cache=file)
    ReplayJudge(cache=file, model="m", target={"model": "other"}).score(scenario(), [()], [0])


def test_target_can_be_elsewhere_and_keys_do_not_go_there(tmp_path, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "sk-judge")
    monkeypatch.setenv("TARGET_KEY", "sk-target")
    with server(key="sk-judge", models=["m"]) as mine, server(key="sk-target", models=["t"]) as other:
        target = {"model": "t", "base_url": other.url, "key_variable": "TARGET_KEY"}
        llm = judge(mine.url, tmp_path, key_variable="JUDGE_KEY", target=target)
        assert llm.score(scenario(), [()], [0])[0].reason is None
        assert (mine.seen.requests, other.seen.requests) == (1, 1)
        del target["key_variable"]
        monkeypatch.setenv("OPENAI_API_KEY", "sk-third")
        llm = judge(mine.url, tmp_path / "x", key_variable="JUDGE_KEY", target=target)
        assert llm._rater.target_client.endpoint.key() == "sk-third"


def test_a_model_that_writes_no_verdict_is_said_at_the_first_and_ended_before_all_is_spent(tmp_path, capsys):
    def rule(body):
        return Completion("Rather good, all in all.")

    everything = [(scenario(i), names) for i in range(8) for names in [(), *((name,) for name in NAMES)]]
    with server(rule=rule) as running:
        llm = judge(running.url, tmp_path, mode="direct", temperature=0.0, send_seed=False)
        llm.preflight(tmp_path, scenario(0))
        said = capsys.readouterr().err
        assert said.startswith("warning: judge: model m: its first verdict could not be read in 3 attempts")

        def score_all():
            for person, names in everything:
                llm.score(person, [names], [0])

        with pytest.raises(EndpointError, match="each of its 50 verdicts could not be read"):
            score_all()
        assert running.seen.requests < 2 * len(everything)


UNSURE = "An ideal answer would get:\nrisk_sensitivity: 5\nemotional_empathy: 5\npersonalization: 5"
SAID = "risk_sensitivity: 2\nemotional_empathy: 5\npersonalization: 1"


def _says_it_alone_when_asked(body):
    return Completion(SAID if body["messages"][-2]["role"] == "assistant" else UNSURE)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_verdict_that_is_not_clear_is_asked_for_alone(temperature, tmp_path):
    with server(rule=_says_it_alone_when_asked, keep_bodies=True) as running:
        llm = judge(running.url, tmp_path, mode="direct", output="text", temperature=temperature)
        assert llm.score(scenario(), [()], [0]) == [Score(2.0, 5.0, 1.0)]
        first, second = (body["messages"] for body in running.seen.bodies)
        assert second[: len(first)] == first
        assert [message["role"] for message in second[len(first) :]] == ["assistant", "user"]
        assert second[-2]["content"] == UNSURE
        assert "risk_sensitivity: (number)" not in second[-1]["content"]
        assert "risk_sensitivity: <number>" in second[-1]["content"]
        (account,) = llm.books.values()
        assert (account.requests, running.seen.requests, llm.requests) == (2, 2, 2)
        (cost,) = llm.request_costs(scenario(), ())
        most = 3 * (cost.most_input_tokens + cost.most_output_tokens)
        assert sum(len(prompt(body)) for body in running.seen.bodies) / 2 + 3 * 300 <= most
    fresh = judge("http://localhost:9", tmp_path, mode="direct", output="text", temperature=temperature)
    again = ReplayJudge(
        cache=fresh.cache_path, model="m", mode="direct", output="text", temperature=temperature
    )
    assert again.score(scenario(), [()], [0]) == [Score(2.0, 5.0, 1.0)]


def test_what_a_reply_holds_cannot_end_its_turn_when_it_is_asked_again(tmp_path):
    with server(rule=lambda body: Completion(f"<|im_end|>\n{UNSURE}"), keep_bodies=True) as running:
        judge(running.url, tmp_path, mode="direct", output="text").score(scenario(), [()], [0])
    assert not any("<|" in message["content"] for body in running.seen.bodies for message in body["messages"])
    assert len(running.seen.bodies) == 3


@pytest.mark.parametrize("keys", [{"parse": "strict"}, {"rationale": True, "output": "text"}])
def test_a_strict_verdict_and_one_with_reasons_are_drawn_anew(keys, tmp_path):
    with server(rule=lambda body: Completion("Rather good."), keep_bodies=True) as running:
        (score,) = judge(running.url, tmp_path, mode="direct", **keys).score(scenario(), [()], [0])
    assert score.reason == "parse"
    assert len({prompt(body) for body in running.seen.bodies}) == 1
    assert len(running.seen.bodies) == 3


def test_a_model_that_wrote_one_verdict_may_fail_as_often_as_it_likes(tmp_path):
    def rule(body):
        return default_completion(body) if "Question 0?" in prompt(body) else Completion("Good.")

    with server(rule=rule) as running:
        llm = judge(running.url, tmp_path, mode="direct", temperature=0.0)
        first = llm.score(scenario(0), [()], [0])
        rest = [llm.score(scenario(i), [(), *((name,) for name in NAMES)], [0] * 11) for i in range(1, 8)]
        assert first[0].reason is None
        assert {score.reason for scores in rest for score in scores} == {"parse"}


def test_counts_are_of_the_calling_thread_and_pickle_starts_anew(tmp_path):
    with server() as running:
        llm = judge(running.url, tmp_path, mode="direct")
        llm.score(scenario(), CONTEXTS, [0] * 3)
        copy = pickle.loads(pickle.dumps(llm))  # noqa: S301 - as Ray does
        assert (llm.requests, copy.requests) == (3, 0)
        copy.score(scenario(), CONTEXTS, [0] * 3)
        assert (copy.requests, copy.cache_hits, running.seen.requests) == (0, 3, 3)


def test_a_share_is_the_same_judge_under_the_limits_of_all(tmp_path):
    with server(json_schema=False) as running:
        llm = judge(running.url, tmp_path, mode="direct", max_in_flight=8, max_requests=6)
        first = llm.score(scenario(), [()], [0])
        share = pickle.loads(pickle.dumps(llm.shard(4)))  # noqa: S301 - as Ray does
        assert (llm.concurrent_plans, share.concurrent_plans) == (8, 2)
        asked = running.seen.requests
        assert share.score(scenario(), [()], [0]) == first
        share.score(scenario(), CONTEXTS[1:], [0] * 2)
        assert running.seen.requests == asked + 2  # what auto found out is known to the share
        with pytest.raises(UserError, match=r"judge\.max_requests=6"):
            share.score(scenario(), [NAMES[:i] for i in range(3, 9)], [0] * 6)
        assert running.seen.requests == 6


def test_begin_tells_what_is_no_such_endpoint_and_costs_nothing_twice(tmp_path):
    with (
        server(fault_rate=1.0, faults=["html_ok"]) as running,
        pytest.raises(UserError, match="does not answer like an OpenAI-compatible endpoint"),
    ):
        judge(running.url, tmp_path).preflight(tmp_path, scenario())
    with server() as running:
        llm = judge(running.url, tmp_path)
        llm.preflight(tmp_path, scenario())
        llm.score(scenario(), [()], [0])
        assert running.seen.requests == 2


def test_transcripts_hold_what_was_said_and_are_the_owner_s_alone(tmp_path):
    with server() as running:
        llm = judge(running.url, tmp_path, save_transcripts=True)
        llm.preflight(tmp_path, scenario())
        scores = llm.score(scenario(), CONTEXTS, [0, 1, 2])
    file = tmp_path / TRANSCRIPTS
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [row["known"] for row in rows] == [list(names) for names in CONTEXTS]
    assert all(row["response"].startswith("Scripted reply") for row in rows)
    assert [row["score"][DIMENSIONS[0]] for row in rows] == [s.risk_sensitivity for s in scores]
    assert [json.loads(row["verdict"])[DIMENSIONS[0]] for row in rows] == [s.risk_sensitivity for s in scores]


def test_provenance_names_the_prompts_that_are_used(tmp_path):
    response, direct = (
        judge("http://localhost/v1", tmp_path, mode=m).provenance() for m in ("response", "direct")
    )
    common = {"format_json.v1", "format_text.v1", "again.v1", "rubric.v1"}
    assert set(response["prompts"]) == {*common, "response.v1", "target.v1"}
    assert set(direct["prompts"]) == {*common, "direct.v1"}
    assert all(len(digest) == 64 for digest in response["prompts"].values())


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"mode": "both"}, "judge.mode: found 'both', expected response or direct"),
        ({"scoring": "mean"}, "judge.scoring: found 'mean'"),
        ({"output": "xml"}, "judge.output: found 'xml', expected auto, json_schema or text"),
        ({"temperature": -1.0}, "judge.temperature: found -1.0"),
        ({"top_p": 0.0}, "judge.top_p: found 0.0"),
        ({"max_output_tokens": 0}, "judge.max_output_tokens: found 0"),
        ({"min_mass": 0.0}, "judge.min_mass: found 0.0"),
        ({"target": {"temprature": 1}}, "judge.target.temprature: there is no such key"),
        ({"target": {"temperature": 3.0}}, "judge.target.temperature: found 3.0"),
        ({"max_in_flight": 0}, "judge.max_in_flight: found 0"),
    ],
)
def test_settings_that_make_no_sense(keys, told, tmp_path):
    with pytest.raises(UserError) as caught:
        judge("http://localhost/v1", tmp_path, **keys)
    assert str(caught.value).startswith(told)


def test_it_fits_the_problem_a_search_sees(tmp_path):
    with server() as running:
        llm = judge(running.url, tmp_path, mode="direct")
        problem = scenario_problem(scenario(), llm, 2)
        assert isinstance(problem, Problem)
        found = problem.evaluate([0, 1, 3, 1], [0, 0, 0, 1])
        assert ((found >= 1) & (found <= 5)).all()
        assert running.seen.requests == 4
