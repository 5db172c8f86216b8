"""Client for chat and embeddings: cached, one request for equal calls, limited retries."""

from __future__ import annotations

import asyncio
import os
import queue
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.errors import UserError
from envs.llm.books import ONE_HIT, Accounts
from envs.llm.cache.desk import Desk
from envs.llm.cache.reply_cache import ReplyKey
from envs.llm.costs import price_of
from envs.llm.dialects.dialect import Dialect
from envs.llm.endpoint import CacheMiss, Endpoint, Limits, SchemaRefused
from envs.llm.engine import Engine, Spent
from envs.llm.messages import Again, ChatRequest, Check, ModelReply, checked

if TYPE_CHECKING:
    from envs.llm.sending.streaming import StreamingConnection

ATTEMPTS = 3
"""How often a request is asked whose replies cannot be used: once, and at most twice more."""
UNAVAILABLE = "unavailable"
"""Why there is no reply: none came. Of all reasons the one that may be gone tomorrow, so it is not kept."""


class Client:
    """One model at one endpoint.

    `complete` and `embed` may be called from many threads at once; `reply` is for coroutines on the
    engine's loop. Pickled (for a worker) it opens its own connections there, and asks the process that it
    comes from for replies (`Holdings`). `has_simulated`: some reply was said to be no model's.

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
        self._takes_schemas = True
        self.has_simulated = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_connection": None, "_flying": {}, "_pid": 0}

    def _own(self) -> None:
        """Leave to a parent process what is its own: sockets, what is under way there."""
        if self._pid != os.getpid():
            self._connection, self._flying, self._pid = None, {}, os.getpid()

    def shard(self, workers: int) -> Client:
        """Return the client of one of `workers` processes, under the limits of all."""
        found = Client(
            self.endpoint,
            cache_path=self.cache_path,
            engine=self.engine.shard(workers),
            replay=self.replay,
            kind=self.kind,
            batch=self.batch,
        )
        found._dialect, found._takes_schemas = self._dialect, self._takes_schemas
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

    def complete(self, request: ChatRequest, check: Check | None = None) -> ModelReply:
        """Return the model's reply; `reason` is set where it cannot be used.

        Raises
        ------
        EndpointError, LimitReached, CacheMiss
            see there.
        """
        return self.engine.run([self.reply(request, check)])[0]

    def complete_object(self, request: ChatRequest, check: Check | None = None) -> ModelReply:
        """Return what `complete` does; an endpoint that refuses a schema is asked without one from then on.

        So the prompt has to say the form as well.
        """
        if self._takes_schemas:
            try:
                return self.complete(request, check)
            except SchemaRefused:
                self._takes_schemas = False
        return self.complete(replace(request, schema=None), check)

    def stream(self, request: ChatRequest) -> Generator[str, None, None]:
        """Yield the model's reply piece by piece as it is said; nothing is kept. Closing it ends the request.

        Raises
        ------
        EndpointError, LimitReached
            see there; also a reply that broke off, after the pieces that came.
        """
        said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        pump = asyncio.run_coroutine_threadsafe(self._pump(request, said.put), self.engine.loop)
        try:
            while (piece := said.get()) is not None:
                yield piece
            pump.result()
        finally:
            pump.cancel()

    async def astream(self, request: ChatRequest) -> AsyncGenerator[str, None]:
        """Yield what `stream` does, for a coroutine on any loop."""
        loop, said = asyncio.get_running_loop(), asyncio.Queue[str | None]()

        def put(piece: str | None) -> None:
            loop.call_soon_threadsafe(said.put_nowait, piece)

        pump = asyncio.run_coroutine_threadsafe(self._pump(request, put), self.engine.loop)
        try:
            while (piece := await said.get()) is not None:
                yield piece
            await asyncio.wrap_future(pump)
        finally:
            pump.cancel()

    async def _pump(self, request: ChatRequest, put: Callable[[str | None], None]) -> None:
        try:
            async for piece in self._connected().pieces(request):
                put(piece)
        finally:
            put(None)

    def embed(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Return float32[len(texts), D], the model's embeddings, not normalised.

        Raises
        ------
        EndpointError, LimitReached
            see there; also a reply that holds no embeddings after all repetitions.
        """
        batches = [texts[i : i + batch_size] for i in range(0, len(texts), batch_size)]
        parts = self.engine.run([self._embeddings(batch) for batch in batches])
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

    def moderate(self, text: str) -> dict[str, float] | None:
        """Return {category: score in [0, 1]} by the endpoint's route `/moderations`; nothing is kept.

        None where nothing usable came after all repetitions. `EndpointError`, `LimitReached`: see there.
        """
        return self.engine.run([self._moderation(text)])[0]

    async def reply(
        self, request: ChatRequest, check: Check | None = None, again: Again | None = None
    ) -> ModelReply:
        """Return the reply from the cache, from a call of the same request under way, or from the model.

        What came and cannot be used is kept as well, and the next attempt made, `ATTEMPTS` in all: so a run
        that is repeated finds the same attempts. `again`: what is asked then, None = the same.
        """
        self._own()
        key = self._key(request)
        flying = self._flying.get(key)
        if flying is None:
            flying = asyncio.get_running_loop().create_task(self._asked(request, check, again))
            self._flying[key] = flying
            flying.add_done_callback(lambda _: self._flying.pop(key))
            return await flying
        found = replace(await asyncio.shield(flying), requests=0)
        self._book_hit()
        return found

    async def has(self, request: ChatRequest) -> bool:
        """Tell whether the cache holds a reply to `request`."""
        desk = self._desk()
        return desk is not None and await desk.get(self._key(request)) is not None

    def _key(self, request: ChatRequest) -> ReplyKey:
        key = request.key(self.endpoint.model, self.endpoint.extra_body)
        return ReplyKey(key, self.endpoint.identity)

    async def _asked(self, request: ChatRequest, check: Check | None, again: Again | None) -> ModelReply:
        sent, asked = 0, request
        for attempt in range(ATTEMPTS):
            found = await self._attempt(self._key(asked)._replace(attempt=attempt), asked, check)
            sent += found.requests
            if found.reason in (None, UNAVAILABLE):  # the connection has repeated the latter already
                break
            asked = request if again is None else again(found)
        if not sent:
            self._book_hit()
        self.has_simulated |= found.simulated
        return replace(found, requests=sent)

    async def _attempt(self, key: ReplyKey, request: ChatRequest, check: Check | None) -> ModelReply:
        """Return one attempt's reply: what is held, or else what the model says now, which is held then."""
        desk = self._desk()
        held = None if desk is None else await desk.take(key)
        if held is not None:
            return checked(request, self._read(key, held), check)
        if self.replay:
            raise CacheMiss(
                f"judge=replay: {self.cache_path} lacks sample {request.sample} of a request to model "
                f"{self.endpoint.model} of {key.endpoint} (key {key.key[:12]}); was it written under the "
                f"same settings?"
            )

        async def keep(came: ModelReply) -> None:
            nonlocal held
            if desk is not None:
                reason, model = checked(request, came, check).reason, self.endpoint.model
                held = await desk.put(key, model, request.sample, came.to_json(), reason)

        connection = self._connected()
        try:
            came = await connection.chat(request, key.attempt, key.key, keep)
            if held is not None:
                connection.kept(key.key, key.attempt)
        finally:
            if desk is not None and held is None:
                await desk.drop(key)
        found = came if held is None else replace(self._read(key, held), requests=came.requests)
        return checked(request, found, check)

    def _book_hit(self) -> None:
        self.engine.holdings.books.add(self.endpoint.model, self.kind, ONE_HIT)

    async def _embeddings(self, texts: Sequence[str]) -> np.ndarray:
        return await self._connected().embeddings(texts)

    async def _moderation(self, text: str) -> dict[str, float] | None:
        return await self._connected().moderation(text)

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
