"""Settings of an endpoint: the model, where it is, and what its requests may take."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidatorFunctionWrapHandler, WrapValidator

from envs.checking.validation import Count, MaybeCount, accepted_keys, settings
from envs.errors import OutsideError, UserError
from envs.llm.cache.reply_cache import default_path
from envs.llm.messages import ChatRequest

DEFAULT_URL = "https://api.openai.com/v1"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"auth|key|token|secret|cookie|password", re.I)
_KEY_VARIABLES = {"openai": "OPENAI_API_KEY", "azure": "AZURE_OPENAI_API_KEY"}
_URL_VARIABLES = {"openai": "OPENAI_BASE_URL", "azure": "AZURE_OPENAI_ENDPOINT"}


def _named(value: object) -> object:
    if not value or not isinstance(value, str):
        raise ValueError("found none, expected the name of a model at the endpoint")
    return value


def _mapping(value: object) -> object:
    return dict(value or {}) if value is None or isinstance(value, Mapping) else value


Seconds = Annotated[float, Field(gt=0)]


@functools.lru_cache(maxsize=64)
def _host_and_path(url: str) -> str:
    parts = urlsplit(url)
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.hostname}{port}{parts.path.rstrip('/')}"


@settings
class Endpoint:
    """An OpenAI-compatible endpoint and the model asked there.

    No field holds a secret, so that a configuration can be saved as it is: the key comes from the
    environment variable that `key_variable` names (default `OPENAI_API_KEY`; `AZURE_OPENAI_API_KEY` with
    `api=azure`, where a token in `AZURE_OPENAI_AD_TOKEN` comes before it), and a header whose value begins
    with `$` takes the rest for the name of a variable. `place`: what error messages call it.
    """

    model: Annotated[str, BeforeValidator(_named)] = Field(
        default="", validate_default=True, description="the model; of Azure the name of the deployment"
    )
    base_url: str | None = Field(
        default=None, description="null: OPENAI_BASE_URL, or OpenAI itself; of Azure the resource"
    )
    api: Literal["openai", "azure"] = Field(default="openai", description="how the endpoint is spoken to")
    api_version: str | None = Field(default=None, description="of Azure; null: OPENAI_API_VERSION")
    key_variable: str | None = Field(
        default=None, repr=False, description="the environment variable with the key, never the key itself"
    )
    headers: Annotated[Mapping[str, str], BeforeValidator(_mapping)] = Field(
        default_factory=dict, repr=False, description="sent with each request; $NAME: from the environment"
    )
    extra_body: Annotated[Mapping[str, Any], BeforeValidator(_mapping)] = Field(
        default_factory=dict, repr=False, description="fields that only some servers know (cache_prompt)"
    )
    timeout_s: Seconds = Field(default=120.0, description="seconds a request may take")
    max_retries: int = Field(
        default=6, ge=0, description="repetitions of a request that fails while others are answered"
    )
    give_up_after: float = Field(
        default=600.0, gt=0, description="seconds without any answer after which the endpoint counts as down"
    )
    cache_as: str | None = Field(
        default=None,
        description="whose replies the cache holds; null: the endpoint's host and path. The same name at "
        "another URL goes on with what was paid for; another name at the same URL asks anew",
    )
    place: str = "judge"

    def __post_init__(self) -> None:
        if self.key_variable is not None and not _VARIABLE.fullmatch(self.key_variable):
            raise UserError(
                f"{self.place}.key_variable: expected an environment variable's name, never the key itself"
            )
        for name in self.extra_body:
            if _SECRET.search(name) and not name.startswith("max_") and "token" not in name:
                raise UserError(
                    f"{self.place}.extra_body.{name}: a secret does not belong into a configuration; "
                    f"put it into an environment variable and name that as {self.place}.key_variable"
                )
        for name, value in self.headers.items():
            if _SECRET.search(name) and not value.startswith("$"):
                raise UserError(
                    f"{self.place}.headers.{name}: a secret does not belong into a configuration; "
                    f"put it into an environment variable and write its name, as in '$MY_TOKEN'"
                )

    @property
    def url(self) -> str:
        """The base URL that requests go to.

        Raises
        ------
        UserError
            it is no http(s) URL, holds a password, or Azure's is not given.
        """
        found = self.base_url or os.environ.get(_URL_VARIABLES[self.api])
        if not found and self.api == "azure":
            raise UserError(
                f"{self.place}.base_url: Azure's resource is not given, nor AZURE_OPENAI_ENDPOINT"
            )
        url = found or DEFAULT_URL
        place = f"{self.place}.base_url"
        if "@" in url or "?" in url:  # neither is repeated
            raise UserError(f"{place}: holds a user, a password or a query, expected a URL without")
        try:
            parts = urlsplit(url)
            right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is none, a bracket that is not closed
            right = False
        if not right:
            raise UserError(f"{place}: found {url!r}, expected http://HOST[:PORT]/v1 or https")
        return url

    @property
    def identity(self) -> str:
        """Whose replies these are, in the cache: `cache_as`, or host, port and path of the URL."""
        if self.cache_as:
            return self.cache_as
        return _host_and_path(self.url)

    @property
    def is_local(self) -> bool:
        """Tell whether the endpoint is on loopback, where servers want no key."""
        return urlsplit(self.url).hostname in ("localhost", "127.0.0.1", "::1")

    def key(self) -> str:
        """Return the key from the environment; on loopback a placeholder where there is none.

        Raises
        ------
        UserError
            the variable is not set and the endpoint is not on loopback.
        """
        variable = self.key_name
        found = os.environ.get(variable, "").strip()  # a file's last line end comes along easily
        if found and not (found.isascii() and found.isprintable()):
            raise UserError(f"{self.place}: the key in {variable} holds characters that no key has")
        if found:
            return found
        if self.is_local and self.key_variable is None:
            return "none"
        raise UserError(f"{self.place}: no key: the environment variable {variable} is not set")

    @property
    def key_name(self) -> str:
        """The environment variable that holds the key."""
        return self.key_variable or _KEY_VARIABLES[self.api]

    def check_api_version(self) -> None:
        """Raise a `UserError` where Azure's version of the API is not given."""
        if not (self.api_version or os.environ.get("OPENAI_API_VERSION")):
            raise UserError(f"{self.place}.api_version: Azure's is not given, nor OPENAI_API_VERSION")

    def sent_headers(self) -> dict[str, str]:
        """Return the headers with variables looked up.

        Raises
        ------
        UserError
            a variable that is not set.
        """
        found = {}
        for name, value in self.headers.items():
            if value.startswith("$") and value[1:] not in os.environ:
                raise UserError(
                    f"{self.place}.headers.{name}: the environment variable {value[1:]} is not set"
                )
            found[name] = os.environ[value[1:]] if value.startswith("$") else value
        return found


@settings
class Limits:
    """What the requests of one run may take together, in all its workers and sessions; None = no limit.

    Each request takes its worst case out of what is left before it is sent, so that no limit is ever passed.
    """

    max_in_flight: Count = Field(default=32, description="requests at one time; workers share all limits")
    max_requests: MaybeCount = Field(default=None, description="HTTP requests sent, repetitions included")
    max_tokens: MaybeCount = Field(default=None, description="of prompts and replies together")
    max_cost: float | None = Field(default=None, gt=0, description="dollars, by the file prices")
    max_requests_per_minute: MaybeCount = Field(
        default=None, description="of each model; null: what the endpoint says, or is found to take"
    )
    max_tokens_per_minute: MaybeCount = Field(
        default=None, description="of each model, prompts and replies together; null: as above"
    )
    prices: str | None = Field(default=None, description="YAML file; null: envs/llm/prices.yaml")
    place: str = "judge"


def _as_given(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """Keep an integer one: 0 and 0.0 are two keys in files of replies that were paid for."""
    checked = check(value)
    return value if isinstance(value, int) else checked


Temperature = Annotated[float | None, Field(ge=0, le=2), WrapValidator(_as_given)]
TopP = Annotated[float | None, Field(gt=0, le=1), WrapValidator(_as_given)]


@settings
class Sampling:
    """How replies are drawn; None = not sent."""

    temperature: Temperature = Field(default=0.7, description="null: not sent")
    top_p: TopP = Field(default=None, description="null: not sent")
    max_output_tokens: MaybeCount = Field(default=800, description="of one reply; null: not sent")
    place: str = "judge"

    def request(self, messages: tuple[tuple[str, str], ...], **more: Any) -> ChatRequest:
        """Return the request whose reply is drawn so; `more`: further fields of `ChatRequest`."""
        return ChatRequest(messages, self.temperature, self.top_p, self.max_output_tokens, **more)


@settings
class EndpointSettings(Limits, Endpoint):
    """A model, where it is, what its requests may take, and the file that keeps its replies."""

    cache: str | None = Field(
        default=None, description="SQLite file; null: replies.sqlite in the user's cache folder"
    )

    @property
    def cache_path(self) -> str:
        """The file of replies, absolute."""
        return str((default_path() if self.cache is None else Path(self.cache).expanduser()).absolute())


WITHOUT_EFFECT = tuple(key for key in accepted_keys(EndpointSettings) if key not in ("model", "extra_body"))
"""Settings that cannot change a reply: a run may be resumed under others."""


class EndpointError(UserError):
    """A request that no repetition can mend: a refused key, an unknown model, a context too long.

    Messages are our own words: what a server says may repeat a key or a prompt.
    """


class EndpointDown(EndpointError):
    """The endpoint answers nothing, or wants to be left alone for longer than we are patient."""

    exit_code = OutsideError.exit_code


class Unreadable(EndpointError):
    """The model answers, and none of many replies has the form that it was asked for."""


class SchemaRefused(EndpointError):
    """The endpoint does not take a JSON schema for a reply."""


class LimitReached(UserError):
    """`max_requests`, `max_tokens` or `max_cost` is used up; what was paid for is in cache and journal."""

    exit_code = 3


class CacheMiss(UserError):
    """A reply that replay needs is not in the cache file."""
