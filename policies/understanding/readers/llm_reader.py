"""A language model reads what a person wrote, in any language; nothing that it says is taken unchecked.

What it calls told has to be a part of what was written, and a level has to be one of the schema's. Where the
model gives nothing usable the rules read instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from envs import Schema
from envs.checking.json_values import object_schema
from envs.checking.validation import settings, takes
from envs.judges.llm.prompting import MAX_QUERY, one_line
from envs.llm.cached_model import Booked
from envs.schema import is_missing
from envs.schema.attribute import Attribute, Level
from policies.understanding.readers.quoted_words import quoted
from policies.understanding.readers.rules_reader import RulesReader
from policies.understanding.reading import INTENTS, Dialogue, Reading, Value
from policies.understanding.structured_model import (
    StructuredModel,
    StructuredSettings,
    dialogue_blocks,
    message_block,
)

_LONGEST_NAME, _LONGEST_QUESTION = 100, 300
_TELLS_NOTHING = ("decline", "why", "unclear")
"""Intents that contradict a value of what was asked."""
_DIGITS = re.compile(r"(?:(?<!\w)[-\u2212])?\d+(?:[.,' \u00a0\u202f]?\d+)*")


@settings
class ReaderSettings(StructuredSettings):
    """The reading model: its endpoint, how its replies are drawn, what they may take."""

    rules: str | None = Field(default=None, description="YAML file of the rules; null: the package's")
    place: str = "reader"


class LLMReader(Booked):
    """A model at an OpenAI-compatible endpoint reads; `RulesReader` where it gives nothing usable.

    Parameters are the fields of `ReaderSettings`, by keyword. Safe to call from many threads.

    Raises
    ------
    UserError
        no model, no URL, no key, a value out of range, or a mistake in the file of rules.
    """

    @takes(ReaderSettings)
    def __init__(self, settings: ReaderSettings) -> None:
        self._rules = RulesReader.load(settings.rules)
        self._model = StructuredModel(settings)
        self.client = self._model.client

    def read(
        self, text: str, schema: Schema, asked: str | None = None, dialogue: Dialogue | None = None
    ) -> Reading:
        """Return what `text` means; see `policies.understanding.reading.Reader`."""
        found = None
        if text.strip():
            own = dict(zip(_labels(schema), schema.attributes, strict=True))
            parts = {
                **dialogue_blocks(dialogue),
                "attributes": "\n".join(_lines(own)),
                "question": _question(schema, asked),
                "message": message_block(text),
            }
            found = self._model.ask(
                "reading", parts, _json_schema(own), lambda reply: checked_reading(reply, text, own, asked)
            )
        return self._rules.read(text, schema, asked, dialogue) if found is None else found


def checked_reading(
    reply: Mapping[str, Any], text: str, attributes: Mapping[str, Attribute], asked: str | None
) -> Reading | None:
    """Return what of `reply` stands up to `text`; None where it has not the form that was asked for.

    `attributes`: by their names in the prompt, in schema order. A fact of an unknown attribute, or whose
    words are no part of `text`, is dropped; a level or number that cannot be is dropped from its fact.
    """
    intent, facts = reply.get("intent"), reply.get("facts")
    if intent not in INTENTS or not isinstance(facts, list):
        return None
    found: dict[str, Value] = {}
    for fact in facts:
        attribute = attributes.get(str(fact.get("attribute"))) if isinstance(fact, dict) else None
        value = None if attribute is None else _value(fact, text[:MAX_QUERY], attribute)
        if attribute is None or value is None:
            continue
        if attribute.name == asked and intent in _TELLS_NOTHING:
            continue
        found.setdefault(attribute.name, value)
    names = (attribute.name for attribute in attributes.values())
    return Reading({name: found[name] for name in names if name in found}, intent)


def _value(fact: Mapping[str, Any], text: str, attribute: Attribute) -> Value | None:
    words, certainty = fact.get("words"), _finite(fact.get("certainty"))
    part = quoted(words, text) if isinstance(words, str) else None
    if part is None or is_missing(part) or certainty is None or not 0 < certainty <= 1:
        return None
    level = next((own for own in attribute.levels if fact.get("level") in (own.name, _shown(own))), None)
    number = _finite(fact.get("number"))
    if number is not None and not _says(part, number):
        number = None
    if number is not None and level is not None and _excludes(level, number):
        level = number = None  # which of the two is wrong cannot be told
    return Value(part, None if level is None else level.name, number, certainty)


def _excludes(level: Level, number: float) -> bool:
    return level.low <= level.high and not level.low <= number <= level.high


def _says(words: str, number: float) -> bool:
    """Tell whether `number` is one of `words`; number words, of any language, are not checked."""
    runs = _DIGITS.findall(words)
    return not runs or any(math.isclose(number, value) for run in runs for value in _numbers(run))


def _numbers(run: str) -> Iterator[float]:
    """Yield what a run of digits can mean: each kind of separator is a decimal mark, or groups thousands."""
    plain = re.sub(r"[' \u00a0\u202f]", "", run).replace("\u2212", "-")
    for groups, decimal in ((",", "."), (".", ",")):
        head, _, tail = plain.replace(groups, "").partition(decimal)
        if decimal not in tail:
            yield float(f"{head}.{tail or 0}")


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _labels(schema: Schema) -> list[str]:
    return [one_line(name, _LONGEST_NAME) for name in schema.names]


def _lines(attributes: Mapping[str, Attribute]) -> Iterator[str]:
    for label, attribute in attributes.items():
        question = one_line(attribute.question, _LONGEST_QUESTION)
        levels = "; ".join(map(_shown, attribute.levels)) or "none"
        yield f"- {label}: {question} Levels: {levels}"


def _shown(level: Level) -> str:
    name = one_line(level.name, _LONGEST_NAME)
    return f"{name} = {level.low:g} to {level.high:g}" if level.low <= level.high else name


def _question(schema: Schema, asked: str | None) -> str:
    if asked is None:
        return "none: the message is of the person's own accord"
    attribute = schema.attributes[schema.index(asked)]
    label = one_line(asked, _LONGEST_NAME)
    return f"{one_line(attribute.question, _LONGEST_QUESTION)} (attribute {label})"


def _json_schema(attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    fact = object_schema(
        attribute={"type": "string", "enum": list(attributes)},
        words={"type": "string"},
        level={"type": ["string", "null"]},
        number={"type": ["number", "null"]},
        certainty={"type": "number"},
    )
    facts = {"type": "array", "items": fact}
    return object_schema(intent={"type": "string", "enum": list(INTENTS)}, facts=facts)
