"""Replies to questions for numbers, of attributes that bring levels and no patterns of their own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import load_schema
from policies.understanding.readers.rules_reader import default_reader

SCHEMA = """
- name: Alcohol
  question: How many glasses of wine do you drink a week?
  unit: glasses
  levels: {dry: {min: 0, max: 0}, some: {min: 1, max: 7}, much: {min: 8}}
- name: Age
  unit: years
  levels: {under 40: {min: 0, max: 39}, 40 and over: {min: 40, max: 130}}
- name: Sleep
  question: How many hours do you sleep?
  unit: hours
  levels: {short: {min: 1, max: 5.9}, fine: {min: 6}}
- name: Children
  question: How many children do you have?
  levels: {childless: {max: 0}, parent: {min: 1}}
- name: Weight
  question: How much do you weigh?
  unit: kg
  levels: {light: {max: 59.9}, heavy: {min: 60}}
"""


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    path = tmp_path_factory.mktemp("schema") / "attributes.yaml"
    path.write_text(SCHEMA)
    return load_schema(path)


TOLD = [
    ("Alcohol", "none", "dry", 0.0),
    ("Alcohol", "I don't drink", "dry", 0.0),
    ("Alcohol", "never", "dry", 0.0),
    ("Alcohol", "no wine at all", "dry", 0.0),
    ("Alcohol", "10 glasses of wine", "much", 10.0),
    ("Alcohol", "1 glass", "some", 1.0),
    ("Alcohol", "more than 10", "much", None),
    ("Alcohol", "14 beers", None, None),
    ("Alcohol", "2 a day", None, None),
    ("Alcohol", "2 a week", "some", 2.0),
    ("Alcohol", "3 glasses and 5 beers", None, None),
    ("Alcohol", "a few glasses", None, None),
    ("Alcohol", "not much", None, None),
    ("Sleep", "300 minutes", None, None),
    ("Sleep", "none", None, None),
    ("Children", "I have none", "childless", 0.0),
    ("Children", "3 children", "parent", 3.0),
    ("Children", "two boys", None, None),
    ("Weight", "140 pounds", None, None),
    ("Age", "500 months", None, None),
]


@pytest.mark.parametrize(("asked", "reply", "level", "number"), TOLD)
def test_what_is_told_is_kept_and_no_level_made_up(schema, asked, reply, level, number):
    reading = default_reader().read(reply, schema, asked)
    value = reading.values[asked]
    assert (reading.intent, value.level, value.number) == ("answer", level, number)
    if level is None:
        assert value.words == reply


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        ("Alcohol", "none of your business"),
        ("Alcohol", "no idea"),
        ("Alcohol", "no"),
        ("Alcohol", "I don't want to say"),
        ("Alcohol", "my dad drinks 10 beers"),
        ("Alcohol", "n/a"),
        ("Age", "none"),
    ],
)
def test_what_tells_no_amount_is_none(schema, asked, reply):
    assert asked not in default_reader().read(reply, schema, asked).values


@given(n=st.integers(0, 60), unit=st.sampled_from(["beers", "shots", "bottles", "pints of ale"]))
def test_a_number_of_something_else_never_has_a_level(schema, n, unit):
    value = default_reader().read(f"{n} {unit}", schema, "Alcohol").values["Alcohol"]
    assert (value.level, value.number, value.words) == (None, None, f"{n} {unit}")
