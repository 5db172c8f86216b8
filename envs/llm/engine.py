"""Event loop of all requests in a process, with their shared slots and spending meter."""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
import weakref
from collections.abc import Coroutine, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any, TypeVar

from envs.llm.costs import in_dollars
from envs.llm.endpoint import LimitReached, Limits

T = TypeVar("T")

_ENGINES: weakref.WeakValueDictionary[str, Engine] = weakref.WeakValueDictionary()
_ENGINES_LOCK = threading.Lock()


@dataclass
class Spent:
    """What requests took so far. `requests`: HTTP requests sent; tokens as billed; `cost` in dollars."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    def __str__(self) -> str:
        tokens = f"{self.input_tokens:,} + {self.output_tokens:,} tokens"
        return f"{self.requests:,} requests, {tokens}" + (f", {in_dollars(self.cost)}" if self.cost else "")


class Meter:
    """Counts requests, tokens and dollars against `limits`; used on the loop's thread alone.

    Requests are counted before they are sent, so that `max_requests` is exact. What a request takes is known
    afterwards, so a request also stops the run where those in flight, at the mean of all before, would pass
    a limit: it is passed by no more than the replies in flight are longer than usual.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.spent = Spent()
        self._settled = 0
        self._in_flight = 0

    def begin(self) -> None:
        """Count a request about to be sent.

        Raises
        ------
        LimitReached
            it would pass a limit; nothing was counted.
        """
        spent, limits = self.spent, self.limits
        share = (self._in_flight + 1) / max(1, self._settled)
        tokens = spent.input_tokens + spent.output_tokens
        for name, used, more in (
            ("max_requests", spent.requests, 1.0),
            ("max_tokens", tokens, tokens * share),
            ("max_cost", spent.cost, spent.cost * share),
        ):
            limit = getattr(limits, name)
            if limit is not None and used + more > limit:
                raise LimitReached(
                    f"{limits.place}.{name}={limit}: reached after {spent}; what was paid for is saved, a "
                    f"higher limit and resume=true go on from there"
                )
        spent.requests += 1
        self._in_flight += 1

    def end(self, input_tokens: int, output_tokens: int, cost: float) -> None:
        """Settle a request that was begun; zeros where nothing came back."""
        self._in_flight -= 1
        self._settled += 1
        self.spent.input_tokens += input_tokens
        self.spent.output_tokens += output_tokens
        self.spent.cost += cost


class Engine:
    """One event loop in a background thread, shared by all clients that are given it.

    Copies by pickle in another process are one engine again there: each knows the token it was made under.

    Parameters
    ----------
    limits : what all its clients may take together, in each process
    """

    def __init__(self, limits: Limits, token: str | None = None) -> None:
        self.limits = limits
        self.token = token or uuid.uuid4().hex
        self.meter = Meter(limits)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots: asyncio.Semaphore | None = None
        self._pid = 0
        with _ENGINES_LOCK:
            _ENGINES[self.token] = self

    def __reduce__(self) -> tuple[Any, ...]:
        return _engine_of, (self.token, self.limits)

    def shard(self, workers: int) -> Engine:
        """Return the engine of one of `workers` processes, with its share of the limits."""
        return _engine_of(f"{self.token}/{workers}", self.limits.shard(workers))

    def run(self, tasks: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """Run `tasks` on the loop at once and return their results in order; callable from any thread.

        All are run to their end, so that nothing paid for is lost, before the first error is raised.
        """
        futures = [asyncio.run_coroutine_threadsafe(task, self.loop) for task in tasks]
        wait(futures)
        return [future.result() for future in futures]

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, started now if need be; a forked child gets its own."""
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop = asyncio.new_event_loop()
                self._pid = os.getpid()
                self._slots = None
                threading.Thread(target=self._loop.run_forever, name="llm-requests", daemon=True).start()
            return self._loop

    @property
    def slots(self) -> asyncio.Semaphore:
        """The slots of requests in flight; used on the loop's thread alone."""
        if self._slots is None:
            self._slots = asyncio.Semaphore(self.limits.max_in_flight)
        return self._slots


def _engine_of(token: str, limits: Limits) -> Engine:
    with _ENGINES_LOCK:
        found = _ENGINES.get(token)
    return Engine(limits, token) if found is None else found
