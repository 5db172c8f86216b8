"""Settings of the judges that are language models, and of the target model that they ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, SkipValidation

from envs.errors import UserError
from envs.llm.endpoint import Endpoint, EndpointSettings, Sampling, Temperature
from envs.validation import MaybeCount, accepted_keys, settings

_OF_AN_ADDRESS = ("api", "api_version", "key_variable", "headers")


@settings
class Rating(Sampling):
    """How the judge model rates."""

    mode: Literal["response", "direct"] = Field(
        default="response",
        description="response: the target model answers and the judge rates it; direct: one request",
    )
    scoring: Literal["sampled", "expected"] = Field(
        default="sampled",
        description="sampled: the integers of one draw; expected: their means by log probabilities",
    )
    output: Literal["auto", "json_schema", "text"] = Field(
        default="auto",
        description="how a verdict is asked for; auto: by schema, as text where there are no schemas",
    )
    temperature: Temperature = Field(
        default=None, description="null: 1 when sampled (its mean is then what expected computes), else 0"
    )
    max_output_tokens: MaybeCount = Field(default=300, description="of a verdict; null: not sent")
    send_seed: bool = Field(default=True, description="send a seed, for endpoints that take one")
    min_mass: float = Field(
        default=0.5, gt=0, le=1, description="least probability on 1 to 5 that expected takes for a rating"
    )
    save_transcripts: bool = Field(
        default=False,
        description="append responses and verdicts to transcripts.jsonl in the run's folder, mode 600: to "
        "read, not to share, for responses may repeat what a profile says",
    )

    def __post_init__(self) -> None:
        if self.temperature is None:
            object.__setattr__(self, "temperature", 1.0 if self.scoring == "sampled" else 0.0)

    @property
    def drawn(self) -> bool:
        """Tell whether another evaluation can give another rating."""
        return self.temperature != 0

    @property
    def prompts(self) -> tuple[str, ...]:
        """Names of the prompt files that this way of rating uses."""
        forms = {"auto": ("format_json", "format_text"), "json_schema": ("format_json",)}
        target = ("target",) if self.mode == "response" else ()
        return (self.mode, "rubric", *forms.get(self.output, ("format_text",)), *target)


@settings
class Target(Sampling, Endpoint):
    """The model that writes the response, and how; with `judge.mode=direct` it is not asked."""

    @property
    def drawn(self) -> bool:
        """Tell whether another evaluation can give another response."""
        return self.temperature != 0


@settings
class JudgeSettings(Rating, EndpointSettings):
    """All that `judge=openai` takes; what is null in `target` is as the judge's."""

    target: Annotated[Target, SkipValidation] = Field(  # type: ignore[assignment]  # a mapping until then
        default_factory=dict, description="the answering model; null: as the judge's"
    )
    concurrent_plans: MaybeCount = Field(
        default=None,
        description="plans a worker makes at once; null: as max_in_flight, so that the slots stay full",
    )

    def __post_init__(self) -> None:
        Endpoint.__post_init__(self)
        Rating.__post_init__(self)
        if not isinstance(self.target, Target):
            object.__setattr__(self, "target", self._target(self.target or {}))

    def _target(self, keys: Any) -> Target:
        """Return the target that `keys` describe, completed by the judge's endpoint.

        Another `base_url` brings its own key variable and headers, so that no key goes to the wrong place.
        """
        if not isinstance(keys, Mapping):
            raise UserError(f"judge.target: found {type(keys).__name__}, expected a mapping")
        of_endpoint = accepted_keys(Endpoint)
        given = {key: value for key, value in keys.items() if value is not None or key not in of_endpoint}
        endpoint = {key: getattr(self, key) for key in of_endpoint}
        if given.get("base_url", self.base_url) != self.base_url:
            endpoint = {key: value for key, value in endpoint.items() if key not in _OF_AN_ADDRESS}
        target = Target(**{**endpoint, **given}, place="judge.target")
        return target if of_endpoint.keys() & given else replace(target, place=self.place)
