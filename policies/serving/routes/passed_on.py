"""A request that the upstream answers: its answer goes on as it came, mended where clients would hang."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any

import anyio.to_thread
import httpx2
from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from envs import OutsideError
from policies.serving.openai_errors import ApiError, error_body
from policies.serving.service import Service
from policies.serving.upstreams.event_stream import MendedStream, datas
from policies.serving.upstreams.upstream import headers_back, read_all
from policies.serving.upstreams.while_connected import while_connected, with_silences

EVENTS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
"""Headers of a stream: no proxy is to hold it back."""
Keep = Callable[[str], None]
"""Keeps the text of an answer that came whole."""


async def passed_on(
    request: Request,
    service: Service,
    sent: bytes,
    headers: dict[str, str],
    extra: dict[str, Any],
    keep: Keep | None,
) -> Response:
    """Return the upstream's answer to the body `sent`; its status is looked at before anything goes out.

    `headers`, `extra`: headers and fields that are added to it.

    Raises
    ------
    ApiError, ClientLeft
        the upstream does not answer, or nobody waits any more: then its request is ended.
    """
    async with AsyncExitStack() as stack:
        opened = service.upstream.opened("POST", "/chat/completions", request.headers, sent)
        response = await while_connected(request, stack.enter_async_context(opened))
        back = {**headers_back(response), **headers}
        if response.status_code < 400 and "text/event-stream" in response.headers.get("content-type", ""):
            pieces = _pieces(service, response, stack.pop_all(), extra, keep)
            return StreamingResponse(pieces, response.status_code, back | EVENTS)
        text = await while_connected(request, read_all(response))
    answer, told = _whole(text, response.status_code, back, extra)
    if keep is not None and told is not None:
        # It is paid for: where no session can be kept now, it is told all the same.
        with suppress(OutsideError):
            await anyio.to_thread.run_sync(keep, told)
    return answer


def _whole(
    text: bytes, status: int, headers: dict[str, str], extra: dict[str, Any]
) -> tuple[Response, str | None]:
    """Return an answer that is no stream, JSON as it came or an error, and its text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or (status >= 400 and "error" not in found):
        status = status if status >= 400 else 502
        body = error_body(status, "The model's endpoint gave no answer in JSON.", "upstream_not_json")
        return JSONResponse(body, status, {k: v for k, v in headers.items() if k != "content-type"}), None
    if status >= 400:
        return Response(text, status, headers), None
    return Response(json.dumps({**found, **extra}) if extra else text, status, headers), _text(found)


def _text(found: dict[str, Any]) -> str | None:
    try:
        content = found["choices"][0]["message"]["content"]
    except (LookupError, TypeError):
        return None
    return content if isinstance(content, str) else None


async def _pieces(
    service: Service,
    response: httpx2.Response,
    stack: AsyncExitStack,
    extra: dict[str, Any],
    keep: Keep | None,
) -> AsyncGenerator[bytes, None]:
    """Yield the events of the upstream's stream, mended; the upstream's request ends with this one."""
    mended = MendedStream()
    async with stack:
        try:
            found = datas(response.aiter_bytes())
            async with aclosing(with_silences(found, service.settings.keep_alive_s)) as items:
                async for data in items:
                    yield service.keep_alive() if data is None else mended.take(data, extra)
                    extra = extra if data is None else {}
        except httpx2.HTTPError:
            pass  # a cut: `end` says so, unless all was there
        rest = mended.end()
        if keep is not None and mended.is_whole:
            # Where another message of the session was faster, or no session can be kept now, what was said
            # here is shown and not kept.
            with suppress(ApiError, OutsideError):
                await anyio.to_thread.run_sync(keep, mended.text)
        yield rest
