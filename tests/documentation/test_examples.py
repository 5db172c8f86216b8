"""README and site do what they say: their files, commands and Python examples run as written, in order.

Endpoints that a page names by `OPENAI_BASE_URL`, or not at all, are the scripted server.
"""

import contextlib
import fcntl
import shutil

import pytest

from envs.llm.scripted.scripted_server import ScriptedServer
from tests.documentation.documents import (
    DOCUMENTS,
    KINDS,
    blocks,
    environment,
    missing_lines,
    run,
    staying,
    steps,
    write_files,
)

WITH_STEPS = [name for name, text in DOCUMENTS.items() if steps(text)]


@contextlib.contextmanager
def one_at_a_time(folder):
    """Only one page at a time serves: they use the same port."""
    with (folder / "serving.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_STEPS)
def test_document_runs_as_written(name, tmp_path, tmp_path_factory):
    text = DOCUMENTS[name]
    write_files(text, tmp_path)
    with contextlib.ExitStack() as running:
        server = running.enter_context(ScriptedServer())
        env = environment(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="none")
        for line, argv, note, shown in steps(text):
            if note.startswith("not run"):
                continue
            if "curl " in argv[-1] and shutil.which("curl") is None:
                pytest.skip("curl is not installed")
            if note == "stays":
                running.enter_context(one_at_a_time(tmp_path_factory.getbasetemp().parent))
                running.enter_context(staying(argv, tmp_path, env))
                continue
            done = run(argv, tmp_path, env)
            assert done.returncode == 0, f"{name}, line {line}: {done.stderr[-2000:]}"
            assert "Traceback" not in done.stderr, f"{name}, line {line}: {done.stderr[-2000:]}"
            lacking = missing_lines(shown, done.stdout + done.stderr)
            assert lacking == [], f"{name}, line {line}: its output has not what is shown: {done.stdout}"


@pytest.mark.parametrize("name", list(DOCUMENTS))
def test_no_block_is_of_a_kind_that_nobody_checks(name):
    for block in blocks(DOCUMENTS[name]):
        assert block.language in KINDS, f"{name}, line {block.line}"
        assert block.file or block.language not in ("json", "yaml"), f"{name}, line {block.line}: which file?"


def test_examples_are_many():
    assert len(steps(DOCUMENTS["README.md"])) >= 8
    assert sum(len(steps(text)) for text in DOCUMENTS.values()) >= 40


def test_what_is_shown_and_lacking_is_found():
    real = "a 3\n\nb  4.1 of 5\nruns/first\n"
    assert missing_lines("a 1\nb 9.7 of 5\n", real) == []
    assert missing_lines("a 1\n...\nruns/first\n", real) == []
    assert missing_lines("b 1 of 2\na 1\n", real) == ["a #"]
    assert missing_lines("a 1\nc 2\n", real) == ["c #"]
