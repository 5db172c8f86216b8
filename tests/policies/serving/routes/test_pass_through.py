"""Thirty requests that get no question are answered as without the layer, byte by byte."""

import http.client
import json

import httpx2
import openai
import pytest

from envs.llm.scripted.scripted_server import Script
from policies.serving.questions.gates import AlwaysGate, DetectorGate
from policies.serving.routes import chat_route
from tests.policies.serving.serving_cases import QUERY, RawUpstream, json_answer, layer, layer_over

USER = {"role": "user", "content": "What is the capital of Peru?"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
SHAPE = {"name": "s", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
HISTORY = [USER, {"role": "assistant", "content": "Lima."}]
VARIATIONS = {
    "plain": {},
    "tools": {"tools": [TOOL]},
    "tool choice": {"tools": [TOOL], "tool_choice": "required"},
    "tool result": {"messages": [USER, CALLED, {"role": "tool", "tool_call_id": "1", "content": "x"}]},
    "old functions": {"functions": [TOOL["function"]]},
    "json mode": {"response_format": {"type": "json_object"}},
    "json schema": {"response_format": {"type": "json_schema", "json_schema": SHAPE}},
    "stop": {"stop": ["\n", "END"]},
    "n": {"n": 3},
    "seed": {"seed": 7},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "image and text": {"messages": [{"role": "user", "content": [{"type": "text", "text": "this?"}, IMAGE]}]},
    "image alone": {"messages": [{"role": "user", "content": [IMAGE]}]},
    "content as parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
    "unknown field": {"some_server_knows_it": {"a": [1, None]}},
    "max tokens": {"max_tokens": 5},
    "new max tokens": {"max_completion_tokens": 5, "reasoning_effort": "low"},
    "sampling": {"temperature": 0.3, "top_p": 0.5, "presence_penalty": 1, "logit_bias": {"1": 2}},
    "user and metadata": {"user": "u1", "metadata": {"a": "b"}, "store": False},
    "system": {"messages": [{"role": "system", "content": "Be brief."}, USER]},
    "developer": {"messages": [{"role": "developer", "content": "Be brief."}, USER]},
    "system as parts": {"messages": [{"role": "system", "content": [{"type": "text", "text": "x"}]}, USER]},
    "history": {"messages": [*HISTORY, {"role": "user", "content": "And of Chile?"}]},
    "edited history": {"messages": [USER, {"role": "assistant", "content": "Cusco!"}, USER]},
    "branched history": {"messages": [*HISTORY, {"role": "user", "content": "No, of Bolivia?"}]},
    "retried turn": {"messages": [USER, USER]},
    "prefill": {"messages": [USER, {"role": "assistant", "content": "The capital is"}]},
    "empty message": {"messages": [{"role": "user", "content": ""}]},
    "null message": {"messages": [{"role": "user", "content": None}]},
    "empty messages": {"messages": []},
    "title task": {"messages": [{"role": "user", "content": f"### Task:\nGive a title\n{QUERY}"}]},
}


@pytest.fixture(scope="module")
def opened(agent):
    with layer(agent, DetectorGate(), Script(models=("m",))) as (url, upstream):
        yield url, upstream


@pytest.fixture(scope="module")
def asking(agent):
    """Every message would get a question here. Yields what posts a body, and the upstream."""
    with layer(agent, AlwaysGate()) as (url, upstream):
        yield lambda body: httpx2.post(f"{url}/v1/chat/completions", json=body, timeout=30), upstream


def check_passes(asking, body):
    """The body goes on as it is."""
    post, upstream = asking
    before = upstream.seen.requests
    assert post(body).headers["x-raise-kind"] == "pass"
    assert (upstream.seen.requests, upstream.seen.bodies[-1]) == (before + 1, body)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", VARIATIONS)
def test_it_is_as_without_the_layer(opened, name, stream):
    url, upstream = opened
    body = {"model": "m", "messages": [USER], "stream": stream} | VARIATIONS[name]
    answers, bodies = [], []
    for base in (upstream.url, f"{url}/v1"):
        answer = httpx2.post(f"{base}/chat/completions", json=body, timeout=30)
        answers.append((answer.status_code, answer.headers["content-type"], answer.content))
        bodies.append(upstream.seen.bodies[-1])
    assert answers[0] == answers[1]
    assert bodies[0] == bodies[1] == body


@pytest.mark.parametrize("name", ["tools", "old functions", "json mode", "json schema", "n", "title task"])
def test_a_program_never_gets_a_question(asking, name):
    check_passes(asking, {"model": "m", "messages": [{"role": "user", "content": QUERY}]} | VARIATIONS[name])


@pytest.mark.parametrize(
    "text",
    [
        f"### Task:\nSuggest 3-5 follow-up questions\n<chat_history>{QUERY}</chat_history>",
        f"### Task:\nGenerate 1-3 broad tags\n<chat_history>\nUSER: {QUERY}\n</chat_history>",
        f"An administrator's own words: sum this up. <chat_history>{QUERY}</chat_history>",
        f"Provide a concise, 5-word-or-less title for the conversation, in title case.\n{QUERY}",
        f"Provide a concise 5-word phrase as a header.\n{QUERY}",
    ],
)
def test_what_a_chat_program_asks_for_itself_goes_on(asking, text):
    """Its chat model writes titles, tags and follow-ups; the field that says so never leaves the program."""
    check_passes(asking, {"model": "m", "messages": [{"role": "user", "content": text}]})


@pytest.mark.parametrize("name", ["image alone", "image and text", "prefill", "tool result", "empty message"])
def test_what_is_no_text_of_a_person_goes_on(asking, name):
    check_passes(asking, {"model": "m", "messages": [USER]} | VARIATIONS[name])


def test_a_model_without_questions_can_be_chosen(agent):
    with layer(agent, AlwaysGate(), Script(models=("m",))) as (url, upstream):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="k")
        assert [model.id for model in client.models.list()] == ["m", "m:direct"]
        assert client.models.retrieve("m:direct").id == "m:direct"
        messages = [{"role": "user", "content": QUERY}]
        client.chat.completions.create(model="m:direct", messages=messages)
        assert upstream.seen.bodies == [{"model": "m", "messages": messages}]
        with pytest.raises(openai.NotFoundError) as error:
            client.models.retrieve("other")
        assert error.value.code == "model_not_found"


def test_the_only_model_need_not_be_named(agent):
    messages = [{"role": "user", "content": QUERY}]
    with layer(agent, DetectorGate(), upstream={"model": "m"}) as (url, upstream):
        for named in ({}, {"model": ""}, {"model": "m"}):
            answer = httpx2.post(f"{url}/v1/chat/completions", json={**named, "messages": messages})
            assert answer.headers["x-raise-kind"] == "pass"
        assert upstream.seen.bodies == [{"model": "m", "messages": messages}] * 3
        other = httpx2.post(f"{url}/v1/chat/completions", json={"model": "other", "messages": messages})
        assert other.json()["error"]["code"] == "model_not_found"
        assert len(upstream.seen.bodies) == 3


def test_a_list_of_models_that_does_not_come_is_not_waited_for(agent, monkeypatch):
    """Chat programs give it ten seconds at their start, and an answer five minutes."""
    assert chat_route.LIST_S < 10
    monkeypatch.setattr(chat_route, "LIST_S", 0.2)
    with layer_over(agent, AlwaysGate(), lambda body: [30.0]) as (url, _):
        answer = httpx2.get(f"{url}/v1/models", timeout=20)
        question = {"model": "m", "messages": [{"role": "user", "content": QUERY}]}
        asked = httpx2.post(f"{url}/v1/chat/completions", json=question, timeout=20)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
    assert asked.headers["x-raise-kind"] == "ask"


def test_headers_that_openais_clients_know_travel_and_no_others(agent):
    """Whether to repeat, when, and what is left come from the upstream; cookies and addresses go nowhere."""
    error = json.dumps({"error": {"message": "busy"}}).encode()
    known = {"x-should-retry": "false", "retry-after-ms": "250", "x-ratelimit-remaining-requests": "0"}
    known |= {"x-request-id": "r1", "openai-processing-ms": "7"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**known, "set-cookie": "a=b"}.items())
    head = f"HTTP/1.1 429 X\r\ncontent-type: application/json\r\ncontent-length: {len(error)}\r\n{lines}\r\n"
    sent = {"idempotency-key": "i1", "openai-organization": "o1", "x-stainless-retry-count": "1"}
    own = {"cookie": "c=d", "x-forwarded-for": "10.0.0.1", "x-openwebui-user-email": "a@example.org"}
    with layer_over(agent, DetectorGate(), lambda body: [head.encode() + error]) as (url, upstream):
        body = {"model": "m", "messages": [USER]}
        answer = httpx2.post(f"{url}/v1/chat/completions", json=body, headers=sent | own, timeout=30)
    assert answer.status_code == 429
    assert {name: answer.headers.get(name) for name in known} == known
    assert "set-cookie" not in answer.headers
    assert sent.items() <= upstream.headers[-1].items()
    assert not own.keys() & upstream.headers[-1].keys()


def test_one_model_can_be_all_that_is_served(agent):
    with layer(agent, AlwaysGate(), upstream={"model": "only"}) as (url, upstream):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="k")
        assert [model.id for model in client.models.list()] == ["only", "only:direct"]
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="other", messages=[USER])
        assert upstream.seen.requests == 0


def test_errors_of_the_upstream_come_as_they_are(agent):
    error = {"error": {"message": "slow down", "type": "t", "param": None, "code": "rate_limit_exceeded"}}
    with layer_over(agent, DetectorGate(), lambda body: [json_answer(error, 429)]) as (url, _):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0)
        with pytest.raises(openai.RateLimitError) as raised:
            client.chat.completions.create(model="m", messages=[USER])
        assert raised.value.body == error["error"]


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ([json_answer(b"<html>429</html>", 200)], 502, "upstream_not_json"),
        ([json_answer(b"<html>busy</html>", 503)], 503, "upstream_not_json"),
        ([RawUpstream.CUT], 502, "upstream_unreachable"),
        ([json_answer(b"x" * 99)[:-9], RawUpstream.CUT], 502, "upstream_unreachable"),
    ],
)
def test_what_is_no_answer_is_an_error_in_openais_form(agent, parts, status, code):
    with layer_over(agent, DetectorGate(), lambda body: parts) as (url, _):
        answer = httpx2.post(
            f"{url}/v1/chat/completions", json={"model": "m", "messages": [USER]}, timeout=30
        )
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code
    assert isinstance(error["message"], str)


def test_an_upstream_that_is_slow_or_not_there(agent):
    from policies.serving.app import create_app
    from policies.serving.serve_settings import UpstreamSettings
    from tests.policies.serving.serving_cases import served

    with RawUpstream(lambda body: [5.0]) as slow:
        for url, code in ((slow.url, "upstream_timeout"), ("http://127.0.0.1:9/v1", "upstream_unreachable")):
            app = create_app(agent, DetectorGate(), UpstreamSettings(base_url=url, timeout_s=0.3))
            with served(app) as base:
                body = {"model": "m", "messages": [USER]}
                answer = httpx2.post(f"{base}/v1/chat/completions", json=body, timeout=30)
            assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize("role", ["system", "developer"])
@pytest.mark.parametrize("content", ["You are kind.", [{"type": "text", "text": "You are kind."}]])
def test_what_is_known_joins_the_instructions_and_nothing_else_changes(asking, role, content):
    post, upstream = asking
    system, query = {"role": role, "content": content}, {"role": "user", "content": QUERY}
    question = post({"model": "m", "messages": [system, query]}).json()["choices"][0]["message"]["content"]
    messages = [system, query, {"role": "assistant", "content": question}]
    messages += [{"role": "user", "content": "just answer"}]
    body = {"model": "m", "messages": messages, "temperature": 0.2, "x": 1, "max_tokens": 9}
    post(body)
    sent = upstream.seen.bodies[-1]
    assert sent["messages"][1:] == messages[1:]
    first = sent["messages"][0]
    assert first["role"] == role
    if isinstance(content, str):
        assert first["content"].startswith("You are kind.\n\n")
    else:
        assert (first["content"][0], first["content"][1]["type"]) == (content[0], "text")
    assert "<query>" in str(first["content"])
    assert sent | {"messages": []} == body | {"messages": []}


@pytest.mark.parametrize("given", ["Bearer ", "bearer", " "])
def test_an_authorization_without_a_key_is_not_sent_on(agent, given):
    """As programs send it whose field for a key was left empty; it is no header that a client may send."""
    with layer(agent, DetectorGate()) as (url, upstream):
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        body = json.dumps({"model": "m", "messages": [USER]})
        sent = {"authorization": given, "content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", body, sent)
        assert connection.getresponse().status == 200
        connection.close()
        assert upstream.seen.requests == 1
