"""What replies do: answers are kept, whatever tells nothing is not, corrections change what they correct."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import load_schema, penguin_schema
from policies.understanding import Dialogue, Message, Value
from policies.understanding.readers.intents import cues
from policies.understanding.readers.rules_reader import default_reader
from policies.understanding.reading import INTENTS
from tests.cpu_time import cpu_seconds

SCHEMA = penguin_schema()


def read(text, asked=None, **known):
    """Read `text` after a question; `known`: words of Age, Profession, ... with their levels."""
    context = {name.replace("_", " "): Value(*value) for name, value in known.items()}
    turns = (Message("agent", "May I ask something?", asked),)
    dialogue = Dialogue("What shall I do about my lease?", turns, context, tuple(context))
    return default_reader().read(text, SCHEMA, asked, dialogue)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("Age", "I turned thirty-three in the spring"),
        ("Age", "over seventy, let us say"),
        ("Profession", "I fit kitchens for a small firm"),
        ("Profession", "At a desk in an insurance office, mostly."),
        ("Marital Status", "my wife and I have been together for twelve years"),
        ("Economic Status", "we live from one paycheck to the next"),
        ("Health Status", "bad knees and high blood pressure"),
        ("Mental Health Status", "I have been on antidepressants since May"),
        ("Education Level", "left after my A levels"),
        ("Emotional State", "I feel scared and very alone"),
        ("Gender", "I am a woman"),
        ("Past Self-Harm History", "yes, I used to cut myself as a teenager"),
    ],
)
def test_answers_are_kept_with_their_words(asked, text):
    reading = read(text, asked)
    assert reading.intent == "answer"
    assert reading.values[asked].words in text
    assert 0 < reading.values[asked].certainty <= 1


@pytest.mark.parametrize(
    ("intent", "text"),
    [
        ("decline", "I would rather keep that private"),
        ("decline", "that's none of your business"),
        ("why", "why do you want to know that?"),
        ("why", "What is this question needed for?"),
        ("unclear", "what do you mean by that?"),
        ("unclear", "sorry, I don't understand the question"),
        ("stop", "stop asking questions and just answer me"),
        ("stop", "no more questions please"),
        ("off_topic", "the neighbours have a new car and it rained all morning"),
    ],
)
@pytest.mark.parametrize("asked", ["Age", "Profession", "Emotional State", "Education Level"])
def test_what_tells_nothing_of_the_question_is_no_value(intent, text, asked):
    reading = read(text, asked)
    assert asked not in reading.values
    assert reading.intent == intent


def test_somebody_elses_attribute_is_not_the_persons():
    assert "Age" not in read("my son is twelve", "Age").values
    assert "Profession" not in read("my mother was a nurse all her life", "Profession").values


def test_stop_is_heard_without_a_question():
    assert read("just answer me, no more questions").intent == "stop"


def test_a_new_question_after_the_answer():
    assert read("different question: how do I get a refund for a cancelled flight?").intent == "new_query"


def test_another_fact_is_read_where_the_question_is_declined():
    reading = read("I'd rather not say how old I am. I am a nurse.", "Age")
    assert "Age" not in reading.values
    assert "Profession" in reading.values


@pytest.mark.parametrize(
    ("text", "name", "level"),
    [
        ("sorry, 43, not 34", "Age", "midlife"),
        ("I told you 34 but I am 43", "Age", "midlife"),
        ("actually divorced, not separated", "Marital Status", "separated"),
        ("I wrote teacher, I meant student", "Profession", "student"),
        ("correction: I am retired, not a teacher", "Profession", "retired"),
    ],
)
@pytest.mark.parametrize("asked", [None, "Education Level"])
def test_a_correction_changes_what_it_corrects(text, name, level, asked):
    reading = read(
        text,
        asked,
        Age=("34", "adult", 34.0),
        Marital_Status=("separated", "separated"),
        Profession=("I am a teacher", "care or teaching"),
    )
    assert reading.intent == "correct"
    assert set(reading.values) == {name}
    assert reading.values[name].level == level


def test_nothing_is_corrected_where_nothing_is_known():
    assert read("sorry, 43, not 34", "Age").intent == "answer"


def test_an_answer_with_a_denial_is_no_correction():
    reading = read("I am a plumber, not an electrician", "Profession", Age=("34", "adult", 34.0))
    assert reading.intent == "answer"
    assert "Age" not in reading.values


def test_attributes_that_were_never_trained_are_read_by_their_own_words(tmp_path):
    path = tmp_path / "attributes.yaml"
    path.write_text(
        "- {name: Dwelling, question: 'What kind of home do you live in?', levels: [house, flat, caravan]}\n",
        encoding="utf-8",
    )
    schema, reader = load_schema(path), default_reader()
    assert reader.read("I live in a small flat", schema, "Dwelling").values["Dwelling"].level == "flat"
    for text in ("why do you need to know that?", "I won't tell you", "my train is late again"):
        assert "Dwelling" not in reader.read(text, schema, "Dwelling").values


def test_cues_see_words_of_the_question_and_of_levels():
    marital = SCHEMA.attributes[SCHEMA.index("Marital Status")]
    assert {"a level named", "words of a level"} <= set(cues("I am married", marital))
    assert "a level named" not in cues("I am married", SCHEMA.attributes[SCHEMA.index("Age")])
    assert "asks" in cues("why?")


@given(st.text(max_size=80), st.none() | st.sampled_from(SCHEMA.names), st.text(max_size=10))
def test_no_text_raises(text, asked, known):
    reading = read(text, asked, Age=(known, None), Profession=(known, "student"))
    assert reading.intent in INTENTS
    assert set(reading.values) <= set(SCHEMA.names)


def test_threads_read_as_one_does():
    jobs = [
        (f"I am {i} and I work as a baker {'really ' * (i % 7)}", SCHEMA.names[i % 10]) for i in range(200)
    ]
    with ThreadPoolExecutor(200) as threads:
        found = list(threads.map(lambda job: read(*job), jobs))
    assert found == [read(*job) for job in jobs]


@pytest.mark.parametrize(
    "piece", ["I am a nurse and my wife, not I, said 34. ", "x-", "sorry no not ", "1 - "]
)
def test_time_is_linear_and_bounded(piece):
    def spent(length, repeats):
        text = (piece * (length // len(piece) + 1))[:length]
        return cpu_seconds(lambda: read(text, "Age", Age=("34", "adult", 34.0)), repeats)

    assert spent(200_000, 1) < 40 * spent(2_000, 3)
