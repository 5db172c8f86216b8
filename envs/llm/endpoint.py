"""Where requests go and what they may take: endpoint and limits, checked when they are made."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from envs.errors import OutsideError, UserError

DEFAULT_URL = "https://api.openai.com/v1"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"auth|key|token|secret|cookie|password", re.I)
_KEY_VARIABLES = {"openai": "OPENAI_API_KEY", "azure": "AZURE_OPENAI_API_KEY"}
_URL_VARIABLES = {"openai": "OPENAI_BASE_URL", "azure": "AZURE_OPENAI_ENDPOINT"}


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible endpoint and the model asked there.

    No field holds a secret, so that a configuration can be saved as it is: the key comes from the
    environment variable that `key_variable` names (default `OPENAI_API_KEY`; `AZURE_OPENAI_API_KEY` with
    `api=azure`, where a token in `AZURE_OPENAI_AD_TOKEN` comes before it), and a header whose value begins
    with `$` takes the rest for the name of a variable.

    Attributes
    ----------
    model : str, with `api=azure` the name of the deployment
    base_url : None = `OPENAI_BASE_URL`, or OpenAI itself; of Azure the resource, `AZURE_OPENAI_ENDPOINT`
    api : "openai" or "azure"
    api_version : of Azure; None = `OPENAI_API_VERSION`
    headers : sent with each request
    extra_body : fields that only some servers know, such as `cache_prompt` of llama.cpp
    timeout_s : seconds a request may take
    max_retries : repetitions of a request that timed out, was dropped, or was answered 429 or 5xx
    place : what error messages call it: the config group it comes from
    """

    model: str
    base_url: str | None = None
    api: str = "openai"
    api_version: str | None = None
    key_variable: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    extra_body: Mapping[str, object] = field(default_factory=dict)
    timeout_s: float = 120.0
    max_retries: int = 6
    place: str = "judge"

    def __post_init__(self) -> None:
        place = self.place
        if not self.model or not isinstance(self.model, str):
            raise UserError(f"{place}.model: found none, expected the name of a model at the endpoint")
        if self.api not in _KEY_VARIABLES:
            raise UserError(f"{place}.api: found {self.api!r}, expected openai or azure")
        if self.key_variable is not None and not _VARIABLE.fullmatch(self.key_variable):
            raise UserError(
                f"{place}.key_variable: expected the name of an environment variable, never the key itself"
            )
        if not (math.isfinite(self.timeout_s) and self.timeout_s > 0):
            raise UserError(f"{place}.timeout_s: found {self.timeout_s}, expected seconds > 0")
        if self.max_retries < 0:
            raise UserError(f"{place}.max_retries: found {self.max_retries}, expected an integer >= 0")
        for name in self.extra_body:
            if _SECRET.search(name) and not name.startswith("max_") and "token" not in name:
                raise UserError(
                    f"{place}.extra_body.{name}: a secret does not belong into a configuration; "
                    f"put it into an environment variable and name that as {place}.key_variable"
                )
        for name, value in self.headers.items():
            if not isinstance(value, str):
                raise UserError(f"{place}.headers.{name}: found {type(value).__name__}, expected text")
            if _SECRET.search(name) and not value.startswith("$"):
                raise UserError(
                    f"{place}.headers.{name}: a secret does not belong into a configuration; "
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


@dataclass(frozen=True)
class Limits:
    """What the requests of one run may take together; None = no limit.

    With several workers each has an equal share (`shard`), and the run stops when one has used up its own:
    so no limit is ever passed, whatever the machines the workers are on.

    Attributes
    ----------
    max_in_flight : requests at one time
    max_requests : HTTP requests sent, repetitions included
    max_tokens : of prompts and replies together
    max_cost : dollars, by the file `prices` (YAML; None = the one that ships with the package)
    """

    max_in_flight: int = 32
    max_requests: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    prices: str | None = None
    place: str = "judge"

    def __post_init__(self) -> None:
        for name in ("max_in_flight", "max_requests", "max_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{self.place}.{name}: found {value}, expected an integer >= 1")
        if self.max_cost is not None and not (math.isfinite(self.max_cost) and self.max_cost > 0):
            raise UserError(f"{self.place}.max_cost: found {self.max_cost}, expected dollars > 0")

    def shard(self, workers: int) -> Limits:
        """Return the share of one of `workers` processes.

        Raises
        ------
        UserError
            a limit that is smaller than the number of workers.
        """
        for name in ("max_requests", "max_tokens"):
            value = getattr(self, name)
            if value is not None and value < workers:
                raise UserError(
                    f"{self.place}.{name}: found {value}, which {workers} workers cannot share; "
                    f"parallel=serial has one"
                )
        return replace(
            self,
            max_in_flight=max(1, self.max_in_flight // workers),
            max_requests=None if self.max_requests is None else self.max_requests // workers,
            max_tokens=None if self.max_tokens is None else self.max_tokens // workers,
            max_cost=None if self.max_cost is None else self.max_cost / workers,
        )


class EndpointError(UserError):
    """A request that no repetition can mend: a refused key, an unknown model, a context too long.

    Messages are our own words: what a server says may repeat a key or a prompt.
    """


class EndpointDown(EndpointError):
    """The endpoint did not answer within all retries."""

    exit_code = OutsideError.exit_code


class SchemaRefused(EndpointError):
    """The endpoint does not take a JSON schema for a reply."""


class LimitReached(UserError):
    """`max_requests`, `max_tokens` or `max_cost` is used up; what was paid for is in cache and journal."""

    exit_code = 3


class CacheMiss(UserError):
    """A reply that replay needs is not in the cache file."""
