"""A request on its way, and what is handed back when it has been sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from envs.llm.admission.lane import PaceSignal
from envs.llm.books import Tokens
from envs.llm.costs import Bill
from envs.llm.dialects.dialect import CHAT
from envs.llm.endpoint import EndpointError

_NO_ANSWER, _NO_TOKENS = PaceSignal("failed"), Tokens()


@dataclass
class Outgoing:
    """A request on its way.

    `left_out`: what was taken out of `body` to try without; `by_responses`: the other route is tried;
    `refused`: what to raise if that does not help. `route`: by which it was sent.
    """

    path: str
    body: dict[str, Any]
    worst: Bill
    left_out: tuple[str, ...] = ()
    refused: EndpointError | None = None
    by_responses: bool = False
    route: str = CHAT


@dataclass
class Sent:
    """A request that was sent, and what is handed back with its ticket.

    `took`: what it surely took, None = maybe its worst case; `tokens`: what its answer took, for the books;
    `signal`: what it says of the pace.
    """

    ticket: int
    took: Bill | None = None
    tokens: Tokens = _NO_TOKENS
    signal: PaceSignal = _NO_ANSWER
