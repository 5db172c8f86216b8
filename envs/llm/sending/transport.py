"""Send requests over HTTP with the `openai` package; repeat, adapt, classify answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

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
from envs.llm.endpoint import Endpoint, EndpointDown, SchemaRefused
from envs.llm.engine import Engine
from envs.llm.sending.exchange import FILTERED, Exchange
from envs.llm.sending.http_client import AS_IT_COMES, FIRST_CONNECT_S, Clients, absence, no_endpoint, time_for
from envs.llm.sending.outgoing import Outgoing, Sent
from envs.llm.sending.repetition import EXPECTED, Outcome, Patience
from envs.llm.sending.replies import billed_tokens, says_simulated, says_usage

T = TypeVar("T")


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

    async def send(self, exchange: Exchange[T]) -> tuple[T | None, int]:
        """Return (what a good answer says, None where it failed while others were answered; requests sent).

        Raises
        ------
        EndpointError, LimitReached
            what no repetition mends; `EndpointDown` after `give_up_after` seconds without an answer.
        """
        body = exchange.body(self.dialect)
        out = Outgoing(exchange.path, body, worst_case(body, self.price))
        patience, requests = Patience(self, exchange.key), 0
        while True:
            async with self._ticket(out) as sent:
                requests += 1
                try:
                    came = self._came(*await self._posted(out), out, sent)
                except (TimeoutError, openai.APIStatusError, openai.APIConnectionError) as failure:
                    came = self._failed(failure, out, sent)
                if came.text is not None:
                    self._answered(out)
                    self._book_answer(sent.tokens, says_simulated(came.text))
                    return await exchange.take(came.text, body), requests
            if came.signal is not None and not await patience.goes_on(came, came.signal):
                return None, requests

    @asynccontextmanager
    async def _ticket(self, out: Outgoing) -> AsyncGenerator[Sent, None]:
        """Hold the ticket of one request, which is free again when its answer is booked and taken."""
        sent = await self._entered(out)
        try:
            yield sent
        finally:
            self.engine.gate.leave(sent.ticket, sent.took, sent.signal)

    def _came(self, text: str, headers: Any, out: Outgoing, sent: Sent) -> Outcome:
        """Return what an answer comes to; `sent` learns what it took and says of the pace."""
        error = refusals.in_good_answer(text)
        if error is not None:
            sent.took, sent.signal = Bill(1), PaceSignal("refused")
            return self._after(replace(error, headers=headers), out, sent)
        sent.tokens, sent.signal = billed_tokens(text, out.body), signal_of(headers)
        sent.took = bill_of(sent.tokens, self.price) if says_usage(text) else None
        return Outcome(text)

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
            return Outcome(FILTERED)
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
