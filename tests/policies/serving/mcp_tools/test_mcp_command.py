"""`raise-planner mcp`: wrong commands, and the real thing on standard input and output and on a port."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import ElicitResult

ROOT = Path(__file__).parents[4]
QUERY = "My manager took my shifts away and the rent is due. Should I quit?"
CANARY = "Bartholomew"
COMMAND = ["-m", "experiments.cli", "mcp"]


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["transport=sse"], "transport: found 'sse'"),
        (["transport=http", "host=0.0.0.0"], "hosts: found none"),
        (["keys_variable=NO_SUCH_KEYS"], "keys_variable: expected keys"),
    ],
)
@pytest.mark.slow
def test_a_wrong_command_is_one_line(arguments, place, tmp_path):
    done = subprocess.run(
        [sys.executable, *COMMAND, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {place}")
    assert (done.stderr.count("\n"), done.stdout) == (1, "")
    assert list(tmp_path.iterdir()) == []


async def answers(context, params):
    return ElicitResult(action="accept", content={"answer": f"tired, says {CANARY}"})


def conversation(server, mode):
    """Return (revision, what came of the forms, of next_question and of a second call)."""

    async def run():
        async with Client(server, mode=mode, elicitation_callback=answers) as client:
            arguments = {"query": f"{QUERY} {CANARY}"}
            first = await client.call_tool("gather_context", arguments)
            again = await client.call_tool("gather_context", arguments)
            following = await client.call_tool("next_question", {**arguments, "replies": [None]})
            return client.protocol_version, first, again, following

    version, *results = anyio.run(run)
    assert [result.is_error for result in results] == [False] * 3
    return version, *(result.structured_content for result in results)


def check(mode, found):
    version, first, again, following = found
    assert version == {"auto": "2026-07-28", "legacy": "2025-11-25"}[mode]
    assert first == again
    assert first["kind"] == ("answer" if mode == "auto" else "ask")
    assert (mode == "auto") == (CANARY in str(first["replies"]))
    assert len(following["declined"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_on_standard_input_and_output_nothing_is_written_or_logged(mode, tmp_path):
    log = tmp_path / "stderr"
    script = f'exec "{sys.executable}" {" ".join(COMMAND)} 2>"{log}"'
    (tmp_path / "run").mkdir()
    server = StdioServerParameters(
        command="/bin/sh", args=["-c", script], env={"PYTHONPATH": str(ROOT)}, cwd=tmp_path / "run"
    )
    check(mode, conversation(server, mode))
    assert list((tmp_path / "run").iterdir()) == []
    assert CANARY not in log.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def address():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    hosts = f"hosts=[chat.example.org:443,127.0.0.1:{port}]"
    options = "transport=http", f"port={port}", hosts, "policy/abstention=never"
    command = [sys.executable, *COMMAND, *options]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}/mcp"
    try:
        for _ in range(3000):
            with socket.socket() as door:
                if door.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        assert CANARY not in process.communicate(timeout=120)[1]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_on_a_port(mode, address):
    check(mode, conversation(address, mode))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_forms_on_a_port(mode, address):
    """In the older revision the server asks its client, which a stateless server cannot."""
    asked = []

    async def skips(context, params):
        asked.append(params.message)
        return ElicitResult(action="decline")

    async def run():
        async with Client(address, mode=mode, elicitation_callback=skips) as client:
            names = "Mental Health Status", "Past Self-Harm History", "Emotional State", "Health Status"
            arguments = {"query": QUERY, "known": dict.fromkeys((*names, "Economic Status"), "fine")}
            return await client.call_tool("gather_context", arguments)

    found = anyio.run(run).structured_content
    assert asked
    assert len(found["declined"]) == len(asked)


@pytest.mark.slow
def test_only_names_that_were_given_pass(address):
    """A page whose name was turned to this address gets nothing; without names only this machine's pass."""
    accepts = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    for headers in ({"host": "example.org"}, {"host": "chat.example.org"}, {"origin": "http://example.org"}):
        found = httpx2.post(address, json={}, headers={**accepts, **headers})
        assert found.status_code in (403, 421)
    found = httpx2.post(address, json={}, headers={**accepts, "host": "chat.example.org:443"})
    assert found.status_code == 400
