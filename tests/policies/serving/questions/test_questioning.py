"""The dialogue rebuilt from messages: resent, edited, branched, cut, and as the agent itself holds it."""

import pytest

from policies.dialogue.transcript import FORGET, JUST_ANSWER, SKIP, consents, question_in
from policies.serving.questions.chat_messages import Said
from policies.serving.questions.gates import AlwaysGate, DetectorGate, DomainGate
from policies.serving.questions.questioning import Questioning
from tests.policies.serving.serving_cases import QUERY, REPLIES


class Chat:
    """A client that keeps all messages, as chat programs do."""

    def __init__(self, agent, gate=None, **options):
        self.questioning = Questioning(agent, gate or AlwaysGate(), **options)
        self.schema = agent.plan_index.schema
        self.said = []

    def write(self, text, answer="An answer of the model."):
        step = self.questioning.next_step([*self.said, Said("person", text)])
        self.said += [Said("person", text), Said("assistant", step.text or answer)]
        return step

    def asked(self, step):
        return question_in(step.text, self.schema) if step.kind == "ask" else None


@pytest.fixture
def chat(agent):
    return Chat(agent)


def test_it_asks_what_the_agent_asks_and_knows_what_it_knows(agent, chat):
    step, twin = chat.write(QUERY), agent.new()
    turn = twin.start(QUERY)
    while turn.kind == "ask":
        assert (step.kind, chat.asked(step), step.turn.number) == ("ask", turn.attribute, turn.number)
        reply = REPLIES[turn.attribute]
        step, turn = chat.write(reply), twin.reply(reply)
    assert (step.kind, step.query) == ("answer", QUERY)
    assert step.context == turn.context
    assert len(turn.path) >= 2


def test_the_first_question_says_why_questions_come(chat):
    first, second = chat.write(QUERY), chat.write(SKIP)
    assert "skip any of them" in first.text
    assert first.text == f"{first.turn.note}\n\n{first.turn.question}"
    assert "skip any of them" not in second.text


def test_a_skipped_question_is_not_asked_again(chat):
    asked = [chat.asked(chat.write(QUERY))]
    while (name := chat.asked(chat.write(SKIP))) is not None:
        asked.append(name)
    assert len(set(asked)) == len(asked) <= 4


@pytest.mark.parametrize("words", [JUST_ANSWER, "just answer me please"])
def test_just_answer_ends_the_questions(chat, words):
    chat.write(QUERY)
    step = chat.write(words)
    assert (step.kind, step.query) == ("answer", QUERY)


def test_why_returns_the_question_with_a_reason(chat):
    name = chat.asked(chat.write(QUERY))
    step = chat.write("why do you need to know that?")
    assert chat.asked(step) == name
    assert len(step.text) > len(step.turn.question)


def test_forgetting_takes_a_value_out_of_the_context(chat):
    name = chat.asked(chat.write(QUERY))
    step = chat.write(REPLIES[name])
    assert name in step.context
    step = chat.write(FORGET.format(name=name))
    assert name not in step.context
    assert chat.asked(chat.write(SKIP)) != name


def test_an_edited_reply_counts_and_the_first_one_does_not(chat):
    name = chat.asked(chat.write(QUERY))
    chat.write(REPLIES[name])
    branch = [*chat.said[:2], Said("person", SKIP)]
    step = chat.questioning.next_step(branch)
    assert name not in step.context
    assert name in step.turn.declined


def test_the_same_request_gets_the_same_step(chat):
    chat.write(QUERY)
    request = [*chat.said, Said("person", "I am fine")]
    assert chat.questioning.next_step(request) == chat.questioning.next_step(request)


@pytest.mark.parametrize("kept", [2, 3])
def test_a_client_that_drops_turns_is_not_asked_for_ever(agent, kept):
    """It keeps the query and the last messages, as those do that save tokens."""
    chat = Chat(agent)
    kinds = [chat.write(QUERY).kind]
    for _ in range(8):
        chat.said = [chat.said[0], *chat.said[1:][-(kept - 1) :]]
        if chat.said[-1].speaker == "person":
            chat.said.pop()
        kinds.append(chat.write("I would rather talk about the weather.").kind)
    assert kinds.count("ask") <= 6
    assert kinds[-1] != "ask"


def test_a_reply_whose_query_was_cut_away_goes_on(agent, chat):
    question = chat.write(QUERY).text
    step = chat.questioning.next_step([Said("assistant", question), Said("person", "34")])
    assert step.kind == "pass"
    alarm = chat.questioning.next_step([Said("assistant", question), Said("person", "I want to die tonight")])
    assert alarm.kind in ("ask", "escalate")


def test_a_listed_rewording_is_a_question_of_ours(agent, chat):
    name = chat.asked(chat.write(QUERY))
    attribute = agent.plan_index.schema.attributes[agent.plan_index.schema.index(name)]
    said = [Said("person", QUERY), Said("assistant", attribute.reworded), Said("person", REPLIES[name])]
    assert name in chat.questioning.next_step(said).context


def test_another_question_than_expected_takes_its_reply_and_ends_the_questions(agent, chat):
    expected = chat.asked(chat.write(QUERY))
    other = next(a for a in agent.plan_index.schema.attributes if a.name not in (expected, "Age"))
    said = [Said("person", QUERY), Said("assistant", other.question), Said("person", REPLIES[other.name])]
    step = chat.questioning.next_step(said)
    assert step.kind == "answer"
    assert other.name in step.context
    assert expected not in step.context


def test_what_is_known_stays_for_follow_ups_and_everyday_messages_get_no_question(agent):
    chat = Chat(agent, DomainGate())
    step = chat.write(QUERY)
    while step.kind == "ask":
        step = chat.write(REPLIES[chat.asked(step)])
    known = step.context
    step = chat.write("write a python function that reverses a list")
    assert (step.kind, step.query) == ("answer", None)
    assert dict(known).items() <= dict(step.context).items()


def test_an_everyday_chat_that_turns_grave_gets_its_question(agent):
    chat = Chat(agent, DomainGate())
    assert chat.write("what is the capital of peru?").kind == "pass"
    assert chat.write(QUERY).kind == "ask"
    assert chat.write(JUST_ANSWER).kind == "answer"


def test_danger_is_met_whatever_the_gate_says(agent):
    chat = Chat(agent, DetectorGate())
    assert chat.write(QUERY).kind == "pass"
    step = chat.write("I have decided to end my life tonight, the pills are here")
    assert step.kind == "escalate"
    assert any(resource.contact in step.text for resource in step.turn.resources)
    assert chat.write("ok").kind in ("ask", "answer")


def test_consent_is_a_step_of_its_own(agent):
    for reply, kind in (("yes, go ahead", "ask"), ("no thanks", "answer"), ("hm, depends", "answer")):
        chat = Chat(agent, consent=True)
        step = chat.write(QUERY)
        assert step.kind == "consent"
        step = chat.write(reply)
        assert step.kind == kind
        if kind == "ask":
            assert chat.asked(step) is not None
            assert chat.write(REPLIES[chat.asked(step)]).context
        else:
            assert (step.query, dict(step.context)) == (QUERY, {})
            assert chat.write("and what about my flat?").kind != "consent"


def test_danger_comes_before_consent(agent):
    chat = Chat(agent, consent=True)
    chat.write(QUERY)
    assert chat.write("no, I have decided to kill myself tonight").kind == "escalate"


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("Yes", True),
        ("ok sure", True),
        ("go ahead!", True),
        ("no", False),
        ("yes but no questions", False),
        ("I'd rather not", False),
        ("ok, just answer", False),
        ("34", False),
        ("", False),
    ],
)
def test_only_a_clear_yes_is_consent(text, given):
    assert consents(text) is given


def test_the_reason_stands_in_the_text_where_it_is_wanted(agent):
    step = Chat(agent, shows_why=True).write(QUERY)
    assert step.turn.why in step.text
    assert question_in(step.text, agent.plan_index.schema) == step.turn.attribute


def test_no_disclosure_beyond_its_budget(agent):
    from policies import Agent
    from policies.composed import ComposedPolicy

    sensitivity = {a.name: a.sensitivity for a in agent.plan_index.schema.attributes}
    for most in (0, 3, 6):
        small = Agent(agent.plan_index, ComposedPolicy(disclosure=most))
        chat, told = Chat(small), 0
        step = chat.write(QUERY)
        while (name := chat.asked(step)) is not None:
            told += sensitivity[name]
            step = chat.write(REPLIES[name])
        assert told <= most
        assert step.kind == "answer"
