"""Key words of patterns: they skip work, never a match."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import penguin_schema
from experiments.understanding.danger_model import written_danger
from policies.understanding.detectors.rules_detector import clauses, default_detector
from policies.understanding.key_words import KeyWords, key_words

PATTERNS = [p.lstrip("^?") for a in penguin_schema().attributes for _, own in a.reads for p in own]
WORDS = sorted({word for pattern in PATTERNS for word in re.findall(r"[a-z#']+|[^\w\s]", pattern)})
COMPILED = [re.compile(pattern) for pattern in PATTERNS]
KEYS = KeyWords(PATTERNS)


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        (r"\b(?:my|our) (?:divorce|separation)\b", [{"divorce", "separation"}]),
        (r"colou?r", [{"colo"}]),
        (r"a+bc", [{"abc"}]),
        (r"[)x]abc|de", [{"abc", "de"}]),
        (r"(?=foobar)ba", [{"ba"}]),
        (r"\bi am (?:\w+ )?(?:cold|warm)", [{"i am "}, {"cold", "warm"}]),
        (r"\d+", []),
        (r"my (?i:x)", []),
    ],
)
def test_key_words(pattern, keys):
    assert key_words(pattern) == keys


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_no_match_is_skipped(sentence):
    matching = {i for i, regex in enumerate(COMPILED) if regex.search(sentence)}
    assert matching <= KEYS.candidates([sentence])[0]


def test_no_sign_of_danger_is_skipped():
    patterns = [pattern for signal in default_detector().signals for pattern in signal.patterns]
    found = [clause for sentence in written_danger()[::10] for clause in clauses(sentence.text)]
    candidates = KeyWords([pattern.pattern for pattern in patterns]).candidates(found)
    matching = [{i for i, regex in enumerate(patterns) if regex.search(clause)} for clause in found]
    assert sum(map(bool, matching)) > 20
    assert all(own <= some for own, some in zip(matching, candidates, strict=True))
    assert sum(map(len, candidates)) < len(found) * len(patterns) / 20


SENTENCES = [
    "i'm a nurse and my husband left me",
    "i am 34 and broke",
    "my therapist says i have anxiety",
    "i used to cut myself years ago",
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_sentences_that_match_keep_their_patterns(sentence):
    matching = {i for i, regex in enumerate(COMPILED) if regex.search(sentence)}
    assert matching
    assert matching <= KEYS.candidates([sentence])[0]
