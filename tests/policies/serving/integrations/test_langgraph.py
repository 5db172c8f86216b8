"""The LangGraph node in real LangGraph, with checkpoints on disk, each process its own."""

import json

import pytest

from tests.policies.serving.integrations.own_environment import environment, run

pytestmark = pytest.mark.integrations
ANSWER = ("answer", {"A": "low", "C": "high"}, ["B"])


@pytest.fixture(scope="module")
def python(request):
    needed = "langgraph==1.2.24", "langgraph-checkpoint-sqlite==3.1.2"
    return environment(request.config, *needed, with_ours=True)


@pytest.fixture
def talk(python, tmp_path):
    """Give steps to one thread, in a process of their own each time."""

    def steps(*given, how="plain"):
        return run(python, "langgraph_script.py", json.dumps(given), tmp_path / "checkpoints.sqlite", how)

    return steps


def end(found):
    turn = found[-1]["turn"]
    return turn["kind"], turn["context"], turn["declined"]


@pytest.mark.parametrize("how", ["plain", "async", "inner"])
def test_a_conversation_in_one_process(talk, how):
    """Also by asynchronous calls, and in a graph within a graph, whose pause runs the outer node again."""
    steps = {"message": "one two"}, {"resume": "low"}, {"resume": ""}, {"resume": "high"}
    found = talk(*steps, how=how)
    assert [step["asked"] for step in found] == [["Your A?"], ["Your B?"], ["Your C?"], []]
    assert end(found) == ANSWER
    assert [step["runs"].count("answer") for step in found] == [0, 0, 0, 1]


def test_each_reply_in_another_process(talk):
    """A pause outlives the process, and running the node again asks the same once more, and no other."""
    assert talk({"message": "one two"})[0]["asked"] == ["Your A?"]
    assert talk({"resume": "low"})[0]["asked"] == ["Your B?"]
    assert talk({"resume": ""})[0]["asked"] == ["Your C?"]
    assert end(talk({"resume": "high"})) == ANSWER


def test_a_reply_sent_as_plain_input_is_heard_and_does_not_begin_anew(talk):
    found = talk({"message": "one two"}, {"message": "low"}, {"resume": ""}, {"message": "high"})
    assert [step["asked"] for step in found] == [["Your A?"], ["Your B?"], ["Your C?"], []]
    assert end(found) == ANSWER


def test_the_conversation_goes_on_after_the_answer(talk):
    found = talk({"message": "one two"}, {"resume": "just answer me"}, {"message": "B=high, and what then?"})
    assert [step["turn"]["kind"] for step in found] == ["ask", "answer", "answer"]
    assert found[-1]["runs"] == ["ask", "answer"]


def test_danger_ends_the_questions(talk):
    found = talk({"message": "one two"}, {"resume": "I want to kill myself tonight"})
    assert (found[-1]["turn"]["kind"], found[-1]["asked"]) == ("escalate", [])
    assert all(place["contact"] for place in found[-1]["turn"]["resources"])
