"""A connection whose chat completions go with batches; the first goes directly, to learn what works."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import weakref

from envs.llm.admission.gate import BATCHES
from envs.llm.admission.lane import PaceSignal
from envs.llm.batch.batch_service import BatchService
from envs.llm.batch.batch_store import BatchStore, LineAnswer
from envs.llm.batch.batcher import Batcher, Waiting
from envs.llm.books import ONE_REQUEST, Account
from envs.llm.costs import Bill, Price, bill_of, worst_case
from envs.llm.dialects import refusals
from envs.llm.dialects.dialect import CHAT, RESPONSES, Dialect
from envs.llm.dialects.refusals import Refusal
from envs.llm.dialects.responses_route import as_chat, responses_body
from envs.llm.endpoint import Endpoint
from envs.llm.engine import Engine
from envs.llm.sending.exchange import Exchange
from envs.llm.sending.outgoing import Outgoing
from envs.llm.sending.replies import billed_tokens, says_simulated, says_usage
from envs.llm.sending.streaming import StreamingConnection
from envs.llm.sending.transport import Outcome, T

STORE_SUFFIX = ".batches"
"""What the file of batches adds to the name of the cache file."""
_NOT_IN_BATCHES = ("stream", "stream_options")
_GOOD = 200
_BATCHERS: weakref.WeakValueDictionary[tuple[int, str, str], Batcher] = weakref.WeakValueDictionary()
"""By process, file, and model and endpoint: all clients of one go with the same batches."""


class BatchConnection(StreamingConnection):
    """A connection that sends chat completions in batches.

    A wrong key, an unknown model or a parameter that the model does not take would be told after hours: so
    the first request goes directly (of Azure's none: its deployments for batches take no others). What a
    line is refused for is mended as it is for a request sent directly, and the line sent again.

    Parameters
    ----------
    cache_path : the file of replies, beside which the file of batches is
    """

    def __init__(
        self,
        endpoint: Endpoint,
        engine: Engine,
        price: Price | None,
        kind: str,
        dialect: Dialect,
        cache_path: str,
    ) -> None:
        super().__init__(endpoint, engine, price, kind, dialect)
        self._batch_price = None if price is None else price.in_batch()
        path = cache_path + STORE_SUFFIX
        key = (os.getpid(), path, self.lane)
        found = _BATCHERS.get(key)
        if found is None:
            found = Batcher(self.lane, BatchService(endpoint, self._client), BatchStore(path))
            _BATCHERS[key] = found
        self._batcher = found
        self._first = asyncio.Lock()
        self._shown = endpoint.api == "azure"

    async def send(self, exchange: Exchange[T]) -> tuple[T | None, int]:
        """Send a chat completion with the next batch, anything else directly; see `Connection.send`.

        The others wait while the first goes directly, for their bodies follow from what that shows.
        """
        if exchange.path != CHAT:
            return await super().send(exchange)
        line = self._line(exchange.key)
        if not self._shown and await self._batcher.held(line) is None:
            async with self._first:
                self.answered |= self._batcher.service.answered
                if not self._shown:
                    found, requests = await super().send(exchange)
                    self._shown = found is not None
                    return found, requests
        return await self._sent_in_batches(exchange, line)

    async def _sent_in_batches(self, exchange: Exchange[T], line: str) -> tuple[T | None, int]:
        """Return what `send` does; a line may fail as often as a request."""
        held = await self._batcher.held(line)
        body = exchange.body(self.dialect)
        out = Outgoing(CHAT, body, worst_case(body, self._batch_price))
        requests = failed = 0
        while failed <= self.endpoint.max_retries:
            answer = await self._asked(line, out, held)
            came = Outcome(None) if answer is None else self._came_in_batch(answer, out)
            requests += answer is not None
            if came.text is not None:
                if out.left_out:
                    self.dialect.remember(out.left_out)
                found = await exchange.take(came.text, body)  # until then the file of batches has it
                self._batcher.store.drop(line)
                return found, requests
            failed += answer is None or came.signal is not None
            self._batcher.store.drop(line)
            held = None
        return None, requests

    async def _asked(self, line: str, out: Outgoing, held: LineAnswer | Waiting | None) -> LineAnswer | None:
        """Return the answer to a line, None: it was not worked on. `held`: what there is of it already."""
        if held is not None:  # an earlier session's lease of it was never settled
            answer = held if isinstance(held, LineAnswer) else await self._batcher.heard(held)
            self._count(answer, out)
            return answer
        lane, gate = BATCHES + self.lane, self.engine.gate
        ticket, took = await gate.enter(lane, out.worst, self.endpoint.give_up_after), None
        try:
            body = {name: value for name, value in out.body.items() if name not in _NOT_IN_BATCHES}
            if self.dialect.route == RESPONSES:
                body = responses_body(body)
            answer = await self._batcher.ask(line, self.dialect.route, body)
            took = self._count(answer, out)
        finally:
            gate.leave(ticket, took, PaceSignal())
        return answer

    def _count(self, answer: LineAnswer | None, out: Outgoing) -> Bill | None:
        """Count what a line took, and return it: None where the answer does not say, nothing if not tried."""
        if answer is None:
            return Bill()
        self.engine.meter.begin()
        self._book(ONE_REQUEST)
        if answer.status != _GOOD:
            self.engine.meter.end(0, 0, 0.0)
            return Bill(1)
        text, price = as_chat(answer.body), self._batch_price
        tokens = billed_tokens(text, out.body)
        dollars = None if price is None else price.of(tokens)
        self.engine.meter.end(tokens.input, tokens.output, dollars or 0.0)
        self._book(Account.of(tokens, dollars, says_simulated(text)))
        return bill_of(tokens, price) if says_usage(text) else None

    def _came_in_batch(self, answer: LineAnswer, out: Outgoing) -> Outcome:
        """Return what to do with an answer, as with one to a request sent directly."""
        if answer.status != _GOOD:
            return self._judged(_refusal_of(answer), out)
        text = as_chat(answer.body)
        error = refusals.in_good_answer(text)
        return Outcome(text) if error is None else self._judged(error, out)

    def _line(self, key: str) -> str:
        """Return the id of the line that asks what `key` does: of this model here, and of this attempt."""
        return hashlib.sha256(f"{self.lane}/{key}".encode()).hexdigest()[:40]


def _refusal_of(answer: LineAnswer) -> Refusal:
    body = json.loads(answer.body)
    told = body.get("error", body) if isinstance(body, dict) else body
    told = told if isinstance(told, dict) else {"message": str(told)}
    message = str(told.get("message"))
    return Refusal(answer.status, message, told.get("code"), told.get("type"), told.get("param"), body)
