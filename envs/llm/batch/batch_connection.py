"""A connection whose chat completions go with batches; the first goes directly, to learn what works."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import weakref
from typing import Any

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
from envs.llm.messages import ChatRequest, ModelReply
from envs.llm.sending.replies import billed_tokens, says_simulated, says_usage
from envs.llm.sending.streaming import StreamingConnection
from envs.llm.sending.transport import Keep, Outcome, Outgoing, Take

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
        self._sent_directly: str | None = None
        self._shown = endpoint.api == "azure"

    def kept(self, key: str, attempt: int) -> None:
        """Forget a reply that is in the cache now."""
        self._batcher.store.drop(self._line(f"{key}/{attempt}"))

    async def chat(
        self, request: ChatRequest, attempt: int, key: str, keep: Keep | None = None
    ) -> ModelReply:
        """Send one chat completion with the next batch; see `Connection.chat`.

        The others wait while the first goes directly, for their bodies follow from what that shows.
        """
        name = f"{key}/{attempt}"
        is_new = await self._batcher.held(self._line(name)) is None
        if is_new and not self._shown:
            async with self._first:
                self.answered |= self._batcher.service.answered
                if not self._shown:
                    self._sent_directly = name
                    found = await super().chat(request, attempt, key, keep)
                    self._shown = found.reason != "unavailable"
                    return found
        return await super().chat(request, attempt, key, keep)

    async def _sent(
        self, path: str, body: dict[str, Any], key: str, take: Take | None = None
    ) -> tuple[str | None, int]:
        """Return (body of a good answer, None where it failed as often as it may; requests sent)."""
        if path != CHAT or key == self._sent_directly:
            return await super()._sent(path, body, key, take)
        line = self._line(key)
        held = await self._batcher.held(line)
        out = Outgoing(path, body, worst_case(body, self._batch_price))
        sent = failed = 0
        while failed <= self.endpoint.max_retries:
            answer = await self._asked(line, out, held)
            came = Outcome(None) if answer is None else self._came(answer, out)
            sent += answer is not None
            if came.text is not None:
                if out.left_out:
                    self.dialect.remember(out.left_out)
                if take is not None:
                    await take(came.text)  # until then the file of batches has it
                return came.text, sent
            failed += answer is None or came.signal is not None
            self._batcher.store.drop(line)
            held = None
        return None, sent

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

    def _came(self, answer: LineAnswer, out: Outgoing) -> Outcome:
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
