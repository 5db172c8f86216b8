"""The level that a reply means: "still carded at the cinema" is a young adult.

A classifier of each attribute's levels, trained on replies whose level is sure and on replies that leave it
open, which are a class of their own (`experiments.train_understanding` makes the file). It sees what the
schema's patterns and phrases say beside the words, and that is weighed once more with what it finds: neither
is right alone as often as both. It knows the attributes that it was trained on, and only while they have the
levels they had; of others the patterns decide.
"""

from __future__ import annotations

import functools

import numpy as np

from envs.schema.attribute import Attribute
from policies.understanding.text_classifier import DATA, TextClassifier

LEVELS = DATA / "levels.npz"
OPEN = ""
"""Level of a reply that leaves it open."""


class LevelClassifier:
    """Chooses the likeliest level of one attribute.

    The log odds of a level are the classifier's, plus `pattern` where a pattern says that level, plus
    `phrase` where a phrase of the schema says it too; those of a reply that leaves the level open are less by
    half of that sum. The numbers were set on replies of authors who were left out of the training, so that
    few levels are wrong.
    """

    pattern = 1.0
    phrase = 2.0
    sure = 0.5
    """Least probability of a level that counts."""

    def __init__(self, classifier: TextClassifier) -> None:
        """Take a classifier whose classes are those of `class_of`."""
        self._classifier = classifier
        self._columns: dict[str, list[tuple[int, str]]] = {}
        for column, name in enumerate(classifier.classes):
            attribute, _, level = name.partition("=")
            self._columns.setdefault(attribute, []).append((column, level))

    @classmethod
    def load(cls) -> LevelClassifier:
        """Read the coefficients that ship with the package."""
        return cls(TextClassifier.load(LEVELS))

    def knows(self, attribute: Attribute) -> bool:
        """Tell whether it was trained on `attribute` with the levels that this one has."""
        names = {level for _, level in self._columns.get(attribute.name, [])}
        return names == {OPEN, *(level.name for level in attribute.levels)}

    def level(self, text: str, attribute: Attribute, said: str | None = None) -> str | None:
        """Return the level of `attribute` that `text`, an answer about it, surely means; None for none.

        `said`: the level that the patterns of the schema read.
        """
        if not self.knows(attribute):
            return said
        columns = self._columns[attribute.name]
        names = [level for _, level in columns]
        cues = level_cues(text, attribute, said)
        logits = self._classifier.logits(text, cues=cues)[[column for column, _ in columns]]
        if said is not None:
            weight = self.pattern + self.phrase * (_both(said) in cues)
            logits[names.index(said)] += weight
            logits[names.index(OPEN)] -= weight / 2
        odds = np.exp(logits - logits.max())
        best = int(odds.argmax())
        return names[best] or None if odds[best] > self.sure * odds.sum() else None


def level_cues(text: str, attribute: Attribute, said: str | None) -> tuple[str, ...]:
    """Return what the schema's patterns (`said`) and its phrases find in a reply, for the classifier."""
    code = attribute.code(text)
    phrase = attribute.levels[code].name if code >= 0 else None
    found = (f"pattern {said}",) if phrase is None else (f"pattern {said}", f"phrase {phrase}")
    return (*found, _both(said)) if said is not None and said == phrase else found


def _both(level: str) -> str:
    return f"both {level}"


def class_of(attribute: str, level: str) -> str:
    """Return the name of a class: the attribute, and its level or `OPEN`."""
    return f"{attribute}={level}"


@functools.cache
def default_levels() -> LevelClassifier:
    """Return the classifier of the file that ships with the package; read at the first call."""
    return LevelClassifier.load()
