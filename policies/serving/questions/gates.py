"""Gates: which messages may lead to questions before they are answered.

A clear sign of danger opens the conversation whatever the gate says. A mere suspicion does where the message
is at least as likely risky as not: chat programs hear figures of speech, too (see `SUSPECTED`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import Field

from envs import UserError
from envs.checking.json_values import object_schema
from envs.checking.validation import MaybeCount, settings, takes
from policies.understanding.reading import Danger
from policies.understanding.risk import risk_probability
from policies.understanding.structured_model import StructuredModel, StructuredSettings, message_block

OPENS = 0.87
"""Probability of risk from which a message may get questions; of few everyday messages it is as high."""

SUSPECTED = 0.5
"""Probability of risk from which a suspicion counts in a message that begins something new."""


class QuestionGate(Protocol):
    """Decides whether a message is one of those that a careless answer could do harm to."""

    def opens(self, text: str) -> bool:
        """Tell whether `text`, a message that begins something new, may get questions first."""
        ...


def is_alarming(sign: Danger | None, text: str) -> bool:
    """Tell whether `sign`, what a detector finds in a message that begins something new, opens it."""
    return sign is not None and (sign.certain or risk_probability(text) >= SUSPECTED)


class DomainGate:
    """Messages from the domains where advice can do harm, by a small classifier (`understanding.risk`).

    `threshold`: the probability from which a message may get questions.
    """

    def __init__(self, threshold: float = OPENS) -> None:
        if not 0 <= threshold <= 1:
            raise UserError(f"gate.threshold: found {threshold}, expected 0 to 1")
        self.threshold = float(threshold)

    def opens(self, text: str) -> bool:
        """Tell whether risk is probable enough."""
        return risk_probability(text) >= self.threshold


class AlwaysGate:
    """Every message may get questions."""

    def opens(self, text: str) -> bool:
        """Return True."""
        return True


class DetectorGate:
    """Only signs of danger count: no message gets the questions of a plan."""

    def opens(self, text: str) -> bool:
        """Return False."""
        return False


@settings
class GateSettings(StructuredSettings):
    """The model that is asked whether a message is risky."""

    max_output_tokens: MaybeCount = Field(default=50, description="of one reply; null: not sent")
    place: str = "gate"


class LLMGate:
    """A model at an OpenAI-compatible endpoint; the classifier stands in where it fails.

    Parameters are the fields of `GateSettings`, by keyword. Safe to call from many threads.

    Raises
    ------
    UserError
        no model, no URL, no key, or a value out of range.
    """

    @takes(GateSettings)
    def __init__(self, settings: GateSettings) -> None:
        self._model = StructuredModel(settings)
        self._classifier = DomainGate()

    def opens(self, text: str) -> bool:
        """Tell whether the model says that a careless answer could do harm."""
        schema = object_schema(risk={"type": "string", "enum": ["yes", "no"]})
        said = self._model.ask("gate", {"message": message_block(text)}, schema, _verdict)
        return self._classifier.opens(text) if said is None else said == "yes"


def _verdict(reply: Mapping[str, Any]) -> str | None:
    return str(reply["risk"]) if reply.get("risk") in ("yes", "no") else None
