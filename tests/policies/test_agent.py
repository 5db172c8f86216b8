"""The conversation: turns, declined questions, danger, and going on from JSON."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import UserError
from envs.scenario import Profile
from policies import Agent, Decision, converse
from policies.abstention import FixedAbstention, NeverAbstention
from policies.acquisition import NearestAcquisition
from policies.composed import ComposedPolicy
from policies.understanding import Reading, Value
from policies.understanding.detectors.rules_detector import RulesDetector
from search.path_table import PathTable
from tests.policies.policy_cases import RECORDS, SCHEMA, WordEmbedding, plan_index, record

NAME = "Bartholomew"
ROOT = Path(__file__).parents[2]


class Whole:
    """A reader that takes each reply as it is."""

    def read(self, text, schema, asked=None, dialogue=None):
        return Reading({} if asked is None else {asked: Value(text)})


def agent(**options):
    policy = options.pop("policy", ComposedPolicy(NearestAcquisition(), NeverAbstention(), 2))
    return Agent(options.pop("plan_index", plan_index()), policy, **options)


def test_a_conversation_by_hand():
    """Nearest AB, then BA, then the ranking A C B D: A, B, C; the budget of the table is 3."""
    one = agent()
    turn = one.start("one two")
    assert (turn.kind, turn.attribute, turn.question, turn.why) == ("ask", "A", "Your A?", "Why A.")
    turn = one.reply(" low ")
    assert (turn.kind, turn.attribute, turn.path) == ("ask", "B", ("A",))
    turn = one.reply("I'd rather not say")
    assert (turn.attribute, turn.declined) == ("C", ("B",))
    turn = one.reply("high")
    assert turn.kind == "answer"
    assert dict(turn.context) == {"A": "low", "C": "high"}
    assert turn.path == ("A", "B", "C")
    assert turn.declined == ("B",)
    assert turn.response is None
    assert one.turn is turn


@pytest.mark.parametrize("reply", [None, "", "skip", "unknown", "I don't know"])
def test_a_declined_question_is_spent_and_never_asked_again(reply):
    turn = converse(agent(), "one two", lambda turn: reply)
    assert turn.kind == "answer"
    assert turn.path == turn.declined == ("A", "B", "C")
    assert len(turn.context) == 0


def test_context_is_in_schema_order_whatever_was_asked_first():
    turn = converse(agent(), "one three", lambda turn: "low")
    assert turn.path[:2] == ("B", "A")
    assert list(turn.context) == ["A", "B", "C"]


def test_what_the_query_reveals_is_known_and_not_asked():
    one = Agent.load()
    turn = one.start("I'm 34 and I work as a nurse. Should I take the loan from my brother?")
    asked = []
    while turn.kind == "ask":
        asked.append(turn.attribute)
        turn = one.reply("none")
    assert turn.revealed == ("Age", "Profession")
    assert turn.context["Age"] == "34"
    assert not {"Age", "Profession"} & set(asked)


def test_the_target_model_answers_in_the_context():
    seen = []

    def respond(query, context, dialogue):
        seen.append((query, dict(context)))
        return "Take care."

    turn = converse(agent(respond=respond), "one two", lambda turn: "low")
    assert turn.response == "Take care."
    assert seen == [("one two", {"A": "low", "B": "low", "C": "low"})]


def test_danger_in_the_query_comes_before_any_question():
    turn = agent().start("one two and I want to kill myself tonight")
    assert turn.kind == "escalate"
    assert turn.resources
    assert turn.message


def test_danger_in_a_reply_comes_before_the_next_question():
    one = agent(respond=lambda query, context, dialogue: pytest.fail("answered"))
    one.start("one two")
    turn = one.reply("I just took a whole bottle of pills")
    assert (turn.kind, turn.path) == ("escalate", ("A",))
    assert one.reply("low").attribute == "B"
    assert one.start("one two").kind == "ask"


def test_danger_is_looked_at_before_a_reply_counts_as_declined():
    one = agent()
    one.start("one two")
    assert one.reply("I don't want to talk about it. I want to die").kind == "escalate"


@pytest.mark.parametrize("replies", [[], ["low"], ["low", None], ["low", None, "high"], ["I want to die"]])
def test_goes_on_from_json_as_if_nothing_had_happened(replies):
    straight = agent()
    turn = straight.start("one two")
    resumed = Agent.from_json(straight.to_json(), agent())
    assert resumed.turn == turn
    for reply in replies:
        turn = straight.reply(reply)
        resumed.reply(reply)
        resumed = Agent.from_json(resumed.to_json(), agent())
        assert resumed.turn == turn
        assert resumed.to_json() == straight.to_json()


def test_from_json_alone_loads_what_the_conversation_was_begun_with(tmp_path):
    one = Agent.load()
    turn = one.start("Should I take the loan from my brother?")
    again = Agent.from_json(one.to_json())
    assert again.turn == turn
    assert again.reply("none") == one.reply("none")


def test_the_answer_of_the_model_is_not_asked_for_again():
    one = agent(respond=lambda query, context, dialogue: "Take care.")
    turn = converse(one, "one two", lambda turn: "low")
    again = Agent.from_json(
        one.to_json(), agent(respond=lambda query, context, dialogue: pytest.fail("asked again"))
    )
    assert again.turn == turn


@pytest.mark.parametrize("change", ["queries", "embedding", "schema"])
def test_over_a_table_planned_anew_it_goes_on_as_far_as_the_schema_has_the_attributes(change):
    """Of the other schema only B, C and D are left: A is asked no more, and what was told of it is gone."""
    one = agent()
    one.start("one two")
    one.reply("low")
    embedding = WordEmbedding()
    if change == "embedding":
        embedding.version = "2"
    records = RECORDS[1:] if change == "queries" else RECORDS
    other = plan_index(records, embedding=embedding)
    if change == "schema":
        schema = type(SCHEMA)(SCHEMA.attributes[1:])
        other = plan_index([record(r.query, "B", (3.0, 4.0)) for r in RECORDS], schema)
    again = Agent.from_json(one.to_json(), agent(plan_index=other))
    assert again.turn.attribute == "B"
    assert "A" not in again.reply("high").path or change != "schema"
    assert dict(again.answer_now().context) == ({} if change == "schema" else {"A": "low"}) | {"B": "high"}
    assert set(again.neighbours.rows.tolist()) <= set(range(len(other)))


def test_the_open_question_may_be_gone_from_the_schema():
    one = agent()
    assert one.start("one two").attribute == "A"
    schema = type(SCHEMA)(SCHEMA.attributes[1:])
    other = plan_index([record(r.query, "B", (3.0, 4.0)) for r in RECORDS], schema)
    assert Agent.from_json(one.to_json(), agent(plan_index=other)).turn.attribute == "B"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"state_version": 1}',
        '{"state_version": true}',
        "[" * 100_000,
        "\x00",
        None,
        3,
        b"\xff",
    ],
)
def test_json_of_something_else_is_refused(text):
    with pytest.raises(UserError, match=r"^conversation: [^\n]+$"):
        Agent.from_json(text, agent())


def test_json_of_another_version_says_which():
    one = agent()
    one.start("one two")
    text = json.dumps(json.loads(one.to_json()) | {"state_version": 7})
    with pytest.raises(UserError, match=r"^conversation: found version 7, expected 2; [^\n]+$"):
        Agent.from_json(text, agent())


VALUE = {"words": "low", "level": None, "number": None, "certainty": 1.0}
DAMAGED = [
    {"kind": "sing"},
    {"kind": [NAME]},
    {"attribute": None},
    {"attribute": "Z"},
    {"attribute": "A"},  # asked before
    {"attribute": "C", "values": {"C": VALUE}},  # known already
    {"rows": [99, 0]},
    {"rows": [-1, 0]},
    {"rows": [True, 0]},
    {"rows": ["a", "b"]},
    {"rows": [0.5, 1.0]},
    {"rows": [[0], [1]]},
    {"rows": [10**30, 0]},
    {"similarity": [0.5]},
    {"similarity": [float("nan"), 0.5]},
    {"similarity": [10**400, 0.5]},
    {"similarity": [None, 0.5]},
    {"signal": 3},
    {"values": []},
    {"values": {"A": 3}},
    {"values": {"A": {"B": NAME}}},
    {"values": {NAME: VALUE}},
    {"asked": ["A", "A"]},
    {"asked": [NAME, "A"]},
    {"declined": ["A"]},  # and answered
    {"declined": ["D"]},  # never asked
    {"declined": [NAME], "asked": [NAME]},
    {"revealed": [NAME]},
    {"query": " "},
    {"query": "\ud800"},
    {"embedding": [NAME]},
    {"embedding": {NAME: 1}},
    {"domain": 3},
]


@pytest.mark.parametrize("number", range(len(DAMAGED)))
def test_damaged_json_is_refused_without_showing_it(number):
    one = agent()
    one.start(f"one two {NAME}")
    one.reply(f"low {NAME}")
    row = json.loads(one.to_json()) | DAMAGED[number]
    with pytest.raises(UserError, match=r"^[^\n]+$") as caught:
        Agent.from_json(json.dumps(row), agent())
    assert NAME not in str(caught.value)


@given(st.data())
def test_no_json_ends_in_anything_but_an_agent_or_one_line(data):
    """Any field replaced by any JSON: a conversation that can be gone on with, or `UserError`."""
    one = agent()
    one.start("one two")
    one.reply("low")
    row = json.loads(one.to_json())
    key = data.draw(st.sampled_from(sorted(row)))
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from("ABCDZ")
    row[key] = data.draw(
        st.recursive(leaves, lambda s: st.lists(s) | st.dictionaries(st.text(), s), max_leaves=4)
    )
    try:
        again = Agent.from_json(json.dumps(row), agent())
    except UserError:
        return
    turn = again.turn
    while turn.kind == "ask":
        turn = again.reply("low")
    again.to_json().encode()


def test_another_process_goes_on(tmp_path):
    """A reply a process, as behind a web server with many workers; the same turns as in one."""
    program = (
        "import sys; from policies import Agent; text = sys.stdin.read()\n"
        "one = Agent.from_json(text); one.reply('I feel cornered'); sys.stdout.write(one.to_json())"
    )
    one = Agent.load()
    one.start("Should I take the loan from my brother? \u4f60\u597d \U0001f600")
    done = subprocess.run(
        [sys.executable, "-c", program], input=one.to_json(), capture_output=True, text=True, check=True,
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}, timeout=120,
    )  # fmt: skip
    assert done.stderr == ""
    one.reply("I feel cornered")
    assert done.stdout == one.to_json()
    assert list(tmp_path.iterdir()) == []


def test_hundreds_of_conversations_in_threads_that_share_a_memory():
    """Each turn through JSON; every conversation ends as it does alone."""
    server = Agent.load()
    queries = [f"Should I take the loan from my brother, offer {i}? I'm {20 + i % 60}." for i in range(200)]

    def hold(query):
        one = server.new()
        turn = one.start(query)
        while turn.kind == "ask":
            one = Agent.from_json(one.to_json(), server)
            turn = one.reply(f"{turn.attribute} of {query}")
        return turn

    alone = [hold(query) for query in queries]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(hold, queries)) == alone
    for i, turn in enumerate(alone):
        assert turn.context["Age"] == str(20 + i % 60)


class Broken:
    """Fails at the first `n` calls, as an endpoint does that is down."""

    def __init__(self, n):
        self.left = n

    def __call__(self, query, context, dialogue):
        self.left -= 1
        if self.left >= 0:
            raise UserError("the endpoint is down")
        return "Take care."


def test_a_failed_model_leaves_the_question_open():
    one = agent(respond=Broken(2))
    one.start("one two")
    one.reply("low")
    one.reply("high")
    before, turn = one.to_json(), one.turn
    for _ in range(2):
        with pytest.raises(UserError, match="down"):
            one.reply("low")
        assert (one.to_json(), one.turn) == (before, turn)
    assert one.reply("low").response == "Take care."
    assert one.turn.path == ("A", "B", "C")


def test_a_failed_start_keeps_the_conversation_before():
    one = agent()
    turn = one.start("one two")
    one.respond = Broken(1)
    one.policy = ComposedPolicy(abstention=FixedAbstention(0))
    with pytest.raises(UserError, match="down"):
        one.start("four five")
    assert one.turn is turn
    with pytest.raises(UserError, match="down"):
        agent(respond=Broken(1), policy=one.policy).start("four five")


@pytest.mark.parametrize("reply", [3, b"low", ["low"], True])
def test_a_reply_is_text_or_none(reply):
    one = agent()
    one.start("one two")
    before = one.to_json()
    with pytest.raises(UserError, match=r"^agent\.reply: found a \w+, expected a text or None$"):
        one.reply(reply)
    assert one.to_json() == before


def test_halves_of_characters_are_replaced():
    one = agent(reader=Whole())
    one.start("one two \ud83d")
    one.reply("low \ud83d and \ud83d\ude00")
    again = Agent.from_json(one.to_json().encode().decode(), agent())
    assert again.answer_now().context["A"] == "low \ufffd and \U0001f600"


def test_an_escalated_conversation_goes_on_showing_help_after_the_list_was_edited():
    one = agent()
    one.start("one two and I want to kill myself tonight")
    text = json.dumps(json.loads(one.to_json()) | {"signal": f"once called {NAME}"})
    again = Agent.from_json(text, agent(detector=RulesDetector.load()))
    assert again.turn.kind == "escalate"
    assert again.turn.message
    assert again.turn.resources
    assert NAME not in repr(again.turn)
    assert again.reply("low").kind == "ask"


def test_values_and_queries_stay_out_of_reprs():
    one = agent(respond=lambda query, context, dialogue: f"Dear {NAME}", reader=Whole())
    shown = [
        repr(one),
        repr(one.start(f"one two {NAME}")),
        repr(one),
        repr(one._steps.dialogue_state(one._state)),
    ]
    turn = one.turn
    while turn.kind == "ask":
        turn = one.reply(f"low {NAME}")
        shown += [
            repr(turn),
            str(turn),
            repr(one),
            repr(one._state),
            repr(one._steps.dialogue_state(one._state)),
        ]
    assert NAME in turn.context["A"]
    assert not any(NAME in text for text in shown)
    assert isinstance(turn.context, Profile)


def test_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = Agent.load()
    converse(one, "Should I take the loan?", lambda turn: "low")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("query", ["", "  ", None, 3])
def test_a_query_is_text(query):
    with pytest.raises(UserError, match=r"^query: "):
        agent().start(query)


def test_a_reply_needs_a_conversation():
    with pytest.raises(UserError, match="start"):
        agent().reply("low")
    for act in (agent().answer_now, agent().undo, lambda: agent().forget("A")):
        with pytest.raises(UserError, match="start"):
            act()


def test_answer_now():
    one = agent()
    one.start("one two")
    one.reply("low")
    turn = one.answer_now()
    assert (turn.kind, dict(turn.context)) == ("answer", {"A": "low"})
    assert one.answer_now() is turn


@pytest.mark.parametrize("attribute", ["A", "Z"])
def test_a_policy_that_asks_twice_or_nonsense_is_named(attribute):
    class Stubborn:
        n_neighbours, budget = 1, None

        def decide(self, dialogue):
            return Decision("A" if dialogue.budget_left == 3 else attribute)

    one = agent(policy=Stubborn())
    one.start("one two")
    with pytest.raises(UserError, match=r"^policy: asks"):
        one.reply("low")


def test_no_policy_asks_beyond_the_budget():
    class Curious:
        n_neighbours, budget = 1, 2

        def decide(self, dialogue):
            return Decision(next(n for n in "ABCD" if n not in dialogue.asked))

    assert converse(agent(policy=Curious()), "one two", lambda turn: "low").path == ("A", "B")


def test_two_conversations_do_not_mix():
    one = agent()
    other = one.new()
    one.start("one two")
    other.start("four five")
    assert (one.turn.attribute, other.turn.attribute) == ("A", "C")
    assert other.plan_index is one.plan_index


def test_same_query_same_questions():
    replies = {"A": "low", "B": None, "C": "high"}
    turns = [converse(agent(), "one four", lambda turn: replies[turn.attribute]) for _ in range(2)]
    assert turns[0] == turns[1]


def test_loads_a_run_folder_and_a_file(tmp_path):
    PathTable.from_records(RECORDS, {}).save(tmp_path / "paths.parquet")
    for paths in (tmp_path, tmp_path / "paths.parquet", str(tmp_path)):
        one = Agent.load(paths, embedding=WordEmbedding(), schema=SCHEMA)
        assert one.start("one two").attribute in SCHEMA.names


def test_the_shipped_table_runs_at_once_and_has_trees():
    one = Agent.load()
    assert len(one.plan_index) == 140
    assert one.plan_index.simulated
    assert set(one.plan_index.trees.trees) == {
        "relationship",
        "career",
        "financial",
        "social",
        "health",
        "life",
        "education",
        "all",
    }
    turn = one.start("My ex offers me the spare room until spring. Should I take it?")
    assert turn.kind == "ask"
    assert turn.question.endswith("?")
    assert turn.why
    assert len(one.neighbours.rows) == one.policy.n_neighbours
