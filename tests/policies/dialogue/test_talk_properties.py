"""Any sequence of replies keeps the conversation's promises, at every step and in every copy."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import Agent
from policies.understanding.reading import INTENTS
from tests.policies.dialogue.talk_cases import talk

BUDGET = 3
TOLD = ("A=low", "B=high", "C=low", "D=high", "yes", "no", "@hint", "@grave", "@other")
replies = st.none() | st.builds(
    lambda intent, told: " ".join([f"!{intent}", *told]),
    st.sampled_from(INTENTS),
    st.lists(st.sampled_from(TOLD), max_size=2, unique=True),
)
sequences = st.lists(replies, max_size=12)
queries = st.sampled_from(["one two", "four five A=low", "eight @hint", "six seven @grave"])


def answering(query, context, dialogue):
    return f"{query}: {sorted(context.items())}, after {len(dialogue.turns)} messages."


@given(queries, sequences)
@settings(max_examples=80, deadline=None)
def test_promises(query, said):
    """At most the budget about a query; what is told, declined or asked before is not asked."""
    one = talk(respond=answering)
    turn, open_before, settled = one.start(query), None, set()
    for reply in [*said, *[None] * 30]:
        assert len(turn.path) == len(set(turn.path)) <= BUDGET
        assert set(turn.declined) == set(turn.path) - set(one.context)
        if turn.attribute is not None:
            assert turn.kind == "ask"
            assert turn.attribute not in one.context
            assert turn.attribute == open_before or turn.attribute not in settled
            assert 1 <= turn.number == len(turn.path) + 1 <= turn.of <= BUDGET
        if turn.kind == "answer":
            assert dict(turn.context) == dict(one.context)
            assert turn.response
        settled |= {*turn.path, *one.context}
        open_before = turn.attribute
        turn = one.reply(reply)
    assert turn.kind == "answer"  # nobody is held by silence


@given(queries, sequences)
@settings(max_examples=80, deadline=None)
def test_a_copy_through_json_is_the_same_at_every_step(query, said):
    one, server = talk(respond=answering), talk(respond=answering)
    one.start(query)
    for reply in said:
        again = Agent.from_json(one.to_json(), server)
        assert (again.turn, again.to_json()) == (one.turn, one.to_json())
        assert np.array_equal(again.neighbours.rows, one.neighbours.rows)
        assert again.reply(reply) == one.reply(reply)
        assert again.to_json() == one.to_json()


@given(queries, sequences, st.booleans())
@settings(max_examples=80, deadline=None)
def test_undo_is_the_inverse_of_reply(query, said, through_json):
    one, server = talk(respond=answering), talk(respond=answering)
    one.start(query)
    before = [(one.turn, one.to_json())]
    for reply in said:
        turn = one.reply(reply)
        if turn is not before[-1][0]:  # nothing said after an answer changes nothing
            before.append((turn, one.to_json()))
    if through_json:
        one = Agent.from_json(one.to_json(), server)
    for turn, text in reversed(before[:-1]):
        assert (one.undo(), one.to_json()) == (turn, text)


@given(queries, sequences)
@settings(max_examples=50, deadline=None)
def test_declining_ends_every_conversation_within_the_budget(query, said):
    one = talk()
    one.start(query)
    for reply in said:
        one.reply(reply)
    for _ in range(BUDGET + 3):  # two checks, help, and the questions that are left
        one.reply(None)
    assert one.turn.kind == "answer"


def test_two_hundred_conversations_in_threads_are_those_held_one_by_one():
    """Sequences drawn from a seed; each turn through JSON, all over one server."""
    rng = np.random.default_rng(7)
    intents, told = np.array(INTENTS), np.array(TOLD)
    scripts = [
        [
            f"!{intent} {mark}"
            for intent, mark in zip(rng.choice(intents, 8), rng.choice(told, 8), strict=True)
        ]
        for _ in range(200)
    ]
    server = talk(respond=answering)

    def hold(script):
        one, turns = server.new(), []
        one.start("one two")
        for reply in script:
            one = Agent.from_json(one.to_json(), server)
            turns.append(one.reply(reply))
        return turns, one.to_json()

    alone = [hold(script) for script in scripts]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(hold, scripts)) == alone
    assert len({text for _, text in alone}) > 150
