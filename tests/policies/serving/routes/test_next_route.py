"""What comes next, for programs that call the model themselves: nothing is asked of the model."""

import httpx2
import pytest

from policies.serving.questions.gates import AlwaysGate
from tests.policies.serving.serving_cases import layer
from tests.policies.serving.small_agent import shared

QUERY = {"role": "user", "content": "one two"}
TALK = [QUERY, {"role": "assistant", "content": "Your A?"}, {"role": "user", "content": "low"}]


@pytest.fixture(scope="module")
def service():
    with layer(shared(), AlwaysGate()) as (url, upstream):
        yield lambda body: httpx2.post(f"{url}/v1/next", json=body)
        assert upstream.seen.requests == 0


def test_a_question_with_its_reason(service):
    found = service({"messages": TALK}).json()
    assert (found["kind"], found["attribute"], found["why"]) == ("ask", "B", "Why B.")
    assert found["text"].splitlines()[-1] == "Your B?"
    assert (found["known"], found["messages"]) == ({"A": "low"}, None)


def test_an_answer_brings_the_messages_for_the_model(service):
    more = [{"role": "assistant", "content": "Your B?"}, {"role": "user", "content": "Just answer now."}]
    found = service({"messages": [*TALK, *more]}).json()
    assert (found["kind"], found["text"]) == ("answer", "")
    assert found["messages"][0]["role"] == "system"
    assert "A: low" in found["messages"][0]["content"]
    assert found["messages"][1:] == [*TALK, *more]


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [QUERY], "tools": [{"type": "function", "function": {"name": "f"}}]},
        {"messages": [QUERY], "response_format": {"type": "json_object"}},
        {"messages": [QUERY], "n": 2},
        {"messages": [QUERY, {"role": "assistant", "content": "Go"}]},
        {"messages": [{"role": "user", "content": "### Task:\nmake a title"}]},
        {"messages": []},
        {},
    ],
)
def test_what_passes_on_passes(service, body):
    found = service(body).json()
    assert (found["kind"], found["text"], found["messages"]) == ("pass", "", None)


@pytest.mark.parametrize("body", [[], "text", 3])
def test_what_is_no_object_is_refused_in_openais_form(service, body):
    found = service(body)
    assert found.status_code == 400
    assert found.json()["error"]["message"]
