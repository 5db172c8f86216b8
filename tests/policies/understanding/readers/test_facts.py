"""Facts in what people write: levels that are sure, none where they are not, in linear time."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import load_schema, penguin_schema
from envs.schema.attribute import Attribute, Level
from policies.understanding.readers.facts import facts
from tests.cpu_time import cpu_seconds

SCHEMA = penguin_schema()


@pytest.mark.parametrize(
    ("text", "asked", "attribute", "level"),
    [
        ("I have 2 kids and I'm 41", None, "Age", "midlife"),
        ("thirty-four", "Age", "Age", "adult"),
        ("under 18", "Age", "Age", "minor"),
        ("over 65", "Age", "Age", "older"),
        ("under 30", "Age", "Age", None),
        ("between 30 and 50", "Age", "Age", None),
        ("I'm 34, divorced and lost my job", "Age", "Marital Status", "separated"),
        ("My wife died last year", "Marital Status", "Marital Status", "widowed"),
        ("My husband shouts at me", None, "Marital Status", "married"),
    ],
)
def test_levels(text, asked, attribute, level):
    assert facts(text, SCHEMA, asked)[attribute].level == level


@pytest.mark.parametrize("text", ["My mother is a nurse", "What if I were 70?", "He said I'm a widow"])
def test_what_is_not_said_of_the_writer_is_no_fact(text):
    assert facts(text, SCHEMA) == {}


@given(st.text(max_size=300), st.sampled_from([None, *SCHEMA.names]))
def test_words_are_a_part_of_the_text(text, asked):
    assert all(value.words in text for value in facts(text, SCHEMA, asked).values())


def test_twenty_times_the_digits_raise_nothing():
    assert facts("9" * 5000 + "-" + "9" * 5000, SCHEMA, "Age") == {}


@pytest.mark.parametrize("unit", ["x-", "I'm 34 and not well, my mother is a nurse. ", "one ", "1-"])
def test_time_is_linear(unit):
    def cpu(characters: int, repeats: int) -> float:
        text = "as a " + unit * (characters // len(unit))
        return cpu_seconds(lambda: facts(text, SCHEMA, "Age"), repeats)

    assert cpu(16_000, 1) < 40 * max(cpu(2_000, 3), 1e-3)


DOSE = Attribute(
    "Dose", unit="mg", levels=(Level("low", low=0, high=37.5), Level("high", low=37.5001, high=5000))
)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("37.8 mg", 1),
        ("1,200 mg", 1),
        ("1.200,50 mg", 1),
        ("-300", -1),
        ("3 weeks", -1),
        ("thirty", 0),
        ("10 to 20 mg", 0),
        ("over 30", -1),
        ("37.125", 0),
        ("37.625", 1),
        (" 1.200 ", 0),
        ("It is 1.200", -1),
        ("1.200 mg", -1),
        ("1e999", -1),
        ("9" * 5000, -1),
        ("9" * 5000 + "-" + "9" * 5000, -1),
    ],
)
def test_a_documented_range_reads_numbers_whole(value, code):
    assert DOSE.code(value) == code


@pytest.mark.parametrize(("value", "code"), [("35-44", 2), ("20s", 2), ("18-24", 1), ("under 18", 0)])
def test_bands_of_profiles_keep_their_level(value, code):
    assert SCHEMA.attributes[0].code(value) == code


@pytest.mark.parametrize(
    ("text", "attribute", "level"),
    [
        ("How do I tell my husband that I want to quit?", "Marital Status", "married"),
        ("Got laid off in March and rent is due.", "Profession", "not working"),
        ("33, f, never married. Is it worth moving?", "Age", "adult"),
        ("I work at a hospital, on nights. How do I sleep?", "Profession", "care or teaching"),
        ("Postal clerk, 44, two cats. Is a fixed rate wise now?", "Age", "midlife"),
        ("I am a widow of 71 and the boiler is leaking.", "Age", "older"),
        ("Since my wife's funeral I cannot face the attic.", "Marital Status", "widowed"),
        ("Their mum and I split in June; who keeps the dog?", "Marital Status", "separated"),
        ("Sacked on Friday. Can I keep the laptop?", "Profession", "not working"),
        ("My pension just covers the rent. Should I take a lodger?", "Profession", "retired"),
        ("We pay our bills and that is it. Is a loan mad?", "Economic Status", "stable"),
        ("My phone bill is overdue. Is a second card a bad idea?", "Economic Status", "difficult"),
        ("I've had two strokes. May I fly?", "Health Status", "poor"),
        ("My gp says I'm perfectly healthy. Is fasting fine?", "Health Status", "good"),
        ("I've been on edge for weeks. Is melatonin safe?", "Mental Health Status", "strained"),
        ("Came out as agender on Monday and my aunt hung up. Do I ring?", "Gender", "gender diverse"),
        ("Single again since Easter. Is a dog a mad idea?", "Marital Status", "single"),
        ("We're sofa surfing until the flat is dry. Who pays?", "Economic Status", "precarious"),
        ("A touch of gout, else nothing. Is a marathon silly?", "Health Status", "fair"),
        ("Left school at fourteen. Can I still sit for a licence?", "Education Level", "school"),
        ("Finished law school, then nothing. Do I apply abroad?", "Education Level", "graduate"),
        ("I tried to drown myself at sixteen. Do I tell my son?", "Past Self-Harm History", "past"),
    ],
)
def test_what_a_question_tells_in_passing(text, attribute, level):
    assert facts(text, SCHEMA)[attribute].level == level


@pytest.mark.parametrize(
    "text",
    [
        "Am I depressed?",
        "How do I become a nurse?",
        "Imagine I'm 80 and alone.",
        "My sister is 34 and divorced.",
        "I left the city at 16.",
        "My therapist friend told me to write.",
        "My ma sings and my da dances.",
        "An aged widower in our street sells honey.",
        "At fourteen I used to collect stamps.",
        "The fridge is empty and the pan is broken.",
        "The girl at the counter was crying.",
        "Dad's retired from the mill and bored.",
        "Our team has been married to this plan since May.",
        "Nobody's getting divorced here.",
    ],
)
def test_what_is_asked_supposed_past_or_of_others_is_no_fact(text):
    assert facts(text, SCHEMA) == {}


@pytest.mark.parametrize(
    "text",
    [
        "Our 30 employees have not been paid since March.",
        "Explain gravity to a ten year old.",
        "A ladder of 5 m leans on a wall, is that safe?",
        "My boss is an alcoholic. Do I tell his wife?",
        "I've attempted the crossword twice this week.",
        "Yesterday I tried to return a coat and thought about shouting.",
        "We had a power cut last night and the clock blinks.",
        "I'm drowning in emails.",
        "I owe my brother a favour.",
        "This is hopeless, the cake won't come out.",
        "Back in high school we had a nicer logo.",
        "I inherited my aunt's piano.",
        "Things are tough for the club this year.",
        "At what age does a child decide? My ex thinks twelve.",
    ],
)
def test_a_query_tells_only_what_is_sure(text):
    assert facts(text, SCHEMA) == {}


def test_a_man_who_is_defended_is_somebody_else():
    assert facts("I'm a lawyer defending a man", SCHEMA).keys() == {"Profession"}


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("hopeless, mostly", "Emotional State"),
        ("last week, I tried", "Past Self-Harm History"),
        ("things are tough", "Economic Status"),
        ("high school", "Education Level"),
        ("my ex and I don't speak", "Marital Status"),
    ],
)
def test_an_answer_needs_less_than_a_query(text, asked):
    assert asked in facts(text, SCHEMA, asked)
    assert asked not in facts(text, SCHEMA)


def test_a_pattern_of_a_file_may_count_in_replies_alone(tmp_path):
    path = tmp_path / "attributes.yaml"
    path.write_text(
        "- {name: Pet, levels: [cat, dog], reads: {cat: ['?purrs', 'my cat'], dog: ['^woof']}}\n",
        encoding="utf-8",
    )
    schema = load_schema(path)
    assert facts("it purrs", schema) == {}
    assert facts("it purrs", schema, "Pet")["Pet"].level == "cat"
    assert facts("I feed my cat", schema)["Pet"].level == "cat"
    assert facts("well, woof", schema) == {}
    assert facts("well, woof", schema, "Pet")["Pet"].level == "dog"


def test_facts_of_queries_that_somebody_else_wrote():
    """300 messages and their facts; patterns were written in view of them: a floor, and no measure."""
    schema, told, found, both = penguin_schema(), 0, 0, 0
    for line in (Path(__file__).parent / "disclosing_queries.tsv").read_text(encoding="utf-8").splitlines():
        listed, _, text = line.split("\t")
        true = {part.split("=")[0].strip() for part in listed.split(";") if "=" in part}
        read = facts(text, schema).keys()
        told, found, both = told + len(true), found + len(read), both + len(true & read)
    assert both / told > 0.84
    assert (found - both) / found < 0.025
