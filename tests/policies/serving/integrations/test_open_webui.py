"""The pipe in the real Open WebUI: loaded and called as it loads and calls functions."""

import json

import pytest

from envs.llm.scripted.scripted_server import Script
from policies.serving.questions.gates import AlwaysGate
from tests.policies.serving.integrations.own_environment import ROOT, environment, run
from tests.policies.serving.serving_cases import layer
from tests.policies.serving.small_agent import shared

pytestmark = pytest.mark.integrations
FILE = ROOT / "policies" / "serving" / "integrations" / "open_webui_pipe.py"
QUERY = [{"role": "user", "content": "one two"}]
ASKED = [*QUERY, {"role": "assistant", "content": "Your A?"}, {"role": "user", "content": "low"}]
WRAPPED = [{"role": "user", "content": "### Use these sources: ... <query>one two</query>"}]


@pytest.fixture(scope="module")
def python(request):
    return environment(request.config, "open-webui==0.12.4")


def test_the_pipe_in_open_webui(python, tmp_path):
    cases = [
        {"messages": QUERY, "dialogs": ["low", "high", "low"]},
        {"messages": QUERY, "dialogs": ["low", False, ""]},
        {"messages": QUERY, "dialogs": ["low", {"error": "no browser"}]},
        {"messages": QUERY, "dialogs": ["silent"]},
        {"messages": QUERY, "dialogs": ["late"]},
        {"messages": QUERY},
        {"messages": ASKED},
        {"messages": QUERY, "dialogs": ["I want to kill myself tonight"]},
        {"messages": QUERY, "dialogs": [], "metadata": {"task": "title_generation"}},
        {"messages": WRAPPED, "metadata": {"user_prompt": "one two"}, "dialogs": ["low", "high", "low"]},
        {"messages": QUERY, "stream": False, "dialogs": ["low", "high", "low"]},
    ]
    given = "\n".join(json.dumps(case) for case in cases)
    with layer(shared(), AlwaysGate()) as (url, upstream):
        kind, about, found = run(
            python, "open_webui_script.py", tmp_path, FILE, url, given=given, timeout=400
        )
        sent = [json.dumps(body["messages"]) for body in upstream.seen.bodies]
    assert (kind, about["title"]) == ("pipe", "raise-planner")
    told, skipped, gone, silent, late, no_dialog, next_turn, danger, title, wrapped, whole = found
    assert told["dialogs"] == whole["dialogs"] == ["Your A?", "Your B?", "Your C?"]
    assert told["text"].startswith("Scripted")
    assert whole["text"].startswith("Scripted")
    assert skipped["dialogs"] == ["Your A?", "Your B?", "Your C?"]
    assert (gone["dialogs"], gone["text"].splitlines()[-1]) == (["Your A?", "Your B?"], "Your B?")
    assert [case["text"].splitlines()[-1] for case in (silent, late, no_dialog)] == ["Your A?"] * 3
    assert next_turn["text"].splitlines()[-1] == "Your B?"
    assert "112" in danger["text"]
    assert (title["dialogs"], title["text"].startswith("Scripted")) == ([], True)
    assert wrapped["text"].startswith("Scripted")
    for case in found[:-1]:
        assert case["ends"] == ["[DONE]", "stop"]
        assert not case["tools"]
        assert not case["errors"]
    # To the model: told, skipped, the title, wrapped, whole; nothing for what ended in a question or in help.
    assert len(sent) == 5
    assert all("A: low" in sent[i] for i in (0, 1, 3, 4))
    assert "B: high" in sent[0]
    assert "B: " not in sent[1]
    assert "A: low" not in sent[2]
    assert "sources" in sent[3]


@pytest.mark.parametrize("fault", ["server_error", "truncated_json"])
def test_a_model_that_fails_is_told_in_the_chat(python, tmp_path, fault):
    case = json.dumps({"messages": QUERY, "metadata": {"task": "title_generation"}})
    with layer(shared(), AlwaysGate(), Script(fault_rate=1.0, faults=[fault])) as (url, _):
        _, _, (found,) = run(python, "open_webui_script.py", tmp_path, FILE, url, given=case, timeout=400)
    assert len(found["errors"]) == 1
    assert found["errors"][0]
