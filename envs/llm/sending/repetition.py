"""Whether a request is sent again, and when."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING, NamedTuple

from envs.llm.admission.lane import Health, PaceSignal
from envs.llm.sending.http_client import is_silent, no_endpoint

if TYPE_CHECKING:
    from envs.llm.sending.transport import Connection

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
GOES_ON = "what was paid for is saved, resume=true goes on from there"
EXPECTED = "expected the base_url of an OpenAI-compatible endpoint"
UNANSWERED_RETRIES, LATE_RETRIES = 2, 10
"""Repetitions of a dropped request to an endpoint that has answered nothing yet: it may be none.

And of one whose connection was not open in time, though somebody takes connections there: on a busy machine,
or beside thousands of replies that come at once, that is no sign that nobody is there.
"""


class Outcome(NamedTuple):
    """What came of sending once.

    `text`: the body of a good answer. Without one, `signal`: None = send the changed body at once. `dropped`:
    why there is no connection.
    """

    text: str | None
    signal: PaceSignal | None = None
    dropped: BaseException | None = None


class Patience:
    """Decides of one request whether it is sent again, and waits before it is.

    A failure counts against `max_retries` where it may be of this request alone: others are answered
    meanwhile, or it was the first and only one to fail. Else the endpoint (or this machine, too busy to open
    a connection in time) fails, and `give_up_after` counts.
    """

    def __init__(self, connection: Connection, key: str) -> None:
        self._connection = connection
        self._key = key
        self._since = time.monotonic()
        self._first = 0.0
        self._failed = self._unanswered = 0
        self._seen: Health | None = None

    async def goes_on(self, came: Outcome, signal: PaceSignal) -> bool:
        """Wait before a repetition; False where there is to be none, though the endpoint answers others.

        Raises
        ------
        EndpointDown
            there is no endpoint, or it has not answered for too long.
        """
        connection, endpoint = self._connection, self._connection.endpoint
        health = await connection.engine.gate.health(connection.lane)
        connection.answered |= health.answers > 0
        if came.dropped is not None and not connection.answered:
            await self._look_whether_there_is_one(came.dropped)
        if (signal.wait_s or 0.0) > endpoint.give_up_after:
            raise connection.no_answer(f"asks to wait {signal.wait_s:,.0f} s; {GOES_ON}")
        if health.failing_s >= endpoint.give_up_after:
            raise connection.no_answer(f"no answer for {health.failing_s:,.0f} s; {GOES_ON}")
        now = time.monotonic()
        self._first = self._first or now
        # A connection that was not open in time says nothing of the request: it was never sent.
        if not _is_late(came.dropped) and self._counts(signal, health, now - self._since):
            self._failed += 1
        self._seen = health
        if self._failed > endpoint.max_retries or now - self._first >= endpoint.give_up_after:
            return False  # others are answered, or it may be this request that fails the endpoint
        if signal.kind not in ("throttled", "busy"):  # else all wait together, at the gate
            await asyncio.sleep(pause(max(0, self._failed - 1), signal.wait_s or 0.0, self._key))
        return True

    def _counts(self, signal: PaceSignal, health: Health, waited: float) -> bool:
        if signal.kind in ("throttled", "busy"):
            return False
        if self._seen is None or not self._connection.answered:
            return True
        if health.answers > self._seen.answers:
            return True
        is_alone = health.failures - self._seen.failures <= 1
        return signal.kind == "failed" and is_alone and health.failing_s <= waited

    async def _is_silent(self) -> bool:
        """Tell whether nobody takes a connection; one look for all requests that wait at that time."""
        connection = self._connection
        if connection.silence is None or connection.silence.done():
            connection.silence = asyncio.create_task(is_silent(connection.endpoint.url))
        return await connection.silence

    async def _look_whether_there_is_one(self, cause: BaseException) -> None:
        """Raise where nothing that speaks to us was ever there."""
        connection = self._connection
        connection.answered = type(cause).__name__ == "ReadTimeout"
        url = connection.endpoint.url
        found = "" if connection.answered else no_endpoint(cause)
        self._unanswered += 1
        most = LATE_RETRIES if _is_late(cause) else UNANSWERED_RETRIES
        may_come = _is_late(cause) and self._unanswered <= most
        if found and not (may_come and not await self._is_silent()):
            raise connection.no_answer(f"{found} at {url}, {EXPECTED}")
        if not connection.answered and self._unanswered > most:
            raise connection.no_answer(
                f"{self._unanswered} connections to {url} were dropped and nothing was answered, {EXPECTED}"
            )


def _is_late(cause: BaseException | None) -> bool:
    """Tell whether a connection was not open in time."""
    return type(cause).__name__ == "ConnectTimeout"


def pause(retry: int, at_least: float, key: str) -> float:
    """Return seconds to wait: 0.5 * 2^retry, at most 60, and at least what the server asked for.

    The jitter of up to a half follows from `key` and `retry`: requests spread, and nothing random is shared.
    """
    digest = hashlib.sha256(f"{key}/{retry}".encode()).digest()
    jitter = int.from_bytes(digest[:4], "big") / 2**32
    backoff = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**retry * (1.0 - 0.5 * jitter))
    return max(backoff, at_least * (1.0 + 0.1 * jitter))
