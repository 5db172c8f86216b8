"""Training runs that share a cache file, are killed, and are counted: two drivers, many workers, faults."""

import json
import os
import signal
import time

import pytest

from envs.llm import ReplyCache
from envs.llm.scripted.scripted_replies import apply_fault, default_completion, identity, pick_fault
from envs.llm.scripted.scripted_server import Script, ScriptedServer
from tests.experiments.run_cases import SERIAL, record, rows, run, start, summary, write_scenarios

pytestmark = pytest.mark.slow
N = 12
FAULTS = ("empty", "score_0", "score_6", "score_of_10", "refusal", "content_filter", "length")


@pytest.fixture
def home(tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(N)])
    return tmp_path


def arguments(url, name, *more):
    return (
        "scenarios.path=s.jsonl", "judge=openai", "judge.model=m", f"judge.base_url={url}",
        "judge.cache_as=scripted", "judge.mode=direct", "search=greedy", "+budget=2", "report_samples=2",
        f"output_dir={name}", *more,
    )  # fmt: skip


def workers(n):
    return ("parallel=ray", f"parallel.num_workers={n}")


def distinct(cache):
    return len(ReplyCache(cache, read_only=True))


def tokens(cache):
    replies = [json.loads(row.reply) for row in ReplyCache(cache, read_only=True).rows()]
    return sum(reply["input_tokens"] + reply["output_tokens"] for reply in replies)


def faulty(body):
    """Three replies of ten cannot be used; which follows from the request alone, however often it comes."""
    said = default_completion(body)
    kind = pick_fault(FAULTS, 0.3, 0, identity(body), 0)
    return said if kind is None else apply_fault(kind, body, said)


def test_two_drivers_with_eight_workers_each_send_each_request_once(home):
    with ScriptedServer(Script(latency_s=0.05)) as running:
        given = [
            arguments(running.url, name, "judge.cache=shared.sqlite", *workers(8)) for name in ("one", "two")
        ]
        drivers = [start(home, *keys) for keys in given]
        ended = [driver.communicate(timeout=400) for driver in drivers]
        assert [driver.returncode for driver in drivers] == [0, 0], ended
        assert running.seen.requests == distinct(home / "shared.sqlite")
    assert rows(home / "one") == rows(home / "two")
    told = [summary(home / name) for name in ("one", "two")]
    # Each is counted as it is sent: one whose connection failed was never seen there.
    assert sum(one["requests"] for one in told) >= running.seen.requests
    assert sum(one["tokens"] for one in told) == tokens(home / "shared.sqlite")
    print("requests", running.seen.requests, "of", [one["requests"] + one["cache_hits"] for one in told])


def test_faults_and_three_kills_cost_what_was_in_flight_and_the_books_are_right(home):
    with ScriptedServer(Script(faulty)) as whole:
        done = run(home, *arguments(whole.url, "whole", "judge.cache=whole.sqlite", SERIAL))
        assert done.code == 0, done.err
        needed = whole.seen.requests
    in_flight = 0
    with ScriptedServer(Script(faulty, latency_s=0.05)) as running:
        keys = arguments(running.url, "out", "judge.cache=c.sqlite", "judge.max_in_flight=8", "resume=true")
        for share in (0.2, 0.5, 0.8):
            process = start(home, *keys, *workers(2))
            deadline = time.monotonic() + 300
            while running.seen.requests - in_flight < share * needed and time.monotonic() < deadline:
                time.sleep(0.005)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            time.sleep(1.0)  # workers, which are not of the group, find out that their driver is gone
            in_flight = running.seen.requests - distinct(home / "c.sqlite")
        done = run(home, *keys, *workers(2))
        assert done.code == 0, done.err
        sent = running.seen.requests
        twice = sent - distinct(home / "c.sqlite")
        assert distinct(home / "c.sqlite") == distinct(home / "whole.sqlite") == needed
        assert twice <= 3 * 8
    assert rows(home / "out") == rows(home / "whole")
    told, expected = summary(home / "out"), summary(home / "whole")
    # Booked is what was delivered, also where a kill came before it was stored: no less than what is stored,
    # no more than the server made. Of requests that may be sent when a driver is killed nobody knows.
    assert expected["tokens"] == tokens(home / "whole.sqlite") == tokens(home / "c.sqlite")
    assert tokens(home / "c.sqlite") <= told["tokens"] <= running.seen.billed
    assert sent <= told["requests"] <= sent + 3 * 8
    replay = [key for key in keys if not key.startswith(("judge", "output_dir", "resume"))]
    done = run(
        home, *replay, "judge=replay", "judge.cache=c.sqlite", "judge.mode=direct", "output_dir=again", SERIAL
    )
    assert (done.code, done.err) == (0, "")
    assert rows(home / "again") == rows(home / "whole")
    print("needed", needed, "sent", sent, "booked", told["requests"])
