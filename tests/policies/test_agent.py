"""The conversation: turns, declined questions, danger, and going on from JSON."""

import json

import pytest
from policy_cases import RECORDS, SCHEMA, WordEmbedding, memory, record

from envs import UserError
from envs.scenario import Profile
from policies import Agent, Decision, converse
from policies.abstention import FixedAbstention, NeverAbstention
from policies.acquisition import NearestAcquisition
from policies.composed import ComposedPolicy
from search.path_table import PathTable

NAME = "Bartholomew"


def agent(**options):
    policy = options.pop("policy", ComposedPolicy(NearestAcquisition(), NeverAbstention(), 2))
    return Agent(options.pop("memory", memory()), policy, **options)


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

    def respond(query, context):
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


def test_danger_in_a_reply_ends_the_questions():
    one = agent(respond=lambda query, context: pytest.fail("answered"))
    one.start("one two")
    turn = one.reply("I just took a whole bottle of pills")
    assert (turn.kind, turn.path) == ("escalate", ("A",))
    for act in (lambda: one.reply("low"), one.answer_now):
        with pytest.raises(UserError, match="escalat"):
            act()
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
    one = agent(respond=lambda query, context: "Take care.")
    turn = converse(one, "one two", lambda turn: "low")
    again = Agent.from_json(one.to_json(), agent(respond=lambda query, context: pytest.fail("asked again")))
    assert again.turn == turn


@pytest.mark.parametrize("change", ["queries", "embedding", "schema"])
def test_json_of_another_table_is_refused(change):
    one = agent()
    one.start("one two")
    embedding = WordEmbedding()
    if change == "embedding":
        embedding.version = "2"
    records = RECORDS[:-1] if change == "queries" else RECORDS
    other = memory(records, embedding=embedding)
    if change == "schema":
        schema = type(SCHEMA)(SCHEMA.attributes[1:])
        other = memory([record(r.query, "B", (3.0, 4.0)) for r in RECORDS], schema)
    with pytest.raises(UserError, match=r"^conversation: [^\n]+$"):
        Agent.from_json(one.to_json(), agent(memory=other))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"state_version": 1}', '{"state_version": 2}'])
def test_json_of_something_else_is_refused(text):
    with pytest.raises(UserError, match=r"^conversation: [^\n]+$"):
        Agent.from_json(text, agent())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "sing"),
        ("attribute", None),
        ("attribute", "Z"),
        ("rows", [99, 0]),
        ("signal", 3),
        ("context", []),
    ],
)
def test_damaged_json_is_refused_without_showing_it(key, value):
    one = agent()
    one.start(f"one two {NAME}")
    row = json.loads(one.to_json()) | {key: value}
    with pytest.raises(UserError, match=r"^[^\n]+$") as caught:
        Agent.from_json(json.dumps(row), agent())
    assert NAME not in str(caught.value)


def test_values_and_queries_stay_out_of_reprs():
    one = agent(respond=lambda query, context: f"Dear {NAME}")
    shown = [repr(one), repr(one.start(f"one two {NAME}")), repr(one), repr(one._situation())]
    turn = one.turn
    while turn.kind == "ask":
        turn = one.reply(f"low {NAME}")
        shown += [repr(turn), str(turn), repr(one), repr(one._state), repr(one._situation())]
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


def test_a_reply_needs_a_question():
    with pytest.raises(UserError, match="start"):
        agent().reply("low")
    done = agent(policy=ComposedPolicy(abstention=FixedAbstention(0)))
    assert done.start("one two").kind == "answer"
    with pytest.raises(UserError, match="open question"):
        done.reply("low")


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

        def decide(self, situation):
            return Decision("A" if situation.budget_left == 3 else attribute)

    one = agent(policy=Stubborn())
    one.start("one two")
    with pytest.raises(UserError, match=r"^policy: asks"):
        one.reply("low")


def test_no_policy_asks_beyond_the_budget():
    class Curious:
        n_neighbours, budget = 1, 2

        def decide(self, situation):
            return Decision(next(n for n in "ABCD" if n not in situation.asked))

    assert converse(agent(policy=Curious()), "one two", lambda turn: "low").path == ("A", "B")


def test_two_conversations_do_not_mix():
    one = agent()
    other = one.new()
    one.start("one two")
    other.start("four five")
    assert (one.turn.attribute, other.turn.attribute) == ("A", "C")
    assert other.memory is one.memory


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
    assert len(one.memory) == 140
    assert one.memory.simulated
    assert set(one.memory.trees.trees) == {
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
    assert len(one.neighbours.rows) == 5
