"""Key words of patterns: they skip work, never a match."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import penguin_schema
from experiments.understanding.danger_model import written_danger
from experiments.understanding.written_replies import written_replies
from policies.understanding.detectors.plain_text import clauses
from policies.understanding.detectors.rules_detector import default_detector
from policies.understanding.key_words import KeyWords, key_words
from policies.understanding.readers.facts import facts

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


@given(st.sets(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=9), st.text("abc", max_size=12))
def test_every_literal_is_found_whatever_it_overlaps(literals, sentence):
    patterns = sorted(literals)
    naive = {i for i, pattern in enumerate(patterns) if pattern in sentence}
    assert KeyWords(patterns).candidates([sentence]) == [naive]


def test_facts_are_those_of_trying_every_pattern_everywhere(monkeypatch):
    replies = written_replies()[::60]
    schema = penguin_schema()
    texts = [reply.text for reply in replies] + [
        " ".join(r.text for r in replies[i : i + 9]) for i in range(20)
    ]
    found = [facts(text, schema) for text in texts]
    everything = set(range(len(PATTERNS)))
    monkeypatch.setattr(KeyWords, "candidates", lambda self, sentences: [everything for _ in sentences])
    assert found == [facts(text, schema) for text in texts]
    assert sum(map(len, found)) > 60


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
