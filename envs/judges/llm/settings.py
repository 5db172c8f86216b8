"""What the two models of a judge are asked with: checked when made, plain data afterwards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from envs.errors import UserError
from envs.llm import Endpoint

_ENDPOINT_KEYS = (
    "model",
    "base_url",
    "api",
    "api_version",
    "key_variable",
    "headers",
    "extra_body",
    "timeout_s",
    "max_retries",
)


def _one_of(place: str, value: object, offered: tuple[str, ...]) -> None:
    if value not in offered:
        raise UserError(f"{place}: found {value!r}, expected {', '.join(offered[:-1])} or {offered[-1]}")


def _check_sampling(place: str, temperature: float | None, top_p: float | None, tokens: int | None) -> None:
    if temperature is not None and not (math.isfinite(temperature) and 0 <= temperature <= 2):
        raise UserError(f"{place}.temperature: found {temperature}, expected 0 <= temperature <= 2 or null")
    if top_p is not None and not 0 < top_p <= 1:
        raise UserError(f"{place}.top_p: found {top_p}, expected 0 < top_p <= 1 or null")
    if tokens is not None and tokens < 1:
        raise UserError(f"{place}.max_output_tokens: found {tokens}, expected an integer >= 1 or null")


@dataclass(frozen=True)
class Rating:
    """How the judge model rates; see `LLMJudge`."""

    mode: str
    scoring: str
    output: str
    temperature: float | None
    top_p: float | None
    max_output_tokens: int | None
    send_seed: bool
    min_mass: float

    def __post_init__(self) -> None:
        _one_of("judge.mode", self.mode, ("response", "direct"))
        _one_of("judge.scoring", self.scoring, ("sampled", "expected"))
        _one_of("judge.output", self.output, ("auto", "json_schema", "text"))
        _check_sampling("judge", self.temperature, self.top_p, self.max_output_tokens)
        if not 0 < self.min_mass <= 1:
            raise UserError(f"judge.min_mass: found {self.min_mass}, expected 0 < min_mass <= 1")
        if self.temperature is None:
            object.__setattr__(self, "temperature", 1.0 if self.scoring == "sampled" else 0.0)

    @property
    def drawn(self) -> bool:
        """Tell whether another look can give another rating."""
        return self.temperature != 0

    @property
    def prompts(self) -> tuple[str, ...]:
        """Names of the prompt files that this way of rating uses."""
        forms = {"auto": ("format_json", "format_text"), "json_schema": ("format_json",)}
        target = ("target",) if self.mode == "response" else ()
        return (self.mode, "rubric", *forms.get(self.output, ("format_text",)), *target)


@dataclass(frozen=True)
class Target:
    """The model that writes the response, and how; with `judge.mode=direct` it is not asked."""

    endpoint: Endpoint
    temperature: float | None = 0.7
    top_p: float | None = None
    max_output_tokens: int | None = 800
    send_seed: bool = True

    @classmethod
    def of(cls, keys: Mapping[str, Any], judge: Endpoint, send_seed: bool) -> Target:
        """Return the target that `keys` describe; an endpoint's key that is null is as the judge's.

        Another `base_url` brings its own key variable and headers, so that no key goes to the wrong place.

        Raises
        ------
        UserError
            a key that there is not, or a value out of range.
        """
        sampling = {"temperature", "top_p", "max_output_tokens"}
        unknown = sorted(set(keys) - sampling - set(_ENDPOINT_KEYS))
        if unknown:
            raise UserError(f"judge.target.{unknown[0]}: there is no such key")
        given = {name: keys[name] for name in _ENDPOINT_KEYS if keys.get(name) is not None}
        elsewhere = "base_url" in given and given["base_url"] != judge.base_url
        if elsewhere:
            judge = replace(judge, key_variable=None, headers={}, api="openai", api_version=None)
        endpoint = replace(judge, **given, place="judge.target" if given else judge.place)
        _check_sampling(
            "judge.target", keys.get("temperature"), keys.get("top_p"), keys.get("max_output_tokens")
        )
        return cls(endpoint, **{name: keys[name] for name in sampling & set(keys)}, send_seed=send_seed)

    @property
    def drawn(self) -> bool:
        """Tell whether another look can give another response."""
        return self.temperature != 0
