"""What stands before every route: names, origins, keys, sizes, rates. Plain ASGI, so that streams stream."""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from envs import OutsideError, UserError
from policies.serving.openai_errors import ApiError
from policies.serving.routes.page_route import PAGE_PATHS
from policies.serving.routes.question_route import QUESTION_PATHS
from policies.serving.serve_settings import ALONE, ServiceSettings, Workers
from policies.serving.service_metrics import ServiceMetrics
from policies.serving.sessions.shared_buckets import SharedBuckets

OPEN_PATHS = ("/healthz", "/readyz", *PAGE_PATHS, *QUESTION_PATHS)
"""Answered without a key: they tell nothing, the page asks for one, or know who may read them otherwise."""


class RequestGuard:
    """Lets a request pass, or answers it with an error in OpenAI's form.

    `keys`: see `keys_of`; `workers`: who share the limits; `open_paths`: those that need no key.

    The scope of a request that passed has `owner`, a digest of its key, "" where no keys are wanted.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServiceSettings,
        keys: Sequence[str],
        metrics: ServiceMetrics,
        workers: Workers = ALONE,
        open_paths: Sequence[str] = OPEN_PATHS,
    ) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._keys = tuple(keys)
        self._open = frozenset(open_paths)
        rate = settings.requests_per_minute
        self._rate = None if rate is None else SharedBuckets(rate, workers.rates)
        self._most_running = -(-settings.max_in_flight // workers.count)
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 499

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._running += 1
        self._metrics.in_flight.inc()
        try:
            self._check(scope)
            await self._app(scope, self._measured(receive), counted)
        except ApiError as error:
            await error.response()(scope, receive, counted)
        finally:
            self._running -= 1
            self._metrics.in_flight.dec()
            route = scope.get("route")
            self._metrics.request("other" if route is None else route.path, status)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self._check_place(scope, headers)
        scope["owner"] = self._owner(scope, headers)
        if self._running > self._most_running:
            raise ApiError(
                503, "Too many requests are being answered.", "overloaded", None, {"retry-after": "1"}
            )
        size = headers.get("content-length", "0")
        if not size.isdecimal() or int(size) > self._settings.max_body_bytes:
            raise self._too_large()
        if scope["method"] == "POST" and not _is_json(headers.get("content-type", "")):
            # Also what keeps pages of other origins out: a browser asks before it sends JSON.
            raise ApiError(415, "The body has to be sent as application/json.", "unsupported_media_type")

    def _check_place(self, scope: Scope, headers: Headers) -> None:
        """Refuse names that are not ours (a page whose name was turned to this address) and foreign pages."""
        host = headers.get("host", "")
        hosts = self._settings.hosts
        if "*" not in hosts and _without_port(host) not in hosts:
            raise ApiError(
                421, "This service does not answer to that name; see service.hosts.", "unknown_host"
            )
        origin = headers.get("origin")
        if origin is None or origin in self._settings.cors_origins or "*" in self._settings.cors_origins:
            return
        if origin not in (f"http://{host}", f"https://{host}"):
            raise ApiError(403, "Pages of that origin may not call this service.", "origin_refused")

    def _owner(self, scope: Scope, headers: Headers) -> str:
        digest = ""
        if self._keys and scope["path"] not in self._open:
            kind, _, key = headers.get("authorization", "").partition(" ")
            digest = digest_of(key.strip()) if kind.casefold() == "bearer" else ""
            # Every key is compared, each in constant time.
            found = [hmac.compare_digest(digest, known) for known in self._keys]
            if not any(found):
                raise ApiError(401, "The API key is missing or wrong.", "invalid_api_key")
        if self._rate is not None and scope["path"].startswith("/v1/"):
            client = scope.get("client")
            self._count(self._rate, digest or ("" if client is None else client[0]))
        return digest

    def _count(self, rate: SharedBuckets, who: str) -> None:
        try:
            # The clock counts from the machine's start, for all workers.
            wait = rate.take(who, time.monotonic())
        except OutsideError:
            after = {"retry-after": "1"}
            raise ApiError(503, "Requests cannot be counted now.", "overloaded", None, after) from None
        if wait > 0:
            after = {"retry-after": f"{max(1, round(wait))}"}
            raise ApiError(429, "Too many requests in a minute.", "rate_limit_exceeded", None, after)

    def _measured(self, receive: Receive) -> Receive:
        """Return `receive` that refuses more bytes than a body may have."""
        left = self._settings.max_body_bytes

        async def measured() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise self._too_large()
            return message

        return measured

    def _too_large(self) -> ApiError:
        most = self._settings.max_body_bytes
        return ApiError(413, f"The body is larger than {most:,} bytes.", "request_too_large")


def keys_of(settings: ServiceSettings) -> tuple[str, ...]:
    """Return a digest of each key.

    Raises
    ------
    UserError
        the variable holds no key.
    """
    if settings.keys_variable is None:
        return ()
    keys = [key.strip() for key in os.environ.get(settings.keys_variable, "").split(",")]
    found = tuple(digest_of(key) for key in keys if key)
    if not found:
        raise UserError(
            f"service.keys_variable: the environment variable {settings.keys_variable} holds no key"
        )
    return found


def digest_of(key: str) -> str:
    """Return what a key is known by, "" for none."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest() if key else ""


def _is_json(kind: str) -> bool:
    return kind.partition(";")[0].strip().casefold() == "application/json"


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).casefold()
