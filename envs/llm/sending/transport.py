"""Send requests over HTTP with the `openai` package; repeat, adapt, classify answers."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import openai
from openai._types import RequestOptions

from envs.llm.admission.hints import signal_of, wait_of
from envs.llm.admission.lane import PaceSignal
from envs.llm.books import Account, Tokens
from envs.llm.costs import Bill, Price, bill_of, worst_case
from envs.llm.dialects import refusals
from envs.llm.dialects.dialect import CHAT, RESPONSES, Dialect
from envs.llm.dialects.event_text import put_together
from envs.llm.dialects.refusals import Refusal
from envs.llm.dialects.responses_route import as_chat, responses_body
from envs.llm.endpoint import Endpoint, EndpointDown, EndpointError, SchemaRefused
from envs.llm.engine import Engine
from envs.llm.messages import ChatRequest, ModelReply
from envs.llm.sending.http_client import AS_IT_COMES, FIRST_CONNECT_S, Clients, absence, no_endpoint, time_for
from envs.llm.sending.outgoing import Outgoing, Sent
from envs.llm.sending.repetition import EXPECTED, Outcome, Patience
from envs.llm.sending.replies import (
    billed_tokens,
    read_embeddings,
    read_moderation,
    read_reply,
    says_simulated,
    says_usage,
)

Keep = Callable[[ModelReply], Awaitable[None]]
"""Stores a reply that came."""
Take = Callable[[str], Awaitable[None]]
"""Takes the body of a good answer."""

_FILTERED = '{"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}'


class Connection:
    """Connections of one process to one endpoint; used on the engine's loop alone.

    `kind`: what its requests are for, in the books.
    """

    def __init__(
        self, endpoint: Endpoint, engine: Engine, price: Price | None, kind: str, dialect: Dialect
    ) -> None:
        self.endpoint = endpoint
        self.engine = engine
        self.price = price
        self.kind = kind
        self.dialect = dialect
        self.lane = f"{endpoint.model} at {endpoint.url}"
        self._clients = Clients(endpoint)
        self._client = self._clients.first
        self.answered = False
        self._absence, self._looked_until = "", 0.0
        self.silence: asyncio.Task[bool] | None = None

    async def chat(
        self, request: ChatRequest, attempt: int, key: str, keep: Keep | None = None
    ) -> ModelReply:
        """Send one chat completion; `attempt` counts earlier replies to it that could not be used.

        A reply that came is handed to `keep` while its request still counts as under way: so what a kill can
        lose, and has to be asked for again, is never more than what may be in flight.

        Raises
        ------
        EndpointError, LimitReached
            what no repetition mends; `EndpointDown` after `give_up_after` seconds without an answer.
        """
        body = self.dialect.body(request, attempt)
        reply = ModelReply("", reason="unavailable")

        async def take(text: str) -> None:
            nonlocal reply
            counts = Tokens() if text == _FILTERED else billed_tokens(text, body)
            reply = read_reply(text, request.top_logprobs > 0, self.endpoint.place)
            reply = replace(reply, input_tokens=counts.input, output_tokens=counts.output)
            reply = replace(reply, simulated=says_simulated(text))
            if keep is not None:
                await keep(reply)

        _, sent = await self._sent(CHAT, body, f"{key}/{attempt}", take)
        return replace(reply, requests=sent)

    def kept(self, key: str, attempt: int) -> None:
        """Hear that the reply to an attempt is in the cache."""

    async def embeddings(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32[len(texts), D]."""
        body: dict[str, Any] = {"model": self.endpoint.model, "input": list(texts)}
        body["encoding_format"] = "float"
        key = hashlib.sha256("\0".join(texts).encode()).hexdigest()
        text, _ = await self._sent("/embeddings", body, key)
        found = None if text is None else read_embeddings(text, len(texts))
        if found is None:
            raise EndpointError(f"{self._where}: gave no embeddings for {len(texts)} texts")
        return found

    async def moderation(self, text: str) -> dict[str, float] | None:
        """Return {category: score in [0, 1]} of `text`, None where none came."""
        body: dict[str, Any] = {"model": self.endpoint.model, "input": text}
        found, _ = await self._sent("/moderations", body, hashlib.sha256(text.encode()).hexdigest())
        return None if found is None else read_moderation(found)

    async def _sent(
        self, path: str, body: dict[str, Any], key: str, take: Take | None = None
    ) -> tuple[str | None, int]:
        """Return (body of a good answer, None where it failed while others were answered; requests sent)."""
        out = Outgoing(path, body, worst_case(body, self.price))
        patience = Patience(self, key)
        sent = 0
        while True:
            async with self._ticket(out) as ticket:
                came = await self._tried(out, ticket)
                if came.text is not None:
                    self._book_answer(ticket.tokens, says_simulated(came.text))
                    if take is not None:
                        await take(came.text)
            sent += 1
            if came.text is not None:
                self._answered(out)
                return came.text, sent
            if came.signal is not None and not await patience.goes_on(came, came.signal):
                return None, sent

    @asynccontextmanager
    async def _ticket(self, out: Outgoing) -> AsyncGenerator[Sent, None]:
        """Hold the ticket of one request, which is free again when its answer is booked and taken."""
        sent = await self._entered(out)
        try:
            yield sent
        finally:
            self.engine.gate.leave(sent.ticket, sent.took, sent.signal)

    async def _tried(self, out: Outgoing, sent: Sent) -> Outcome:
        """Return what came of sending; `sent` learns what it took and says of the pace."""
        try:
            text, headers = await self._posted(out)
            error = refusals.in_good_answer(text)
            if error is not None:
                sent.took, sent.signal = Bill(1), PaceSignal("refused")
                return self._after(replace(error, headers=headers), out, sent)
            sent.tokens, sent.signal = billed_tokens(text, out.body), signal_of(headers)
            sent.took = bill_of(sent.tokens, self.price) if says_usage(text) else None
            return Outcome(text)
        except (TimeoutError, openai.APIStatusError, openai.APIConnectionError) as failure:
            return self._failed(failure, out, sent)

    def _answered(self, out: Outgoing) -> None:
        """Note that `out` was answered, and what could be left out of it."""
        self.answered = True
        if out.left_out:
            self.dialect.remember(out.left_out)

    def _failed(
        self,
        failure: TimeoutError | openai.APIStatusError | openai.APIConnectionError,
        out: Outgoing,
        sent: Sent,
    ) -> Outcome:
        """Return what to do after a request that failed; `sent` learns what it took and says of the pace."""
        if isinstance(failure, TimeoutError):
            self.answered = True  # not yet, but somebody listens
            return Outcome(None, sent.signal)
        if isinstance(failure, openai.APIStatusError):
            error = Refusal.of(failure)
            sent.took = None if refusals.may_have_cost(error) else Bill(1)
            sent.signal = PaceSignal("astray" if error.status in (404, 405) else "refused")
            return self._after(error, out, sent)
        sent.took = Bill(1) if no_endpoint(failure.__cause__) else None
        sent.signal = PaceSignal("outage")
        return Outcome(None, sent.signal, failure.__cause__)

    def _after(self, error: Refusal, out: Outgoing, sent: Sent) -> Outcome:
        """Return what to do after an error, as `_judged`; its signal, where it has one, is that of `sent`."""
        came = self._judged(error, out)
        sent.signal = came.signal or sent.signal
        return came

    async def _entered(self, out: Outgoing) -> Sent:
        """Return the request with its ticket, once it may be sent."""
        await self._met()
        account = (self.endpoint.model, self.kind)
        ticket = await self.engine.gate.enter(self.lane, out.worst, self.endpoint.give_up_after, account)
        self.engine.meter.begin()
        return Sent(ticket)

    async def _met(self) -> None:
        """Look whether there is an endpoint, where a request may take longer than somebody waits for none.

        Raises
        ------
        EndpointDown
            there is none; for a while this is known then.
        """
        endpoint = self.endpoint
        if self.answered or endpoint.timeout_s <= endpoint.give_up_after:
            return
        if time.monotonic() >= self._looked_until:
            self._absence = await absence(self._client, endpoint.give_up_after)
            self._looked_until = time.monotonic() + endpoint.give_up_after
        if self._absence:
            raise self.no_answer(f"{self._absence} at {endpoint.url}, {EXPECTED}")

    def _book_answer(self, tokens: Tokens, simulated: bool = False) -> None:
        """Book what an answer took."""
        dollars = None if self.price is None else self.price.of(tokens)
        self.engine.meter.end(tokens.input, tokens.output, dollars or 0.0)
        if tokens != Tokens():
            self._book(Account.of(tokens, dollars, simulated))

    def _book(self, account: Account) -> None:
        self.engine.holdings.books.add(self.endpoint.model, self.kind, account)

    async def _posted(self, out: Outgoing) -> tuple[str, dict[str, str]]:
        """Return (body of an answer as a chat completion has it, headers)."""
        path, body = out.path, out.body
        out.route = self.dialect.route
        as_response = path == CHAT and out.route == RESPONSES
        if as_response:
            path, body = RESPONSES, responses_body(body)
        with self._clients.one() as client:
            async with asyncio.timeout(self.endpoint.timeout_s):
                # The package's typed methods walk through every field of a body that is plain data already,
                # and make objects of replies that need not fit; text is cheaper, and read without trust.
                answer: Any = await client.post(path, cast_to=object, body=body, options=self._options())
        text = put_together(answer.text) if body.get("stream") else answer.text
        # A dictionary, names in small letters: the package's headers take 10 us for each that is looked for.
        return as_chat(text) if as_response else text, dict(answer.headers.items())

    def _options(self) -> RequestOptions:
        """Return options of a request whose answer is taken as it comes."""
        if self.answered:
            return AS_IT_COMES
        return {**AS_IT_COMES, "timeout": time_for(self.endpoint, FIRST_CONNECT_S)}

    def _judged(self, error: Refusal, out: Outgoing) -> Outcome:
        """Return what to do after an error; raise where neither a repetition nor another body helps."""
        if refusals.is_filtered(error):
            return Outcome(_FILTERED)
        passing = None if refusals.takes_no_system(error) else refusals.passing(error)
        if passing is not None:
            self.answered = True
            return Outcome(None, PaceSignal(passing, wait_of(error.headers, error.body or error.message)))
        if out.path == CHAT and self.dialect.adapt(error, out.body):
            return Outcome(None)
        if out.path == CHAT and out.route != self.dialect.route:
            return Outcome(None)  # it was found out meanwhile
        if out.refused is not None:
            self.dialect.route = CHAT if out.by_responses else self.dialect.route
            raise out.refused
        final = refusals.final(error, self.endpoint, "response_format" in out.body)
        if out.path == CHAT and refusals.is_unexplained(error, isinstance(final, SchemaRefused)):
            out.left_out, out.refused = self.dialect.without_optional(out.body), final
            if out.left_out:
                return Outcome(None)
        if out.path == CHAT and self.dialect.route == CHAT and refusals.may_lack_route(error):
            out.by_responses, out.refused, self.dialect.route = True, final, RESPONSES
            return Outcome(None)
        raise final from None

    @property
    def _where(self) -> str:
        return f"{self.endpoint.place}: model {self.endpoint.model}"

    def no_answer(self, what: str) -> EndpointDown:
        """Return what to raise where the endpoint is none, or is down."""
        return EndpointDown(f"{self._where}: {what}")
