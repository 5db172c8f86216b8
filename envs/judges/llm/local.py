"""Judge by a model on this machine (`judge=local`), served by llama.cpp during the run.

The bundled model is there to try the whole chain over real HTTP, with structured output and log
probabilities. Small models are no judges (see `envs.llm.local.local_server`): what they say means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from envs import Scenario
from envs.checking.validation import Count, MaybeCount, settings, takes
from envs.judges.llm import LLMJudge
from envs.judges.llm.settings import Rating
from envs.llm.costs import Price, RequestCost
from envs.llm.endpoint import Seconds
from envs.llm.local.local_server import LocalServer


@settings
class LocalSettings(Rating):
    """The model's file, how it is served, and how it rates."""

    model_path: str | None = Field(default=None, description="GGUF file; null: the bundled model")
    context: Count = Field(default=4096, description="tokens of prompt and reply together")
    threads: Count = Field(
        default=1, description="of computation; more pay only on cores that nobody else uses"
    )
    chat_template: str | None = Field(
        default=None, description="of models without one: Jinja, or llama.cpp's name"
    )
    cache_prompt: bool = Field(
        default=False,
        description="keep what a prompt has in common with the one before: about three times as fast, but "
        "the last digits of a score then depend on what was asked before",
    )
    timeout_s: Seconds = Field(default=600.0, description="seconds a request may take")
    output: Literal["auto", "json_schema", "text"] = Field(
        default="json_schema", description="form of a verdict"
    )
    target: Mapping[str, Any] | None = Field(
        default=None, description="its sampling settings; the model is the same"
    )
    max_requests: MaybeCount = Field(default=None, description="HTTP requests sent, repetitions included")
    max_tokens: MaybeCount = Field(default=None, description="of prompts and replies together")
    cache: str | None = Field(default=None, description="SQLite file of replies; null: the user's")


_OF_THE_SERVER = ("model_path", "context", "threads", "chat_template")


class LocalJudge(LLMJudge):
    """`LLMJudge` over a llama.cpp server that starts with the judge and ends with it.

    One request at a time into one slot without a prefix cache, so that the same prompt gives the same reply
    whatever came before. A copy in a worker's process asks the server of the process that started it.
    Parameters are the fields of `LocalSettings`, by keyword.

    Raises
    ------
    UserError
        xllamacpp or the model is missing, or a setting is out of range.
    """

    resume_ignored = (*LLMJudge.resume_ignored, "threads", "model_path")

    @takes(LocalSettings)
    def __init__(self, settings: LocalSettings) -> None:
        keys = dict(vars(settings))
        self._server: LocalServer | None = LocalServer(**{key: keys.pop(key) for key in _OF_THE_SERVER})
        super().__init__(
            model=self._server.name,
            base_url=self._server.url,
            cache_as="local",
            extra_body={"cache_prompt": keys.pop("cache_prompt")},
            max_retries=1,
            max_in_flight=1,
            **keys,
        )
        self._name = f"local:{self._server.name}{self.protocol_label}"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_server": None}  # the process stays with the one that started it

    def request_costs(self, scenario: Scenario, names: Sequence[str]) -> list[RequestCost]:
        """Return the requests of one judge call, with the seconds they take by the pace of this server."""
        return self._here(super().request_costs(scenario, names))

    def rate_costs(self, scenario: Scenario, text: str) -> list[RequestCost]:
        """Return the same of the rating of one answer."""
        return self._here(super().rate_costs(scenario, text))

    def _here(self, costs: list[RequestCost]) -> list[RequestCost]:
        pace = None if self._server is None else self._server.pace
        return [cost._replace(pace=pace, price=Price(input=0, output=0)) for cost in costs]

    def provenance(self) -> dict[str, Any]:
        """Return what determines scores beyond the configuration: prompts, and the model by its content."""
        return {**super().provenance(), "model": self.name}

    def stop(self) -> None:
        """End the server now; it ends with the judge anyway."""
        if self._server is not None:
            self._server.stop()
