"""What each kind of reply does to a conversation, by a reader and a detector whose marks say what is meant.

By hand: under "one two" the plans ask A, B, C (nearest AB, then BA, then the ranking); the budget is 3.
"""

from dataclasses import replace

import pytest

from envs import UserError
from policies.understanding import Value
from tests.policies.dialogue.talk_cases import MarkDetector, MarkReader, talk
from tests.policies.policy_cases import SCHEMA


def begun(query="one two", **options):
    one = talk(**options)
    one.start(query)
    return one


def where(turn):
    return turn.kind, turn.attribute, turn.path, turn.declined


def test_questions_are_numbered_of_at_most_so_many():
    one = begun()
    assert (one.turn.number, one.turn.of) == (1, 3)
    assert (one.reply("A=low C=low").number, one.turn.of) == (2, 3)  # B, and D beyond it
    assert (one.reply("B=low D=low").number, one.turn.of) == (2, 3)
    assert (one.turn.kind, one.turn.path) == ("answer", ("A", "B"))


def test_facts_told_beside_the_answer_are_known_noted_and_not_asked():
    one = begun()
    turn = one.reply("A=low, and B=high")
    assert turn.attribute == "C"
    assert "B" in turn.note
    assert dict(one.context) == {"A": "low", "B": "high"}


def test_a_fact_in_place_of_the_answer_counts_and_the_question_comes_once_more():
    one = begun()
    turn = one.reply("B=high")
    assert (where(turn), dict(one.context)) == (("ask", "A", (), ()), {"B": "high"})
    assert turn.note
    assert where(one.reply("!off_topic")) == ("ask", "C", ("A",), ("A",))


def test_a_correction_changes_what_it_corrects_and_leaves_the_question_open():
    one = begun()
    one.reply("A=low")
    turn = one.reply("!correct A=high")
    assert where(turn) == ("ask", "B", ("A",), ())
    assert (turn.number, turn.of) == (2, 3)
    assert "A" in turn.note
    assert dict(one.context) == {"A": "high"}
    turn = one.reply("!correct A=low, and B=low")
    assert where(turn) == ("ask", "C", ("A", "B"), ())
    assert dict(one.context) == {"A": "low", "B": "low"}


def test_a_correction_of_what_was_declined():
    one = begun()
    one.reply("!decline")
    turn = one.reply("!correct A=high")
    assert where(turn) == ("ask", "B", ("A",), ())
    assert dict(one.context) == {"A": "high"}


def test_a_less_certain_value_does_not_take_the_place_of_a_certain_one():
    class Sure(MarkReader):
        certainty = 1.0

        def read(self, text, schema, asked=None, dialogue=None):
            reading = super().read(text, schema, asked, dialogue)
            found = {n: Value(v.words, v.level, None, self.certainty) for n, v in reading.values.items()}
            return type(reading)(found, reading.intent)

    one = begun(reader=Sure())
    one.reply("A=low")
    one.reader.certainty = 0.5
    one.reply("B=low A=high")
    assert dict(one.context) == {"A": "low", "B": "low"}
    one.reply("!correct A=high")
    assert one.context["A"] == "high"


def test_what_is_said_in_passing_does_not_take_the_place_of_an_answer():
    one = begun()
    one.reply("A=low, and D=low")
    one.reply("B=low A=high, and D=high")
    assert dict(one.context) == {"A": "low", "B": "low", "D": "high"}


@pytest.mark.parametrize("intent", ["why", "unclear"])
def test_the_same_question_comes_again_with_a_note_twice(intent):
    one = begun()
    first = one.turn
    notes = []
    for _ in range(2):
        turn = one.reply(f"!{intent}")
        assert (where(turn), turn.question, turn.number) == (where(first), first.question, first.number)
        notes.append(turn.note)
    assert all(notes)
    turn = one.reply(f"!{intent}")
    assert where(turn) == ("ask", "B", ("A",), ("A",))
    assert turn.note


def test_why_gives_the_schemas_reason_and_the_plans():
    """Of the two neighbours of "one two" both ask A; of those of "four five" none asks D."""
    turn = begun().reply("!why")
    assert "Why A." in turn.note
    assert "2 of the 2" in turn.note
    one = begun("four five A=low B=low C=low")
    assert one.turn.attribute == "D"
    assert " of the 2" not in one.reply("!why").note


def test_unclear_gives_the_levels_as_examples_and_the_schemas_other_words_first():
    first, *others = SCHEMA.attributes
    attributes = [replace(first, reworded="In other words, your A?"), *others]
    one = begun()
    one.plan_index.schema = type(SCHEMA)(attributes)
    assert one.reply("!unclear").note == "In other words, your A?"
    note = one.reply("!unclear").note
    assert "low or high" in note


def test_why_with_an_answer_in_it_goes_on():
    turn = begun().reply("!why A=low")
    assert where(turn) == ("ask", "B", ("A",), ())
    assert "Why A." in turn.note


def test_each_question_has_its_own_count():
    one = begun()
    for _ in range(2):
        one.reply("!unclear")
    one.reply("A=low")
    assert one.reply("!unclear").attribute == "B"


def test_off_topic_is_asked_once_more_then_left():
    one = begun()
    assert where(one.reply("!off_topic")) == ("ask", "A", (), ())
    assert where(one.reply("!off_topic")) == ("ask", "B", ("A",), ("A",))


@pytest.mark.parametrize("reply", ["!stop", "!stop B=low"])
def test_stop_ends_the_questions(reply):
    turn = begun().reply(reply)
    assert (turn.kind, turn.path) == ("answer", ())
    assert dict(turn.context) == ({"B": "low"} if "B" in reply else {})


@pytest.mark.parametrize("reply", [None, "", " ", "!decline", "hm"])
def test_declined(reply):
    assert where(begun().reply(reply)) == ("ask", "B", ("A",), ("A",))


def test_the_reader_is_shown_the_dialogue_before_the_message():
    one = begun()
    one.reply("A=low")
    one.reply("B=low")
    text, asked, dialogue = one.reader.seen[-1]
    assert (text, asked) == ("B=low", "B")
    assert [(m.speaker, m.text, m.asked) for m in dialogue.turns] == [
        ("agent", "Your A?", "A"), ("person", "A=low", None), ("agent", "Your B?", "B")
    ]  # fmt: skip
    assert (dialogue.query, set(dialogue.context), dialogue.asked) == ("one two", {"A"}, ("A",))


# After the answer


def answering(**options):
    calls = []

    def respond(query, context, dialogue):
        calls.append((query, dict(context), [m.text for m in dialogue.turns]))
        return f"Answer {len(calls)}."

    one = begun(respond=respond, **options)
    one.reply("!stop A=low")
    return one, calls


def test_a_follow_up_is_answered_in_the_same_context_with_what_was_said():
    one, calls = answering()
    turn = one.reply("And if B=high?")
    assert (turn.kind, turn.response, turn.question) == ("answer", "Answer 2.", "And if B=high?")
    query, context, said = calls[1]
    assert (query, context) == ("And if B=high?", {"A": "low", "B": "high"})
    assert said == ["Your A?", "!stop A=low", "Answer 1.", "And if B=high?"]
    assert turn.path == ("A",)


def test_a_correction_after_the_answer_has_the_same_question_answered_anew():
    one, calls = answering()
    one.reply("And then?")
    turn = one.reply("!correct A=high")
    assert calls[-1][:2] == ("And then?", {"A": "high"})
    assert (turn.response, dict(turn.context)) == ("Answer 3.", {"A": "high"})


def test_thanks_are_no_question():
    one, calls = answering()
    turn = one.reply("!stop")
    assert (turn.kind, turn.question, turn.response, len(calls)) == ("answer", "", "Answer 1.", 1)
    assert one.reply(None) is turn


def test_a_new_subject_is_a_new_query_with_what_stays_true():
    one, calls = answering()
    rows = one.neighbours.rows.tolist()
    turn = one.reply("!new_query four five B=high")
    assert (turn.kind, turn.attribute, turn.path, turn.revealed) == ("ask", "C", (), ("B",))
    assert (turn.number, turn.of) == (1, 2)  # C and D are left
    assert "A" in turn.note
    assert one.neighbours.rows.tolist() != rows
    one.reply("C=low")
    turn = one.reply("D=low")
    assert calls[-1][:2] == ("!new_query four five B=high", {"A": "low", "B": "high", "C": "low", "D": "low"})
    assert turn.path == ("C", "D")


def test_a_new_subject_has_a_budget_of_its_own_but_asks_nothing_again():
    one = begun()
    for _ in "ABC":
        one.reply("!decline")
    assert one.turn.kind == "answer"
    turn = one.reply("!new_query one two")
    assert (turn.attribute, turn.number, turn.of) == ("D", 1, 1)
    turn = one.reply("!decline")
    assert (turn.kind, turn.path) == ("answer", ("D",))
    assert one.reply("!new_query one two").kind == "answer"


def test_a_new_subject_in_place_of_an_answer():
    one = begun()
    turn = one.reply("!new_query four five")
    assert (turn.kind, turn.attribute, turn.path) == ("ask", "C", ())


def test_what_another_model_answered_is_kept_for_follow_ups():
    one = begun()
    with pytest.raises(UserError, match="'ask'"):
        one.answered("Take care.")
    one.reply("!stop")
    assert one.answered("Take care.").response == "Take care."
    one.reply("And then?")
    assert [m.text for m in one.dialogue.turns] == ["Your A?", "!stop", "Take care.", "And then?"]


# Danger


def test_a_suspicion_is_one_question_first_and_safe_goes_on_where_it_was():
    one = begun()
    turn = one.reply("A=low @hint")
    assert (turn.kind, turn.attribute, turn.question, turn.number) == (
        "ask",
        None,
        "Are you safe right now?",
        0,
    )
    assert where(one.reply("Yes, I am safe")) == ("ask", "B", ("A",), ())
    assert dict(one.context) == {"A": "low"}


def test_a_suspicion_about_a_why_leaves_the_question_open():
    one = begun()
    one.reply("!why @hint")
    turn = one.reply("I'm fine")
    assert (where(turn), "Why A." in turn.note) == (("ask", "A", (), ()), True)


def test_a_suspicion_in_the_query():
    one = talk()
    assert one.start("one two @hint D=low").attribute is None
    assert len(one.neighbours.rows) == 0
    turn = one.reply("yes, thank you")
    assert (turn.attribute, turn.revealed) == ("A", ("D",))


def test_a_suspicion_after_the_answer():
    one, calls = answering()
    one.reply("And @hint?")
    assert one.reply("yes").response == "Answer 2."
    assert calls[-1][0] == "And @hint?"


@pytest.mark.parametrize(
    "replies",
    [["no"], ["I'm not safe"], ["hm", "hm"], [None, None], ["well @hint"], ["@grave"], ["yes @grave"]],
)
def test_a_grave_answer_or_none_twice_shows_help(replies):
    one = begun()
    one.reply("A=low @hint")
    for reply in replies[:-1]:
        turn = one.reply(reply)
        assert (turn.kind, turn.attribute, bool(turn.note)) == ("ask", None, True)
    turn = one.reply(replies[-1])
    assert (turn.kind, turn.path) == ("escalate", ("A",))
    assert turn.resources
    assert turn.message not in ("", "Are you safe right now?")
    assert dict(one.context) == {"A": "low"}
    assert one.reply("go on").attribute == "B"


def test_the_answer_waits_for_the_check():
    one = begun(respond=lambda query, context, dialogue: "Take care.")
    turn = one.reply("@hint")
    assert one.answer_now() is turn
    one.reply("yes")
    assert one.answer_now().response == "Take care."


def test_after_help_the_same_words_do_not_call_for_it_again_and_new_ones_do():
    one = begun()
    words = "A=low @grave"
    assert one.reply(words).kind == "escalate"
    turn = one.reply(words.upper().replace("@GRAVE", "@grave"))
    assert (turn.kind, turn.attribute, bool(turn.note)) == ("ask", "B", True)
    assert one.reply("B=low @other").kind == "escalate"
    assert one.reply("still @grave, in other words").kind == "escalate"
    assert where(one.reply("C=low")) == ("ask", "D", ("A", "B"), ())


def test_a_detector_that_reads_the_whole_dialogue_does_not_alarm_for_ever():
    one = begun(detector=MarkDetector(reads_all=True))
    one.reply("A=low @grave")
    assert where(one.reply("please go on")) == ("ask", "B", ("A",), ())
    assert one.reply("B=low").attribute == "C"
    assert one.reply("C=low @worse").kind == "escalate"


def test_words_that_were_said_to_be_no_danger_are_not_asked_about_again():
    one = begun()
    one.reply("A=low @hint")
    one.reply("yes")
    assert where(one.reply("A=low @hint")) == ("ask", "B", (("A"),), ())


def test_after_help_at_the_start_the_query_is_taken_up():
    one = talk()
    assert one.start("one two @grave D=low").kind == "escalate"
    turn = one.reply("I am with a friend now. B=high")
    assert (turn.attribute, dict(one.context)) == ("A", {"B": "high", "D": "low"})
    one.start("one two @grave")
    assert one.reply(None).attribute == "A"
    one.start("one two @grave")
    assert one.reply("!new_query four five").attribute == "C"
    one.start("one two @grave")
    assert one.reply("!stop").kind == one.start("one two").kind.replace("ask", "answer")


def test_after_help_in_a_follow_up():
    one, _ = answering()
    assert one.reply("@grave").kind == "escalate"
    assert one.reply(None).response == "Answer 1."
    one.reply("@worse")
    assert one.reply("And then?").response == "Answer 2."


def test_answer_now_after_help():
    one = begun()
    one.reply("A=low @grave")
    assert dict(one.answer_now().context) == {"A": "low"}


# Known at the start, forgotten, taken back, too long


def test_what_the_caller_knows_is_not_asked():
    one = talk()
    turn = one.start("one two C=high", known={"A": "A=low", "C": Value("rather low", "low")})
    assert (turn.attribute, turn.of, turn.revealed) == ("B", 2, ("C",))
    assert dict(one.context) == {"A": "A=low", "C": "high"}  # the person's own words win
    assert one._state.values["A"].level == "low"


@pytest.mark.parametrize(
    "known",
    [{"Z": "low"}, {"A": ""}, {"A": "unknown"}, {"A": None}, {"A": 3}, {"A": Value("x", "middling")}],
)
def test_what_is_known_is_checked(known):
    one = talk()
    with pytest.raises(UserError, match=r"^known[^\n]+$"):
        one.start("one two", known=known)


def test_undo_takes_back_one_reply_after_the_other():
    one = begun()
    replies = ("A=low", "!why", "!correct A=high", "@grave", "C=low", "!new_query eight")
    turns = [one.turn, *(one.reply(reply) for reply in replies)]
    for turn in reversed(turns[:-1]):
        assert one.undo() == turn
    with pytest.raises(UserError, match="no reply"):
        one.undo()
    assert one.reply("A=high").attribute == "B"


def test_forgetting_leaves_no_trace_and_asks_no_more():
    one = begun("one two D=secret")
    one.reply("A=hushed")
    one.reply("B=low")
    turn = one.forget("A")
    assert (turn.attribute, turn.declined, dict(one.context)) == ("C", ("A",), {"B": "low", "D": "secret"})
    one.forget("D")
    assert "hushed" not in one.to_json()
    assert "secret" not in one.to_json()
    with pytest.raises(UserError, match="take back"):
        one.undo()
    assert one.reply("!new_query one two").attribute == "C"
    with pytest.raises(UserError, match="'A'"):
        one.forget("A")
    while one.turn.kind == "ask":
        one.reply("!decline")
    assert set(one.turn.path) <= {"C"}


def test_long_words_are_cut_and_said_to_be():
    one = talk()
    assert one.start("one two " + "x" * 30_000).note
    assert len(one.dialogue.query) == 20_000
    turn = one.reply("A=low " + "y" * 20_000)
    assert (turn.attribute, bool(turn.note)) == ("B", True)
    assert len(one.reader.seen[-1][0]) == 20_000
    assert not one.reply("B=low").note
