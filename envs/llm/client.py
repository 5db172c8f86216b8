"""Client for chat and embeddings: cached, one request for equal calls, limited retries."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.errors import UserError
from envs.llm.costs import price_of
from envs.llm.endpoint import CacheMiss, Endpoint, Limits
from envs.llm.engine import Engine, Spent
from envs.llm.messages import ChatRequest, Reply
from envs.llm.reply_cache import ReplyCache

if TYPE_CHECKING:
    from envs.llm.transport import Connection

ATTEMPTS = 3
"""How often a request is asked whose replies cannot be used: once, and at most twice more."""

Check = Callable[[Reply], "str | None"]
"""Returns why a reply cannot be used, or None."""


class Client:
    """One model at one endpoint.

    `complete` and `embed` may be called from many threads at once; `reply` is for coroutines on the
    engine's loop. Pickled (for a worker) it opens its own connections and the same cache file there.

    Parameters
    ----------
    endpoint : the model, and where it is
    limits : of this client alone; not with `engine`
    cache_path : file of replies; None = nothing is kept
    engine : shares loop, slots and limits with other clients
    replay : answer from the cache alone

    Raises
    ------
    UserError
        `max_cost` without a price for the model.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits | None = None,
        cache_path: str | None = None,
        engine: Engine | None = None,
        replay: bool = False,
    ) -> None:
        self.endpoint = endpoint
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
        self._connection: Connection | None = None
        self._cache: ReplyCache | None = None
        self._flying: dict[str, asyncio.Task[Reply]] = {}
        self._pid = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_connection": None, "_cache": None, "_flying": {}, "_pid": 0}

    def _own(self) -> None:
        """Leave to a parent process what is its own: sockets, the open file, what is under way there."""
        if self._pid != os.getpid():
            self._connection, self._cache, self._flying, self._pid = None, None, {}, os.getpid()

    def shard(self, workers: int) -> Client:
        """Return the client of one of `workers` processes, with its share of the limits."""
        return Client(
            self.endpoint,
            cache_path=self.cache_path,
            engine=self.engine.shard(workers),
            replay=self.replay,
        )

    @property
    def spent(self) -> Spent:
        """What all clients of the engine have taken in this process, as of now."""
        return replace(self.engine.meter.spent)

    def complete(self, request: ChatRequest, check: Check | None = None) -> Reply:
        """Return the model's reply; `reason` is set where it cannot be used.

        Raises
        ------
        EndpointError, LimitReached, CacheMiss
            see there.
        """
        return self.engine.run([self.reply(request, check)])[0]

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

    async def reply(self, request: ChatRequest, check: Check | None = None) -> Reply:
        """Return the reply from the cache, from a call of the same request under way, or from the model."""
        self._own()
        key = request.key(self.endpoint.model, self.endpoint.extra_body)
        cached = self._cached(key)
        if cached is not None:
            return cached
        if self.replay:
            raise CacheMiss(
                f"judge=replay: {self.cache_path} lacks sample {request.sample} of a request to model "
                f"{self.endpoint.model} (key {key[:12]}); was it written under the same settings?"
            )
        flying = self._flying.get(key)
        if flying is not None:
            return replace(await asyncio.shield(flying), requests=0)
        task = asyncio.get_running_loop().create_task(self._asked(key, request, check))
        self._flying[key] = task
        task.add_done_callback(lambda _: self._flying.pop(key))
        return await task

    def has(self, request: ChatRequest) -> bool:
        """Tell whether the cache holds the reply to `request`."""
        return self._cached(request.key(self.endpoint.model, self.endpoint.extra_body)) is not None

    async def _asked(self, key: str, request: ChatRequest, check: Check | None) -> Reply:
        sent = 0
        for attempt in range(ATTEMPTS):
            found = await self._connected().chat(request, attempt, key)
            sent += found.requests
            if found.reason is None and check is not None:
                found = found.unusable(check(found))
            if found.reason is None:
                if self.cache_path is not None:
                    text = self._open_cache().put(key, self.endpoint.model, request.sample, found.to_json())
                    found = Reply.from_json(text)
                return replace(found, requests=sent)
            if found.reason == "unavailable":
                break  # the connection has repeated it already
        return replace(found, requests=sent)

    async def _embeddings(self, texts: Sequence[str]) -> np.ndarray:
        return await self._connected().embeddings(texts)

    def _cached(self, key: str) -> Reply | None:
        if self.cache_path is None:
            return None
        text = self._open_cache().get(key)
        if text is None:
            return None
        try:
            return Reply.from_json(text)
        except (ValueError, KeyError, TypeError):
            raise UserError(f"cache {self.cache_path}: the entry {key[:12]} is no reply") from None

    def _open_cache(self) -> ReplyCache:
        self._own()
        if self._cache is None:
            self._cache = ReplyCache(self.cache_path, read_only=self.replay)
        return self._cache

    def _connected(self) -> Connection:
        self._own()
        if self._connection is None:
            from envs.llm.transport import Connection

            self._connection = Connection(self.endpoint, self.engine, self.price)
        return self._connection
