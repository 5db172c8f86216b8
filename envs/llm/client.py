"""Client for chat and embeddings: cached, one request for equal calls, limited retries."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from envs.errors import UserError
from envs.llm.books import ONE_HIT, Accounts
from envs.llm.cache.desk import Desk
from envs.llm.cache.reply_cache import ReplyKey
from envs.llm.costs import price_of
from envs.llm.dialects.dialect import Dialect
from envs.llm.endpoint import CacheMiss, Endpoint, EndpointError, Limits, SchemaRefused
from envs.llm.engine import Engine, Spent
from envs.llm.messages import Again, ChatRequest, Check, ModelReply, checked
from envs.llm.sending.exchange import ChatExchange, EmbeddingExchange, Exchange, ModerationExchange

if TYPE_CHECKING:
    from envs.llm.sending.streaming import StreamingConnection

T = TypeVar("T")

ATTEMPTS = 3
"""How often a request is asked whose replies cannot be used: once, and at most twice more."""
UNAVAILABLE = "unavailable"
"""Why there is no reply: none came. Of all reasons the one that may be gone tomorrow, so it is not kept."""


class Client:
    """One model at one endpoint.

    `complete` and `embed` may be called from many threads at once; `reply` is for coroutines on the
    engine's loop. Pickled (for a worker) it opens its own connections there, and asks the process that it
    comes from for replies (`Holdings`). `has_simulated`: some reply was said to be no model's.
    `takes_schemas`: whether the endpoint does, None = not known yet.

    Parameters
    ----------
    endpoint : the model, and where it is
    limits : of this client alone; not with `engine`
    cache_path : file of replies; None = nothing is kept
    engine : shares loop, slots and limits with other clients
    replay : answer from the cache alone
    kind : what it is asked for, in the books; None = the last part of the endpoint's place
    batch : send chat completions in batches, for less: whoever asks can wait for hours

    Raises
    ------
    UserError
        `max_cost` without a price for the model, `batch` without a file.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits | None = None,
        cache_path: str | None = None,
        engine: Engine | None = None,
        replay: bool = False,
        kind: str | None = None,
        batch: bool = False,
    ) -> None:
        if batch and cache_path is None:
            raise UserError(f"{endpoint.place}.batch: expected a cache file, beside which batches are kept")
        self.endpoint = endpoint
        self.kind = kind or endpoint.place.rpartition(".")[2]
        self.batch = batch
        self.engine = engine or Engine(limits or Limits(place=endpoint.place))
        self.cache_path = cache_path
        self.replay = replay
        limits = self.engine.limits
        self.price = price_of(endpoint.model, limits.prices)
        if limits.max_cost is not None and self.price is None:
            raise UserError(
                f"{endpoint.place}.max_cost: model {endpoint.model} has no price in "
                f"{limits.prices or 'the packaged file'}; name a file with it as {limits.place}.prices"
            )
        self._dialect: Dialect | None = None
        self._connection: StreamingConnection | None = None
        self._flying: dict[ReplyKey, asyncio.Task[ModelReply]] = {}
        self._pid = os.getpid()
        self.takes_schemas: bool | None = None
        self.has_simulated = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_connection": None, "_flying": {}, "_pid": 0}

    def _own(self) -> None:
        """Leave to a parent process what is its own: sockets, what is under way there."""
        if self._pid != os.getpid():
            self._connection, self._flying, self._pid = None, {}, os.getpid()

    def shard(self, workers: int) -> Client:
        """Return the client of one of `workers` processes, under the limits of all."""
        engine = self.engine.shard(workers)
        found = Client(self.endpoint, None, self.cache_path, engine, self.replay, self.kind, self.batch)
        found._dialect, found.takes_schemas = self._dialect, self.takes_schemas
        found.has_simulated = self.has_simulated
        return found

    @property
    def books(self) -> Accounts:
        """What requests of all clients of the engine took, by model and kind: in all workers and sessions."""
        return self.engine.holdings.books.accounts

    @property
    def spent(self) -> Spent:
        """What all clients of the engine have taken in this process, as of now."""
        return replace(self.engine.meter.spent)

    def complete(
        self, request: ChatRequest, check: Check | None = None, plain: ChatRequest | None = None
    ) -> ModelReply:
        """Return the model's reply, as `reply` does; `reason` is set where it cannot be used.

        Raises
        ------
        EndpointError, LimitReached, CacheMiss
            see there.
        """
        return self.engine.run([self.reply(request, check, plain)])[0]

    def complete_object(self, request: ChatRequest, check: Check | None = None) -> ModelReply:
        """Return what `complete` does, of an endpoint that takes no schema to the same prompt without one.

        So the prompt has to say the form as well.
        """
        return self.complete(request, check, replace(request, schema=None))

    def stream(self, request: ChatRequest) -> Generator[str, None, None]:
        """Yield the model's reply piece by piece as it is said; nothing is kept. Closing it ends the request.

        Raises
        ------
        EndpointError, LimitReached
            see there; also a reply that broke off, after the pieces that came.
        """
        return self.engine.stream(lambda: self._connected().pieces(request))

    def astream(self, request: ChatRequest) -> AsyncGenerator[str, None]:
        """Yield what `stream` does, for a coroutine on any loop."""
        return self.engine.astream(lambda: self._connected().pieces(request))

    def embed(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Return float32[len(texts), D], the model's embeddings, not normalised.

        Raises
        ------
        EndpointError, LimitReached
            see there; also a reply that holds no embeddings after all repetitions.
        """
        batches = [texts[i : i + batch_size] for i in range(0, len(texts), batch_size)]
        found = self.engine.run([self._said(EmbeddingExchange(batch)) for batch in batches])
        parts = [part for part in found if part is not None]
        if len(parts) < len(batches):
            raise EndpointError(
                f"{self.endpoint.place}: model {self.endpoint.model}: gave no embeddings for {len(texts)} "
                f"texts"
            )
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

    def moderate(self, text: str) -> dict[str, float] | None:
        """Return {category: score in [0, 1]} by the endpoint's route `/moderations`; nothing is kept.

        None where nothing usable came after all repetitions. `EndpointError`, `LimitReached`: see there.
        """
        return self.engine.run([self._said(ModerationExchange(text))])[0]

    async def reply(
        self,
        request: ChatRequest,
        check: Check | None = None,
        plain: ChatRequest | None = None,
        again: Again | None = None,
    ) -> ModelReply:
        """Return the reply from the cache, from a call of the same request under way, or from the model.

        What came and cannot be used is kept as well, and the next attempt made, `ATTEMPTS` in all: so a run
        that is repeated finds the same attempts. `again`: what is asked then, None = the same.

        `plain` is asked instead of an endpoint that takes no schema: that found to take none, or of whose
        replies the cache holds the one to `plain` alone, for an earlier run found out.
        """
        if plain is not None and await self._is_known_to_want(plain, request):
            self.takes_schemas = False
            request, plain = plain, None
        self._own()
        key = self._key(request)
        flying = self._flying.get(key)
        is_mine = flying is None
        if flying is None:
            flying = asyncio.get_running_loop().create_task(self._asked(request, check, again))
            self._flying[key] = flying
            flying.add_done_callback(lambda _: self._flying.pop(key))
        try:
            found = await (flying if is_mine else asyncio.shield(flying))
        except SchemaRefused:
            if plain is None:
                raise
            self.takes_schemas = False
            return await self.reply(plain, check, again=again)
        if request.schema is not None:
            self.takes_schemas = True
        if is_mine:
            return found
        self._book_hit()
        return replace(found, requests=0)

    async def _is_known_to_want(self, plain: ChatRequest, request: ChatRequest) -> bool:
        if self.takes_schemas is not None:
            return not self.takes_schemas
        return not await self._has(request) and await self._has(plain)

    async def _has(self, request: ChatRequest) -> bool:
        desk = self._desk()
        return desk is not None and await desk.get(self._key(request)) is not None

    def _key(self, request: ChatRequest) -> ReplyKey:
        key = request.key(self.endpoint.model, self.endpoint.extra_body)
        return ReplyKey(key, self.endpoint.identity)

    async def _asked(self, request: ChatRequest, check: Check | None, again: Again | None) -> ModelReply:
        """Return the reply of the first attempt that can be used, held already or said by the model now."""
        desk, requests, wanted = self._desk(), 0, request
        for attempt in range(ATTEMPTS):
            key = self._key(wanted)._replace(attempt=attempt)
            held = None if desk is None else await desk.take(key)
            if held is not None:
                found: ModelReply | None = self._read(key, held)
            elif self.replay:
                raise CacheMiss(
                    f"judge=replay: {self.cache_path} lacks sample {wanted.sample} of a request to model "
                    f"{self.endpoint.model} of {key.endpoint} (key {key.key[:12]}); was it written under the "
                    f"same settings?"
                )
            else:
                found = None
                keep = None if desk is None else functools.partial(self._keep, desk, key, wanted, check)
                asked = ChatExchange(wanted, attempt, key.key, self.endpoint.place, keep)
                try:
                    found, sent = await self._connected().send(asked)
                    requests += sent
                finally:
                    if desk is not None and found is None:
                        await desk.drop(key)
            reply = checked(wanted, found or ModelReply("", reason=UNAVAILABLE), check)
            if reply.reason in (None, UNAVAILABLE):  # the connection has repeated the latter already
                break
            wanted = request if again is None else again(request, reply)
        if not requests:
            self._book_hit()
        self.has_simulated |= reply.simulated
        return replace(reply, requests=requests)

    async def _keep(
        self, desk: Desk, key: ReplyKey, request: ChatRequest, check: Check | None, came: ModelReply
    ) -> ModelReply:
        """Store a reply that came; return the one that is held from now on."""
        reason = checked(request, came, check).reason
        held = await desk.put(key, self.endpoint.model, request.sample, came.to_json(), reason)
        return self._read(key, held)

    def _book_hit(self) -> None:
        self.engine.holdings.books.add(self.endpoint.model, self.kind, ONE_HIT)

    async def _said(self, exchange: Exchange[T]) -> T | None:
        return (await self._connected().send(exchange))[0]

    def _read(self, key: ReplyKey, text: str) -> ModelReply:
        try:
            return ModelReply.from_json(text)
        except (ValueError, KeyError, TypeError):
            raise UserError(f"cache {self.cache_path}: the entry {key.key[:12]} is no reply") from None

    def _desk(self) -> Desk | None:
        self._own()
        return None if self.cache_path is None else self.engine.holdings.desk(self.cache_path, self.replay)

    def _connected(self) -> StreamingConnection:
        self._own()
        if self._connection is None:
            from envs.llm.sending.streaming import StreamingConnection

            self._dialect = self._dialect or Dialect(self.endpoint)
            parts = (self.endpoint, self.engine, self.price, self.kind, self._dialect)
            self._connection = StreamingConnection(*parts)
            if self.batch and self.cache_path is not None:
                from envs.llm.batch.batch_connection import BatchConnection

                self._connection = BatchConnection(*parts, self.cache_path)
        return self._connection
