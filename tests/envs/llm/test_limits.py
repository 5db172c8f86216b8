"""Limits are never passed, the ledger is never below the bill, over faults, workers and sessions."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import UserError
from envs.errors import OutsideError
from envs.llm import Client, Endpoint, LimitReached, Limits
from envs.llm.admission import lane
from envs.llm.admission.gate import LocalGate
from envs.llm.admission.lane import PaceSignal
from envs.llm.admission.ledger import FILE_NAME, Ledger
from envs.llm.costs import Bill
from envs.llm.endpoint import EndpointDown
from envs.llm.engine import Engine
from envs.llm.scripted.scripted_replies import FAULTS
from envs.llm.sending import repetition
from tests.envs.llm_cases import ask, client, server

AMOUNTS = st.tuples(st.just(1), st.integers(0, 50).map(float), st.integers(0, 9).map(float))


@given(st.lists(st.tuples(AMOUNTS, st.sampled_from(["all", "some", "lost", "open"])), max_size=30))
def test_what_a_ledger_holds_outlives_its_process(tmp_path_factory, steps):
    """Settled at what it took, everything else at its worst."""
    folder = tmp_path_factory.mktemp("run")
    ledger, expected = Ledger(Limits()), Bill()
    ledger.keep(folder / FILE_NAME)
    for amount, end in steps:
        worst = Bill(*amount)
        lease = ledger.lease(worst)
        took = Bill(1, worst.tokens // 2, worst.dollars // 2) if end == "some" else worst
        expected = expected.plus(took)
        if end != "open":
            ledger.settle(lease, None if end == "lost" else took)
    assert ledger.taken == expected
    ledger.close()  # as a kill does
    with (folder / FILE_NAME).open("ab") as file:
        file.write(b'{"lease": 99')  # a line torn by it
    later = Ledger(Limits())
    later.keep(folder / FILE_NAME)
    assert later.settled == later.taken == expected
    later.close()


def test_a_file_that_is_no_ledger_is_told(tmp_path):
    for content in ("hello\n", "[1]\n", '{"settled": 3, "took": [1, 2, 3]}\n', '{"lease": 1, "worst": 3}\n'):
        (tmp_path / FILE_NAME).write_text(content)
        with pytest.raises(UserError, match=r"ledger\.jsonl: line 1 is no"):
            Ledger(Limits()).keep(tmp_path / FILE_NAME)


def test_a_request_that_does_not_fit_waits_for_what_may_make_room_and_no_longer():
    async def steps():
        gate = LocalGate(Limits(max_tokens=100))
        first = await gate.enter("l", Bill(1, 70.0), 9.0)
        second = asyncio.ensure_future(gate.enter("l", Bill(1, 50.0), 9.0))
        await asyncio.sleep(0)
        assert not second.done()
        gate.leave(first, Bill(1, 40.0), PaceSignal())  # 30 less than feared
        third = asyncio.ensure_future(gate.enter("l", Bill(1, 50.0), 9.0))
        ticket = await second
        await asyncio.sleep(0)
        assert not third.done()
        gate.leave(ticket, None, PaceSignal("failed"))  # it may have taken all
        with pytest.raises(LimitReached, match=r"max_tokens=100: reached after 2 requests, 90 tokens"):
            await third

    asyncio.run(steps())


def test_what_cannot_be_written_down_is_told_to_who_asked_and_leaves_room(tmp_path):
    """Two wait for a place; what wakes the gate is another request's end."""

    async def steps():
        gate = LocalGate(Limits(max_in_flight=1, max_requests=9))
        gate.keep(tmp_path)
        first = await gate.enter("l", Bill(1), 9.0)
        waiting = [asyncio.ensure_future(gate.enter("l", Bill(1), 9.0)) for _ in range(2)]
        await asyncio.sleep(0)
        (tmp_path / FILE_NAME).unlink()
        with pytest.raises(OutsideError, match="deleted"):
            gate.leave(first, Bill(1), PaceSignal())
        for one in waiting:
            with pytest.raises(OutsideError, match="deleted"):
                async with asyncio.timeout(5):
                    await one
        assert gate.ledger.taken == Bill(1)

    asyncio.run(steps())


def test_a_ticket_that_nobody_waits_for_any_more_takes_nothing():
    async def steps():
        gate = LocalGate(Limits(max_in_flight=1))
        first = await gate.enter("l", Bill(1, 5.0), 9.0)
        second = asyncio.ensure_future(gate.enter("l", Bill(1, 5.0), 9.0))
        await asyncio.sleep(0)
        gate.leave(first, Bill(1, 3.0), PaceSignal())
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert gate.ledger.taken == Bill(1, 3.0)

    asyncio.run(steps())


def test_who_asks_after_an_outage_was_given_up_is_tried():
    """A person who types `retry` in a cool-down wants to know; who waited meanwhile is told."""

    async def steps():
        gate, now = LocalGate(Limits()), 0.0
        await gate.health("of an outage")
        gate._lanes["of an outage"].clock = lambda: now
        for _ in range(lane.FAILED_IN_A_ROW):
            gate.leave(await gate.enter("of an outage", Bill(1), 9.0), None, PaceSignal("outage"))
        now = 1.0
        trial = await gate.enter("of an outage", Bill(1), 9.0)
        waiting = asyncio.ensure_future(gate.enter("of an outage", Bill(1), 9.0))
        await asyncio.sleep(0)
        now = 10.0
        gate.leave(trial, None, PaceSignal("outage", wait_s=5.0))
        with pytest.raises(EndpointDown):
            await waiting
        now = 10.5
        async with asyncio.timeout(5):
            ticket = await gate.enter("of an outage", Bill(1), 9.0)
            another = asyncio.ensure_future(gate.enter("of an outage", Bill(1), 9.0))
            await asyncio.sleep(0)
            assert not another.done()  # one at a time
            gate.leave(ticket, Bill(1), PaceSignal())
            now = 16.0
            gate.wake()
            gate.leave(await another, Bill(1), PaceSignal())

    asyncio.run(steps())


@pytest.mark.parametrize(("kind", "most_s"), [("busy", 100), ("outage", 100), ("throttled", 600)])
def test_an_outage_after_few_answers_is_no_quota_for_long(kind, most_s):
    """Five answers, 45 s without one, then 200 more requests, one after the other; simulated time."""
    now, came = 0.0, 0
    one = lane.Lane(lambda: now)
    while came < 205:
        wait = one.delay(1.0)
        now += wait
        if not wait:
            passage = one.send(1.0)
            now += 0.1
            is_down = 0.5 < now < 45.5
            came += not is_down
            one.end(passage, None if is_down else 1.0, PaceSignal(kind if is_down else "answered"))
    assert 45.5 + 20.0 < now + 0.001 < most_s  # 5 a minute would take 40 minutes


def test_a_wait_that_is_said_and_too_short_does_not_bring_a_refusal_each_time():
    """60 a minute, and each refusal says that 300 ms are enough: once that is believed."""
    now, taken, refused = 0.0, [], 0
    one = lane.Lane(lambda: now)
    while len(taken) < 90:
        delay = one.delay(0.0)
        now += delay
        passage = one.send(0.0)
        now += 0.01
        if sum(at > now - 60.0 for at in taken) < 60:
            taken.append(now)
            one.end(passage, 0.0, lane.PaceSignal())
        else:
            refused += 1
            one.end(passage, 0.0, lane.PaceSignal("throttled", wait_s=0.3))
    assert refused <= 10
    assert now < 100.0


def worker_of(one):
    """A client in another process, but for the process: it asks the driver's gate over the link."""
    engine = Engine(one.engine.limits, f"{one.engine.token}/worker", one.engine.holdings.address())
    return Client(one.endpoint, engine=engine)


def end(workers):
    """Cut the links, as the end of a process does; left to the collector they close on any thread."""

    async def cut(link):
        (await link._opened()).transport.abort()

    for one in workers:
        asyncio.run_coroutine_threadsafe(cut(one.engine.holdings._link), one.engine.loop).result(10)


@pytest.fixture
def _short_waits(monkeypatch):
    for module in (repetition, lane):
        monkeypatch.setattr(module, "FIRST_WAIT_S", 0.005)


def spend(clients, n):
    """Ask `n` things by each of `clients` at once; return whether a limit ended it."""
    futures = [
        asyncio.run_coroutine_threadsafe(
            one.reply(ask(f"{k} {i} {'x' * (i % 40)}", max_output_tokens=9)), one.engine.loop
        )
        for k, one in enumerate(clients)
        for i in range(n)
    ]
    errors = [future.exception(60) for future in futures]
    assert all(error is None or isinstance(error, (LimitReached, EndpointDown)) for error in errors)
    return any(isinstance(error, LimitReached) for error in errors)


async def closed(driver):
    """Return what a ledger holds; like all of a gate it is the loop's thread's alone."""
    ledger = driver.engine.gate.ledger
    taken = ledger.taken
    ledger.close()
    return taken


def check_limits(drawn, folder):
    limit, value, in_flight, rate, sessions, faults = drawn
    (folder / "prices.yaml").write_text("m: {input: 10000, output: 20000}\n")  # 1 and 2 cents a token
    limits = Limits(**{limit: value}, max_in_flight=in_flight, prices=str(folder / "prices.yaml"))
    with server(fault_rate=rate, faults=faults, seed=value) as running:
        for _ in range(sessions):
            driver = Client(
                Endpoint("m", running.url, timeout_s=0.2, max_retries=2, give_up_after=2.0), limits
            )
            driver.engine.keep(folder)
            workers = [worker_of(driver), worker_of(driver)]
            spend([driver, *workers], 8)
            end(workers)
            taken = driver.engine.run([closed(driver)])[0]
            seen = running.seen
            assert taken.requests >= seen.requests
            assert taken.tokens >= seen.billed
            assert taken.dollars <= (value if limit == "max_cost" else 1e9) + 1e-6
            assert seen.requests <= (value if limit == "max_requests" else 1e9)
            assert seen.billed <= (value if limit == "max_tokens" else 1e9)


SETTINGS = st.tuples(
    st.sampled_from(["max_requests", "max_tokens", "max_cost"]),
    st.integers(1, 40),
    st.integers(1, 16),
    st.sampled_from([0.0, 0.3, 0.6]),
    st.integers(1, 2),
    st.lists(st.sampled_from(FAULTS), min_size=1, max_size=4, unique=True),
).map(lambda d: (d[0], d[1] * (100 if d[0] == "max_tokens" else 1), *d[2:]))


@pytest.mark.slow
@pytest.mark.usefixtures("_short_waits")
@settings(max_examples=100, deadline=None)
@given(SETTINGS)
def test_limits_are_never_passed_and_the_ledger_is_never_below_the_bill(tmp_path_factory, drawn):
    check_limits(drawn, tmp_path_factory.mktemp("run"))


@pytest.mark.usefixtures("_short_waits")
@pytest.mark.parametrize(("limit", "value"), [("max_requests", 17), ("max_tokens", 1500), ("max_cost", 15)])
def test_three_workers_keep_one_limit(limit, value, tmp_path):
    check_limits((limit, value, 8, 0.3, 2, ["timeout", "drop", "rate_limit", "server_error"]), tmp_path)


def test_a_limit_is_used_up_to_the_last_request():
    with server() as running:
        driver = client(running.url, limits=Limits(max_requests=20))
        assert spend([driver, worker_of(driver)], 15)
        assert running.seen.requests == 20


def test_a_worker_that_ends_leaves_its_worst_case():
    with server(latency_s=5.0) as running:
        driver = client(running.url, limits=Limits(max_requests=9))
        worker = worker_of(driver)
        asked = asyncio.run_coroutine_threadsafe(
            worker.reply(ask("x", max_output_tokens=9)), worker.engine.loop
        )
        while running.seen.requests < 1:
            pass
        end([worker])
        ledger = driver.engine.gate.ledger
        while ledger.under_way:
            pass
        assert ledger.settled.requests == 1
        assert ledger.settled.tokens > len(json.dumps("x"))
        asked.cancel()
