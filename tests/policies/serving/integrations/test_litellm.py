"""The guardrail in the real LiteLLM proxy, between the openai client and a scripted model."""

import json
import shutil

import pytest

from policies.serving.questions.gates import AlwaysGate
from tests.policies.serving.integrations.own_environment import ROOT, environment, run
from tests.policies.serving.serving_cases import layer
from tests.policies.serving.small_agent import shared

pytestmark = pytest.mark.integrations
FILE = ROOT / "policies" / "serving" / "integrations" / "litellm_guardrail.py"
TALK = [
    {"role": "user", "content": "one two"},
    {"role": "assistant", "content": "Your A?"},
    {"role": "user", "content": "low"},
]
END = [*TALK, {"role": "assistant", "content": "Your B?"}, {"role": "user", "content": "Just answer now."}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def python(request):
    return environment(request.config, "litellm[proxy]==1.108.7")


def talk(python, folder, url, upstream_url, *cases):
    shutil.copy(FILE, folder)
    given = "\n".join(json.dumps(case) for case in cases)
    return run(python, "litellm_script.py", folder, url, upstream_url, given=given, timeout=400)


def test_questions_cost_no_call_and_the_answer_knows_what_was_told(python, tmp_path):
    cases = [
        {"messages": TALK[:1]},
        {"messages": TALK[:1], "stream": True},
        {"messages": TALK},
        {"messages": [{"role": "user", "content": "I want to kill myself tonight"}], "stream": True},
    ]
    through = [{"messages": END}, {"messages": END, "stream": True}, {"messages": TALK[:1], "tools": [TOOL]}]
    with layer(shared(), AlwaysGate()) as (url, upstream):
        found = talk(python, tmp_path, url, upstream.url, *cases, *through)
        sent = [json.dumps(body["messages"]) for body in upstream.seen.bodies]
    assert not [reply for reply in found if isinstance(reply, int)]
    asked, answered = found[: len(cases)], found[len(cases) :]
    assert [text.splitlines()[-1] for text, _ in asked[:3]] == ["Your A?", "Your A?", "Your B?"]
    # The proxy says so of a reply that a guardrail gave, where it is not streamed.
    assert {reason for _, reason in asked} <= {"stop", "content_filter"}
    assert "112" in asked[3][0]
    assert all(text for text, _ in answered)
    assert len(sent) == len(through)
    assert all(text.count("A: low") == 1 for text in sent[:2])
    assert "A: low" not in sent[2]


def test_a_service_that_is_down_is_an_error_that_clients_do_not_repeat(python, tmp_path):
    with layer(shared(), AlwaysGate()) as (_, upstream):
        found = talk(python, tmp_path, "http://127.0.0.1:9", upstream.url, {"messages": TALK[:1]})
        assert (found, upstream.seen.requests) == ([400], 0)


def test_a_hook_that_is_called_twice_asks_once(python, tmp_path):
    with layer(shared(), AlwaysGate()) as (url, upstream):
        once, again = talk(python, tmp_path, url, upstream.url, {"twice": END})
    assert once == again
    assert json.dumps(once).count("A: low") == 1
