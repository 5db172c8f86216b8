"""A second opinion on facts: what is taken back and added, and features of many sentences at once."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import Level, Schema, UserError, penguin_schema
from experiments.understanding.disclosure_model import disclosure_classifier, written_messages
from experiments.understanding.written_replies import written_replies
from policies.understanding.readers.disclosures import PATTERN, DisclosureClassifier, features, logits_of
from policies.understanding.readers.facts import facts
from policies.understanding.readers.levels import default_levels
from policies.understanding.readers.rules_reader import RulesReader
from policies.understanding.text_classifier import TextClassifier

SCHEMA = penguin_schema()
AGE = "I am 34. What would you do in my place, please?"
GOATS = "We breed goats. What would you do in our place, please?"
CRATES = "I stack crates at the market from four in the morning. What would you do in my place?"


def always(by_pattern: float = 0.0, **odds: float) -> DisclosureClassifier:
    """Return a classifier that gives each attribute named the same log odds in every sentence.

    `by_pattern`: what a pattern's find adds to them.
    """
    nothing = np.zeros((1, len(odds)), np.float16)
    dense = np.zeros((2, 0, len(odds)), np.float16)
    names = tuple(name.replace("_", " ") for name in odds)
    intercept = np.array([[*odds.values()], [by_pattern] * len(odds)], np.float32)
    return DisclosureClassifier(TextClassifier(names, (PATTERN,), nothing, dense, intercept))


def read(text, schema=SCHEMA, asked=None, **odds):
    return RulesReader.load().with_disclosures(always(**odds)).read(text, schema, asked).values


def test_what_sounds_like_nothing_is_taken_back():
    assert read(AGE, Age=-9) == {}
    assert read(AGE, Age=0) == {}
    assert read(AGE, Age=0, by_pattern=4)["Age"].number == 34
    assert read(AGE, Gender=-9)["Age"].number == 34


def test_what_sounds_like_a_fact_is_added_in_its_own_sentence():
    assert facts(CRATES, SCHEMA) == {}
    found = read(CRATES, Profession=3, Gender=0, Age=3, by_pattern=9)
    assert list(found) == ["Profession"]
    assert found["Profession"].words in CRATES
    assert found["Profession"].level == "trade or service"
    assert 0.9 < found["Profession"].certainty < 1


def test_the_certainty_of_what_is_weighed_is_its_probability():
    assert read(AGE, Age=1, by_pattern=3)["Age"].certainty == pytest.approx(1 / (1 + np.exp(-4)))
    assert read(CRATES, Profession=3, by_pattern=9)["Profession"].certainty == pytest.approx(
        1 / (1 + np.exp(-3))
    )
    assert read(AGE, Gender=9)["Age"].certainty == facts(AGE, SCHEMA)["Age"].certainty


def test_nothing_is_added_whose_level_nobody_can_say():
    """It would keep the question from being asked, and tell nothing."""
    assert read(GOATS, Profession=9, Gender=9, Age=9) == {}


@pytest.mark.parametrize("text", ["We breed goats", ". . . . . . . . . . . .", "", "?!" * 40])
def test_of_few_words_nothing_is_added(text):
    assert read(text, Profession=9) == {}


def test_a_reply_and_other_levels_are_left_as_patterns_read_them():
    assert read("34", asked="Age", Age=-9)["Age"].number == 34
    others = tuple(
        replace(a, levels=(Level("any", low=0, high=200),)) if a.name == "Age" else a
        for a in SCHEMA.attributes
    )
    assert "Age" in read(AGE, Schema(others), Age=-9)


@given(st.lists(st.text("ab1 '.\u00e9I", min_size=1, max_size=12), min_size=1, max_size=5))
def test_features_of_many_are_those_of_each(texts):
    table = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float16)
    each = np.concatenate([logits_of([text], table) for text in texts])
    assert np.allclose(logits_of(texts, table), each)
    buckets, weights, ends = features(texts, 64)
    assert len(buckets) == len(weights) == ends[-1]


def test_messages_tell_known_attributes_and_none_occurs_twice():
    messages = written_messages()
    assert len({message.text.casefold() for message in messages}) == len(messages)
    assert {name for message in messages for name in message.told} == set(SCHEMA.names)


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "messages.tsv"
    path.write_text("a\tAge=adult; Gender=\tI am a 34 year old\na\tAge=old\tI am old\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 2"):
        written_messages(path)


@pytest.mark.slow
def test_an_author_left_out_is_read_better_than_by_patterns_alone():
    messages, replies = written_messages(), written_replies()[::4]
    others = [message for message in messages if message.author != "w"]
    classifier = DisclosureClassifier(disclosure_classifier(others, replies))
    counts = np.zeros((2, 2), int)
    for message in messages:
        if message.author == "w":
            found = facts(message.text, SCHEMA)
            both = classifier.weighed(message.text, SCHEMA, found, default_levels())
            for row, values in enumerate((found, both)):
                counts[row] += (
                    len(values.keys() & message.told.keys()),
                    len(values.keys() - message.told.keys()),
                )
    assert counts[1, 0] > counts[0, 0]
    assert counts[1, 1] <= counts[0, 1]
