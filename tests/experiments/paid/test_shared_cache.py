"""Training runs that share a cache file, are killed, and are counted: two drivers, many workers, faults."""

import functools
import json
import os
import signal
import time

import pytest

from envs.llm import Limits, ReplyCache
from envs.llm.admission.ledger import FILE_NAME, Ledger
from envs.llm.costs import Bill
from envs.llm.scripted.scripted_replies import (
    TRANSPORT_FAULTS,
    apply_fault,
    default_completion,
    identity,
    pick_fault,
)
from envs.llm.scripted.scripted_server import Script, ScriptedServer
from tests.experiments.run_cases import SERIAL, record, rows, run, start, summary, write_scenarios

pytestmark = pytest.mark.slow
N, IN_FLIGHT = 8, 8
FAULT_RATE = 0.2
"""Of transport; half as much of replies again: thirty of a hundred in all."""
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


def each_tokens(cache):
    replies = [json.loads(row.reply) for row in ReplyCache(cache, read_only=True).rows()]
    return [reply["input_tokens"] + reply["output_tokens"] for reply in replies]


def tokens(cache):
    return sum(each_tokens(cache))


def longest(cache):
    return max(each_tokens(cache))


def faulty(body):
    """Some replies cannot be used; which follows from the request alone, however often it comes."""
    said = default_completion(body)
    kind = pick_fault(FAULTS, FAULT_RATE / 2, 0, identity(body), 0)
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


def bill(folder, scratch):
    """What a run's ledger comes to now, open leases at their worst, and what answers settled this session."""
    path = folder / FILE_NAME
    if not path.exists():
        return Bill(), Bill()
    copy = scratch / FILE_NAME
    copy.write_bytes(path.read_bytes())
    rows = [json.loads(line) for line in copy.read_bytes().split(b"\n")[:-1]]
    took = [Bill(*row["took"]) for row in rows if "settled" in row]
    ledger = Ledger(Limits())
    ledger.keep(copy)
    ledger.close()
    return ledger.taken, functools.reduce(Bill.plus, took, Bill())


def test_faults_three_kills_two_workers_and_limits_cost_what_was_in_flight(home, tmp_path_factory):
    """Rows as without any of it, nothing paid twice but what was in flight, and no dollar uncounted."""
    scratch = tmp_path_factory.mktemp("ledger")
    (home / "p.yaml").write_text("m: {input: 1.0, output: 2.0}\n")
    with ScriptedServer(Script(faulty)) as whole:
        done = run(home, *arguments(whole.url, "whole", "judge.cache=whole.sqlite", SERIAL))
        assert done.code == 0, done.err
        needed = whole.seen.requests
    script = Script(faulty, latency_s=0.05, fault_rate=FAULT_RATE, faults=TRANSPORT_FAULTS)
    at_kill, settled = 0, Bill()
    with ScriptedServer(script) as running:
        seen = running.seen
        keys = arguments(
            running.url, "out", "judge.cache=c.sqlite", f"judge.max_in_flight={IN_FLIGHT}", "resume=true",
            "judge.timeout_s=2", "judge.prices=p.yaml", f"judge.max_requests={5 * needed}",
            f"judge.max_tokens={10_000 * needed}", "judge.max_cost=100",
        )  # fmt: skip

        def look():
            billed = seen.billed
            taken, answered = bill(home / "out", scratch)
            assert taken.tokens >= billed, (taken, billed)  # at no moment
            return answered

        for share in (0.2, 0.5, 0.8):
            process = start(home, *keys, *workers(2))
            deadline = time.monotonic() + 300
            while len(seen.delivered) - at_kill < share * needed and time.monotonic() < deadline:
                assert process.poll() is None, process.communicate()
                look()
                time.sleep(0.02)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            time.sleep(1.0)  # workers, which are not of the group, find out that their driver is gone
            while seen.at_once and time.monotonic() < deadline:
                time.sleep(0.02)  # what the server still writes is of the session that was killed
            settled = settled.plus(look())
            at_kill = len(seen.delivered) - distinct(home / "c.sqlite")
        delivered = sum(seen.delivered)
        # Of what was delivered to sessions that were killed, nothing is missing but what was in flight then.
        assert settled.tokens <= delivered <= settled.tokens + 3 * IN_FLIGHT * longest(home / "c.sqlite")
        done = run(home, *keys, *workers(2))
        assert done.code == 0, done.err
        # To the token: a session that nobody killed has settled what the server delivered to it.
        assert look().tokens == sum(seen.delivered) - delivered
        assert len(seen.delivered) == distinct(home / "c.sqlite") + at_kill
        assert seen.faults.keys() == set(TRANSPORT_FAULTS)
        assert distinct(home / "c.sqlite") == distinct(home / "whole.sqlite") == needed
        assert 0 <= at_kill <= 3 * IN_FLIGHT
        sent = seen.requests
    assert rows(home / "out") == rows(home / "whole")
    told, expected = summary(home / "out"), summary(home / "whole")
    # Booked is what was delivered, also where a kill came before it was stored: no less than what is stored,
    # no more than the server made. Of requests that may be sent when a driver is killed nobody knows.
    assert expected["tokens"] == tokens(home / "whole.sqlite") == tokens(home / "c.sqlite")
    assert tokens(home / "c.sqlite") <= told["tokens"] <= sum(seen.delivered)
    assert sent <= told["requests"] <= sent + 3 * IN_FLIGHT
    replay = [key for key in keys if not key.startswith(("judge", "output_dir", "resume"))]
    done = run(
        home, *replay, "judge=replay", "judge.cache=c.sqlite", "judge.mode=direct", "output_dir=again", SERIAL
    )
    assert (done.code, done.err) == (0, "")
    assert rows(home / "again") == rows(home / "whole")
    print("needed", needed, "sent", sent, "faults", seen.faults, "twice", at_kill, "booked", told["requests"])
