"""The endpoint behind this layer: requests go on to it as they came, and its answers come back."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2

from envs import UserError
from policies.serving.openai_errors import ApiError
from policies.serving.serve_settings import UpstreamSettings

_SENT_ON = ("accept", "user-agent", "idempotency-key", "x-request-id", "x-client-request-id", "traceparent")
_SENT_BACK = ("content-type", "x-request-id", "retry-after", "retry-after-ms", "x-should-retry")
_PREFIXES = ("openai-", "x-stainless-", "x-ratelimit-")


class Upstream:
    """Connections of one process to the upstream.

    Raises
    ------
    UserError
        no URL, or the variable of the key is not set.
    """

    def __init__(self, settings: UpstreamSettings) -> None:
        self.settings = settings
        url = settings.base_url.rstrip("/")
        if not url.startswith(("http://", "https://")):
            raise UserError(f"upstream.base_url: found {url!r}, expected http://HOST[:PORT]/v1 or https")
        self._key = None if settings.key_variable is None else _key(settings.key_variable)
        self._client = httpx2.AsyncClient(
            base_url=url,
            limits=httpx2.Limits(max_connections=settings.max_connections),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """End all connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def opened(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        most_s: float = math.inf,
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request; yield the response with its body still to be read, and end it in any case.

        `most_s`: seconds without a byte of the answer, where fewer than the upstream's own are enough.

        Raises
        ------
        ApiError
            nothing answers (502), or not in time (504).
        """
        seconds = min(most_s, self.settings.timeout_s)
        timeout = httpx2.Timeout(seconds, connect=min(seconds, self.settings.connect_s))
        request = self._client.build_request(
            method, path, headers=self._headers(headers), content=body, timeout=timeout
        )
        try:
            response = await self._client.send(request, stream=True)
        except httpx2.HTTPError as error:
            raise failed(error) from None
        try:
            yield response
        finally:
            await response.aclose()

    def _headers(self, given: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in given.items() if _matches(name, _SENT_ON)}
        # A program without a key may send "Bearer " and nothing, which is no header that can be sent on.
        key = f"Bearer {self._key}" if self._key is not None else given.get("authorization", "").strip()
        key = "" if key.casefold() == "bearer" else key
        return {**kept, "content-type": "application/json", **({"authorization": key} if key else {})}


async def read_all(response: httpx2.Response) -> bytes:
    """Return the whole body; `ApiError` where it breaks off."""
    try:
        return await response.aread()
    except httpx2.HTTPError as error:
        raise failed(error) from None


def failed(error: httpx2.HTTPError) -> ApiError:
    """Return what a client is told of an upstream that does not answer."""
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        return ApiError(504, "The model's endpoint did not answer in time.", "upstream_timeout")
    return ApiError(502, "The model's endpoint cannot be reached, or broke off.", "upstream_unreachable")


def headers_back(response: httpx2.Response) -> dict[str, str]:
    """Return the headers of an answer that a client of OpenAI's API knows."""
    return {name: value for name, value in response.headers.items() if _matches(name, _SENT_BACK)}


def _matches(name: str, names: tuple[str, ...]) -> bool:
    return name.lower() in names or name.lower().startswith(_PREFIXES)


def _key(variable: str) -> str:
    found = os.environ.get(variable, "").strip()
    if not found or not (found.isascii() and found.isprintable()):
        raise UserError(f"upstream.key_variable: the environment variable {variable} holds no key")
    return found
