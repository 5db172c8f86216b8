"""`raise-planner serve`: what it refuses, and whole conversations over a scripted and a small local model."""

import subprocess
import sys
import time

import httpx2
import openai
import pytest

from envs.llm.local.local_server import missing
from envs.llm.scripted.scripted_server import ScriptedServer
from policies.dialogue.transcript import question_in
from tests.policies.serving.serving_cases import EVENT_HEAD, QUERY, REPLIES, RawUpstream, chunk, events

SERVE = [sys.executable, "-m", "experiments.serve"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["host=0.0.0.0", "upstream.key_variable=UP_KEY"], "host: 0.0.0.0 can be reached by others"),
        (["upstream.key_variable=NOT_SET"], "upstream.key_variable"),
        (["service.keys_variable=NOT_SET"], "service.keys_variable"),
        (["session=sqlite"], "session.key_variable"),
        (["workers=0"], "workers: found 0"),
        (["gate.threshold=2"], "gate.threshold"),
        (["upstream.base_url=ftp://x"], "upstream.base_url"),
        (["upstream.bas_url=x"], "upstream.base_url"),
    ],
)
def test_a_mistake_is_one_line(overrides, message):
    done = subprocess.run([*SERVE, *overrides, "port=1"], capture_output=True, text=True, timeout=240)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def talk(url, stream):
    """Hold a conversation with the official client; return (messages, kinds of turns)."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=600)
    model = next(iter(client.models.list())).id
    messages, kinds = [{"role": "user", "content": QUERY}], []
    while True:
        raw = client.chat.completions.with_raw_response.create(
            model=model, messages=messages, stream=stream, max_tokens=40
        )
        kinds.append(raw.headers["x-raise-kind"])
        found = raw.parse()
        if stream:
            text = "".join(c.choices[0].delta.content or "" for c in found if c.choices)
        else:
            text = found.choices[0].message.content
        messages.append({"role": "assistant", "content": text})
        if kinds[-1] != "ask":
            return messages, kinds
        messages.append({"role": "user", "content": REPLIES[raw.headers["x-raise-attribute"]]})


def started(*overrides):
    """Return (process, URL) of a service that is ready."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([*SERVE, *overrides, f"port={port}"], stdout=subprocess.DEVNULL)
    for _ in range(1200):
        assert process.poll() is None
        try:
            httpx2.get(f"http://127.0.0.1:{port}/readyz")
        except httpx2.HTTPError:
            time.sleep(0.2)
        else:
            return process, f"http://127.0.0.1:{port}"
    raise AssertionError("the service did not start")


@pytest.mark.slow
@pytest.mark.parametrize("upstream", ["scripted", "local"])
def test_a_whole_conversation_by_the_command(upstream):
    if upstream == "local" and missing():
        pytest.skip(missing())
    with ScriptedServer() as server:
        chosen = "upstream=local" if upstream == "local" else f"upstream.base_url={server.url}"
        process, url = started(chosen)
        try:
            for stream in (False, True):
                messages, kinds = talk(url, stream)
                assert kinds[-1] == "answer"
                assert 1 <= kinds.count("ask") <= 4
                assert messages[-1]["content"].strip()
        finally:
            process.terminate()
        assert process.wait(60) == 0


@pytest.mark.slow
def test_who_is_stopped_ends_what_was_begun():
    """By SIGTERM, as systems and containers do it: a stream that runs comes whole, and no new one begins."""
    piece = events(chunk({"content": "a"}))
    parts = [EVENT_HEAD, piece, 3.0, piece, events(chunk({}, "stop"), b"[DONE]")]
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    with RawUpstream(lambda _: parts) as upstream:
        process, url = started(f"upstream.base_url={upstream.url}")
        try:
            with httpx2.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as answer:
                got = answer.iter_raw()
                raw = next(got)
                process.terminate()
                raw += b"".join(got)
        finally:
            process.terminate()
        assert process.wait(60) == 0
    assert raw == b"".join(part for part in parts[1:] if isinstance(part, bytes))


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_no_conversation():
    command = [sys.executable, "-m", "experiments.benchmark_serve", "--workers", "2", "--kill"]
    command += ["--conversations", "20", "--rate", "4", "--seconds", "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost: none" in done.stdout


def test_questions_of_the_schema_are_found_by_their_texts():
    from envs import penguin_schema

    for attribute in penguin_schema().attributes:
        for text in (attribute.question, attribute.reworded, f"A note.\n\n{attribute.question}\n"):
            assert question_in(text, penguin_schema()) == attribute.name
        assert question_in(f"{attribute.question}\n\nSomething else.", penguin_schema()) is None
