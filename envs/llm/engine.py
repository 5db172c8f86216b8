"""Event loop of all requests in a process, with the gate of those that share limits."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import uuid
import weakref
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Generator, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from envs.llm.admission.gate import LocalGate, RequestGate
from envs.llm.costs import in_dollars
from envs.llm.driver_link import Address
from envs.llm.endpoint import Limits
from envs.llm.holdings import Holdings

T = TypeVar("T")
Pieces = Callable[[], AsyncIterable[str]]
"""Starts a stream; called on the loop."""

_ENGINES: weakref.WeakValueDictionary[str, Engine] = weakref.WeakValueDictionary()
_ENGINES_LOCK = threading.Lock()
_LOOPS: dict[int, asyncio.AbstractEventLoop] = {}
"""The loop of this process, by its id."""


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
    """Counts what requests took in this process; used on the loop's thread alone."""

    def __init__(self) -> None:
        self.spent = Spent()

    def begin(self) -> None:
        """Count a request about to be sent."""
        self.spent.requests += 1

    def end(self, input_tokens: int, output_tokens: int, cost: float) -> None:
        """Count what it took; zeros where nothing came back."""
        self.spent.input_tokens += input_tokens
        self.spent.output_tokens += output_tokens
        self.spent.cost += cost


class Engine:
    """What all clients that are given it share: their gate, and the loop of this process.

    Copies by pickle in another process are one engine again there: each knows the token it was made under.
    They ask the engine that they are copies of for what it owns (`Holdings`).

    Parameters
    ----------
    limits : what all its clients may take together
    driver : where the engine listens that this is a copy of
    """

    def __init__(self, limits: Limits, token: str | None = None, driver: Address | None = None) -> None:
        self.limits = limits
        self.token = token or uuid.uuid4().hex
        self.meter = Meter()
        self.holdings = self._shown = Holdings(lambda: self.loop, driver, limits)
        with _ENGINES_LOCK:
            _ENGINES[self.token] = self

    def __reduce__(self) -> tuple[Any, ...]:
        return _engine_of, (self.token, self.limits, self._shown.address())

    def shard(self, workers: int) -> Engine:
        """Return the engine of one of `workers` processes; limits are those of all together."""
        share = max(1, self.limits.max_in_flight // workers)
        found = _engine_of(f"{self.token}/{workers}", replace(self.limits, max_in_flight=share), None)
        found._shown = self._shown  # its copies ask this engine
        return found

    def keep(self, folder: Path) -> None:
        """Count with what earlier sessions of the run in `folder` took."""
        self.holdings.books.keep(folder, self.limits.place)
        self.run([self._keep(folder)])

    async def _keep(self, folder: Path) -> None:
        if isinstance(self.gate, LocalGate):
            self.gate.keep(folder)

    def run(self, tasks: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """Run `tasks` on the loop at once and return their results in order; callable from any thread.

        All are run to their end, so that nothing paid for is lost, before the first error is raised.
        """
        loop = self.loop
        futures = [asyncio.run_coroutine_threadsafe(task, loop) for task in tasks]
        wait(futures)
        return [future.result() for future in futures]

    def stream(self, pieces: Pieces) -> Generator[str, None, None]:
        """Yield from any thread what `pieces()` yields on the loop, as it comes; closing it cancels that."""
        said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        pump = asyncio.run_coroutine_threadsafe(_pump(pieces, said.put), self.loop)
        try:
            while (piece := said.get()) is not None:
                yield piece
            pump.result()
        finally:
            pump.cancel()

    async def astream(self, pieces: Pieces) -> AsyncGenerator[str, None]:
        """Yield what `stream` does, for a coroutine on any loop."""
        loop, said = asyncio.get_running_loop(), asyncio.Queue[str | None]()

        def put(piece: str | None) -> None:
            loop.call_soon_threadsafe(said.put_nowait, piece)

        pump = asyncio.run_coroutine_threadsafe(_pump(pieces, put), self.loop)
        try:
            while (piece := await said.get()) is not None:
                yield piece
            await asyncio.wrap_future(pump)
        finally:
            pump.cancel()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of all engines of this process, started now if need be; a forked child gets its own."""
        return _loop_of(os.getpid())

    @property
    def gate(self) -> RequestGate:
        """Where requests wait until they may be sent; used on the loop's thread alone."""
        return self._shown.gate


async def _pump(pieces: Pieces, put: Callable[[str | None], None]) -> None:
    try:
        async for piece in pieces():
            put(piece)
    finally:
        put(None)


def _loop_of(pid: int) -> asyncio.AbstractEventLoop:
    with _ENGINES_LOCK:
        if pid not in _LOOPS:
            _LOOPS.clear()  # a parent's
            _LOOPS[pid] = asyncio.new_event_loop()
            threading.Thread(target=_LOOPS[pid].run_forever, name="llm-requests", daemon=True).start()
        return _LOOPS[pid]


def _engine_of(token: str, limits: Limits, driver: Address | None) -> Engine:
    with _ENGINES_LOCK:
        found = _ENGINES.get(token)
    return Engine(limits, token, None if driver is None else Address(*driver)) if found is None else found
