"""An endpoint's moderation model looks for acute danger in what a person writes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from envs import UserError
from envs.checking.validation import settings, takes
from envs.llm import Client, EndpointError, LimitReached
from envs.llm.cached_model import Booked
from envs.llm.endpoint import EndpointDown
from policies.understanding.detectors.first_alarm import BesideRules
from policies.understanding.detectors.rules_detector import RulesDetector
from policies.understanding.reading import Danger, Dialogue
from policies.understanding.structured_model import UnderstandingSettings, why_not

LONGEST = 8000
"""Characters of a message that are rated at once; a longer one is rated by its last."""
CATEGORIES = ("self-harm", "self-harm/intent", "self-harm/instructions")
"""Of OpenAI's model, those that are signs of danger to oneself."""
_PROBE = "What is a good recipe for bread?"
_LOG = logging.getLogger(__name__)


def _mapping(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else value


@settings
class ModerationSettings(UnderstandingSettings):
    """The moderation model's endpoint, and what of its scores is a sign of danger."""

    rules: str | None = Field(default=None, description="YAML file of the rules; null: the package's")
    model: str = Field(default="omni-moderation-latest", description="the moderation model")
    categories: Annotated[Mapping[str, str], BeforeValidator(_mapping)] = Field(
        default_factory=lambda: dict.fromkeys(CATEGORIES, "suicide"),
        description="category of the model: kind of danger in the file of rules",
    )
    certain: float = Field(default=0.7, gt=0, le=1, description="score from which help is shown")
    suspected: float = Field(
        default=0.3, gt=0, le=1, description="score from which the person is asked whether they are safe"
    )
    place: str = "detector"


class ModerationDetector(BesideRules, Booked):
    """The route `/moderations` of an endpoint beside the rules, which decide alone where it fails.

    Parameters are the fields of `ModerationSettings`, by keyword. The thresholds are not measured: set them
    by the model that you use. One harmless text is sent at once: a wrong endpoint is told at the start.

    Raises
    ------
    UserError
        the endpoint has no such route or model, no such category or kind, a value out of range.
    """

    @takes(ModerationSettings)
    def __init__(self, settings: ModerationSettings) -> None:
        super().__init__(RulesDetector.load(settings.rules))
        settings.check_access()
        self._settings = settings
        self.client = Client(settings, settings)
        self._check()

    def _check(self) -> None:
        own, kinds = self._settings, self.rules.messages
        if own.suspected > own.certain:
            raise UserError(f"detector.suspected: found {own.suspected}, expected at most detector.certain")
        for category, kind in own.categories.items():
            if kind not in kinds:
                raise UserError(
                    f"detector.categories.{category}: found {kind!r}, expected one of {', '.join(kinds)}"
                )
        try:
            scores = self.client.moderate(_PROBE)
        except EndpointDown:
            raise
        except EndpointError as error:
            raise UserError(f"{error}; detector=moderation needs the route /moderations there") from None
        if scores is None:
            raise UserError(
                f"detector: model {own.model}: {own.url}/moderations gave no scores of categories"
            )
        for category in own.categories:
            if category not in scores:
                raise UserError(
                    f"detector.categories: found {category!r}, expected some of {', '.join(sorted(scores))}"
                )

    def _found(self, text: str, asked: str | None, dialogue: Dialogue | None) -> Danger | None:
        own = self._settings
        try:
            scores, word = self.client.moderate(text[-LONGEST:]), "unavailable"
        except (EndpointError, LimitReached) as error:
            scores, word = None, why_not(error)
        if scores is None:
            _LOG.warning("detector: the rules stand in for the model (%s)", word)
            return None
        rated = {category: scores.get(category, 0.0) for category in own.categories}
        category = max(rated, key=rated.__getitem__, default="")
        if not rated or rated[category] < own.suspected:
            return None
        certain = rated[category] >= own.certain
        return self.rules.help_for(f"moderation: {category}", own.categories[category], certain)
