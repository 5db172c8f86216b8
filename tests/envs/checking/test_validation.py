"""Settings and files against their types: what is accepted, and mistakes as one line."""

import inspect
import re
from pathlib import Path

import pytest
import yaml
from hydra.utils import get_class

from envs import UserError, load_schema
from envs.checking.validation import accepted_keys
from envs.judges.llm import LLMJudge
from envs.judges.llm.settings import JudgeSettings, Target
from envs.llm import ChatRequest
from envs.llm.endpoint import Endpoint, EndpointSettings, Limits, Sampling

CONF = Path(__file__).resolve().parents[3] / "conf"
MARK = "sk-not-to-be-seen"
MEMBERS = ["judge/openai", "judge/local", "judge/replay", "prior/llm", "chat/openai"]


@pytest.mark.parametrize("member", MEMBERS)
def test_a_configuration_file_has_the_accepted_keys_with_their_defaults(member):
    node = yaml.safe_load((CONF / f"{member}.yaml").read_text(encoding="utf-8"))
    target = get_class(node.pop("_target_"))
    keys = accepted_keys(target)
    assert set(node) == set(keys) == set(inspect.signature(target).parameters)
    assert all(key.description for key in keys.values())
    for name, value in node.items():
        if name != "target" and not str(value).startswith("${") and value not in (None, {}, "???"):
            assert value == keys[name].default, name


def test_the_keys_of_a_judges_target_are_those_of_its_configuration_file():
    node = yaml.safe_load((CONF / "judge" / "openai.yaml").read_text(encoding="utf-8"))
    assert set(node["target"]) == set(accepted_keys(accepted_keys(LLMJudge)["target"].type))


def test_a_plain_function_accepts_its_parameters():
    def search(width: int, depth=3):
        raise NotImplementedError

    found = accepted_keys(search)
    assert list(found) == ["width", "depth"]
    assert found["depth"].default == 3


def test_counts_may_be_written_as_powers_of_ten():
    assert Limits(max_tokens=1e6).max_tokens == 1_000_000


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"max_requests": 2.5}, "judge.max_requests: found 2.5, expected an integer"),
        ({"max_requests": True}, "judge.max_requests: found True, expected an integer"),
        ({"timeout_s": "soon"}, "judge.timeout_s: found 'soon', expected a number"),
        ({"max_retries": -1}, "judge.max_retries: found -1, expected a number >= 0"),
        ({"max_retrys": 1}, "judge.max_retrys: there is no such key, did you mean max_retries"),
        ({"base_url": 5}, "judge.base_url: found 5, expected text"),
        ({"api": "bedrock", "place": "chat"}, "chat.api: found 'bedrock', expected openai or azure"),
    ],
)
def test_a_mistake_in_settings_is_told(keys, message):
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        EndpointSettings("m", **keys)


@pytest.mark.parametrize(
    "keys",
    [
        {"headers": MARK},
        {"headers": {"Authorization": [MARK]}},
        {"extra_body": [MARK]},
        {"key_variable": [MARK]},
        {"key_variable": MARK},
        {"api_key": MARK},
        {"target": MARK},
        {"target": {"api_key": MARK}},
        {"target": {"headers": {"Authorization": MARK}}},
    ],
)
def test_no_message_repeats_what_may_be_a_secret(keys, tmp_path):
    with pytest.raises(UserError, match=r"^judge\.[^\n]+$") as caught:
        LLMJudge("m", cache=str(tmp_path / "c"), **keys)
    assert MARK not in str(caught.value)


def test_a_temperature_keeps_its_place_in_files_of_replies():
    """0 and 0.0 are two keys there; what was paid for under either is still found."""
    for written in (0, 0.0, 1, 0.7):
        request = ChatRequest((), temperature=Sampling(temperature=written).temperature)
        assert request.key("m", {}) == ChatRequest((), temperature=written).key("m", {})


DRAWN = {"temperature": 0.7, "top_p": None, "max_output_tokens": 800}
"""How a target answers under protocol=ours."""


def test_a_target_is_as_the_judge_but_for_what_it_is_given():
    keys = {"key_variable": "MY_KEY", "headers": {"X-Id": "7"}, "timeout_s": 5.0, "extra_body": {"top_k": 1}}
    judge = JudgeSettings("m", "http://localhost/a", **keys, target={"model": "other", "base_url": None})
    assert judge.target == Target("other", "http://localhost/a", **keys, **DRAWN, place="judge.target")
    assert JudgeSettings("m", **keys).target == Target("m", **keys, **DRAWN)


def test_a_target_elsewhere_gets_neither_key_nor_headers_of_the_judge():
    keys = {"key_variable": "MY_KEY", "headers": {"X-Id": "7"}, "api": "azure", "api_version": "v"}
    judge = JudgeSettings("m", "http://localhost/a", **keys, target={"base_url": "http://localhost/b"})
    assert judge.target == Target("m", "http://localhost/b", **DRAWN, place="judge.target")


def test_a_judges_own_mistake_is_told_before_its_targets():
    with pytest.raises(UserError, match=r"^judge\.headers\.Authorization: "):
        JudgeSettings("m", headers={"Authorization": MARK}, target={"temperature": 9.0})


def test_settings_cannot_be_changed():
    with pytest.raises(AttributeError):
        Endpoint("m").model = "other"


MISTAKES = {
    "- name: A\n- {name: Age, cost: -1}": "attribute 1 (Age): cost: found -1, expected a number >= 0",
    "- {name: A, cost: true}": "attribute 0 (A): cost: found True, expected a number",
    "- {name: A, cost: .inf}": "attribute 0 (A): cost: found inf, expected a finite number",
    "- {name: A, sensitivity: 9}": "attribute 0 (A): sensitivity: found 9, expected a number <= 5",
    "- {name: A, costs: 2}": "attribute 0 (A): costs: there is no such key, did you mean cost",
    "- {name: ' '}": "attribute 0: name: found ' ', expected text that is not blank",
    "- {cost: 1}": "attribute 0: name: found none, expected a value",
    "- 5": "attribute 0: found 5, expected a mapping",
    "a: b": "found dict, expected a list",
    "": "found none, expected a list",
    "- {name: A, levels: {x: 5}}": "attribute 0 (A): levels.x: found 5, expected a list of phrases or "
    "{min, max}",
    "- {name: A, levels: [1]}": "attribute 0 (A): levels: expected a list of names, or a mapping of names to "
    "phrases or {min, max}",
    "- {name: A, levels: {x: {min: 5, max: 1}}}": "attribute 0 (A): levels.x.range: found min 5 above max 1, "
    "expected min <= max",
    "- {name: A, levels: {x: {}}}": "attribute 0 (A): levels.x.range: found neither min nor max, "
    "expected one of them or both",
    "- {name: A, type: bool}": "attribute 0 (A): type: found 'bool', expected boolean",
    "attributes: 3": "attributes: found 3, expected a list",
    "{attributes: [{name: A}], domain: [x]}": "domain: there is no such key, did you mean domains",
    "{attributes: [{name: A}], domains: []}": "domains: found 0, expected at least 1",
    "{attributes: [{name: A}], domains: [x, x]}": "domains: the name 'x' occurs twice, expected distinct "
    "names",
    "{attributes: [{name: A}], domains: [x, all]}": "domains: found 'all', which stands for every domain, "
    "expected another",
    "{attributes: [{name: A}], missing: [5]}": "missing[0]: found 5, expected text",
    "- name: A\n- name: A": "attributes: the name 'A' occurs twice, expected distinct names",
    "[]": "attributes: found 0, expected at least 1",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_a_schema_file_is_told_with_its_place(text, tmp_path):
    path = tmp_path / "schema.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_schema(path)
    assert str(caught.value) == f"{path}: {MISTAKES[text]}"


def test_a_schema_file_is_read_as_written(tmp_path):
    path = tmp_path / "schema.yaml"
    path.write_text(
        "- {name: A, levels: [low, high]}\n"
        "- {name: B, question: 'Which?', why: So., cost: 2, sensitivity: 3, levels: {old: {min: 3, max: 4}, "
        "young: ['kid*', small]}}\n- {name: C, levels: null}\n",
        encoding="utf-8",
    )
    a, b, c = load_schema(path).attributes
    assert (a.question, a.cost, a.sensitivity) == ("Could you tell me about your a?", 1.0, 1)
    assert [a.code(text) for text in ("low", "high", "none")] == [0, 1, -1]
    assert (b.question, b.why, b.cost, b.sensitivity) == ("Which?", "So.", 2.0, 3)
    assert [b.code(text) for text in ("3", "kids", "small", "9")] == [0, 1, 1, -1]
    assert c.levels == ()
