"""The MCP server with the official client: both revisions, forms, refusals, and what travels along."""

import json
import logging
import sqlite3
from contextlib import asynccontextmanager

import anyio
import httpx2
import mcp_types as types
import pytest
from cryptography.fernet import Fernet
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitResult

from policies.serving.mcp_tools.mcp_server import MAX_FORMS, MILD, THINK_S, create_mcp_server
from policies.serving.mcp_tools.question_urls import QuestionUrls
from policies.serving.questions.gates import DetectorGate
from policies.serving.sessions.open_questions import OpenQuestions
from policies.serving.sessions.session_store import SessionSettings, SessionStore
from tests.policies.dialogue.talk_cases import MarkDetector
from tests.policies.serving.serving_cases import layer
from tests.policies.serving.small_agent import shared

CANARY = "Bartholomew"
NEW, OLD = "auto", "legacy"
REVISIONS = {NEW: "2026-07-28", OLD: "2025-11-25"}


class Person:
    """Answers forms in turn: words, or an action; keeps what was asked."""

    def __init__(self, *answers):
        self.answers = iter(answers)
        self.forms = []

    async def __call__(self, context, params):
        self.forms.append(params)
        answer = next(self.answers, "decline")
        if answer in ("decline", "cancel"):
            return ElicitResult(action=answer)
        return ElicitResult(
            action="accept", content=answer if isinstance(answer, dict) else {"answer": answer}
        )

    @property
    def asked(self):
        return [line for form in self.forms for line in form.message.splitlines() if line.startswith("Your ")]


@asynccontextmanager
async def connected(agent, mode, person=None, **options):
    server = create_mcp_server(agent, **options)
    async with Client(server, mode=mode, elicitation_callback=person, read_timeout_seconds=60) as client:
        assert client.protocol_version == REVISIONS[mode]
        yield client


def call(agent, mode, tool, person=None, **arguments):
    async def run():
        async with connected(agent, mode, person) as client:
            return await client.call_tool(tool, arguments)

    return anyio.run(run)


def turn(result):
    assert not result.is_error, result.content
    assert json.loads(result.content[0].text) == result.structured_content
    return result.structured_content


revisions = pytest.mark.parametrize("mode", [NEW, OLD])


@revisions
def test_next_question_says_what_the_agent_says(mode):
    replies = ["low", None, "it is high"]
    own = shared()
    expected = [own.start("one two"), *(own.reply(text) for text in replies)]
    for i, wanted in enumerate(expected):
        found = turn(call(shared(), mode, "next_question", query="one two", replies=replies[:i]))
        assert (found["kind"], found["attribute"], found["question"]) == (
            wanted.kind,
            wanted.attribute,
            wanted.question,
        )
        assert (found["number"], found["of"], found["declined"]) == (
            wanted.number,
            wanted.of,
            [*wanted.declined],
        )
    assert found["kind"] == "answer"
    assert found["context"] == dict(own.context) == {"A": "low", "C": "high"}


@revisions
def test_what_is_known_is_not_asked(mode):
    found = turn(call(shared(), mode, "next_question", query="one two", known={"A": "low"}))
    assert (found["attribute"], found["context"]) == ("B", {"A": "low"})
    person = Person("high", "low")
    found = turn(call(shared(), mode, "gather_context", person, query="one two", known={"A": "low"}))
    assert person.asked[:2] == ["Your B?", "Your C?"]
    assert found["context"] == {"A": "low", "B": "high", "C": "low"}


@revisions
@pytest.mark.parametrize("arguments", [{"query": " "}, {"query": "one", "known": {"E": "low"}}])
def test_a_wrong_argument_is_told_to_the_caller_and_nothing_breaks(mode, arguments):
    for tool in ("next_question", "gather_context"):
        result = call(shared(), mode, tool, Person(), **arguments)
        assert result.is_error
        assert "Traceback" not in result.content[0].text


@revisions
@pytest.mark.parametrize("refusal", ["decline", "cancel", " ", "skip"])
def test_to_refuse_a_form_is_to_tell_nothing(mode, refusal):
    person = Person("low", refusal, "high")
    found = turn(call(shared(), mode, "gather_context", person, query="one two"))
    assert person.asked == ["Your A?", "Your B?", "Your C?"]
    assert (found["kind"], found["declined"]) == ("answer", ["B"])
    assert found["context"] == {"A": "low", "C": "high"}


@revisions
def test_just_answer_ends_the_forms(mode):
    person = Person("low", "just answer me now")
    found = turn(call(shared(), mode, "gather_context", person, query="one two"))
    assert len(person.forms) == 2
    assert (found["kind"], found["context"]) == ("answer", {"A": "low"})


@revisions
def test_a_form_has_one_field_of_text_and_nothing_filled_in(mode):
    """A form holds strings, numbers, booleans and enums, and a default is an answer by one click."""
    person = Person("what do you mean?", "low", "why?", "high", "low")
    turn(call(shared(), mode, "gather_context", person, query="one two"))
    assert len(person.forms) >= 5
    for form in person.forms:
        schema = form.requested_schema
        assert (schema["type"], schema["required"]) == ("object", ["answer"])
        assert {name: field["type"] for name, field in schema["properties"].items()} == {"answer": "string"}
        assert all("default" not in field for field in schema["properties"].values())
        assert "description" not in schema  # what the code says of itself is nobody's business
        assert "http" not in form.message


@revisions
def test_danger_in_a_form_ends_the_forms_and_help_comes_back(mode):
    person = Person("low", "I want to kill myself tonight")
    found = turn(call(shared(), mode, "gather_context", person, query="one two"))
    assert len(person.forms) == 2
    assert found["kind"] == "escalate"
    assert found["message"]
    assert all(place["contact"] for place in found["resources"])
    assert "every resource" in found["what_to_do"]
    assert found["replies"] == ["low", "I want to kill myself tonight"]


@revisions
def test_danger_in_the_query_asks_no_form(mode):
    person = Person()
    found = turn(call(shared(), mode, "gather_context", person, query="I want to kill myself tonight"))
    assert (found["kind"], person.forms) == ("escalate", [])


@revisions
def test_a_client_without_forms_gets_the_question_as_text(mode):
    """It is no refusal: nothing counts as declined."""
    found = turn(call(shared(), mode, "gather_context", query="one two"))
    assert (found["kind"], found["question"], found["declined"], found["replies"]) == (
        "ask",
        "Your A?",
        [],
        [],
    )
    assert "next_question" in found["what_to_do"]


def declares(monkeypatch, **kinds):
    """Let the official client declare these kinds of elicitation and no others."""
    declared = types.ElicitationCapability(**kinds)
    monkeypatch.setattr("mcp.client.session.types.ElicitationCapability", lambda **_: declared)


@revisions
def test_a_client_that_only_opens_pages_gets_the_question_as_text(mode, monkeypatch):
    declares(monkeypatch, url=types.UrlElicitationCapability())
    person = Person("low")
    found = turn(call(shared(), mode, "gather_context", person, query="one two"))
    assert (found["kind"], found["question"], person.forms) == ("ask", "Your A?", [])


@revisions
def test_a_client_that_names_no_kind_shows_forms(mode, monkeypatch):
    declares(monkeypatch)
    person = Person("low", "high", "low")
    found = turn(call(shared(), mode, "gather_context", person, query="one two"))
    assert (found["kind"], person.asked) == ("answer", ["Your A?", "Your B?", "Your C?"])


def test_a_client_of_an_open_call_hears_of_it_before_each_form():
    """Clients end a call that is silent for a minute; a person may think longer."""
    heard = []

    async def hear(progress, total, message):
        heard.append((progress, total))

    async def run():
        async with connected(shared(), OLD, Person("low", "high", "low")) as client:
            await client.call_tool("gather_context", {"query": "one two"}, progress_callback=hear)

    anyio.run(run)
    assert heard == [(0, MAX_FORMS), (1, MAX_FORMS), (2, MAX_FORMS)]


def test_who_thinks_for_too_long_begins_anew(monkeypatch):
    assert THINK_S >= 1800
    monkeypatch.setattr("policies.serving.mcp_tools.mcp_server.THINK_S", 0.001)

    async def run():
        async with connected(shared(), NEW, Person()) as client:
            first = await _round(client)
            await anyio.sleep(1.1)  # what is sealed counts in whole seconds
            with pytest.raises(MCPError) as found:
                await _round(client, first.request_state, "low")
            assert found.value.error.code == -32602
            again = await _round(client)
            assert again.input_requests == first.input_requests

    anyio.run(run)


@revisions
def test_a_client_that_shows_no_form_is_asked_in_the_chat_soon(mode):
    person = Person(*["cancel"] * 9)
    found = turn(call(shared(), mode, "gather_context", person, query="one two"))
    assert (len(person.forms), found["kind"], found["attribute"]) == (2, "ask", "C")
    assert found["declined"] == ["A", "B"]
    assert found["replies"] == [None, None]


@pytest.mark.parametrize(("mode", "asked"), [(NEW, "ABC"), (OLD, "A")])
def test_sensitive_questions_go_by_form_from_2026_07_28_on_alone(mode, asked):
    person = Person("low", "high", "low")
    found = turn(call(shared(MILD + 1), mode, "gather_context", person, query="one two"))
    assert person.asked == [f"Your {name}?" for name in asked]
    if mode == OLD:
        assert (found["kind"], found["attribute"], found["replies"]) == ("ask", "B", ["low"])
        more = ["high", "low"]
        found = turn(call(shared(), mode, "next_question", query="one two", replies=found["replies"] + more))
    assert (found["kind"], found["context"]) == ("answer", {"A": "low", "B": "high", "C": "low"})


def test_a_suspicion_is_asked_by_form_from_2026_07_28_on_and_silence_brings_help():
    """Declined twice the check counts as grave; of the older revisions it goes to the chat at once."""
    agent, query = shared(detector=MarkDetector()), "one two @hint"
    person = Person("decline", "cancel")
    found = turn(call(agent, NEW, "gather_context", person, query=query))
    assert ["Are you safe right now?" in form.message for form in person.forms] == [True, True]
    assert all("here: Line, 123" in form.message for form in person.forms)
    assert (found["kind"], found["resources"][0]["contact"]) == ("escalate", "123")
    person = Person("I am fine, really, I am safe")
    found = turn(call(agent, OLD, "gather_context", person, query=query))
    assert (found["kind"], found["attribute"], person.forms) == ("ask", None, [])
    assert (found["question"], found["resources"][0]["contact"]) == ("Are you safe right now?", "123")


@revisions
def test_a_talk_that_goes_nowhere_stays_below_the_clients_ten_rounds(mode):
    """With the client's own limit, which would raise."""
    person = Person(*["why?", "what do you mean?", "nice weather"] * 9)
    found = turn(call(shared(), mode, "gather_context", person, query="one two"))
    assert len(person.forms) == MAX_FORMS
    assert found["kind"] == "ask"
    assert len(found["replies"]) == MAX_FORMS


def test_an_answer_that_is_none_is_asked_again_the_same_way():
    """Missing or unusable content is no error in 2026-07-28; the question may not change between rounds."""
    person = Person({}, {"answer": 3}, "low", "high", "low")
    found = turn(call(shared(), NEW, "gather_context", person, query="one two"))
    assert len({form.message for form in person.forms[:3]}) == 1
    assert found["context"] == {"A": "low", "B": "high", "C": "low"}


def test_an_answer_that_is_none_ends_the_forms_of_the_older_revisions():
    found = turn(call(shared(), OLD, "gather_context", Person({"answer": 3}), query="one two"))
    assert (found["kind"], found["attribute"], found["declined"]) == ("ask", "A", [])


async def _round(client, state=None, words=None, **changes):
    """One round of `gather_context` by hand."""
    arguments = {"query": f"one two {CANARY}"} | changes
    answers = None
    if words is not None:
        answers = {"question": ElicitResult(action="accept", content={"answer": words})}
    return await client.session.call_tool(
        "gather_context", arguments, input_responses=answers, request_state=state, allow_input_required=True
    )


def test_what_travels_is_sealed_and_bound_to_its_request():
    async def run():
        async with connected(shared(), NEW, Person()) as client:
            first = await _round(client)
            second = await _round(client, first.request_state, f"low {CANARY}")
            assert CANARY not in first.request_state + second.request_state
            state = second.request_state
            broken = state[:-2] + ("A" if state[-2] != "A" else "B") + state[-1]
            for given, changes in [(broken, {}), (state, {"query": "six seven"}), ("{}", {})]:
                with pytest.raises(MCPError) as found:
                    await _round(client, given, "high", **changes)
                assert found.value.error.code == -32602
            # The flow begins anew, cleanly, and the old state is still good.
            assert (await _round(client)).input_requests
            assert (
                "Your C?" in (await _round(client, state, "high")).input_requests["question"].params.message
            )

    anyio.run(run)


@pytest.mark.parametrize("keys", [["k" * 32], []])
def test_another_process_goes_on_only_where_the_keys_are_shared(keys):
    async def run():
        async with connected(shared(), NEW, Person(), keys=keys) as client:
            state = (await _round(client)).request_state
        async with connected(shared(), NEW, Person(), keys=keys) as client:
            if keys:
                found = await _round(client, state, "low")
                assert "Your B?" in found.input_requests["question"].params.message
            else:
                with pytest.raises(MCPError):
                    await _round(client, state, "low")

    anyio.run(run)


def test_a_round_that_is_sent_twice_asks_the_same():
    """Clients repeat a request whose answer was lost."""

    async def run():
        async with connected(shared(), NEW, Person()) as client:
            first = await _round(client)
            again = [await _round(client, first.request_state, "low") for _ in range(3)]
            assert len({found.input_requests["question"].params.message for found in again}) == 1
            assert "Your B?" in again[0].input_requests["question"].params.message

    anyio.run(run)


@revisions
def test_nothing_that_was_said_is_logged(mode, caplog):
    caplog.set_level(logging.DEBUG)
    person = Person(f"low {CANARY}", f"high {CANARY}", "low")
    found = turn(call(shared(), mode, "gather_context", person, query=f"one two {CANARY}"))
    call(shared(), mode, "next_question", query="one two", replies=[f"low {CANARY}"], known={CANARY: "low"})
    assert found["kind"] == "answer"
    assert CANARY not in caplog.text


class PersonOnPages(Person):
    """Also opens pages: sends there what `on_pages` says, or declines to go."""

    def __init__(self, answers, on_pages):
        super().__init__(*answers)
        self.pages, self.on_pages = [], iter(on_pages)

    async def __call__(self, context, params):
        if not isinstance(params, types.ElicitRequestURLParams):
            return await super().__call__(context, params)
        page, _, name = params.url.partition("#")
        answer = next(self.on_pages)
        if answer == "not there":
            return ElicitResult(action="decline")
        async with httpx2.AsyncClient(base_url=page.removesuffix("/question.html")) as client:
            assert "One question" in (await client.get("/question.html")).text
            shown = (await client.post("/v1/question", json={"name": name})).json()
            self.pages.append((params.message, shown["question"]))
            sent = {"name": name, "answer": answer}
            assert (await client.post("/v1/question/answer", json=sent)).status_code == 204
            assert (await client.post("/v1/question/answer", json=sent)).status_code == 404
        return ElicitResult(action="accept")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("on_pages", "context", "declined"),
    [
        (["high", "low"], {"A": "low", "B": "high", "C": "low"}, []),
        ([None, "low"], {"A": "low", "C": "low"}, ["B"]),
        (["not there", "low"], {"A": "low", "C": "low"}, ["B"]),
    ],
)
def test_sensitive_questions_go_by_url_before_2026(tmp_path, monkeypatch, on_pages, context, declined):
    """Over the page of a service with sessions: the client sees neither question nor reply on the way."""
    monkeypatch.setenv("RAISE_SESSION_KEY", Fernet.generate_key().decode())
    settings = SessionSettings(path=str(tmp_path / "sessions.sqlite"))
    agent, person = shared(sensitivity=MILD + 1), PersonOnPages(["low"], on_pages)

    async def run(url):
        urls = QuestionUrls(OpenQuestions(SessionStore(settings)), url)
        async with connected(agent, OLD, person, urls=urls) as client:
            return await client.call_tool("gather_context", {"query": "one two"})

    with layer(agent, DetectorGate(), session=settings) as (url, _):
        found = turn(anyio.run(run, url))
    assert (found["kind"], found["context"], found["declined"]) == ("answer", context, declined)
    assert person.asked == ["Your A?"]
    assert all("Your" not in message for message, _ in person.pages)
    assert [("Your B?" in text or "Your C?" in text) for _, text in person.pages] == [True] * len(
        person.pages
    )
    with sqlite3.connect(settings.path) as rows:
        assert rows.execute("SELECT count(*) FROM sessions").fetchone() == (0,)


@pytest.mark.slow
def test_a_call_that_is_given_up_takes_its_open_question_along(tmp_path, monkeypatch):
    """To close the connection is to cancel: the page of a question that nobody waits for shows nothing."""
    monkeypatch.setenv("RAISE_SESSION_KEY", Fernet.generate_key().decode())
    settings = SessionSettings(path=str(tmp_path / "sessions.sqlite"))
    questions, opened = OpenQuestions(SessionStore(settings)), []

    async def open_page(context, params):
        if not isinstance(params, types.ElicitRequestURLParams):
            return ElicitResult(action="accept", content={"answer": "low"})
        opened.append(params.url.partition("#")[2])
        return ElicitResult(action="accept")

    async def run():
        agent = shared(sensitivity=MILD + 1)
        urls = QuestionUrls(questions, "http://127.0.0.1:1")
        async with connected(agent, OLD, open_page, urls=urls) as client, anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "gather_context", {"query": "one two"})
            while not opened:
                await anyio.sleep(0.05)
            assert questions.read(opened[0]) is not None
            group.cancel_scope.cancel()
        with anyio.fail_after(20):
            while questions.read(opened[0]) is not None:
                await anyio.sleep(0.05)

    anyio.run(run)


def test_a_question_is_nobodys_session(tmp_path, monkeypatch):
    monkeypatch.setenv("RAISE_SESSION_KEY", Fernet.generate_key().decode())
    store = SessionStore(SessionSettings(path=str(tmp_path / "sessions.sqlite")))
    questions = OpenQuestions(store)
    name = questions.put("Your secret?")
    assert store.read("", name) is None
    assert questions.read(store.new_id()) is None
    assert questions.answer(name, "words")
    assert not questions.answer(name, "others")
    assert questions.read(name) == ("Your secret?", True, "words")
    assert b"secret" not in (tmp_path / "sessions.sqlite").read_bytes()
