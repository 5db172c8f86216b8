"""Read free text without a language model: what it tells of each attribute, and what it does.

Facts are found by the schema's own patterns (`facts`), intents by classifiers (`intents`); phrases of no
answer are data: `data/reading.yaml`.
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from envs import Schema
from envs.checking.validation import FileModel, IgnoreCase, read_yaml, validated
from envs.schema import is_missing
from envs.schema.attribute import Attribute
from policies.understanding.readers.amounts import amount
from policies.understanding.readers.corrections import correction, marked
from policies.understanding.readers.disclosures import DisclosureClassifier, default_disclosures
from policies.understanding.readers.facts import facts
from policies.understanding.readers.intents import IntentClassifier, default_intents
from policies.understanding.readers.levels import LevelClassifier, default_levels
from policies.understanding.reading import LONGEST, Dialogue, Intent, Reading, Value
from policies.understanding.text_classifier import DATA, straight

READING = DATA / "reading.yaml"
_WINDOW = 200
"""Characters of a whole reply that may be one phrase of no answer, or be weighed for the level it means."""
WHOLE = 0.95
"""Certainty of a reply that is nothing but words of a level."""
_AROUND = re.compile(
    r"(?<![\w'])(?:(?:well|oh|um+|uh|so|honestly|actually|currently|really|just|pretty|quite|rather|fairly|very)|"
    r"(?:it|that|this|mine)(?:'s| is)|i'?m|i am|i(?:'d| would) (?:say|call it)|i (?:think|guess|suppose)|"
    r"(?:right now|at the moment|these days|lately|as always))(?![\w'])"
)
"""What people put around a level without saying more or less of it."""


class _ReadingFile(FileModel):
    no_answer: list[IgnoreCase]


class RulesReader:
    """Reads by the schema's patterns, classifiers of intents, and phrases that tell nothing."""

    def __init__(self, path: str | Path | None = None) -> None:
        """Read a file like `data/reading.yaml` (the default).

        Raises
        ------
        UserError
            one line: file, place, what was found and expected.
        """
        path = READING if path is None else Path(path)
        self._file = validated(read_yaml(path, dict[str, Any], "patterns"), _ReadingFile, str(path))
        self._own_intents: IntentClassifier | None = None
        self._own_levels: LevelClassifier | None = None
        self._own_disclosures: DisclosureClassifier | None = None

    def with_intents(self, intents: IntentClassifier) -> RulesReader:
        """Return a reader with the same phrases and other classifiers."""
        other = copy.copy(self)
        other._own_intents = intents
        return other

    def with_levels(self, levels: LevelClassifier) -> RulesReader:
        """Return a reader with the same phrases and another classifier of levels."""
        other = copy.copy(self)
        other._own_levels = levels
        return other

    def with_disclosures(self, disclosures: DisclosureClassifier) -> RulesReader:
        """Return a reader with the same phrases and another classifier of what unasked messages tell of."""
        other = copy.copy(self)
        other._own_disclosures = disclosures
        return other

    @property
    def _disclosures(self) -> DisclosureClassifier:
        return self._own_disclosures or default_disclosures()

    @property
    def _levels(self) -> LevelClassifier:
        return self._own_levels or default_levels()

    @property
    def _intents(self) -> IntentClassifier:
        return self._own_intents or default_intents()

    @classmethod
    def load(cls, path: str | Path | None = None) -> RulesReader:
        """Return the reader of a file, as the constructor does; see `RulesDetector.load`."""
        return cls(path)

    def read(
        self, text: str, schema: Schema, asked: str | None = None, dialogue: Dialogue | None = None
    ) -> Reading:
        """Return what `text` means; see `policies.understanding.reading.Reader`."""
        text = text[:LONGEST]
        found = facts(text, schema, asked)
        kinds = self._intents.kinds(text)
        corrected = self._correction(text, schema, asked in found, dialogue, kinds)
        if corrected is not None:
            found = {**facts(text, schema), **dict([corrected])}
            return Reading(_ordered(found, schema), "correct")
        if asked is None:
            found = self._disclosures.weighed(text, schema, found, self._levels)
        else:
            attribute = schema.attributes[schema.index(asked)]
            whole = asked in found and _is_whole(text, found[asked])
            told = WHOLE if whole else self._told(text, attribute, found, kinds)
            value = found.pop(asked, Value(text.strip()))
            if told:
                if value.number is None and not whole and len(text) <= _WINDOW:
                    value = replace(value, level=self._levels.level(text, attribute, value.level))
                found[asked] = replace(value, certainty=told)
            counted = amount(text, attribute, found.get(asked))
            if counted is not None and not self.tells_nothing(text):
                found[asked] = replace(counted, certainty=WHOLE)
        values = _ordered(found, schema)
        answers = asked in values if asked is not None else bool(values)
        return Reading(values, self._intents.intent(kinds, answers, asked, dialogue))

    def _told(
        self, text: str, attribute: Attribute, found: Mapping[str, Value], kinds: Mapping[Intent, float]
    ) -> float | None:
        """Return how likely a reply tells something of what was asked, None where it does not."""
        if len(text) <= _WINDOW and self.tells_nothing(text):
            return None
        if self._intents.refuses(kinds):
            return None
        value = found.get(attribute.name)
        probability = self._intents.tells(text, attribute, found, kinds)
        has_level = value is not None and (value.level is not None or value.number is not None)
        return probability if self._intents.is_told(probability, has_level) else None

    def _correction(
        self,
        text: str,
        schema: Schema,
        answers: bool,
        dialogue: Dialogue | None,
        kinds: Mapping[Intent, float],
    ) -> tuple[str, Value] | None:
        """Return what a message corrects; one that surely answers has to mention what it takes back."""
        if dialogue is None or not dialogue.context or not self._intents.may_correct(kinds, marked(text)):
            return None
        known = {name: value for name, value in dialogue.context.items() if name in schema.names}
        kinds_of = functools.cache(self._intents.kinds)  # the same words are weighed for each attribute

        def read(words: str, about: str | None) -> Mapping[str, Value]:
            return facts(words, schema, about)

        def tells(words: str, attribute: Attribute, found: Mapping[str, Value]) -> float:
            return self._intents.tells(words, attribute, found, kinds_of(words))

        return correction(text, schema, known, read, tells, 2.5 if answers else 0.5)

    def tells_nothing(self, reply: str | None) -> bool:
        """Tell whether a reply gives no value: none, missing (`is_missing`), declined, evaded, not known."""
        if is_missing(reply):
            return True
        text = re.sub(r"[\s.!]+$", "", straight(str(reply)).strip()).rstrip("?")
        return not text or any(pattern.fullmatch(text) for pattern in self._file.no_answer)


def _is_whole(reply: str, value: Value) -> bool:
    """Tell whether a reply is nothing but the words of the level that was found in it."""
    return value.level is not None and value.words.casefold() == _bare(reply)


def _bare(reply: str) -> str:
    """Return a reply without what people put around a level: "I would say it's low right now" is "low"."""
    words = _AROUND.sub(" ", straight(reply).casefold())
    return " ".join(words.split()).strip(" .,!")


def _ordered(values: Mapping[str, Value], schema: Schema) -> dict[str, Value]:
    return {name: values[name] for name in schema.names if name in values}


@functools.cache
def default_reader() -> RulesReader:
    """Return the reader of the file that ships with the package; read once."""
    return RulesReader.load()
