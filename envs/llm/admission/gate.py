"""Gate of a run's requests: each waits here until it may be sent.

One gate serves all clients of an engine in all processes of a run: the driver has it, and the gates of
workers (`RemoteGate`) ask it. So limits are kept to and quotas are paced for all workers together.
"""

from __future__ import annotations

import asyncio
import math
import os
import weakref
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from envs.errors import OutsideError
from envs.llm.admission.lane import Health, Lane, PaceSignal, Passage
from envs.llm.admission.ledger import Ledger
from envs.llm.books import NO_REQUEST, ONE_REQUEST, Account
from envs.llm.costs import Bill
from envs.llm.endpoint import EndpointDown, LimitReached, Limits

BATCHES = "batches of "
"""How the name of a lane begins whose requests go with batches: under the limits, without slots and pace."""
_LANES: weakref.WeakValueDictionary[tuple[int, str], Lane] = weakref.WeakValueDictionary()
"""By process, and endpoint and model: all engines of a process that speak to one share its quota."""


AccountName = tuple[str, str]
"""Model and kind (see `Books`)."""


class RequestGate(Protocol):
    """What a connection needs of a gate; used on the engine's loop."""

    async def enter(self, lane: str, worst: Bill, patience: float, account: AccountName | None = None) -> int:
        """Wait until a request may be sent, and return the number of its ticket.

        It is booked under `account` (None = the caller books it) before anybody can send it: whatever is
        killed, the books hold no less than what was sent.

        Raises
        ------
        LimitReached
            there is no room for `worst`, and nothing under way could make some.
        EndpointDown
            while it waited, the endpoint came to have not answered for `patience` seconds; or it wants to be
            left alone for longer. Who comes later is let in, one at a time.
        """
        ...

    def leave(self, ticket: int, took: Bill | None, signal: PaceSignal) -> None:
        """Hand a ticket back. `took`: what the request took, None = not known: it stays at its worst."""
        ...

    async def health(self, lane: str) -> Health:
        """Return how the lane does, everything handed back before counted in."""
        ...


class _Ticket(NamedTuple):
    lane: str
    passage: Passage
    lease: int
    account: AccountName | None


class _Wish(NamedTuple):
    worst: Bill
    patience: float
    account: AccountName | None
    granted: asyncio.Future[int]
    asked_at: float


class LocalGate:
    """The gate of the process that drives a run.

    Parameters
    ----------
    limits : what all requests may take together, how many at once, quotas of each model by the minute
    book : called with (model, kind, account) for each request that may be sent, None = nobody counts them
    """

    def __init__(self, limits: Limits, book: Callable[[str, str, Account], None] | None = None) -> None:
        self.limits = limits
        self._book = book
        self.ledger = Ledger(limits)
        self._lanes: dict[str, Lane] = {}
        self._queues: dict[str, deque[_Wish]] = {}
        self._tickets: dict[int, _Ticket] = {}
        self._numbers = self._in_flight = 0
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, lane: str, worst: Bill, patience: float, account: AccountName | None = None) -> int:
        """See `RequestGate`."""
        queue, granted = self._queue(lane), asyncio.get_running_loop().create_future()
        wish = _Wish(worst, patience, account, granted, self._lanes[lane].clock())
        queue.append(wish)
        self.wake()
        try:
            return await wish.granted
        except asyncio.CancelledError:
            if wish.granted.done() and not wish.granted.cancelled() and wish.granted.exception() is None:
                self.leave(wish.granted.result(), Bill(), PaceSignal("unsent"))
            raise

    def leave(self, ticket: int, took: Bill | None, signal: PaceSignal) -> None:
        """See `RequestGate`."""
        name, passage, lease, account = self._tickets.pop(ticket)
        if signal.kind == "unsent":
            self._enter(account, NO_REQUEST)
        self._in_flight -= not name.startswith(BATCHES)
        try:
            self.ledger.settle(lease, took)
        finally:  # a full disk is no reason to hold up the others for ever
            lane = self._lanes[name]
            lane.end(passage, None if took is None else took.tokens, signal)
            for gate in list(lane.gates):
                gate.wake()

    def _enter(self, account: AccountName | None, entry: Account) -> None:
        if account is not None and self._book is not None:
            self._book(*account, entry)

    async def health(self, lane: str) -> Health:
        """See `RequestGate`."""
        self._queue(lane)
        return self._lanes[lane].health()

    def _queue(self, name: str) -> deque[_Wish]:
        if name not in self._queues:
            key = (os.getpid(), name)
            lane = _LANES.get(key)
            if lane is None:
                lane = _LANES[key] = Lane()
            if not name.startswith(BATCHES):
                lane.limit(self.limits.max_requests_per_minute, self.limits.max_tokens_per_minute)
            lane.gates.add(self)
            self._lanes[name], self._queues[name] = lane, deque()
        return self._queues[name]

    def wake(self) -> None:
        """Grant what can be granted now, and come back when more can."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        soonest = min((self._let_in(name) for name in self._queues), default=math.inf)
        if not math.isinf(soonest):
            self._timer = asyncio.get_running_loop().call_later(soonest, self.wake)

    def _let_in(self, name: str) -> float:
        """Grant what can be granted on one lane; return seconds until more can, inf = not by time."""
        lane, queue = self._lanes[name], self._queues[name]
        at_once = not name.startswith(BATCHES)
        while queue:
            wish = queue[0]
            worst, patience, _, granted, asked_at = wish
            if granted.done():
                queue.popleft()
                continue
            failing_s, cooling_s = lane.health().failing_s, lane.cooling_s
            # Who asks after the outage has lasted too long knows of it, and wants to see whether it is over.
            is_trial = cooling_s < patience and lane.clock() - asked_at < failing_s - patience
            if cooling_s and max(failing_s, cooling_s) >= patience and not is_trial:
                queue.popleft()
                granted.set_exception(EndpointDown(self._down(name, failing_s, cooling_s)))
                continue
            if at_once and self._in_flight >= self.limits.max_in_flight:
                return math.inf
            passed = self.ledger.passed(worst)
            if passed is not None:
                if self.ledger.under_way:
                    return math.inf  # what is under way may take less than its worst case
                queue.popleft()
                granted.set_exception(LimitReached(self.ledger.refusal(passed, worst)))
                continue
            delay = lane.delay(worst.tokens) if at_once and not (is_trial and not lane.in_flight) else 0.0
            if delay > 0:
                return delay
            queue.popleft()
            self._grant(name, wish)
        return math.inf

    def _grant(self, name: str, wish: _Wish) -> None:
        """Let one request go; a full disk is told to whoever asked, not to who happened to wake the gate."""
        try:
            lease = self.ledger.lease(wish.worst)
        except OutsideError as error:
            wish.granted.set_exception(error)
            return
        at_once = not name.startswith(BATCHES)
        self._numbers += 1
        self._in_flight += at_once
        self._enter(wish.account, ONE_REQUEST)
        self._tickets[self._numbers] = _Ticket(
            name, self._lanes[name].send(wish.worst.tokens), lease, wish.account
        )
        wish.granted.set_result(self._numbers)

    def _down(self, name: str, failing_s: float, cooling_s: float) -> str:
        return (
            f"{self.limits.place}: {name}: no answer for {failing_s:,.0f} s, and no trial in the next "
            f"{cooling_s:,.0f} s; what was paid for is saved, resume=true goes on from there"
        )
