"""A language model plays the person who is asked: any profile, any words, with what they tell declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from envs.checking.json_values import json_object, object_schema
from envs.checking.validation import FileModel, MaybeCount, settings, takes
from envs.judges.llm import prompting
from envs.llm import ChatRequest, ModelReply
from envs.llm.cached_model import CachedModel, CachedModelSettings
from envs.llm.costs import RequestCost, request_cost
from envs.llm.endpoint import Seconds, Temperature
from envs.scenario import Scenario
from envs.users.user import DECLINED, Reply, scenario_of

_REPLY_TOKENS = 60
"""What a reply has on average; for estimates alone."""


@settings
class PlayedUserSettings(CachedModelSettings):
    """The endpoint of the model that plays the person, how its replies are drawn, what they may take."""

    temperature: Temperature = 0.7
    max_output_tokens: MaybeCount = 512
    timeout_s: Seconds = 60.0
    place: str = "users"


class _Said(FileModel):
    text: str | None
    told: Literal["all", "part", "nothing"]
    also: list[str] = Field(default=[])


class PlayedUser(CachedModel):
    """A model at an OpenAI-compatible endpoint that answers as the person of a profile would.

    It declares what its words tell (`Reply.told`, `Reply.also`), structured where the endpoint takes a
    schema. Replies are cached as those of a judge are, one for each scenario and attribute. A reply that
    cannot be used after all repetitions is none: declined, and counted in `n_invalid`. Safe to call from many
    threads.

    Parameters are the fields of `PlayedUserSettings`, by keyword; raises as `CachedModel`.
    """

    @takes(PlayedUserSettings)
    def __init__(self, settings: PlayedUserSettings) -> None:
        self.name = settings.model
        super().__init__(settings)
        self.n_invalid = 0

    def answer(self, scenario: Scenario | None, attribute: str, question: str) -> Reply:
        """Return what the person says; declines, unasked, what the profile lacks.

        Raises
        ------
        EndpointError, LimitReached
            the endpoint cannot work, or a limit is used up.
        """
        person = scenario_of(scenario, "openai")
        there = person.schema.names_of(person.askable)
        if attribute not in there:
            return DECLINED
        reply = self.client.complete_object(self._request(person, attribute, question), _unusable)
        said = None if reply.reason is not None else _said(reply.text)
        if said is None:
            self.n_invalid += 1
            return DECLINED
        if said.text is None or not said.text.strip():
            return DECLINED
        also = tuple(name for name in there if name in said.also and name != attribute)
        return Reply(said.text.strip(), said.told, also)

    def cost(self, scenario: Scenario, attribute: str) -> RequestCost:
        """Return what one reply takes; nothing is sent."""
        question = scenario.schema.attributes[scenario.schema.index(attribute)].question
        return request_cost(self.client, self._request(scenario, attribute, question), _REPLY_TOKENS)

    def _request(self, scenario: Scenario, attribute: str, question: str) -> ChatRequest:
        parts = {
            "query": prompting.query_block(scenario),
            "profile": prompting.attributes_block("profile", scenario, prompting.known_names(scenario)),
            "asked": prompting.one_line(attribute, 100),
            "question": prompting.one_line(question, prompting.MAX_QUERY),
        }
        return self._sampling.request(
            prompting.messages("person", parts), schema=_schema(scenario.schema.names)
        )


def _schema(names: tuple[str, ...]) -> Mapping[str, Any]:
    return object_schema(
        text={"type": ["string", "null"]},
        told={"type": "string", "enum": ["all", "part", "nothing"]},
        also={"type": "array", "items": {"type": "string", "enum": list(names)}},
    )


def _said(text: str) -> _Said | None:
    """Return what a reply declares, None where it is not of the form asked for."""
    try:
        return _Said.model_validate(json_object(text))
    except ValidationError:
        return None


def _unusable(reply: ModelReply) -> str | None:
    return None if _said(reply.text) is not None else "reply"
