"""One process at a time asks for a reply: of those on one file, and of a driver and its workers."""

import asyncio
import multiprocessing
import os
import signal
import socket
import sqlite3
import tempfile
import threading
import time
from pathlib import Path

import pytest

from envs import UserError
from envs.llm import Client, ReplyCache
from envs.llm.cache import file_claims, reply_cache
from envs.llm.cache.file_claims import Claims, has_ended
from envs.llm.cache.reply_cache import CacheLocked, ReplyKey
from envs.llm.driver_link import Address, DriverGone, DriverLink, DriverServer
from envs.llm.scripted.scripted_server import Script
from tests.envs.llm_cases import ask, client, server

KEY = ReplyKey("a" * 64, "e", 0)
NEVER_S = 200.0
"""Latency of an answer that is not there when its asker is killed, however long this process stands still."""
PROMPTS = [f"prompt {i}" for i in range(20)]


def _all_of(llm, prompts=PROMPTS):
    return llm.engine.run([llm.reply(ask(text)) for text in prompts])


def _asks_all(url, folder, replies):
    replies.put([reply.text for reply in _all_of(client(url, folder))])


def _says_all(llm, replies):
    """What a worker does with the client it was sent."""
    found = _all_of(llm)
    opened = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    replies.put(([reply.text for reply in found], [path for path in opened if "sqlite" in path]))


def _asks_one(llm_or_url, folder=None):
    llm = client(llm_or_url, folder) if isinstance(llm_or_url, str) else llm_or_url
    llm.complete(ask("slow"))


def _until(condition):
    deadline = time.monotonic() + 120  # a new interpreter may take most of a minute on a busy machine
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_processes_on_one_file_send_each_request_once(tmp_path):
    context = multiprocessing.get_context("fork")
    replies = context.Queue()
    with server(latency_s=0.05) as running:
        processes = [
            context.Process(target=_asks_all, args=(running.url, tmp_path, replies)) for _ in range(4)
        ]
        for process in processes:
            process.start()
        said = [replies.get(timeout=60) for _ in processes]
        for process in processes:
            process.join(30)
        assert running.seen.requests == len(PROMPTS)
    assert said[1:] == said[:-1]
    assert len(set(said[0])) == len(PROMPTS)


def test_two_clients_of_one_process_send_each_request_once(tmp_path):
    with server(latency_s=0.05) as running:
        clients = [client(running.url, tmp_path) for _ in range(3)]
        threads = [threading.Thread(target=_all_of, args=(llm,)) for llm in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert running.seen.requests == len(PROMPTS)


def test_what_a_killed_process_was_asking_for_is_free_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(file_claims, "LEASE_S", 600.0)
    with server(latency_s=NEVER_S) as running:
        process = multiprocessing.get_context("fork").Process(target=_asks_one, args=(running.url, tmp_path))
        process.start()
        _until(lambda: running.seen.requests)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        running.script = Script()
        began = time.monotonic()
        assert client(running.url, tmp_path).complete(ask("slow")).requests == 1
        assert time.monotonic() - began < file_claims.LEASE_S / 2
        assert running.seen.requests == 2


def test_a_claim_is_its_owner_s_until_it_ends(tmp_path):
    one, two = (Claims(ReplyCache(tmp_path / "c")) for _ in range(2))
    assert one.take(KEY)
    assert not two.take(KEY)
    assert two.take(KEY._replace(attempt=1))
    one.drop(KEY)
    assert two.take(KEY)
    ReplyCache(tmp_path / "c").put(KEY, "m", 0, "{}")  # a reply ends it, and leaves none to claim
    assert not one.take(KEY)
    assert ReplyCache(tmp_path / "c").run("SELECT count(*) FROM claims").fetchone()[0] == 1


def test_a_claim_of_another_machine_s_process_ends_with_its_lease(tmp_path):
    cache = ReplyCache(tmp_path / "c")
    foreign = "elsewhere/1/1/x"
    assert not has_ended(foreign)
    cache.run("INSERT INTO claims VALUES (?, ?, ?, ?)", (*KEY, foreign))
    cache.run("INSERT INTO owners VALUES (?, ?)", (foreign, time.time() + 3600))
    assert not Claims(cache).take(KEY)
    cache.run("UPDATE owners SET until = ?", (time.time() - 1,))
    assert Claims(cache).take(KEY)


def test_a_process_that_lives_has_not_ended(tmp_path):
    owner = Claims(ReplyCache(tmp_path / "c")).owner
    assert not has_ended(owner)
    namespace, pid, _, token = owner.split("/")
    assert has_ended("/".join([namespace, pid, "1", token]))  # its number, but another start


def test_workers_ask_their_driver_who_alone_has_the_file(tmp_path):
    context = multiprocessing.get_context("spawn")
    replies = context.Queue()
    with server(latency_s=0.05) as running:
        driver = client(running.url, tmp_path)
        workers = [context.Process(target=_says_all, args=(driver.shard(2), replies)) for _ in range(2)]
        for worker in workers:
            worker.start()
        found = [replies.get(timeout=120) for _ in workers]
        own = _all_of(driver)
        for worker in workers:
            worker.join(30)
        assert running.seen.requests == len(PROMPTS)
        (account,) = driver.books.values()
        assert account.requests == len(PROMPTS)
        assert account.input_tokens == sum(reply.input_tokens for reply in own)
        assert account.output_tokens == sum(reply.output_tokens for reply in own)
    assert [said for said, _ in found] == [[reply.text for reply in own]] * 2
    assert [opened for _, opened in found] == [[], []]


def test_what_a_killed_worker_was_asking_for_is_the_driver_s_to_ask(tmp_path):
    with server(latency_s=NEVER_S) as running:
        driver = client(running.url, tmp_path)
        worker = multiprocessing.get_context("spawn").Process(target=_asks_one, args=(driver.shard(1),))
        worker.start()
        _until(lambda: running.seen.requests)
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        running.script = Script()
        assert driver.complete(ask("slow")).requests == 1
        assert running.seen.requests == 2


def test_who_does_not_know_the_secret_is_not_listened_to():
    async def tried():
        async def echo(caller, message):
            return message["word"]

        driver = DriverServer({"echo": echo})
        address = await driver.start()
        assert address.host == "127.0.0.1"
        assert await DriverLink(address).ask("echo", word="hello") == "hello"
        with pytest.raises(DriverGone):
            await DriverLink(Address(*address[:2], "guess")).ask("echo", word="hello")
        with socket.create_connection(address[:2]) as rude:
            rude.sendall(b"\xff\xff\xff\xff" + b"x" * 100)
            rude.settimeout(5)
            assert await asyncio.to_thread(rude.recv, 10) == b""
        assert await DriverLink(address).ask("echo", word="again") == "again"

    asyncio.run(tried())


def test_what_the_driver_raises_the_worker_raises():
    async def tried():
        async def fails(caller, message):
            raise CacheLocked("locked") if message["outside"] else UserError("wrong")

        address = await DriverServer({"fail": fails}).start()
        for outside, code in ((True, 4), (False, 2)):
            with pytest.raises(UserError) as error:
                await DriverLink(address).ask("fail", outside=outside)
            assert error.value.exit_code == code

    asyncio.run(tried())


def test_a_driver_that_is_gone_is_named_as_such():
    async def tried():
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        with pytest.raises(DriverGone, match="has ended"):
            await DriverLink(Address("127.0.0.1", port, "x")).ask("get")

    asyncio.run(tried())


def test_a_held_lock_is_called_one(tmp_path, monkeypatch):
    monkeypatch.setattr(reply_cache, "LOCK_S", 0.2)
    cache = ReplyCache(tmp_path / "c")
    holder = sqlite3.connect(tmp_path / "c", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CacheLocked, match="another process has held its lock") as error:
        cache.put(KEY, "m", 0, "{}")
    assert error.value.exit_code == 4
    holder.execute("ROLLBACK")
    assert cache.put(KEY, "m", 0, "{}") == "{}"


def _read_as_nobody(path, found):
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        with_replies = ReplyCache(path, read_only=True)
        found.put((with_replies.get(KEY), None))
    except UserError as error:
        found.put((None, str(error)))


@pytest.mark.parametrize("left_a_log", [False, True])
def test_a_file_that_nobody_can_write_beside_is_read(left_a_log):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.sqlite"
        cache = ReplyCache(path)
        cache.put(KEY, "m", 0, "{}")
        log = path.with_name("c.sqlite-wal")
        kept = log.read_bytes()
        cache.close()
        if left_a_log:
            log.write_bytes(kept)
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        context = multiprocessing.get_context("fork")
        found = context.Queue()
        reader = context.Process(target=_read_as_nobody, args=(path, found))
        reader.start()
        reply, error = found.get(timeout=30)
        reader.join()
        Path(folder).chmod(0o755)
    if left_a_log:
        assert "its newest replies are in c.sqlite-wal" in error
    else:
        assert (reply, error) == ("{}", None)


def test_replay_claims_nothing(tmp_path):
    with server() as running:
        llm = client(running.url, tmp_path)
        llm.complete(ask())
    before = Path(llm.cache_path).read_bytes()
    assert Client(llm.endpoint, cache_path=llm.cache_path, replay=True).complete(ask()).requests == 0
    assert Path(llm.cache_path).read_bytes() == before
