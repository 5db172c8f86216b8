"""Clients that send only their last message: whose session it is, what is kept, for how long."""

import os
import sqlite3
import threading
import time

import httpx2
import pytest
from cryptography.fernet import Fernet

from envs import UserError
from policies.dialogue.transcript import question_in
from policies.serving.questions.gates import AlwaysGate, DetectorGate
from policies.serving.serve_settings import ServiceSettings
from policies.serving.sessions.session_store import SessionSettings, SessionStore, StoredSession
from tests.policies.serving.serving_cases import (
    EVENT_HEAD,
    QUERY,
    REPLIES,
    chunk,
    events,
    json_answer,
    layer,
    layer_over,
)

pytestmark = pytest.mark.slow  # each test has a service of its own
HEADER = "x-raise-session"


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("RAISE_SESSION_KEY", Fernet.generate_key().decode())
    return SessionSettings(path=str(tmp_path / "s.sqlite"))


def write(url, text, session="new", stream=False, **headers):
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "stream": stream}
    headers |= {HEADER: session}
    return httpx2.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def content(answer):
    return answer.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_whole_conversation_by_last_messages(agent, settings, stream):
    with layer(agent, AlwaysGate(), session=settings) as (url, upstream):
        answer = write(url, QUERY, stream=stream)
        session, asked = answer.headers[HEADER], []
        while answer.headers["x-raise-kind"] == "ask":
            asked.append(answer.headers["x-raise-attribute"])
            answer = write(url, REPLIES[asked[-1]], session, stream)
        assert 1 < len(set(asked)) == len(asked) <= 4
        said = [m["content"] for m in upstream.seen.bodies[-1]["messages"] if m["role"] == "user"]
        assert said == [QUERY, *(REPLIES[name] for name in asked)]
        write(url, "thank you", session)
        assert len(upstream.seen.bodies[-1]["messages"]) == 1 + 2 * len(said) + 1


def test_a_restart_loses_nothing(agent, settings):
    with layer(agent, AlwaysGate(), session=settings) as (url, _):
        answer = write(url, QUERY)
    with layer(agent, AlwaysGate(), session=settings) as (url, _):
        name = answer.headers["x-raise-attribute"]
        second = write(url, REPLIES[name], answer.headers[HEADER])
    assert second.headers["x-raise-number"] == "2"


def test_another_persons_session_cannot_be_reached(agent, settings, monkeypatch):
    monkeypatch.setenv("MY_KEYS", "a,b")
    service = ServiceSettings(keys_variable="MY_KEYS")
    with layer(agent, AlwaysGate(), session=settings, settings=service) as (url, _):
        session = write(url, QUERY, authorization="Bearer a").headers[HEADER]
        assert len(session) >= 43
        for other in (session, session[:-1] + "x", "", "1", "../x"):
            assert write(url, "34", other, authorization="Bearer b").status_code == 404
        gone = httpx2.delete(f"{url}/v1/sessions/{session}", headers={"authorization": "Bearer b"})
        assert gone.status_code == 404
        assert write(url, "34", session, authorization="Bearer a").status_code == 200


def test_deleting_forgets(agent, settings):
    with layer(agent, AlwaysGate(), session=settings) as (url, _):
        session = write(url, QUERY).headers[HEADER]
        assert httpx2.delete(f"{url}/v1/sessions/{session}").status_code == 204
        assert httpx2.delete(f"{url}/v1/sessions/{session}").status_code == 404
        assert write(url, "34", session).status_code == 404


def test_without_a_store_a_session_is_refused(agent):
    with layer(agent, AlwaysGate()) as (url, _):
        assert write(url, QUERY).json()["error"]["code"] == "sessions_off"


@pytest.mark.parametrize("by", ["x-stainless-retry-count", "idempotency-key"])
def test_a_repeated_request_is_one_turn(agent, settings, by):
    with layer(agent, AlwaysGate(), session=settings) as (url, _):
        first = write(url, QUERY)
        session, name = first.headers[HEADER], first.headers["x-raise-attribute"]
        keys = ("0", "1", "2") if by.startswith("x-") else ("k1",) * 3
        answers = [write(url, REPLIES[name], session, **{by: key}) for key in keys]
        assert len({content(answer) for answer in answers}) == 1
        assert answers[-1].headers["x-raise-number"] == "2"


def test_the_same_words_again_are_another_turn(agent, settings):
    with layer(agent, AlwaysGate(), session=settings) as (url, _):
        session = write(url, QUERY).headers[HEADER]
        numbers = [write(url, "skip", session).headers.get("x-raise-number") for _ in range(2)]
    assert numbers == ["2", "3"]


def test_a_conversation_that_is_sent_whole_wins(agent, settings):
    with layer(agent, AlwaysGate(), session=settings) as (url, upstream):
        first = write(url, QUERY)
        session, question = first.headers[HEADER], content(first)
        write(url, "I never said that.", session)
        messages = [
            {"role": "user", "content": QUERY},
            {"role": "assistant", "content": question},
            {"role": "user", "content": "just answer"},
        ]
        httpx2.post(
            f"{url}/v1/chat/completions",
            json={"model": "m", "messages": messages},
            headers={HEADER: session},
            timeout=30,
        )
        assert upstream.seen.bodies[-1]["messages"][1:] == messages


def test_an_answer_that_broke_off_is_not_kept(agent, settings):
    cut = [EVENT_HEAD, events(chunk({"content": "half"}))]
    with layer_over(agent, DetectorGate(), lambda body: cut, session=settings) as (url, upstream):
        session = write(url, "hello", stream=True).headers[HEADER]
        assert write(url, "again", session, stream=True).status_code == 404
        assert len(upstream.bodies) == 1


def test_what_is_kept_is_encrypted_and_private(agent, settings, tmp_path):
    with layer(agent, AlwaysGate(), session=settings) as (url, _):
        session = write(url, f"{QUERY} CANARY-7431").headers[HEADER]
        files = list(tmp_path.iterdir())
        raw = b"".join(path.read_bytes() for path in files)
    assert {path.stat().st_mode & 0o077 for path in files} == {0}
    for secret in ("CANARY-7431", "rent is due", session):
        assert secret.encode() not in raw


def test_sessions_expire_and_keys_can_be_changed(settings, monkeypatch):
    store = SessionStore(settings)
    kept = StoredSession(({"role": "user", "content": "a"},), 0, "d")
    assert store.write("o", "s", kept)
    assert store.read("o", "s").messages == kept.messages
    assert store.read("p", "s") is None
    now = time.time()
    monkeypatch.setattr("policies.serving.sessions.session_store.time.time", lambda: now + 25 * 3600)
    assert store.read("o", "s") is None
    store.write("o", "t", kept)
    with sqlite3.connect(settings.path) as connection:
        assert connection.execute("SELECT COUNT(*) FROM sessions").fetchone() == (1,)
    new = Fernet.generate_key().decode()
    old = os.environ["RAISE_SESSION_KEY"]
    monkeypatch.setenv("RAISE_SESSION_KEY", f"{new},{old}")
    assert SessionStore(settings).read("o", "t") is not None
    monkeypatch.setenv("RAISE_SESSION_KEY", new)
    assert SessionStore(settings).read("o", "t") is None


def test_a_row_in_anothers_place_is_nobodys(settings):
    store = SessionStore(settings)
    for session in ("s", "t"):
        store.write("o", session, StoredSession(({"role": "user", "content": session},)))
    with sqlite3.connect(settings.path) as connection:
        (one, first), (two, second) = connection.execute("SELECT name, content FROM sessions").fetchall()
        connection.execute("UPDATE sessions SET content = ? WHERE name = ?", (second, one))
        connection.execute("UPDATE sessions SET content = ? WHERE name = ?", (first, two))
    assert store.read("o", "s") is None
    assert store.read("o", "t") is None


def test_of_two_turns_at_once_one_counts(settings):
    stores = [SessionStore(settings) for _ in range(8)]
    won = []

    def turn(store, i):
        won.append(store.write("o", "s", StoredSession(({"role": "user", "content": str(i)},))))

    threads = [threading.Thread(target=turn, args=(store, i)) for i, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


def rows_of(settings):
    with sqlite3.connect(settings.path) as connection:
        return connection.execute("SELECT COUNT(*) FROM sessions").fetchone()[0]


def test_nobody_is_known_by_what_a_client_says_of_its_user(agent, settings):
    """Many people share one key: who sends the whole conversation and names no session gets none."""
    with layer(agent, AlwaysGate(), session=settings) as (url, _):
        body = {"model": "m", "user": "u1", "messages": [{"role": "user", "content": QUERY}]}
        names = {"x-openwebui-user-id": "u1", "x-openwebui-chat-id": "c1", "x-session-id": "s1"}
        answer = httpx2.post(f"{url}/v1/chat/completions", json=body, headers=names, timeout=30)
        assert answer.headers["x-raise-kind"] == "ask"
        assert HEADER not in answer.headers
        assert rows_of(settings) == 0
        one, two = (write(url, QUERY, **names).headers[HEADER] for _ in range(2))
    assert one != two


def test_a_store_that_fails_is_a_503_and_loses_no_answer_that_is_paid_for(agent, settings):
    def broken():
        with sqlite3.connect(settings.path) as connection:
            connection.execute("DROP TABLE sessions")

    def answer_and_break(body):
        broken()
        return next(answers)

    stream = events(chunk({"content": "whole"}), chunk({}, "stop"), b"[DONE]")
    message = {"role": "assistant", "content": "whole"}
    answers = iter([[EVENT_HEAD, stream], [json_answer({"choices": [{"index": 0, "message": message}]})]])
    with layer_over(agent, DetectorGate(), answer_and_break, session=settings) as (url, _):
        assert write(url, "hello", stream=True).content == stream
        SessionStore(settings)  # makes the table anew
        assert content(write(url, "hello")) == "whole"
    with layer(agent, AlwaysGate(), session=settings) as (url, _):
        broken()
        for failed in (write(url, QUERY), write(url, QUERY, "s"), httpx2.get(f"{url}/readyz")):
            assert failed.status_code == 503
            assert "no such table" not in failed.text


@pytest.mark.parametrize("value", [None, "", "short"])
def test_a_key_is_wanted(tmp_path, monkeypatch, value):
    monkeypatch.delenv("RAISE_SESSION_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("RAISE_SESSION_KEY", value)
    with pytest.raises(UserError, match="Fernet key"):
        SessionStore(SessionSettings(path=str(tmp_path / "s.sqlite")))


def test_a_file_that_is_none_is_told(tmp_path, settings):
    (tmp_path / "x").write_text("no database, but a text that is long enough to be looked at", "utf-8")
    with pytest.raises(UserError, match=r"session\.path"):
        SessionStore(SessionSettings(path=str(tmp_path / "x")))


def test_the_question_in_a_session_is_found_by_its_text(agent, settings):
    with layer(agent, AlwaysGate(), session=settings) as (url, _):
        answer = write(url, QUERY)
    assert question_in(content(answer), agent.plan_index.schema) == answer.headers["x-raise-attribute"]
