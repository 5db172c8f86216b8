"""What clients need of a stream, whatever the upstream sends: failures that were met elsewhere."""

import json
import time

import httpx2
import openai
import pytest

from policies.serving.questions.gates import AlwaysGate, DetectorGate
from policies.serving.serve_settings import ServiceSettings
from policies.serving.upstreams.event_stream import MendedStream
from tests.policies.serving.serving_cases import (
    EVENT_HEAD,
    QUERY,
    RawUpstream,
    chunk,
    events,
    json_answer,
    layer,
    layer_over,
)

pytestmark = pytest.mark.slow  # each test has a service of its own
ASKED = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
DONE = b"[DONE]"


def passed(agent, *parts, **settings):
    """Return what a client gets of the bytes that the upstream sends, as they are on the wire."""
    with layer_over(agent, DetectorGate(), lambda body: [EVENT_HEAD, *parts], **settings) as (url, _):
        answer = httpx2.post(f"{url}/v1/chat/completions", json=ASKED, timeout=30)
        assert answer.status_code == 200
        return answer


def data(raw):
    lines = [line for line in raw.split(b"\n") if line.startswith(b"data:")]
    return [line[6:] if line[6:] == DONE else json.loads(line[6:]) for line in lines]


def test_a_question_is_a_whole_stream(agent):
    with layer(agent, AlwaysGate()) as (url, _):
        body = ASKED | {"messages": [{"role": "user", "content": QUERY}], "logprobs": True}
        body["stream_options"] = {"include_usage": True}
        answer = httpx2.post(f"{url}/v1/chat/completions", json=body, timeout=30)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    *chunks, usage, done = data(answer.content)
    assert done == DONE
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 0
    assert all(c["usage"] is None for c in chunks)
    choices = [c["choices"][0] for c in chunks]
    assert choices[0]["delta"]["role"] == "assistant"
    assert [c["finish_reason"] for c in choices] == [None, None, "stop"]
    assert choices[-1]["delta"] == {}
    assert all(c["logprobs"] is None for c in choices)
    assert all(line[:5] in (b"data:", b"") for line in answer.content.split(b"\n"))


def test_what_is_right_goes_on_byte_by_byte(agent):
    call = {"tool_calls": [{"index": 1, "function": {"arguments": '{"a": '}}]}
    sent = events(chunk({"role": "assistant"}), chunk(call), chunk({}, "tool_calls"), chunk(choices=[]), DONE)
    assert passed(agent, sent).content == sent


def test_a_stop_that_was_left_out_is_added(agent):
    found = data(passed(agent, events(chunk({"content": "a"}), DONE)).content)
    assert found[-1] == DONE
    assert found[-2]["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert found[-2]["id"] == "c1"


def test_each_choice_ends_for_itself(agent):
    second = chunk(choices=[{"index": 1, "delta": {"content": "b"}, "finish_reason": None}])
    found = data(passed(agent, events(chunk({}, "length"), second, DONE)).content)
    assert [c["choices"][0] for c in found[2:-1]] == [{"index": 1, "delta": {}, "finish_reason": "stop"}]


@pytest.mark.parametrize("ending", [[], [RawUpstream.CUT]])
def test_a_stream_that_was_cut_is_an_error_and_never_a_stop(agent, ending):
    found = data(passed(agent, events(chunk({"content": "half"})), 0.05, *ending).content)
    assert "error" in found[-1]
    assert not any(c["choices"][0]["finish_reason"] for c in found[:-1])


def test_the_client_raises_on_a_cut(agent):
    with layer_over(agent, DetectorGate(), lambda body: [EVENT_HEAD, events(chunk({"content": "a"}))]) as (
        u,
        _,
    ):
        client = openai.OpenAI(base_url=f"{u}/v1", api_key="k", max_retries=0)
        with pytest.raises(openai.APIError):
            list(client.chat.completions.create(**ASKED))


def test_done_is_added_where_the_upstream_ended_without(agent):
    assert data(passed(agent, events(chunk({"content": "a"}, "stop"))).content)[-1] == DONE


def test_an_empty_reason_in_the_middle_is_null(agent):
    found = data(passed(agent, events(chunk({"content": "a"}, ""), chunk({}, "stop"), DONE)).content)
    assert found[0]["choices"][0]["finish_reason"] is None


def test_an_error_among_chunks_is_one(agent):
    error = {"choices": [], "error": {"message": "overloaded"}}
    found = data(passed(agent, events(chunk({"content": "a"}), error)).content)
    assert found[1] == error
    assert not any(c["choices"] and c["choices"][0]["finish_reason"] for c in found[:2])


def test_comments_and_other_fields_of_the_upstream_are_dropped(agent):
    noise = b": ping\n\nid: 7\n\nretry: 100\n\nevent: x\ndata:\n\n"
    sent = events(chunk({}, "stop"), DONE)
    assert passed(agent, noise + sent).content == sent


def test_events_survive_any_cut_of_the_network(agent):
    sent = events(chunk({"content": "h\u00e9\u2028llo \U0001f600"}), chunk({}, "stop"), DONE).replace(
        b"\n", b"\r\n"
    )
    sent = sent.replace(b"\\u2028", "\u2028".encode()).replace(b"\\u00e9", "\u00e9".encode())
    pieces = [part for i in range(len(sent)) for part in (sent[i : i + 1], 0.0005)]
    found = data(passed(agent, *pieces).content)
    assert found[0]["choices"][0]["delta"]["content"] == "h\u00e9\u2028llo \U0001f600"
    assert found[-1] == DONE


def test_our_own_text_has_no_line_separator(agent):
    assert b"\xe2\x80\xa8" not in MendedStream().take(
        json.dumps(chunk({"content": "\u2028"})).encode(), {"a": 1}
    )


@pytest.mark.parametrize(
    ("kind", "sent"), [("comment", b": keep-alive\n\n"), ("chunk", b'"choices":[]'), ("off", b"")]
)
def test_a_silence_is_filled_as_configured(agent, kind, sent):
    settings = ServiceSettings(keep_alive=kind, keep_alive_s=0.1)
    rest = events(chunk({"content": "a"}), chunk({}, "stop"), DONE)
    answer = passed(agent, 0.5, rest, settings=settings)
    assert answer.content.endswith(rest)
    assert sent in answer.content
    assert (answer.content == rest) == (kind == "off")
    assert answer.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize("kind", ["comment", "chunk", "off"])
def test_the_official_client_reads_on_through_a_silence(agent, kind):
    """Its reader takes an empty event for JSON, and many readers take the first choice of each chunk."""
    settings = ServiceSettings(keep_alive=kind, keep_alive_s=0.1)
    usage = chunk(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})
    parts = [EVENT_HEAD, b"id: 1\n\n", 0.4, events(chunk({"content": "a"}), chunk({}, "stop"), usage, DONE)]
    with layer_over(agent, DetectorGate(), lambda body: parts, settings=settings) as (url, _):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0)
        found = list(client.chat.completions.create(**ASKED))
    assert "".join(c.choices[0].delta.content or "" for c in found if c.choices) == "a"
    assert found[-1].usage.total_tokens == 2


def test_a_silence_is_filled_before_proxies_end_it():
    """nginx ends a connection that is silent for a minute."""
    assert ServiceSettings().keep_alive_s < 60


def test_a_refusal_before_the_stream_is_json_with_its_status(agent):
    refused = {"error": {"message": "no", "type": "x", "param": None, "code": "context_length_exceeded"}}
    with layer_over(agent, DetectorGate(), lambda body: [json_answer(refused, 400)]) as (url, _):
        answer = httpx2.post(f"{url}/v1/chat/completions", json=ASKED, timeout=30)
    assert (answer.status_code, answer.json()) == (400, refused)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_the_upstreams_request(agent, stream):
    first = [EVENT_HEAD, events(chunk({"content": "a"}))] if stream else []
    with layer_over(agent, DetectorGate(), lambda body: [*first, 30.0]) as (url, upstream):
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{url}/v1/chat/completions", json=ASKED | {"stream": stream}, timeout=0.5)
        assert upstream.left.wait(10)


def test_a_client_that_leaves_before_the_stream_began_ends_it_too(agent):
    with layer_over(agent, DetectorGate(), lambda body: [30.0]) as (url, upstream):
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{url}/v1/chat/completions", json=ASKED, timeout=0.5)
        assert upstream.left.wait(10)


def test_pieces_come_as_they_are_said(agent):
    parts = [EVENT_HEAD, events(chunk({"content": "a"})), 1.0, events(chunk({}, "stop"), DONE)]
    with (
        layer_over(agent, DetectorGate(), lambda body: parts) as (url, _),
        httpx2.stream("POST", f"{url}/v1/chat/completions", json=ASKED, timeout=30) as answer,
    ):
        times = [time.monotonic() for _ in answer.iter_raw()]
    assert times[-1] - times[0] > 0.5
