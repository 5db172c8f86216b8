"""What is remembered of dialogues changes nothing but time: with it and without, the same steps."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.dialogue.transcript import FORGET, JUST_ANSWER, SKIP
from policies.serving.questions.chat_messages import Said
from policies.serving.questions.dialogue_cache import MOST_CHARACTERS, DialogueCache
from policies.serving.questions.questioning import Questioning
from policies.serving.questions.rebuilt_dialogue import Moment
from tests.policies.dialogue.talk_cases import MarkDetector, MarkReader, talk

PERSON = (
    *("#ask A=low", "#ask B=high", "hello", "A=high", "B=low C=low", "C=high", "no idea", "!why", "!unclear"),
    *("!stop", "!correct A=low", "!new_query #ask", "!new_query hello", "@grave", "@hint", "yes", "no"),
    *("I am safe", SKIP, JUST_ANSWER, FORGET.format(name="A")),
)
ASSISTANT = ("A model's answer.", "Do you like it?")


class MarkGate:
    def opens(self, text):
        return "#ask" in text


@pytest.fixture(scope="module")
def shared():
    return talk(reader=MarkReader(), detector=MarkDetector(reads_all=True))


def told(step):
    return (step.kind, step.text, step.turn, step.query, dict(step.context))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), consent=st.booleans(), size=st.sampled_from([1, 3, 1000]))
def test_edits_branches_and_retries_get_what_a_replay_gets(shared, data, consent, size):
    """A client at any place of the history edits, cuts, retries, or goes on, in several chats at once."""
    questions = tuple(attribute.question for attribute in shared.plan_index.schema.attributes)
    with_cache = Questioning(shared, MarkGate(), consent=consent, remembered=size)
    chats = [[], []]
    for _ in range(data.draw(st.integers(1, 12), label="turns")):
        chat = data.draw(st.sampled_from(chats), label="chat")
        what = data.draw(st.sampled_from(["on", "on", "on", "edit", "retry", "cut", "other"]), label="what")
        if what == "retry" and chat:
            del chat[-2:]
        elif what == "edit" and chat:
            place = data.draw(st.integers(0, len(chat) - 1), label="place")
            speaker = chat[place].speaker
            words = PERSON if speaker == "person" else (*ASSISTANT, *questions)
            chat[place] = Said(speaker, data.draw(st.sampled_from(words), label="edited"))
        elif what == "cut" and chat:
            del chat[: data.draw(st.integers(0, len(chat)), label="kept from")]
        elif what == "other":
            chat[:] = list(data.draw(st.sampled_from(chats), label="branched"))
        request = [*chat, Said("person", data.draw(st.sampled_from(PERSON), label="said"))]
        if len(chat) and chat[-1].speaker == "person":
            del request[-2]
        may_ask = data.draw(st.sampled_from([True, True, True, False]), label="may ask")
        step = with_cache.next_step(request, may_ask)
        twin = Questioning(shared, MarkGate(), consent=consent).next_step(request, may_ask)
        assert told(step) == told(twin)
        assert told(with_cache.next_step(request, may_ask)) == told(twin)
        chat[:] = [*request, Said("assistant", step.text or ASSISTANT[0])]


def test_a_turn_reads_its_own_message_alone():
    reader = MarkReader()
    questioning = Questioning(talk(reader=reader), MarkGate(), remembered=10)
    said = []
    for text in ("#ask what now?", "A=low", "no idea"):
        said.append(Said("person", text))
        reader.seen.clear()
        step = questioning.next_step(said)
        assert {seen[0] for seen in reader.seen} == {text}
        said.append(Said("assistant", step.text or "An answer."))
    reader.seen.clear()
    questioning.next_step(said[:-1])
    assert reader.seen == []


def heard(cache, start, said, owner=""):
    return cache.heard(start, [Said("person", text) for text in said], owner)


def test_it_is_bounded_in_turns_in_length_and_by_owner():
    start, cache = Moment(talk(), MarkGate()), DialogueCache(2)
    first = heard(cache, start, ["a"])
    assert heard(cache, start, ["a"]) is first
    assert heard(cache, start, ["a"], "another") is not first
    heard(cache, start, ["b"])
    heard(cache, start, ["c"])
    assert len(cache) == 2
    assert heard(cache, start, ["a"]) is not first
    heard(cache, start, ["x" * (MOST_CHARACTERS + 1)])
    long = heard(cache, start, ["y" * (MOST_CHARACTERS + 1)])
    assert heard(cache, start, ["y" * (MOST_CHARACTERS + 1)]) is not long


def test_what_was_not_used_for_a_while_goes(monkeypatch):
    from policies.serving.questions import dialogue_cache

    now = [0.0]
    monkeypatch.setattr(dialogue_cache.time, "monotonic", lambda: now[0])
    start, cache = Moment(talk(), MarkGate()), DialogueCache(10)
    heard(cache, start, ["a"])
    now[0] = dialogue_cache.KEPT_S + 1
    heard(cache, start, ["b"])
    assert len(cache) == 1


def test_messages_are_not_run_together():
    """ "ab" and "c" are not "a" and "bc"; nor is a message of the one a message of the other."""
    start, cache = Moment(talk(), MarkGate()), DialogueCache(10)
    one = [Said("person", "ab"), Said("assistant", "c"), Said("person", "d")]
    other = [Said("person", "a"), Said("assistant", "bc"), Said("person", "d")]
    assert cache.heard(start, one) is not cache.heard(start, other)
