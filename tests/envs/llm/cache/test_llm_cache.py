"""The cache of replies: paid for once, in one file, by any number of threads and processes."""

import hashlib
import json
import multiprocessing
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import UserError
from envs.llm import ChatRequest, Client, Endpoint, ModelReply, ReplyCache, TokenChoice
from envs.llm.cache.reply_cache import ReplyKey, default_path
from tests.envs.llm_cases import ask, client, server


def test_key_is_of_what_is_asked_and_of_nothing_else():
    base = ask("a", max_output_tokens=5)
    key = base.key("m", {})
    assert key == replace(base).key("m", {})
    others = [
        base.key("n", {}),
        base.key("m", {"cache_prompt": False}),
        *(
            replace(base, **change).key("m", {})
            for change in (
                {"messages": (("user", "b"),)},
                {"messages": (("system", "a"),)},
                {"messages": (("user", "a"), ("user", ""))},
                {"temperature": 0.5},
                {"temperature": None},
                {"top_p": 0.5},
                {"max_output_tokens": 6},
                {"schema": {"type": "object"}},
                {"top_logprobs": 5},
                {"sample": 1},
                {"seeded": False},
            )
        ),
    ]
    assert len({key, *others}) == len(others) + 1


def test_key_is_the_same_in_every_version_of_this_format():
    """A changed key would make everybody pay again; change the version on purpose."""
    request = ChatRequest((("system", "s"), ("user", "\u00fc")), 0.7, None, 300, {"type": "object"}, 20, 3)
    assert request.key("m", {}) == "41ad18a546c2fc20d302c8ba267f9d373e2a0b92d7b700856b3c4a8f99b81681"


@given(
    st.text(), st.floats(0, 2), st.sampled_from([None, {"b": [1, "\u00fc"], "a": None}]), st.integers(0, 9)
)
def test_key_and_seed_are_hashes_of_one_list_as_json(text, temperature, schema, sample):
    """Their text is put together from parts; the parts of one request serve any model and attempt."""
    request = ChatRequest((("user", text),), temperature, schema=schema, sample=sample)

    def digest(model, extra):
        settings = [temperature, None, None, 0, True]
        parts = [1, model, [["user", text]], schema, settings, extra, sample]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode())

    for model in ("m", 'a "model"'):
        assert request.key(model, {"z": 1, "y": text}) == digest(model, {"z": 1, "y": text}).hexdigest()
    assert request.seed("m", 2) == int(digest("m", {"attempt": 2}).hexdigest()[:8], 16) // 2


def test_seeds_differ_between_samples_and_attempts():
    seeds = {ask(sample=i).seed("m", attempt) for i in range(10) for attempt in range(3)}
    assert len(seeds) == 30


def at(key, endpoint="e", attempt=0):
    return ReplyKey(key, endpoint, attempt)


def test_another_endpoint_does_not_find_the_reply_but_one_of_the_same_name_does(tmp_path):
    with server() as first, server() as second:
        assert client(first.url, tmp_path).complete(ask()).requests == 1
        assert (
            client(first.url, tmp_path, timeout_s=9.0, headers={"X-Title": "t"}).complete(ask()).requests == 0
        )
        assert client(second.url, tmp_path).complete(ask()).requests == 1
        said = client(first.url, tmp_path, cache_as="ours").complete(ask())
        found = client(second.url, tmp_path, cache_as="ours").complete(ask())
        assert (first.seen.requests, second.seen.requests) == (2, 1)
    assert (found.text, found.requests) == (said.text, 0)
    assert (found.input_tokens, found.output_tokens) == (said.input_tokens, said.output_tokens)


@pytest.mark.parametrize(
    ("url", "identity"),
    [
        ("https://API.openai.com/v1/", "api.openai.com/v1"),
        ("http://localhost:8000/v1", "localhost:8000/v1"),
        ("http://localhost:8001/v1", "localhost:8001/v1"),
        ("https://openrouter.ai/api/v1", "openrouter.ai/api/v1"),
    ],
)
def test_an_endpoint_is_its_host_port_and_path(url, identity):
    assert Endpoint("m", url).identity == identity
    assert Endpoint("m", url, cache_as="x").identity == "x"


def test_replies_of_the_scripted_server_say_so_for_ever(tmp_path):
    with server() as running:
        assert client(running.url, tmp_path).complete(ask()).simulated
        again = client(running.url, tmp_path)
        assert again.complete(ask()).simulated
        assert again.has_simulated


@given(
    st.text(),
    st.none()
    | st.lists(
        st.tuples(st.text(), st.lists(st.tuples(st.text(), st.floats(allow_nan=False, allow_infinity=False))))
    ),
)
def test_reply_survives_the_file(text, tokens):
    kept = None if tokens is None else tuple(TokenChoice(t, tuple(top)) for t, top in tokens)
    reply = ModelReply(text, "stop", tokens=kept, input_tokens=3, output_tokens=4)
    assert ModelReply.from_json(reply.to_json()) == reply


def test_file_and_folder_belong_to_the_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache = ReplyCache()
    cache.put(at("k"), "m", 0, "{}")
    assert cache.path == default_path() == tmp_path / "cache" / "raise-planner" / "replies.sqlite"
    for file in cache.path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    assert stat.S_IMODE(cache.path.parent.stat().st_mode) == 0o700
    assert cache.run("PRAGMA journal_mode", ()).fetchone()[0] == "wal"


def test_what_came_first_stays(tmp_path):
    one, two = ReplyCache(tmp_path / "c"), ReplyCache(tmp_path / "c")
    assert one.put(at("k"), "m", 0, "first") == "first"
    assert two.put(at("k"), "m", 0, "second") == "first"
    assert (two.get(at("k")), two.get(at("other")), len(two)) == ("first", None, 1)
    assert two.put(at("k", attempt=1), "m", 0, "again", "empty") == "again"
    assert two.put(at("k", "f"), "m", 0, "else") == "else"
    assert (one.get(at("k")), two.sources()) == ("first", [("m", "e"), ("m", "f")])


def test_prompts_are_not_in_it(tmp_path):
    with server() as running:
        client(running.url, tmp_path).complete(ask("a secret sorrow"))
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Scripted reply" in content
    assert b"sorrow" not in content


def test_read_only_writes_nothing_and_makes_nothing(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        ReplyCache(tmp_path / "none", read_only=True)
    assert list(tmp_path.iterdir()) == []
    ReplyCache(tmp_path / "c").close()
    with pytest.raises(UserError, match="readonly"):
        ReplyCache(tmp_path / "c", read_only=True).put(at("k"), "m", 0, "{}")


def test_files_that_are_no_cache(tmp_path):
    (tmp_path / "text").write_text("no database at all, but long enough to look at " * 50)
    other = sqlite3.connect(tmp_path / "other")
    other.execute("PRAGMA user_version=77")
    other.close()
    for path in (tmp_path / "text", tmp_path / "other", tmp_path):
        with pytest.raises(UserError, match=r"^cache .*expected"):
            ReplyCache(path)
    (tmp_path / "empty").touch()
    with pytest.raises(UserError, match=r"^cache .*expected"):
        ReplyCache(tmp_path / "empty", read_only=True)


@pytest.mark.parametrize("instead", [b"\xdd TEXT, attempt", b"\n\n\n  TEXT, attempt", b"' TEXT,\n  attempt"])
def test_a_damaged_schema_is_one_line_that_quotes_none_of_it(tmp_path, instead):
    cache = ReplyCache(tmp_path / "c")
    cache.put(at("k"), "m", 0, "{}")
    cache.run("PRAGMA journal_mode=DELETE")
    cache.close()
    whole = (tmp_path / "c").read_bytes()
    at_byte = whole.index(b"endpoint TEXT NOT NULL, attempt")
    (tmp_path / "c").write_bytes(whole[:at_byte] + instead + whole[at_byte + len(instead) :])
    for read_only in (True, False):
        with pytest.raises(UserError) as error, closing(ReplyCache(tmp_path / "c", read_only)) as damaged:
            damaged.get(at("k"))
        assert str(error.value).startswith(f"cache {tmp_path / 'c'}: ")
        assert "\n" not in str(error.value)
        assert "TEXT" not in str(error.value)


def test_a_damaged_reply_is_told_and_never_used(tmp_path):
    cache = ReplyCache(tmp_path / "c")
    cache.put(at("k"), "m", 0, "{}")
    cache.run("UPDATE replies SET reply = ?", ('{"text": "5"}',))
    with pytest.raises(UserError, match=f"the reply k is damaged .*cache repair {tmp_path}"):
        cache.get(at("k"))


def test_a_damaged_reply_stops_no_run_and_is_asked_for_again(tmp_path, capsys):
    with server() as running:
        llm = client(running.url, tmp_path)
        said = llm.complete(ask()).text
        ReplyCache(llm.cache_path).run("UPDATE replies SET reply = replace(reply, 'Scripted', 'Spoilt')")
        with pytest.raises(UserError, match="is damaged"):
            Client(llm.endpoint, cache_path=llm.cache_path, replay=True).complete(ask())
        assert (llm.complete(ask()).text, llm.complete(ask()).requests) == (said, 0)
        assert running.seen.requests == 2
    assert "is damaged (its checksum differs)" in capsys.readouterr().err


def _writes(path, number, barrier):
    cache = ReplyCache(path)
    barrier.wait()
    for i in range(200):
        cache.put(at(f"shared {i}"), "m", 0, f"{number}")
        cache.put(at(f"own {number} {i}"), "m", 0, "x")


def test_many_processes_write_one_file(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    writers = [context.Process(target=_writes, args=(tmp_path / "c", i, barrier)) for i in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 4
    cache = ReplyCache(tmp_path / "c")
    assert len(cache) == 200 + 4 * 200
    assert cache.run("PRAGMA integrity_check", ()).fetchone()[0] == "ok"
