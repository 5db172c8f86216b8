"""The page of a single question in a real browser: what an MCP client sends a person to."""

import pytest
from cryptography.fernet import Fernet

from policies.serving.questions.gates import DetectorGate
from policies.serving.sessions.open_questions import OpenQuestions
from policies.serving.sessions.session_store import SessionSettings, SessionStore
from tests.policies.serving.page.chromium import browser, opened
from tests.policies.serving.serving_cases import layer
from tests.policies.serving.small_agent import shared

ASKED = "document.getElementById('reply').hidden === false"
OVER = "document.getElementById('reply').hidden && document.getElementById('status').textContent !== ''"
TEXT = "Question 1 of at most 3.\nYour <b>past</b>?\nWhat it is for."


@pytest.fixture(scope="module")
def page():
    with opened() as found:
        yield found


@pytest.fixture
def service(page, tmp_path, monkeypatch):
    """Serve with sessions; yields (URL, the questions)."""
    monkeypatch.setenv("RAISE_SESSION_KEY", Fernet.generate_key().decode())
    settings = SessionSettings(path=str(tmp_path / "sessions.sqlite"))
    with layer(shared(), DetectorGate(), session=settings) as (url, _):
        page.problems.clear()
        page.requests.clear()
        yield url, OpenQuestions(SessionStore(settings))
        assert {address.split("/")[2] for address in page.requests if address.startswith("http")} == {
            url.removeprefix("http://")
        }


def over(page, address):
    """Open a page that asks nothing."""
    page.open(address.partition("question.html")[0])
    page.open(address, ready=f"location.pathname === '/question.html' && {OVER}")


@browser
def test_a_question_is_answered_by_keyboard_and_only_once(page, service):
    url, questions = service
    name = questions.put(TEXT)
    page.open(f"{url}/question.html#{name}")
    page.until(ASKED)
    assert page.js("document.getElementById('question').textContent") == TEXT
    assert page.js("location.href") == f"{url}/question.html"
    assert not any(name in address for address in page.requests if "#" not in address)
    page.type("two years ago")
    page.key("Tab")
    page.key("Enter")
    page.until(OVER)
    assert questions.read(name) == (TEXT, True, "two years ago")
    over(page, f"{url}/question.html#{name}")
    assert page.problems == []


@browser
def test_to_decline_is_not_to_tell(page, service):
    url, questions = service
    name = questions.put(TEXT)
    page.open(f"{url}/question.html#{name}")
    page.until(ASKED)
    page.click("#decline")
    page.until(OVER)
    assert questions.read(name) == (TEXT, True, None)


@browser
def test_no_question_is_said_in_words(page, service):
    url, _ = service
    over(page, f"{url}/question.html#nothing")
    assert "There is no such question" in page.js("document.getElementById('status').textContent")
