"""HTTP/1.1 of the scripted server, over plain asyncio."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Answer = Callable[[str, str, Mapping[str, str], bytes], Awaitable[bytes | None]]
"""Returns the whole answer to (method, path, headers, body), None where the connection is to be dropped."""

_PHRASES = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


class Http(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as far as clients of this API use it: bodies come with their length."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.buffer = b""
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go."""
        self.transport: Any = transport

    def connection_lost(self, error: Exception | None) -> None:
        """End the answer that nobody waits for any more."""
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer a request once all of it is there."""
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        method, path, _ = lines[0].split(" ", 2)
        self.task = asyncio.get_running_loop().create_task(self._serve(method, path, headers, rest[:length]))

    async def _serve(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> None:
        answer = await self.answer(method, path.partition("?")[0], headers, raw)
        if answer is None:
            self.transport.abort()
        else:
            self.transport.write(answer)


def http_json(status: int, body: Mapping[str, Any]) -> bytes:
    """Return an answer of JSON."""
    return http_text(status, json.dumps(body))


def http_text(status: int, text: str, kind: str = "application/json", headers: str = "") -> bytes:
    """Return an answer; `headers`: more lines, each with its end."""
    raw = text.encode()
    phrase = _PHRASES.get(status, "Error")
    head = (
        f"HTTP/1.1 {status} {phrase}\r\ncontent-type: {kind}\r\ncontent-length: {len(raw)}\r\n{headers}\r\n"
    )
    return head.encode() + raw


def http_html(status: int, text: str) -> bytes:
    """Return a page."""
    return http_text(status, text, "text/html")


def http_error(status: int, message: str, code: str, param: str | None = None, headers: str = "") -> bytes:
    """Return an error in OpenAI's form."""
    body = {"error": {"message": message, "type": "error", "code": code, "param": param}}
    return http_text(status, json.dumps(body), headers=headers)
