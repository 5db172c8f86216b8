"""Which attributes a message tells of, whatever its words: a second opinion on what patterns find.

A classifier weighs each sentence for each attribute by words, characters, and who the sentence speaks of
(`experiments.train_understanding` makes the file). The likeliest sentence, and whether a pattern found the
attribute, give the probability that it is told of, fitted on messages of authors whom the classifier had
not met. What is not likely enough is taken back ("a retired colonel in my novel"), what no pattern knows is
added.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from envs import Schema
from policies.understanding.readers.clauses import ASKING, SELF, THIRD
from policies.understanding.readers.facts import sentences
from policies.understanding.readers.levels import LevelClassifier
from policies.understanding.reading import Value
from policies.understanding.text_classifier import DATA, WORD, TextClassifier, folded, hashed, mixed, rolled

DISCLOSURES = DATA / "disclosures.npz"
_CHARS = (3, 4)
PATTERN = "pattern"
"""Subject of an attribute that a pattern found in the message."""
_SHORTEST, _LONGEST = 10, 600
"""Least words and marks of a message that is weighed, and most characters of its sentences."""
_FIRST_PERSON = re.compile(r"i\b|i'|im\b")
_WHO = {
    "writer": SELF.search,
    "others": THIRD.search,
    "asks": ASKING.match,
    "begins with writer": _FIRST_PERSON.match,
}


class DisclosureClassifier:
    """Weighs what the sentences of a message tell of the attributes it was trained on.

    `told`: least probability at which an attribute is told of. Without a pattern its level has to be sure as
    well: a guess that says nothing would only keep the question from being asked. It was set on messages of
    authors whom the training had not met.
    """

    told = 0.8

    def __init__(self, classifier: TextClassifier) -> None:
        """Take a classifier whose classes are attributes; each column is the log odds of its own.

        Its subject is `PATTERN`.
        """
        self._classifier = classifier

    @classmethod
    def load(cls) -> DisclosureClassifier:
        """Read the coefficients that ship with the package."""
        return cls(TextClassifier.load(DISCLOSURES))

    def weighed(
        self, text: str, schema: Schema, found: dict[str, Value], levels: LevelClassifier
    ) -> dict[str, Value]:
        """Return `found`, the facts by patterns, without what is taken back and with what is added.

        What it weighs has the probability as its certainty.

        Attributes that `levels` does not know as they are in `schema` stay as they were found, and so does
        all of a message of few words, or of one sentence without end: it was trained on no such. No number is
        added.
        """
        own = sentences(text)
        longest = max(map(len, own), default=_LONGEST + 1)
        if longest > _LONGEST or len(WORD.findall(text)) < _SHORTEST:
            return found
        logits = logits_of(own, self._classifier.table)
        without, with_pattern = np.cumsum(self._classifier.intercept, axis=0, dtype=np.float64)
        values = dict(found)
        for attribute in schema.attributes:
            name = attribute.name
            if name not in self._classifier.classes or not levels.knows(attribute):
                continue
            column = self._classifier.classes.index(name)
            best = int(logits[:, column].argmax())
            logit = logits[best, column] + (with_pattern if name in found else without)[column]
            certainty = float(1 / (1 + np.exp(-logit)))
            if name in found:
                if certainty > self.told:
                    values[name] = replace(found[name], certainty=certainty)
                else:
                    del values[name]
            elif certainty > self.told and not attribute.numeric:
                level = levels.level(own[best], attribute)
                if level is not None:
                    values[name] = Value(own[best], level, None, certainty)
        return values


def logits_of(texts: Sequence[str], table: np.ndarray) -> np.ndarray:
    """Return float64[len(texts), K]: what the features of each text weigh in `table`, [buckets, K]."""
    buckets, weights, ends = features(texts, len(table))
    rows = np.take(table, buckets, axis=0) * weights[:, None]
    return np.add.reduceat(rows, np.concatenate([[0], ends[:-1]]), axis=0)


def features(texts: Sequence[str], buckets: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (buckets int64[M], weights float64[M], ends int64[len(texts)]), the texts' features in turn.

    Words one and two at a time with the ends of the text, characters three and four at a time, digits all
    alike, and who is spoken of; each of the three kinds has length 1 in a text where no feature comes twice.
    All texts are hashed together, which for many short ones costs a tenth of one after another.
    """
    plain = [re.sub(r"\d", "0", folded(text)) for text in texts]
    words = [["<", *WORD.findall(text), ">"] for text in plain]
    hashes = hashed([word for own in words for word in own])
    owner = np.repeat(np.arange(len(texts)), [len(own) for own in words])
    pairs = owner[:-1] == owner[1:]
    inner = np.concatenate([[False], pairs]) & np.concatenate([pairs, [False]])
    word_hashes = np.concatenate([hashes[inner], rolled(hashes, 2)[pairs]])
    word_owners = np.concatenate([owner[inner], owner[:-1][pairs]])
    padded = [f" {text} " for text in plain]
    codes = np.frombuffer("".join(padded).encode("utf-32-le"), "<u4").astype(np.uint64)
    place = np.repeat(np.arange(len(texts)), [len(text) for text in padded])
    grams = [(rolled(codes, n), place[: len(place) - n + 1], place[n - 1 :]) for n in _CHARS]
    char_hashes = np.concatenate([found[first == last] for found, first, last in grams])
    char_owners = np.concatenate([first[first == last] for _, first, last in grams])
    seen = [(i, f"@{name}") for i, text in enumerate(plain) for name, sees in _WHO.items() if sees(text)]
    who_hashes, who_owners = hashed([name for _, name in seen]), np.array([i for i, _ in seen], np.int64)
    owners = np.concatenate([word_owners, char_owners, who_owners])
    weights = np.concatenate(
        [
            1 / np.sqrt(np.bincount(own))[own] if len(own) else np.zeros(0)
            for own in (word_owners, char_owners, who_owners)
        ]
    )
    order = np.argsort(owners, kind="stable")
    found = mixed(np.concatenate([word_hashes, char_hashes, who_hashes])) & np.uint64(buckets - 1)
    return found[order].astype(np.int64), weights[order], np.cumsum(np.bincount(owners, minlength=len(texts)))


@functools.cache
def default_disclosures() -> DisclosureClassifier:
    """Return the classifier of the file that ships with the package; read at the first call."""
    return DisclosureClassifier.load()
