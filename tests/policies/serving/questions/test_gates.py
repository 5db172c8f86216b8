"""Which messages may get questions."""

from pathlib import Path

import pytest

from envs import UserError
from envs.llm.scripted.scripted_replies import Completion
from envs.llm.scripted.scripted_server import Script, ScriptedServer
from envs.loading import load_scenarios
from policies.serving.questions.gates import DomainGate, LLMGate, is_alarming
from tests.policies.serving.serving_cases import QUERY

EVERYDAY = (Path(__file__).parent / "everyday.txt").read_text(encoding="utf-8").splitlines()


def test_everyday_messages_get_few_questions(agent):
    """The messages are not among those that were trained on."""
    gate = DomainGate()
    opened = [text for text in EVERYDAY if gate.opens(text) or is_alarming(agent.detector.check(text), text)]
    assert len(EVERYDAY) == 300
    assert len(opened) <= 6


def test_queries_of_the_bundled_scenarios_get_questions():
    """A floor and no measure, for they are trained on; `experiments.train_gate --folds` measures."""
    gate = DomainGate()
    queries = [s.query for s in load_scenarios(None).scenarios]
    assert sum(map(gate.opens, queries)) >= 0.9 * len(queries)


def test_a_threshold_is_a_probability():
    assert DomainGate(0.0).opens("hello")
    assert not DomainGate(1.0).opens("hello")
    with pytest.raises(UserError, match=r"gate\.threshold"):
        DomainGate(1.5)


@pytest.mark.parametrize(
    ("said", "everyday", "risky"),
    [('{"risk": "yes"}', True, True), ('{"risk": "no"}', False, False), ("perhaps", False, True)],
)
def test_a_model_decides_and_the_classifier_stands_in(said, everyday, risky):
    with ScriptedServer(Script(rule=lambda body: Completion(said))) as server:
        gate = LLMGate(model="m", base_url=server.url)
        assert gate.opens("write a haiku about autumn") is everyday
        assert gate.opens(QUERY) is risky
