"""Streamed replies: pieces of a chat completion as the model says them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple

import openai

from envs.llm.admission.lane import PaceSignal
from envs.llm.books import Tokens
from envs.llm.costs import worst_case
from envs.llm.dialects.dialect import CHAT, RESPONSES
from envs.llm.dialects.responses_route import chunk_of, responses_body
from envs.llm.endpoint import EndpointDown, EndpointError
from envs.llm.messages import ChatRequest
from envs.llm.sending.outgoing import Outgoing, Sent
from envs.llm.sending.repetition import Outcome, Patience
from envs.llm.sending.replies import CHARACTERS_A_TOKEN
from envs.llm.sending.thoughts import without_thoughts
from envs.llm.sending.transport import Connection

_MARKS = ("<", "[", "\u25c1")
"""How marks of thoughts begin, and the characters of the longest."""
_LONGEST_MARK = 40
_FILTERED = "content_filter"


class _OpenStream(NamedTuple):
    """A stream that has begun, and its request."""

    events: openai.AsyncStream[object]
    sent: Sent


class StreamingConnection(Connection):
    """A connection that also streams."""

    async def pieces(self, request: ChatRequest) -> AsyncGenerator[str, None]:
        """Yield the reply piece by piece, without a reasoning model's thoughts before it.

        Tokens are estimated from characters: many servers count none in a stream.

        Raises
        ------
        EndpointError, LimitReached
            see `Connection.send`; a reply that broke off raises `EndpointDown` after what came of it.
        """
        body = self.dialect.body(request, 0) | {"stream": True}
        stream = await self._opened(body)
        asked, said = sum(len(text) for _, text in request.messages), 0
        try:
            async with aclosing(_answer_alone(self._contents(stream.events))) as found:
                async for piece in found:
                    said += len(piece)
                    yield piece
            stream.sent.signal = PaceSignal()
        except GeneratorExit:
            stream.sent.signal = PaceSignal()  # nobody listens any more
            raise
        finally:
            await stream.events.close()
            # What was billed is not told: for the limits the worst case stays.
            self._book_answer(Tokens(asked // CHARACTERS_A_TOKEN, said // CHARACTERS_A_TOKEN))
            self.engine.gate.leave(stream.sent.ticket, stream.sent.took, stream.sent.signal)
        if not said:
            raise EndpointError(f"{self._where}: gave no text")

    async def _opened(self, body: dict[str, Any]) -> _OpenStream:
        """Return the open stream; its request is counted as begun."""
        out = Outgoing(CHAT, body, worst_case(body, self.price))
        patience = Patience(self, "stream")
        while True:
            found = await self._attempt(out)
            if isinstance(found, _OpenStream):
                self._answered(out)
                return found
            if found.text is not None:
                raise EndpointError(f"{self._where}: a filter at the endpoint refused the request")
            if found.signal is not None and not await patience.goes_on(found, found.signal):
                raise self.no_answer(f"no answer to a request at {self.endpoint.url}")

    async def _attempt(self, out: Outgoing) -> _OpenStream | Outcome:
        """Send once, as soon as it may be sent; an open stream keeps its ticket."""
        sent, opened = await self._entered(out), False
        try:
            async with asyncio.timeout(self.endpoint.timeout_s):
                events = await self._stream_of(out)
            opened = True
            return _OpenStream(events, sent)
        except (TimeoutError, openai.APIStatusError, openai.APIConnectionError) as failure:
            return self._failed(failure, out, sent)
        finally:
            if not opened:
                self.engine.gate.leave(sent.ticket, sent.took, sent.signal)

    async def _stream_of(self, out: Outgoing) -> openai.AsyncStream[object]:
        path, body = out.path, out.body
        out.route = self.dialect.route
        if out.route == RESPONSES:
            path, body = RESPONSES, responses_body(body)
        return await self._client.post(
            path, cast_to=object, body=body, stream=True, stream_cls=openai.AsyncStream[object]
        )

    async def _contents(self, stream: openai.AsyncStream[object]) -> AsyncGenerator[str, None]:
        """Yield the texts of the chunks; any field may be missing or of another type."""
        ending = None
        try:
            async for chunk in stream:
                choice = _first_choice(chunk_of(chunk))
                delta = choice.get("delta")
                content = delta.get("content") if isinstance(delta, Mapping) else None
                if isinstance(content, str) and content:
                    yield content.encode("utf-8", "replace").decode("utf-8")
                ending = choice.get("finish_reason") or ending
        except (openai.APIError, ValueError):  # the connection, an error among the chunks, or no JSON
            ending = None
        if ending is None:
            # A stream that was cut looks like one that ended, but for this sign.
            raise EndpointDown(f"{self._where}: the answer broke off")
        if ending == _FILTERED:
            raise EndpointError(f"{self._where}: a filter at the endpoint ended the answer")


def _first_choice(chunk: object) -> Mapping[str, Any]:
    choices = chunk.get("choices") if isinstance(chunk, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, Mapping) else {}


async def _answer_alone(pieces: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    """Yield `pieces` without blocks of thoughts at the head; see `without_thoughts`."""
    head, is_plain = "", False
    async for piece in pieces:
        if is_plain:
            yield piece
            continue
        head += piece
        may_think = head.lstrip().startswith(_MARKS)
        found = without_thoughts(head) if may_think else head
        # A mark that may still be on its way is waited for.
        is_plain = bool(found.strip()) and (not may_think or found != head or len(head) > _LONGEST_MARK)
        if is_plain:
            yield found
    rest = "" if is_plain else without_thoughts(head)
    if rest.strip():
        yield rest
