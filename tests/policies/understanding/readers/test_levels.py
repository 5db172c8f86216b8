"""Levels of replies by a classifier: those that are sure, of attributes that it knows as they are."""

from dataclasses import replace

import numpy as np
import pytest

from envs import penguin_schema
from experiments.understanding.level_model import level_classifier, level_examples
from experiments.understanding.written_replies import written_replies
from policies.understanding.readers.levels import LevelClassifier, class_of
from policies.understanding.readers.rules_reader import WHOLE, RulesReader
from policies.understanding.text_classifier import TextClassifier

SCHEMA = penguin_schema()
GENDER = SCHEMA.attributes[SCHEMA.index("Gender")]


def always(**odds: float) -> LevelClassifier:
    """Return a classifier of Gender that gives the same odds to every text."""
    levels = ["", *(level.name for level in GENDER.levels)]
    bias = np.log([[odds.get(level.replace(" ", "_") or "open", 1.0) for level in levels]]).astype(np.float32)
    names = tuple(class_of("Gender", level) for level in levels)
    nothing = np.zeros((1, len(levels)), np.float16)
    return LevelClassifier(
        TextClassifier(names, (), nothing, np.zeros((1, 0, len(levels)), np.float16), bias)
    )


@pytest.mark.parametrize(
    ("odds", "level"),
    [
        ({"female": 9.0}, "female"),
        ({"open": 9.0}, None),
        ({"female": 1.5}, None),
        ({"gender_diverse": 5}, "gender diverse"),
    ],
)
def test_a_level_that_is_sure(odds, level):
    assert always(**odds).level("whatever", GENDER) == level


@pytest.mark.parametrize(
    ("odds", "text", "level"),
    [
        ({}, "whatever", "female"),
        ({"open": 9.0}, "whatever", None),  # a pattern alone is too little
        ({"open": 9.0}, "female", "female"),
        ({"open": 300.0}, "female", None),
        ({"male": 12.0}, "whatever", "male"),  # both are wrong at times
        ({"male": 12.0}, "female", "female"),  # a pattern and a phrase of the schema say so
    ],
)
def test_what_patterns_say_is_weighed_together_with_the_classifier(odds, text, level):
    assert always(**odds).level(text, GENDER, "female") == level


def test_of_an_attribute_that_is_not_known_the_patterns_decide():
    other = replace(GENDER, levels=GENDER.levels[:2])
    assert always(male=99.0).level("whatever", other, "female") == "female"


def test_an_attribute_with_other_levels_is_not_known():
    other = replace(GENDER, levels=GENDER.levels[:2])
    assert always(female=9.0).level("whatever", other) is None
    assert always(female=9.0).level("whatever", SCHEMA.attributes[0]) is None


def test_the_reader_gives_a_level_where_no_pattern_does():
    text = "They put me on the bride's side with the aunts"
    reader = RulesReader.load().with_levels(always(female=9.0))
    value = reader.read(text, SCHEMA, "Gender").values.get("Gender")
    assert value is None or value.level == "female"
    assert reader.read("I'm a man", SCHEMA, "Gender").values["Gender"].level == "male"


def test_the_level_of_a_reply_that_surely_answers_is_weighed_too():
    text = "my birth certificate and my heart agree on me being a lady"
    value = RulesReader.load().with_levels(always(male=1e6)).read(text, SCHEMA, "Gender").values["Gender"]
    assert value.certainty > WHOLE
    assert value.level == "male"


def test_open_replies_are_a_class_of_their_own():
    examples = level_examples(written_replies(), "Age")
    labels = {example.label for example in examples}
    assert labels == {"Age=", *(class_of("Age", level.name) for level in SCHEMA.attributes[0].levels)}
    assert all(example.weight < 1 for example in examples if example.label == "Age=")


@pytest.mark.slow
def test_levels_of_an_author_it_never_met():
    replies = written_replies()
    levels = LevelClassifier(level_classifier([reply for reply in replies if reply.author != "f"]))
    mine = [r for r in replies if r.author == "f" and r.level and r.attribute]
    found = [levels.level(r.text, SCHEMA.attributes[SCHEMA.index(str(r.attribute))]) for r in mine]
    given = [(own, r.level) for own, r in zip(found, mine, strict=True) if own is not None]
    assert len(given) > 0.25 * len(mine)
    assert sum(own == true for own, true in given) > 0.8 * len(given)
