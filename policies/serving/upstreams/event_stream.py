"""Server-sent events of an upstream, event by event, mended where clients would hang or misread them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

from policies.serving.openai_errors import error_body

DONE = b"data: [DONE]\n\n"
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")


def event(content: Any) -> bytes:
    """Return one event of JSON, ASCII alone: no line separator of Unicode can split it."""
    return b"data: " + json.dumps(content, separators=(",", ":")).encode() + b"\n\n"


async def datas(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the data of each event. Chunks of the network are no events; comments and other fields go."""
    held = b""
    async for chunk in chunks:
        held += chunk
        while (end := _END.search(held)) is not None:
            found, held = _data(held[: end.start()]), held[end.end() :]
            if found:
                yield found
    if found := _data(held):
        yield found


def _data(block: bytes) -> bytes:
    lines = re.split(rb"\r\n|\n|\r", block)
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))


class MendedStream:
    """Passes the chunks of one chat completion on, and closes it as clients expect.

    A chunk is passed on as it came; of `finish_reason` "" is null. A stream that ended with [DONE] gets the
    `stop` that it left out; one that ended with a reason gets its [DONE]; one that was cut gets an error,
    never a `stop`.
    """

    def __init__(self) -> None:
        self._ended: dict[int, bool] = {}
        self._last: dict[str, Any] = {}
        self._failed = False
        self._done = False
        self._texts: list[str] = []

    @property
    def is_whole(self) -> bool:
        """Whether the stream ended as one that is complete."""
        return self._done and not self._failed

    @property
    def text(self) -> str:
        """What the first choice said."""
        return "".join(self._texts)

    def take(self, data: bytes, extra: dict[str, Any] | None = None) -> bytes:
        """Return what goes to the client for an event's data; `extra`: fields to add to it."""
        if self._done:
            return b""
        if data.strip() == b"[DONE]":
            return self._finished()
        try:
            chunk = json.loads(data)
        except ValueError:
            return b""  # what is no JSON makes clients raise
        if not isinstance(chunk, dict):
            return b""
        if "error" in chunk and not chunk.get("choices"):
            self._failed = True
            return b"data: " + data + b"\n\n"
        changed = self._look(chunk)
        if extra:
            chunk |= extra
        return event(chunk) if changed or extra else b"data: " + data.replace(b"\n", b" ") + b"\n\n"

    def end(self) -> bytes:
        """Return what is still to be sent when the upstream says no more."""
        if self._done:
            return b""
        if self._failed:
            return DONE
        if self._ended and all(self._ended.values()):
            return self._finished()
        self._done = self._failed = True
        return event(error_body(502, "The model's answer broke off.", "upstream_broke_off"))

    def _look(self, chunk: dict[str, Any]) -> bool:
        """Note which choices have ended; return whether something was put right."""
        changed = False
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict) or not isinstance(choice.get("index", 0), int):
                continue
            if choice.get("finish_reason") == "":
                choice["finish_reason"], changed = None, True
            index = choice.get("index", 0)
            self._ended[index] = self._ended.get(index, False) or choice.get("finish_reason") is not None
            delta = choice.get("delta")
            content = delta.get("content") if index == 0 and isinstance(delta, dict) else None
            if isinstance(content, str):
                self._texts.append(content)
            self._last = {key: chunk[key] for key in ("id", "object", "created", "model") if key in chunk}
        return changed

    def _finished(self) -> bytes:
        self._done = True
        if self._failed:
            return DONE
        left = [index for index, ended in self._ended.items() if not ended]
        missing = [{"index": index, "delta": {}, "finish_reason": "stop"} for index in left]
        return b"".join(event({**self._last, "choices": [choice]}) for choice in missing) + DONE
