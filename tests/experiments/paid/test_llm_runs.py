"""Training runs with a language model as judge, over real HTTP to the scripted server.

Paid once, the same rows whatever is in flight, whatever is killed, and nothing that went wrong made a score.
"""

import math
import os
import signal
import sqlite3
import time

import pytest

from envs.judges.llm import LLMJudge
from envs.llm.scripted.scripted_replies import Completion, default_completion
from envs.llm.scripted.scripted_server import Script, ScriptedServer
from envs.loading import load_scenarios
from search.algorithms.greedy import GreedySearch
from search.algorithms.mcts import MCTSSearch
from search.rollouts import plan
from tests.experiments.run_cases import (
    SERIAL,
    assert_one_line,
    json_lines,
    planned_ids,
    record,
    rows,
    start,
    summary,
    write_scenarios,
)

N = 6
SECRET_ISH = "sk-" + "q" * 20


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llm")
    write_scenarios(folder / "s.jsonl", [record(i) for i in range(N)])
    return folder


@pytest.fixture(scope="module")
def scenarios(home):
    return load_scenarios(str(home / "s.jsonl"), None).scenarios


def arguments(url, cache, *more):
    return (
        "scenarios.path=s.jsonl",
        "judge=openai",
        "judge.model=m",
        f"judge.base_url={url}",
        f"judge.cache={cache}",
        "judge.cache_as=scripted",  # each test has a server of its own, and they say the same
        "search=mcts",
        "search.max_judge_calls=10",
        "report_samples=2",
        "+budget=3",
        SERIAL,
        *more,
    )


@pytest.fixture(scope="module")
def run(commands, home):
    def run(*given):
        return commands.run(home, *given)

    return run


def serve(**script):
    return ScriptedServer(Script(**script))


@pytest.fixture(scope="module")
def undisturbed(run, home):
    """(rows, requests) of a run with an empty cache."""
    with serve() as running:
        done = run(*arguments(running.url, "first.sqlite", "output_dir=first"))
        assert (done.code, done.err) == (0, "")
        return rows(home / "first"), running.seen.requests


def test_a_second_run_sends_nothing_and_has_the_same_rows(run, home, undisturbed):
    found, requests = undisturbed
    told = summary(home / "first")
    assert (told["requests"], told["n_planned"]) == (requests, N)
    # the run's first call is made before the workers start: its two replies are there when a plan wants them
    assert told["requests"] + told["cache_hits"] - 2 == 2 * (told["judge_calls"] + told["full_context_calls"])
    with serve() as running:
        done = run(*arguments(running.url, "first.sqlite", "output_dir=second"))
        assert (done.code, done.err, running.seen.requests) == (0, "", 0)
    assert rows(home / "second") == found
    assert summary(home / "second")["requests"] == 0


def test_replay_needs_no_server_and_no_key(run, home, undisturbed):
    replay = [a for a in arguments("", "") if not a.startswith("judge")]
    done = run(*replay, "judge=replay", "judge.cache=first.sqlite", "output_dir=replayed")
    assert (done.code, done.err) == (0, "")
    assert rows(home / "replayed") == undisturbed[0]
    done = run(
        *replay, "judge=replay", "judge.cache=first.sqlite", "seed=1", "output_dir=other", "+search.rollout=x"
    )
    assert done.code == 2
    done = run(*replay, "judge=replay", "judge.cache=first.sqlite", "report_samples=3", "output_dir=miss")
    assert_one_line(done)
    assert "lacks sample 1048578" in done.err
    assert "value" not in done.err


@pytest.mark.parametrize("in_flight", [1, 8, 64])
def test_rows_do_not_depend_on_what_is_in_flight(run, home, undisturbed, in_flight):
    with serve(latency_s=0.0 if in_flight == 1 else 0.02) as running:
        more = (f"judge.max_in_flight={in_flight}", f"output_dir=flight-{in_flight}")
        done = run(*arguments(running.url, f"flight-{in_flight}.sqlite", *more))
        assert (done.code, done.err) == (0, "")
        assert running.seen.most_at_once <= in_flight
        assert running.seen.requests == undisturbed[1]
    assert rows(home / f"flight-{in_flight}") == undisturbed[0]


@pytest.mark.slow
def test_rows_do_not_depend_on_workers_who_share_the_cache(run, home, undisturbed):
    with serve(latency_s=0.02) as running:
        given = [a for a in arguments(running.url, "ray.sqlite", "output_dir=ray") if a != SERIAL]
        done = run(*given, "parallel=ray", "parallel.num_workers=2", "judge.max_in_flight=9")
        assert (done.code, done.err) == (0, "")
        assert running.seen.most_at_once <= 9  # of both workers together
        assert running.seen.requests == undisturbed[1]
    assert rows(home / "ray") == undisturbed[0]


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.15, 0.85])
def test_killed_and_resumed_pays_for_no_more_than_what_was_in_flight(home, run, undisturbed, moment):
    found, requests = undisturbed
    name = f"killed-{moment}"
    with serve(latency_s=0.03) as running:
        given = arguments(running.url, f"{name}.sqlite", "judge.max_in_flight=6", f"output_dir={name}")
        process = start(home, *given)
        deadline = time.monotonic() + 60
        while running.seen.requests < moment * requests and time.monotonic() < deadline:
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()
        before = running.seen.requests
        assert moment * requests <= before < requests
        done = run(*given, "resume=true")
        assert (done.code, done.err) == (0, "")
        assert running.seen.requests <= requests + 6
    assert rows(home / name) == found


def test_a_limit_stops_the_run_and_a_higher_one_goes_on(home, run, undisturbed):
    found, requests = undisturbed
    with serve() as running:
        given = arguments(running.url, "limit.sqlite", "judge.max_in_flight=4", "output_dir=limit")
        done = run(*given, f"judge.max_requests={requests // 2}")
        assert_one_line(done, code=3)
        assert f"judge.max_requests={requests // 2}: reached after {requests // 2:,} requests" in done.err
        assert running.seen.requests == requests // 2
        kept = sqlite3.connect(home / "limit.sqlite").execute("SELECT count(*) FROM replies").fetchone()[0]
        assert kept == requests // 2
        done = run(*given, f"judge.max_requests={requests}", "resume=true")
        assert (done.code, done.err) == (0, "")
        assert running.seen.requests == requests
    assert rows(home / "limit") == found


def test_resuming_under_another_prompt_s_settings_is_refused(home, run, undisturbed):
    with serve() as running:
        given = arguments(running.url, "first.sqlite", "output_dir=first", "resume=true")
        assert_one_line(run(*given, "judge.temperature=0.5"))
        assert_one_line(run(*given, "judge.target.temperature=0.5"))
        assert run(*given, "judge.timeout_s=9.0", "judge.max_in_flight=3").code == 0
        assert running.seen.requests == 0


WRONG = {
    "no key": (["judge.base_url=https://example.invalid/v1"], "OPENAI_API_KEY is not set"),
    "nobody there": (["judge.base_url=http://127.0.0.1:9/v1"], "nothing answers at http://127.0.0.1:9/v1"),
    "no url": (["judge.base_url=localhost"], "judge.base_url: found 'localhost'"),
    "no model": (["judge.model=null"], "judge.model: found none"),
    "unknown model": (["judge.model=x"], "404: no model x at"),
    "wrong path": (["judge.base_url=URL/v9"], "404"),
    "a key in the command": ([f"+judge.api_key={SECRET_ISH}"], "judge.api_key: a key does not belong"),
    "a key as a variable": (
        [f"judge.key_variable={SECRET_ISH}"],
        "judge.key_variable: a key does not belong",
    ),
    "a password in the URL": (
        [f"judge.base_url=https://me:{SECRET_ISH}@example.org/v1"],
        "judge.base_url: a key does not belong",
    ),
    "a key in the URL": (
        [f"judge.target.base_url='https://example.org/v1?key={SECRET_ISH}'"],
        "judge.target.base_url: a key does not belong",
    ),
    "a key in a header": (
        [f"+judge.headers.Authorization='Bearer {SECRET_ISH}'"],
        "judge.headers.Authorization: a key does not belong",
    ),
    "a key among headers": (
        [f"+judge.headers={{X-Id: a, X-Auth: {SECRET_ISH}}}"],
        "judge.headers: a key does not belong",
    ),
    "no variable of a header": (
        ["+judge.headers.Authorization=$NOT_THERE"],
        "judge.headers.Authorization: the environment variable NOT_THERE is not set",
    ),
    "a limit without a price": (["judge.max_cost=1"], "has no price"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_work_is_told_in_one_line(case, run, home):
    more, told = WRONG[case]
    with serve(models=["m"]) as running:
        root = running.url.removesuffix("/v1")
        folder = f"wrong-{case.replace(' ', '-')}"
        given = arguments(running.url, "wrong.sqlite", f"output_dir={folder}", f"hydra.run.dir={folder}")
        done = run(*given, *(m.replace("URL", root) for m in more))
    assert_one_line(done, 4 if case == "nobody there" else 2)
    assert told in done.err
    assert SECRET_ISH not in done.err + done.out
    for path in (home / folder).rglob("*"):
        assert path.is_dir() or SECRET_ISH not in path.read_text()


def test_no_key_and_no_value_in_anything_that_is_written(home, undisturbed):
    texts = {path: path.read_bytes() for path in (home / "first").rglob("*") if path.is_file()}
    assert {path.name for path in texts} >= {"paths.parquet", "plans.jsonl", "summary.json", "failures.jsonl"}
    assert [path.name for path, text in texts.items() if b"value 3 of" in text] == []


# Faults: thirty of a hundred answers, of every kind.

KEYS = {"temperature": 0.0, "target": {"temperature": 0.0}, "timeout_s": 2.0, "max_in_flight": 64}


def planned(scenarios, url, cache, seed=0):
    """All plans, all failures, and each score that was given: (scenario, names, value)."""
    given = []

    class Noted(LLMJudge):
        def score(self, scenario, contexts, samples=None):
            scores = super().score(scenario, contexts, samples)
            given.extend(
                (scenario.id, names, score.value, score.reason)
                for names, score in zip(contexts, scores, strict=True)
            )
            return scores

    failures = []
    llm = Noted("m", url, cache=str(cache), **KEYS)
    plans = list(
        plan(
            scenarios,
            llm,
            GreedySearch(),
            budget=3,
            seed=seed,
            max_judge_calls=20,
            on_failure=failures.append,
        )
    )
    return plans, failures, given


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_with_faults_every_scenario_is_planned_or_listed_and_no_fault_is_a_score(scenarios, tmp_path, seed):
    with serve() as good:
        plans, failures, given = planned(scenarios, good.url, tmp_path / "good.sqlite")
        assert (len(plans), failures) == (N, [])
        truth = {(scenario, names): value for scenario, names, value, _ in given}
    with serve(fault_rate=0.3, seed=seed) as bad:
        plans, failures, given = planned(scenarios, bad.url, tmp_path / "bad.sqlite")
        assert len(bad.seen.faults) >= 14, bad.seen.faults
    assert sorted([p.scenario_id for p in plans] + [f.scenario_id for f in failures]) == sorted(
        s.id for s in scenarios
    )
    assert all(failure.reason and failure.stage in ("judge", "report") for failure in failures)
    assert all(math.isfinite(p.score) for p in plans)
    scored = [g for g in given if g[3] is None]
    assert len(scored) > 0.9 * len(given)
    assert all(math.isnan(g[2]) for g in given if g[3] is not None)
    known = [(scenario, names, value) for scenario, names, value, _ in scored if (scenario, names) in truth]
    assert len(known) > N
    assert all(truth[scenario, names] == value for scenario, names, value in known)


@pytest.mark.slow
def test_a_server_that_only_fails_ends_in_one_line(run, home):
    with serve(fault_rate=1.0, faults=["server_error"]) as running:
        given = arguments(running.url, "down.sqlite", "output_dir=down", "judge.max_retries=1")
        done = run(*given, "judge.give_up_after=1.0")
    assert_one_line(done, 4)
    assert "no answer for " in done.err
    assert planned_ids(home / "down") == []


def test_a_scenario_that_is_always_refused_is_listed_with_its_reason(run, home):
    def rule(body):
        asks = any("Question 4?" in message["content"] for message in body["messages"])
        return Completion(None, refusal="no") if asks else default_completion(body)

    with serve(rule=rule) as running:
        done = run(*arguments(running.url, "refused.sqlite", "output_dir=refused", "judge.mode=direct"))
    assert done.code == 0
    (failure,) = json_lines(home / "refused" / "failures.jsonl")
    assert (failure["scenario_id"], failure["stage"]) == ("s4", "judge")
    assert "refused" in failure["reason"]
    assert len(rows(home / "refused")) == N - 1


def test_two_plans_ask_the_same_only_once(tmp_path, scenarios):
    """Two scenarios of the same person and question share their requests, in flight or not."""
    twins = [
        scenarios[0],
        type(scenarios[0])("twin", scenarios[0].domain, scenarios[0].query, scenarios[0].profile),
    ]
    with serve(latency_s=0.05) as running:
        llm = LLMJudge("m", running.url, cache=str(tmp_path / "c.sqlite"), mode="direct")
        plans = list(plan(twins, llm, MCTSSearch(30), budget=2, report_samples=2))
        assert len(plans) == 2
        assert sum(p.requests for p in plans) == running.seen.requests
        assert sum(p.requests + p.cache_hits for p in plans) == sum(
            p.judge_calls + p.full_calls for p in plans
        )
