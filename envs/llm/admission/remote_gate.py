"""The gate of a worker, which asks the driver's; and what the driver answers.

A ticket goes with its worst case: the driver's ledger holds it as taken until the worker hands it back, and
for good where the worker ends before it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from envs.llm.admission.gate import AccountName, LocalGate
from envs.llm.admission.lane import Health, PaceSignal
from envs.llm.costs import Bill
from envs.llm.driver_link import Caller, DriverLink, Operation
from envs.llm.endpoint import EndpointDown, LimitReached

ENTER, LEAVE, HEALTH = "gate_enter", "gate_leave", "gate_health"


class RemoteGate:
    """A `RequestGate` at the other end of `link`."""

    def __init__(self, link: DriverLink) -> None:
        self._link = link

    async def enter(self, lane: str, worst: Bill, patience: float, account: AccountName | None = None) -> int:
        """See `RequestGate`."""
        wish = {"lane": lane, "worst": worst, "patience": patience, "account": account}
        asked = asyncio.ensure_future(self._link.ask(ENTER, **wish))
        try:
            found = await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(self._hand_back)
            raise
        if "limit" in found:
            raise LimitReached(found["limit"])
        if "down" in found:
            raise EndpointDown(found["down"])
        return int(found["ticket"])

    def leave(self, ticket: int, took: Bill | None, signal: PaceSignal) -> None:
        """See `RequestGate`."""
        self._link.tell(LEAVE, ticket=ticket, took=took, signal=signal)

    async def health(self, lane: str) -> Health:
        """See `RequestGate`."""
        return Health(*await self._link.ask(HEALTH, lane=lane))

    def _hand_back(self, asked: asyncio.Task[Any]) -> None:
        """Hand back a ticket that came after nobody waited for it any more."""
        if not asked.cancelled() and asked.exception() is None and "ticket" in asked.result():
            self.leave(asked.result()["ticket"], Bill(), PaceSignal("unsent"))


def gate_operations(gate: LocalGate) -> dict[str, Operation]:
    """Return what the driver answers to `RemoteGate`, by name."""

    async def enter(caller: Caller, message: Mapping[str, Any]) -> dict[str, Any]:
        try:
            worst, account = Bill(*message["worst"]), message["account"]
            entry = None if account is None else tuple(account)
            ticket = await gate.enter(message["lane"], worst, message["patience"], entry)
        except LimitReached as reached:
            return {"limit": str(reached)}
        except EndpointDown as down:
            return {"down": str(down)}
        # A worker that ends may have sent it.
        caller.on_end[ticket] = partial(gate.leave, ticket, None, PaceSignal("unknown"))
        return {"ticket": ticket}

    async def leave(caller: Caller, message: Mapping[str, Any]) -> None:
        del caller.on_end[message["ticket"]]
        took = message["took"]
        gate.leave(message["ticket"], None if took is None else Bill(*took), PaceSignal(*message["signal"]))

    async def health(caller: Caller, message: Mapping[str, Any]) -> Health:
        return await gate.health(message["lane"])

    return {ENTER: enter, LEAVE: leave, HEALTH: health}
