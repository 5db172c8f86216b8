"""What a driver knows and has stored at any moment at which it may be killed."""

import asyncio
import time

from envs.llm import Client, Limits, ReplyCache
from envs.llm.costs import Bill
from envs.llm.engine import Engine
from envs.llm.scripted.scripted_replies import default_completion
from tests.envs.llm_cases import ask, client, server


def copy_of(one):
    """A client in another process, but for the process."""
    engine = Engine(one.engine.limits, f"{one.engine.token}/worker", one.engine.holdings.address())
    return Client(one.endpoint, cache_path=one.cache_path, engine=engine)


def ask_all(clients, n):
    asked = [
        asyncio.run_coroutine_threadsafe(one.reply(ask(f"{k} {i}")), one.engine.loop)
        for k, one in enumerate(clients)
        for i in range(n)
    ]
    return [future.result(60) for future in asked]


def requests(driver):
    return sum(account.requests for account in driver.books.values())


def tokens(driver):
    return sum(account.input_tokens + account.output_tokens for account in driver.books.values())


def test_a_request_is_under_way_until_its_reply_is_stored(tmp_path, monkeypatch):
    """Whatever is not stored when the driver is killed is one of those that may be in flight, and booked."""
    moments = []
    add = ReplyCache.add

    def stored(cache, row):
        held = add(cache, row)
        gate = driver.engine.gate
        moments.append((running.seen.requests - len(cache), gate.ledger.under_way, tokens(driver)))
        return held

    monkeypatch.setattr(ReplyCache, "add", stored)
    with server(latency_s=0.01) as running:
        driver = client(running.url, tmp_path, limits=Limits(max_in_flight=4))
        found = ask_all([driver, copy_of(driver), copy_of(driver)], 20)
        assert running.seen.requests == len(moments) == 60
    assert all(not_stored + 1 <= under_way <= 4 for not_stored, under_way, _ in moments)
    each = [reply.input_tokens + reply.output_tokens for reply in found]
    assert all(booked >= number * min(each) for number, (_, _, booked) in enumerate(moments, 1))
    assert tokens(driver) == sum(each)
    deadline = time.monotonic() + 60  # the last ticket is handed back a moment after its reply
    while driver.engine.gate.ledger.under_way and time.monotonic() < deadline:
        time.sleep(0.01)
    assert driver.engine.gate.ledger.under_way == 0


def test_what_an_endpoint_sees_is_in_the_books_already(tmp_path):
    booked = []

    def rule(body):
        booked.append(requests(driver) - running.seen.requests)
        return default_completion(body)

    with server(rule=rule) as running:
        driver = client(running.url, tmp_path, limits=Limits(max_in_flight=4))
        ask_all([driver, copy_of(driver), copy_of(driver)], 20)
        assert requests(driver) == running.seen.requests == 60
    assert min(booked) >= 0
    assert max(booked) <= 4


def test_a_ticket_handed_back_unsent_is_in_no_books(tmp_path):
    async def given_up():
        gate = copy.engine.gate
        first = await gate.enter("l", Bill(1, 5.0), 9.0, ("m", "k"))
        second = asyncio.ensure_future(gate.enter("l", Bill(1, 5.0), 9.0, ("m", "k")))
        await asyncio.sleep(0.05)
        second.cancel()
        gate.leave(first, Bill(1, 5.0), ())
        await gate.health("l")  # what was told before is done
        await gate.health("l")

    driver = client("http://127.0.0.1:9/v1", tmp_path, limits=Limits(max_in_flight=1))
    copy = copy_of(driver)
    asyncio.run_coroutine_threadsafe(given_up(), copy.engine.loop).result(20)
    assert requests(driver) == 1
