"""The link between a driver and its workers, and what else lives on the loop of all requests."""

import asyncio
import contextlib
import gc
import threading

import pytest

from envs.errors import OutsideError, UserError
from envs.llm.driver_link import DriverGone, DriverLink, DriverServer
from envs.llm.endpoint import Limits
from envs.llm.engine import Engine
from tests.envs.llm_cases import ask, client, server


@contextlib.contextmanager
def another_loop():
    """A loop on a thread of its own, as a web server has one beside that of all requests."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def echo(caller, message):
    return message["said"]


def on(loop, task, limit_s=20):
    return asyncio.run_coroutine_threadsafe(task, loop).result(limit_s)


async def close(links):
    for link in links:
        (await link._opened()).transport.abort()


def test_a_client_collected_on_any_thread_takes_no_socket_of_others_with_it():
    """The collector may run where another loop does; sockets are closed on the loop that has them."""
    loop = Engine(Limits()).loop
    driver, links = DriverServer({"echo": echo}), []

    async def open_links():
        address = await driver.start()
        links.extend(DriverLink(address) for _ in range(8))
        assert await asyncio.gather(*(link.ask("echo", said=1) for link in links)) == [1] * 8

    async def collect_and_open():
        gc.collect()  # the numbers of what is closed here are those of the next sockets
        asyncio.run_coroutine_threadsafe(open_links(), loop).result(20)
        await asyncio.sleep(0.2)  # what the collection left to be done here

    async def ask_again():
        async with asyncio.timeout(10):
            return await asyncio.gather(*(link.ask("echo", said=2) for link in links))

    gc.disable()
    try:
        with server(latency_s=0.05) as running, another_loop() as other:
            asking = client(running.url)
            asking.engine.run([asking.reply(ask(str(i))) for i in range(6)])
            asking.itself = asking
            del asking
            on(other, collect_and_open())
            assert on(loop, ask_again()) == [2] * 8
    finally:
        gc.enable()
    on(loop, close(links))


def test_what_a_worker_sent_before_it_ended_is_done():
    heard = []

    async def note(caller, message):
        heard.append(message["said"])

    async def steps():
        link = DriverLink(await DriverServer({"note": note, "echo": echo}).start())
        await link.ask("echo", said=0)
        for n in range(50):
            link.tell("note", said=n)
        (await link._opened()).close()
        await asyncio.sleep(0.2)

    on(Engine(Limits()).loop, steps())
    assert heard == list(range(50))


def test_messages_are_done_in_their_order():
    heard = []

    async def note(caller, message):
        heard.append(message["said"])

    async def steps():
        link = DriverLink(await DriverServer({"note": note, "echo": echo}).start())
        await link.ask("echo", said=0)
        asked = [asyncio.ensure_future(link.ask("note", said=n)) for n in range(0, 40, 2)]
        await asyncio.sleep(0)
        for n in range(1, 40, 2):
            link.tell("note", said=n)
        await asyncio.gather(*asked)
        await link.ask("note", said="end")
        await close([link])

    on(Engine(Limits()).loop, steps())
    assert heard == [*range(0, 40, 2), *range(1, 40, 2), "end"]


@pytest.mark.parametrize("error", [UserError("wrong"), OutsideError("full")])
def test_what_the_driver_raises_is_raised_at_the_worker(error):
    async def fail(caller, message):
        raise error

    async def steps():
        link = DriverLink(await DriverServer({"fail": fail}).start())
        try:
            await link.ask("fail")
        finally:
            await close([link])

    with pytest.raises(type(error), match=str(error)):
        on(Engine(Limits()).loop, steps())


def test_a_fault_of_the_driver_ends_the_link_and_leaves_nobody_waiting():
    async def fail(caller, message):
        raise KeyError("ours")

    async def steps():
        link = DriverLink(await DriverServer({"fail": fail, "echo": echo}).start())
        await link.ask("fail")

    with pytest.raises(DriverGone):
        on(Engine(Limits()).loop, steps())


def test_a_hundred_workers_that_come_at_once_are_all_heard():
    async def steps():
        driver = DriverServer({"echo": echo})
        addresses = await asyncio.gather(*(driver.start() for _ in range(5)))
        assert len(set(addresses)) == 1
        links = [DriverLink(addresses[0]) for _ in range(100)]
        said = await asyncio.gather(*(link.ask("echo", said=n) for n, link in enumerate(links)))
        await close(links)
        return said

    assert on(Engine(Limits()).loop, steps()) == list(range(100))
