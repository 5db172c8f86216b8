"""A language model looks for acute danger in what a person writes, with the dialogue before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from envs.checking.json_values import object_schema
from envs.checking.validation import MaybeCount, settings, takes
from envs.judges.llm.prompting import one_line
from envs.llm.cached_model import Booked
from policies.understanding.detectors.first_alarm import BesideRules
from policies.understanding.detectors.rules_detector import RulesDetector
from policies.understanding.reading import Danger, Dialogue
from policies.understanding.structured_model import (
    StructuredModel,
    StructuredSettings,
    dialogue_blocks,
    message_block,
)

_DANGERS = ("none", "suspected", "acute")


@settings
class DetectorSettings(StructuredSettings):
    """The model that looks for danger: its endpoint, how its replies are drawn, what they may take."""

    rules: str | None = Field(default=None, description="YAML file of the rules; null: the package's")
    max_output_tokens: MaybeCount = Field(default=100, description="of one reply; null: not sent")
    place: str = "detector"


class LLMDetector(BesideRules, Booked):
    """A model at an OpenAI-compatible endpoint beside the rules, which decide alone where it fails.

    Parameters are the fields of `DetectorSettings`, by keyword. Messages and resources are those that the
    file of rules has for the kind of danger. Safe to call from many threads.

    Raises
    ------
    UserError
        no model, no URL, no key, a value out of range, or a mistake in the file of rules.
    """

    @takes(DetectorSettings)
    def __init__(self, settings: DetectorSettings) -> None:
        super().__init__(RulesDetector.load(settings.rules))
        self._model = StructuredModel(settings)
        self.client = self._model.client
        self._kinds = tuple(self.rules.messages)

    def _found(self, text: str, asked: str | None, dialogue: Dialogue | None) -> Danger | None:
        parts = {
            **dialogue_blocks(dialogue),
            "kinds": ", ".join(self._kinds),
            "question": "none" if asked is None else f"about {one_line(asked, 100)}",
            "message": message_block(text),
        }
        schema = object_schema(
            danger={"type": "string", "enum": list(_DANGERS)},
            kind={"type": "string", "enum": ["none", *self._kinds]},
        )
        said = self._model.ask("danger", parts, schema, self._verdict)
        if said is None or said[0] == "none":
            return None
        danger, kind = said
        return self.rules.help_for(f"model: {kind}", kind, certain=danger == "acute")

    def _verdict(self, reply: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return (danger, kind), None where `reply` names no danger of those offered.

        Danger of a kind that was not offered is danger still: it has the kind of what the rules do not know.
        """
        danger, kind = reply.get("danger"), reply.get("kind")
        if danger not in _DANGERS:
            return None
        return str(danger), str(kind) if kind in self._kinds else self.rules.by_name("").kind
