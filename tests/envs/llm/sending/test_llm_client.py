"""The client over real HTTP: what is repeated, what is told at once, what is counted, what is never told."""

import contextlib
import json
import math
import multiprocessing
import pickle
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import UserError
from envs.llm import (
    ChatRequest,
    Client,
    Endpoint,
    EndpointError,
    LimitReached,
    Limits,
    ReplyCache,
)
from envs.llm.admission import lane
from envs.llm.admission.hints import wait_of
from envs.llm.costs import read_prices, worst_case
from envs.llm.dialects.dialect import Dialect
from envs.llm.endpoint import EndpointDown, SchemaRefused
from envs.llm.scripted.scripted_replies import FAULTS, Completion, fill
from envs.llm.scripted.scripted_server import Script
from envs.llm.sending import http_client, transport
from envs.llm.sending import repetition as http
from envs.llm.sending.repetition import pause
from envs.llm.sending.replies import billed_tokens, read_reply
from tests.envs.llm_cases import MARK, ask, client, server


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    for module in (http, lane):
        monkeypatch.setattr(module, "FIRST_WAIT_S", 0.01)


def failing_first(n, kinds):
    """A server whose first `n` answers to each request are faults of `kinds`, the others good."""
    running = server(fault_rate=1.0, faults=kinds)
    count = {"left": n}

    def once(*arguments):
        count["left"] -= 1
        return kinds[count["left"] % len(kinds)] if count["left"] >= 0 else None

    return running, once


@pytest.mark.parametrize("kind", ["rate_limit", "server_error", "html_429", "drop", "timeout"])
def test_what_can_succeed_is_repeated(kind, monkeypatch):
    running, once = failing_first(2, [kind])
    monkeypatch.setattr("envs.llm.scripted.scripted_replies.pick_fault", once)
    with running:
        reply = client(running.url, timeout_s=0.5 if kind == "timeout" else 5.0).complete(ask())
        assert (reply.reason, reply.requests, running.seen.requests) == (None, 3, 3)
        assert reply.text.startswith("Scripted reply")


def test_a_url_that_swallows_packets_is_told_after_one_try_and_one_more_look(monkeypatch):
    """A full backlog: the system drops what asks for a connection, as a firewall does."""
    monkeypatch.setattr(transport, "FIRST_CONNECT_S", 0.2)
    monkeypatch.setattr(http_client, "PROBE_S", 0.2)
    tried, once = [], http.Patience.goes_on

    async def noted(patience, came, signal):
        tried.append(type(came.dropped).__name__)
        return await once(patience, came, signal)

    monkeypatch.setattr(http.Patience, "goes_on", noted)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent, contextlib.ExitStack() as stack:
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(silent.getsockname())
        llm = client(f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        with pytest.raises(EndpointDown, match="nothing answers at"):
            llm.complete(ask())
    assert tried == ["ConnectTimeout"]


def test_a_connection_that_a_busy_loop_opened_late_is_no_sign_that_nobody_is_there(monkeypatch):
    monkeypatch.setattr(transport, "FIRST_CONNECT_S", 0.05)
    monkeypatch.setattr(http, "FIRST_WAIT_S", 1.0)
    late = []
    once = http.Patience.goes_on

    async def noted(patience, came, signal):
        late.append(type(came.dropped).__name__)
        return await once(patience, came, signal)

    monkeypatch.setattr(http.Patience, "goes_on", noted)
    with server() as running:
        llm = client(running.url, max_retries=0)

        def busy():
            time.sleep(0.1)  # each step takes longer than a connection may
            if not late:
                llm.engine.loop.call_soon(busy)

        llm.engine.loop.call_soon_threadsafe(busy)
        assert llm.complete(ask()).reason is None
    assert set(late) == {"ConnectTimeout"}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("html_ok", "malformed"),
        ("truncated_json", "malformed"),
        ("wrong_types", "malformed"),
        ("empty", "empty"),
        ("refusal", "refused"),
        ("content_filter", "filtered"),
        ("length", "length"),
    ],
)
def test_a_reply_that_cannot_be_used_is_asked_twice_more_and_kept_as_what_it_is(kind, reason, tmp_path):
    with server(fault_rate=1.0, faults=[kind]) as running:
        llm = client(running.url, tmp_path)
        for requests in (3, 0):
            reply = llm.complete(ask())
            assert (reply.reason, reply.requests, running.seen.requests) == (reason, requests, 3)
        assert replayed(llm).complete(ask()).reason == reason
        assert ReplyCache(llm.cache_path).forget_failures() == 3
        assert (llm.complete(ask()).requests, running.seen.requests) == (3, 6)


def test_the_third_reply_can_be_the_good_one(monkeypatch, tmp_path):
    running, once = failing_first(2, ["empty", "refusal"])
    monkeypatch.setattr("envs.llm.scripted.scripted_replies.pick_fault", once)
    with running:
        llm = client(running.url, tmp_path)
        assert (llm.complete(ask()).reason, running.seen.requests) == (None, 3)
        assert (llm.complete(ask()).requests, running.seen.requests) == (0, 3)
        assert replayed(llm).complete(ask()).reason is None
        assert ReplyCache(llm.cache_path).forget_failures() == 0  # the request has its reply


def replayed(llm):
    """The same client without a network."""
    return Client(llm.endpoint, cache_path=llm.cache_path, replay=True)


def test_what_never_arrived_is_not_kept(tmp_path):
    with server(fault_rate=1.0, faults=["server_error"]) as running:
        llm = client(running.url, tmp_path, max_retries=1)
        assert llm.complete(ask()).reason == "unavailable"
        assert len(ReplyCache(llm.cache_path)) == 0
        running.script = Script()
        assert (llm.complete(ask()).reason, llm.complete(ask()).requests) == (None, 0)


def test_a_caller_can_say_what_cannot_be_used(tmp_path):
    with server() as running:
        llm = client(running.url, tmp_path)
        reply = llm.complete(ask(), lambda reply: "parse")
        assert (reply.reason, reply.requests) == ("parse", 3)
        reply = llm.complete(ask(), lambda reply: "parse")
        assert (reply.reason, reply.requests) == ("parse", 0)
        # What a check says is not part of a reply: who has none, or a better one, can use what came.
        reply = llm.complete(ask())
        assert (reply.reason, reply.requests) == (None, 0)


def test_repetitions_are_bounded_and_then_it_is_unavailable_or_down():
    with server(fault_rate=1.0, faults=["server_error"]) as running:
        llm = client(running.url, max_retries=2, give_up_after=0.5)
        reply = llm.complete(ask())
        assert (reply.reason, reply.requests, running.seen.requests) == ("unavailable", 3, 3)
        # The second one finds an endpoint that failed before it came.
        with pytest.raises(EndpointDown, match=r"no answer for \d+ s"):
            llm.complete(ask())


def secrets_of(error):
    return [word for word in (MARK, "hello", "private") if word in str(error)]


@pytest.mark.parametrize(
    ("script", "request_", "told"),
    [
        ({"key": "another"}, {}, "401: the key in MY_KEY was refused"),
        ({"models": ["x"]}, {}, "404: no model m at http://127.0.0.1"),
        ({"max_prompt": 3}, {}, "400: a prompt is longer than the context of model m"),
        ({"json_schema": False}, {"schema": {"type": "object"}}, "400: the request was refused"),
    ],
)
def test_what_cannot_succeed_is_told_at_once_in_our_own_words(script, request_, told, monkeypatch):
    monkeypatch.setenv("MY_KEY", MARK)
    with server(**script) as running:
        llm = client(running.url, key_variable="MY_KEY")
        with pytest.raises(EndpointError, match=told) as caught:
            llm.complete(ask("hello private", **request_))
        assert running.seen.requests == 1
    assert secrets_of(caught.value) == []
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, SchemaRefused) == ("schema" in request_)
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args  # noqa: S301 - as Ray does


def test_an_endpoint_without_schemas_is_asked_without_and_a_later_run_knows(tmp_path):
    def wanting(text):
        return ask(text, schema={"type": "object"})

    with server(rule=lambda body: Completion("{}"), json_schema=False) as running:
        llm = client(running.url, tmp_path)
        assert [llm.complete_object(wanting(text)).reason for text in ("a", "b")] == [None, None]
        assert running.seen.requests == 3  # one of them refused
        later = client(running.url, tmp_path)
        assert [later.complete_object(wanting(text)).requests for text in ("a", "b", "c")] == [0, 0, 1]
        assert running.seen.requests == 4
        assert replayed(llm).complete_object(wanting("a")).text == "{}"


def test_nothing_answers():
    with pytest.raises(EndpointDown, match="nothing answers at http"):
        client("http://127.0.0.1:9/v1").complete(ask())


def test_no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match="no key: the environment variable OPENAI_API_KEY is not set"):
        client("https://example.invalid/v1").complete(ask())


def test_log_probabilities_that_are_not_there_are_told():
    with server(logprobs=False) as running, pytest.raises(UserError, match="no log probabilities"):
        client(running.url).complete(ask(top_logprobs=5))


def test_headers_and_key_come_from_variables(monkeypatch):
    monkeypatch.setenv("MY_KEY", MARK)
    with server(key=MARK) as running:
        assert client(running.url, key_variable="MY_KEY").complete(ask()).reason is None
        monkeypatch.setenv("MY_HEADER", f"Bearer {MARK}")
        headers = {"Authorization": "$MY_HEADER"}
        assert client(running.url, headers=headers).complete(ask()).reason is None
        monkeypatch.delenv("MY_HEADER")
        with pytest.raises(UserError, match="variable MY_HEADER is not set"):
            client(running.url, headers=headers).complete(ask())


@pytest.mark.parametrize(
    "keys",
    [
        {"headers": {"Authorization": f"Bearer {MARK}"}},
        {"headers": {"X-Api-Key": MARK}},
        {"key_variable": MARK},
        {"base_url": f"https://user:{MARK}@example.org/v1"},
    ],
)
def test_a_secret_in_the_configuration_is_refused_and_not_repeated(keys):
    with pytest.raises(UserError) as caught:
        _ = (
            client(**{"url": None, **keys}).endpoint.url
            if "base_url" not in keys
            else Endpoint("m", **keys).url
        )
    assert MARK not in str(caught.value)


def test_azure_speaks_its_own_paths(monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", MARK)
    with server(keep_bodies=True) as running:
        url = running.url.removesuffix("/v1")
        llm = client(url, api="azure", api_version="2024-10-21")
        assert llm.complete(ask(max_output_tokens=7)).reason is None
        assert running.seen.bodies[0]["max_completion_tokens"] == 7


def test_only_what_was_asked_for_is_sent():
    with server(keep_bodies=True) as running:
        llm = client(running.url, extra_body={"cache_prompt": False})
        llm.complete(ChatRequest((("system", "a"), ("user", "b")), seeded=False))
        llm.complete(ask(top_p=0.5, top_logprobs=3, max_output_tokens=9, schema={"type": "object"}))
    first, second = running.seen.bodies
    messages = [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]
    assert first == {"model": "m", "messages": messages, "cache_prompt": False}
    assert (second["logprobs"], second["top_logprobs"], second["max_tokens"], second["top_p"]) == (
        True,
        3,
        9,
        0.5,
    )
    assert second["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert 0 <= second["seed"] < 2**31


def test_never_more_in_flight_than_allowed_and_the_slots_are_full():
    with server(latency_s=0.05) as running:
        llm = client(running.url, limits=Limits(max_in_flight=7))
        llm.engine.run([llm.reply(ask(str(i))) for i in range(40)])
        assert running.seen.most_at_once == 7


def test_many_threads_share_one_loop_and_one_request():
    with server(latency_s=0.1) as running:
        llm = client(running.url)
        with ThreadPoolExecutor(20) as pool:
            replies = list(pool.map(lambda _: llm.complete(ask()), range(20)))
        loops = [t for t in threading.enumerate() if t.name == "llm-requests" and t.is_alive()]
        assert len({reply.text for reply in replies}) == 1
        assert (sum(reply.requests for reply in replies), running.seen.requests) == (1, 1)
        assert llm.engine.loop.is_running()
        assert loops


def test_the_leader_s_error_reaches_all_who_wait():
    with server(key="another", latency_s=0.1) as running:
        llm = client(running.url)
        with ThreadPoolExecutor(4) as pool:
            waits = [pool.submit(llm.complete, ask()) for _ in range(4)]
        assert all(isinstance(wait.exception(), EndpointError) for wait in waits)
        assert running.seen.requests == 1


def test_max_requests_is_exact_and_what_was_paid_for_is_kept(tmp_path):
    with server() as running:
        llm = client(running.url, tmp_path, limits=Limits(max_requests=5))
        with pytest.raises(LimitReached, match=r"judge\.max_requests=5: reached after 5 requests") as caught:
            llm.engine.run([llm.reply(ask(str(i))) for i in range(9)])
        assert caught.value.exit_code == 3
        assert running.seen.requests == 5
        more = client(running.url, tmp_path)
        more.engine.run([more.reply(ask(str(i))) for i in range(9)])
        assert running.seen.requests == 9


def _nine(i, text):
    return ask(f"{i}{text}"[:40], max_output_tokens=20, seeded=False)


def _ask_nine(llm, text):
    for i in range(9):
        llm.complete(_nine(i, text))


def test_max_tokens_and_max_cost_stop_before_they_are_passed(tmp_path):
    (tmp_path / "prices.yaml").write_text("m: {input: 1000000, output: 2000000}\n")  # 1 and 2 dollars a token
    text = "x" * 40  # 10 tokens, and 24 characters back: 6; 22 dollars
    worst = worst_case(Dialect(Endpoint("m", "http://localhost/v1")).body(_nine(0, text), 0), None).tokens
    prices = str(tmp_path / "prices.yaml")
    with server() as running:
        for limits, most in (
            (Limits(max_in_flight=1, max_tokens=int(worst) + 3 * 16), 4),
            (Limits(max_in_flight=1, max_tokens=int(worst) + 3 * 16 - 9), 3),
            (Limits(max_in_flight=1, max_cost=worst + 20, prices=prices), 1),
            (Limits(max_in_flight=1, max_cost=worst + 2 * 22 + 20, prices=prices), 3),
        ):
            before = running.seen.requests
            llm = client(running.url, limits=limits)
            with pytest.raises(LimitReached):
                _ask_nine(llm, text)
            assert running.seen.requests - before == most
            assert llm.spent.input_tokens + llm.spent.output_tokens == 16 * most
        assert llm.spent.cost == pytest.approx(22.0 * most)


def test_max_cost_without_a_price_is_told(tmp_path):
    with pytest.raises(UserError, match="model m has no price in the packaged file"):
        client("http://localhost/v1", limits=Limits(max_cost=1.0))
    Client(Endpoint("gpt-4o-2024-08-06"), Limits(max_cost=1.0))
    Client(Endpoint("openai/gpt-4o-mini"), Limits(max_cost=1.0))
    with pytest.raises(UserError, match="no price"):
        Client(Endpoint("gpt-4o-unheard-of"), Limits(max_cost=1.0))
    for content in ("m: 3", "m: {input: -1, output: 1}", "m: {input: 1}", "- m", ": :"):
        (tmp_path / "bad.yaml").write_text(content)
        with pytest.raises(UserError, match="prices="):
            client("http://localhost/v1", limits=Limits(max_cost=1.0, prices=str(tmp_path / "bad.yaml")))
        read_prices.cache_clear()


def test_copies_of_one_engine_are_one_engine_in_a_process():
    first = client("http://localhost/v1", limits=Limits(max_requests=3))
    second = Client(Endpoint("other", "http://localhost/v1"), engine=first.engine)
    a, b = (pickle.loads(pickle.dumps(c.shard(2))) for c in (first, second))  # noqa: S301 - as Ray does
    assert a.engine is b.engine
    assert a.engine is not first.engine
    assert a.engine.limits.max_requests == 3  # of all together


@pytest.mark.parametrize(
    "keys",
    [
        {"model": ""},
        {"api": "bedrock"},
        {"timeout_s": 0.0},
        {"timeout_s": math.nan},
        {"max_retries": -1},
    ],
)
def test_endpoints_that_make_no_sense(keys):
    with pytest.raises(UserError, match=r"^judge\.\w+: found"):
        Endpoint(**{"model": "m", **keys})


@pytest.mark.parametrize(
    "keys",
    [
        {"max_in_flight": 0},
        {"max_requests": 0},
        {"max_tokens": -1},
        {"max_cost": 0.0},
        {"max_cost": math.inf},
    ],
)
def test_limits_that_make_no_sense(keys):
    with pytest.raises(UserError, match=r"^judge\.\w+: found"):
        Limits(**keys)


def test_embeddings_come_in_order_and_in_batches():
    with server() as running:
        llm = client(running.url)
        texts = [f"text number {i}" for i in range(150)]
        found = llm.embed(texts)
        assert (found.shape, found.dtype, running.seen.requests) == ((150, 64), np.float32, 3)
        np.testing.assert_array_equal(found[77], llm.embed(["text number 77"])[0])
        assert llm.embed([]).shape == (0, 0)
        near = llm.embed(["rent and debts", "my debts and rent", "a broken leg"])
        near = near / np.linalg.norm(near, axis=1, keepdims=True)
        assert near[0] @ near[1] > near[0] @ near[2] + 0.3


@given(st.integers(0, 8), st.floats(0, 1e6), st.text(max_size=5))
def test_pause_keeps_to_what_the_server_asks_and_is_bounded(retry, asked, key):
    found = pause(retry, asked, key)
    assert found == pause(retry, asked, key)
    assert asked <= found <= max(60.0, 1.1 * asked)
    assert found >= min(60.0, 0.5 * http.FIRST_WAIT_S * 2**retry) - 1e-12


def test_pause_is_spread():
    assert len({round(pause(3, 0.0, str(i)), 9) for i in range(50)}) == 50


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after": "nan"}, 0.0),
        ({"retry-after": "inf"}, 0.0),
        ({"retry-after": "soon"}, 0.0),
        (
            {"retry-after": "Wed, 21 Oct 2026 07:28:10 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"},
            10.0,
        ),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:10 GMT"}, 0.0),
    ],
)
def test_retry_after(headers, seconds):
    assert (wait_of(headers) or 0.0) == seconds


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda c: (
            st.lists(c)
            | st.dictionaries(
                st.sampled_from(["choices", "message", "content", "usage", "finish_reason", "refusal", "0"]),
                c,
            )
        ),
    )
)
def test_any_json_is_read_without_a_crash(value):
    text = json.dumps({"choices": [value], "usage": value})
    reply = read_reply(text, False, "judge")
    assert reply.reason is not None or reply.text.strip()
    assert all(count >= 0 for count in billed_tokens(text, {"messages": value}))


def test_tokens_are_estimated_where_a_server_does_not_say():
    text = json.dumps({"choices": [{"message": {"content": "y" * 400}}]})
    asked, said, *parts = billed_tokens(text, {"messages": [{"role": "user", "content": "x" * 4000}]})
    assert set(parts) == {0}
    assert 1000 <= asked < 1020
    assert 100 <= said < 110


def test_the_server_fills_schemas():
    schema = {"type": "object", "properties": {"order": {"type": "array", "items": {"enum": list("abcde")}}}}
    orders = {tuple(fill(schema, i)["order"]) for i in range(20)}
    assert all(sorted(order) == list("abcde") for order in orders)
    assert len(orders) > 10
    assert len(FAULTS) == len(set(FAULTS)) >= 13
    assert Completion("x").finish_reason == "stop"


def _from_a_child(llm, results):
    results.put(llm.complete(ask("from a child")).reason)


def test_a_forked_child_opens_its_own(tmp_path):
    context = multiprocessing.get_context("fork")
    with server() as running:
        llm = client(running.url, tmp_path)
        llm.complete(ask("from the parent"))
        results = context.Queue()
        child = context.Process(target=_from_a_child, args=(llm, results))
        child.start()
        assert results.get(timeout=30) is None
        child.join(30)
        assert child.exitcode == 0
        assert llm.complete(ask("from a child")).requests == 0
        assert llm.complete(ask("and again")).requests == 1


def test_base_url_comes_from_the_usual_variable(monkeypatch):
    with server() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        assert client(None).complete(ask()).reason is None
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        assert client(running.url).endpoint.url == running.url  # what is given comes first
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert client(None).endpoint.url == "https://api.openai.com/v1"
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.example.org")
    assert client(None, api="azure").endpoint.url == "https://mine.example.org"


def test_nothing_of_a_key_or_prompt_is_logged(monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", MARK)
    caplog.set_level("INFO")
    with server(fault_rate=0.5) as running:
        llm = client(running.url, key_variable="MY_KEY", timeout_s=2.0)
        llm.engine.run([llm.reply(ask(f"private sorrow {i}")) for i in range(10)])
    assert [r for r in caplog.records if MARK in r.getMessage() or "sorrow" in r.getMessage()] == []
