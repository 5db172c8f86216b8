"""Runs that ask a server: what they say first, a model as prior, an interrupt with many plans at once."""

import os
import re
import signal

import pytest

from envs.llm.scripted.scripted_server import Script, ScriptedServer
from tests.experiments.run_cases import (
    SERIAL,
    json_lines,
    planned_ids,
    record,
    rows,
    start,
    summary,
    wait_for_lines,
    write_scenarios,
)

IN_FLIGHT = 8


@pytest.fixture
def folder(tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(12)])
    return tmp_path


def paid(url, *more):
    return (
        "scenarios.path=s.jsonl",
        "judge=openai",
        "judge.model=gpt-4o-mini",
        f"judge.base_url={url}",
        "judge.mode=direct",
        f"judge.max_in_flight={IN_FLIGHT}",
        "judge.concurrent_plans=4",
        "judge.cache=c.sqlite",
        "search=greedy",
        "+budget=2",
        "report_samples=2",
        SERIAL,
        "output_dir=out",
        *more,
    )


def ranked(url, *more):
    """SIMULATED scores and a model's ranking as prior."""
    keys = ("prior=llm", "prior.model=m", f"prior.base_url={url}", "prior.cache=c.sqlite")
    return ("scenarios.path=s.jsonl", "search.num_simulations=15", "+budget=2", SERIAL, *keys, *more)


def test_judge_and_prior_keep_ledgers_of_their_own(command, folder):
    """One limit each: what the one takes leaves the other's alone."""
    with ScriptedServer() as running:
        given = [key for key in paid(running.url, "scenarios.limit=1") if key != "search=greedy"]
        keys = (
            "search.num_simulations=15",
            *ranked(running.url)[3:],
            "prior.max_requests=100",
            "judge.max_requests=9",
        )
        done = command(*given, *keys)
        assert done.code == 3
        assert "judge.max_requests=9: reached after 9 requests" in done.err
        assert running.seen.requests > 9
    assert {path.name for path in (folder / "out").glob("ledger*")} == {"ledger.jsonl", "ledger_prior.jsonl"}


def test_the_first_line_says_what_it_takes_and_the_run_keeps_to_it(command, folder):
    with ScriptedServer() as running:
        done = command(*paid(running.url, "scenarios.limit=4"))
        assert (done.code, done.err) == (0, "")
        # Greedy: 1 + 10 + 9 sets; 2 samples of 3 prefixes and of everything known.
        first = done.out.splitlines()[0]
        calls = 4 * (20 + 2 * 3 + 2)
        assert first.startswith(f"spending: expected {calls} judge calls, {calls} requests, ")
        most = 4 * (56 + 2 * 3 + 2)
        assert f"at most {most} judge calls, {3 * most} requests, " in first
        assert re.search(r"\$\d+\.\d\d", first)
        # A path may be shorter than the budget.
        assert calls - 4 * 2 * 2 <= running.seen.requests <= calls
        again = command(*paid(running.url, "scenarios.limit=4", "output_dir=more", "dry_run=true"))
        assert f"expected {calls} requests" in " ".join(again.out.split())
        assert not (folder / "more").exists()


def test_rows_are_those_of_one_plan_at_a_time(command, folder):
    with ScriptedServer() as running:
        for name, at_once in (("one", 1), ("four", 4)):
            more = (f"output_dir={name}", f"judge.concurrent_plans={at_once}", f"judge.cache={name}.sqlite")
            done = command(*paid(running.url, "scenarios.limit=5", *more))
            assert (done.code, done.err) == (0, "")
            assert planned_ids(folder / name) == [f"s{i}" for i in range(5)]
    assert rows(folder / "one") == rows(folder / "four")
    one, four = (
        [row["requests"] for row in json_lines(folder / name / "plans.jsonl")[1:]] for name in ("one", "four")
    )
    assert one == four
    assert min(one) >= 19  # the first scenario's first call is made before the run


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_pays_for_nothing_twice(command, folder):
    with ScriptedServer(Script(latency_s=0.02)) as undisturbed:
        done = command(*paid(undisturbed.url, "output_dir=whole", "judge.cache=whole.sqlite"))
        assert (done.code, done.err) == (0, "")
    with ScriptedServer(Script(latency_s=0.1)) as running:  # slow, so that there is something to interrupt
        options = paid(running.url)
        process = start(folder, *options)
        wait_for_lines(folder / "out" / "plans.jsonl", 3, process)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, (out, err)
        assert err.startswith("error: interrupted")
        assert err.count("\n") == 1, err
        saved = planned_ids(folder / "out")
        assert 2 <= len(saved) < 12
        done = command(*options, "resume=true")
        assert (done.code, done.err) == (0, "")
        # Calls under way at the interrupt were waited for and cached.
        assert running.seen.requests == undisturbed.seen.requests
    assert rows(folder / "out") == rows(folder / "whole")


def test_a_model_s_ranking_as_prior_is_asked_for_once(command, folder):
    with ScriptedServer() as running:
        done = command(*ranked(running.url, "output_dir=one"))
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("spending: expected ")
        assert running.seen.requests == summary(folder / "one")["requests"] == 12
        done = command(*ranked(running.url, "output_dir=two"))
        assert (done.code, done.err) == (0, "")
        assert running.seen.requests == 12
    assert summary(folder / "two")["requests"] == 0
    assert summary(folder / "two")["cache_hits"] == 12 + 1  # one is asked before it begins
    assert rows(folder / "one") == rows(folder / "two")
    plain = ("scenarios.path=s.jsonl", "search.num_simulations=15", "+budget=2", SERIAL, "output_dir=plain")
    assert command(*plain).code == 0
    assert rows(folder / "plain") != rows(folder / "one")


def test_rankings_that_are_none_are_in_the_summary(command, folder):
    with ScriptedServer(Script(fault_rate=1.0, faults=("truncated_json",))) as running:
        done = command(*ranked(running.url, "output_dir=one", "scenarios.limit=3"))
    assert (done.code, done.err) == (0, "")
    assert summary(folder / "one")["invalid_rankings"] == 3


def test_the_prior_of_an_earlier_run(command, folder):
    first = ("scenarios.path=s.jsonl", "search.num_simulations=15", "+budget=2", SERIAL)
    assert command(*first, "output_dir=earlier").code == 0
    done = command(*first, "output_dir=later", "prior=surface", "prior.paths=earlier")
    assert (done.code, done.err) == (0, "")
    assert summary(folder / "later")["mean_score_path"] > summary(folder / "earlier")["mean_score_path"]


@pytest.mark.slow
def test_the_prior_works_in_ray_workers(command, folder):
    with ScriptedServer() as running:
        assert command(*ranked(running.url, "output_dir=one", "scenarios.limit=8")).code == 0
        more = ("output_dir=two", "scenarios.limit=8", "parallel=ray", "parallel.num_workers=2")
        keys = [k for k in ranked(running.url, *more) if k != SERIAL]
        done = command(*keys, "prior.cache=other.sqlite")
        assert (done.code, done.err) == (0, "")
    assert rows(folder / "one") == rows(folder / "two")
    assert summary(folder / "two")["requests"] == 8
