"""Pace of requests to one model at one endpoint: quotas, cool-downs, how many at once.

What an endpoint says of its quotas is kept to. What it does not say is found out: after a refusal the whole
lane cools down, then one request tries, and the others follow once that is answered. The requests under
way at one time follow TCP (AIMD: half of them at a refusal, one more for each full round of answers), and
where cool-downs last like a quota by the minute, the answers of the minute before are taken for the quota.
"""

from __future__ import annotations

import math
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

MINUTE_S = 60.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
FAILED_IN_A_ROW = 3
"""Failures without an answer between them before all of a lane waits: one may be of its request alone."""
_A_QUOTA = 1 / 6
"""Share of a minute that a cool-down has to last to be taken for a quota by the minute."""
_GROWTH = 1.1
"""How much a quota that was found out grows in the first minute without a refusal, to the n-th in the n-th.

A quota that is one is found again at once. What was none, such as an outage that came after few answers, is
forgotten within minutes.
"""


Kind = Literal["answered", "refused", "astray", "throttled", "busy", "outage", "failed", "unsent", "unknown"]


class PaceSignal(NamedTuple):
    """What came of a request.

    Attributes
    ----------
    kind : `answered`; `refused`: an answer, but no; `throttled`: the endpoint wants fewer requests;
        `busy`: the same, but for now, which says nothing of a quota;
        `outage`, `failed`: no answer, or an error of the endpoint's (`failed`: perhaps by this request);
        `astray`: refused for its route, before it came to the model and to what counts for it;
        `unsent`; `unknown`: who sent it is gone
    wait_s : seconds that the endpoint asks for, None = it says nothing
    left : requests that may still be sent, None = it says nothing; `refill_s`: seconds until one more may
    """

    kind: Kind = "answered"
    wait_s: float | None = None
    left: int | None = None
    refill_s: float = 0.0


class Health(NamedTuple):
    """How a lane does.

    `failing_s`: seconds since the first request was sent that failed after the last answer; 0 = it answers.
    """

    failing_s: float
    answers: int
    failures: int


class Waiting(Protocol):
    """Where requests wait for a lane."""

    def wake(self) -> None:
        """Look again whether one may be sent."""
        ...


@dataclass
class Passage:
    """One request on a lane.

    `tokens`: its worst case, then what it took, for the quota of tokens. It counts for a minute from its end
    (`at`): the endpoint counts it from when it came there, which was before.
    """

    sent: float
    tokens: float
    at: float = math.inf
    counts: bool = True
    answered: bool = False
    is_past: bool = False


class Lane:
    """Decides how soon the next request may be sent; used by one thread. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.in_flight = 0
        self.answers = self.failures = 0
        self.gates: weakref.WeakSet[Waiting] = weakref.WeakSet()
        self._quotas: list[float | None] = [None, None]
        self._window = math.inf
        self._resume_at = -math.inf
        self._rank = 0  # of the next cool-down: each is twice as long as the one before
        self._in_a_row = 0
        self._throttled_at: float | None = None
        self._first_throttled = 0.0
        self._before = 0
        self._may_be_quota = False
        self._failing_since: float | None = None
        self._answered_at = -math.inf
        self._left: int | None = None
        self._refill_at = 0.0
        self._passages: deque[Passage] = deque()  # of the last minute, with the sums of what counts
        self._counted, self._used = 0, 0.0
        self._found: tuple[float, float] | None = None  # requests a minute, and since when

    def limit(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        """Keep to these quotas as well as to those given before."""
        for place, quota in enumerate((requests_per_minute, tokens_per_minute)):
            given = [one for one in (self._quotas[place], quota) if one is not None]
            self._quotas[place] = min(given, default=None)

    def delay(self, tokens: float) -> float:
        """Return seconds until a request may be sent: 0 = now, inf = not before another one has ended."""
        now = self.clock()
        if now < self._resume_at:
            return self._resume_at - now
        is_probe = self._throttled_at is not None or self._in_a_row >= FAILED_IN_A_ROW
        if self.in_flight + 1 > (1.0 if is_probe else self._window):
            return math.inf
        if self._left is not None and self._left <= 0:
            if self.in_flight:
                return math.inf
            if now < self._refill_at:
                return self._refill_at - now
        return self._until_quota(now, tokens)

    def send(self, tokens: float) -> Passage:
        """Count a request that is sent now."""
        found = Passage(self.clock(), tokens)
        self.in_flight += 1
        if self._left is not None:
            self._left = max(0, self._left - 1)
        self._counted += 1
        self._used += tokens
        return found

    def end(self, passage: Passage, tokens: float | None, signal: PaceSignal) -> None:
        """Take in what came of a request; `tokens`: what it took, None = not known."""
        now = self.clock()
        at_once, self.in_flight = self.in_flight, self.in_flight - 1
        passage.at = now
        self._passages.append(passage)
        if signal.kind == "unsent":
            self._change(passage, False, 0.0)
            return
        if tokens is not None:
            self._change(passage, True, tokens)
        if signal.kind == "unknown":
            return
        if signal.kind in ("answered", "refused", "astray"):
            passage.answered = signal.kind != "astray"
            self._answered(passage, now)
        else:
            self._failed(passage, signal, now, at_once)
        if signal.left is not None:
            self._left, self._refill_at = signal.left, now + signal.refill_s

    @property
    def cooling_s(self) -> float:
        """Seconds for which nothing is sent."""
        return max(0.0, self._resume_at - self.clock())

    def health(self) -> Health:
        """Return how the lane does now."""
        since = self._failing_since
        return Health(0.0 if since is None else self.clock() - since, self.answers, self.failures)

    def _answered(self, passage: Passage, now: float) -> None:
        self.answers += 1
        self._failing_since, self._answered_at, self._in_a_row = None, now, 0
        if self._throttled_at is not None:
            if passage.sent < self._throttled_at:
                self._before = max(self._before, self._taken(now))
                return  # sent before the refusal, it says nothing of now
            lasted = now - self._first_throttled >= _A_QUOTA * MINUTE_S
            if lasted and self._before and self._may_be_quota:
                self._found = (self._before, now)
            self._throttled_at = None
        self._rank = 0
        self._window += 1.0 / self._window

    def _failed(self, passage: Passage, signal: PaceSignal, now: float, at_once: int) -> None:
        self.failures += 1
        if self._failing_since is None:
            self._failing_since = max(passage.sent, self._answered_at)
        throttled = signal.kind in ("throttled", "busy")
        if throttled:
            self._change(passage, False, 0.0)
            if self._throttled_at is None:
                self._first_throttled = now
                self._may_be_quota = False
                self._before = self._taken(now)
                self._found = self._shrunk(now)
                self._window = max(1.0, min(self._window, at_once) / 2)
            self._throttled_at = now
            self._may_be_quota |= signal.kind == "throttled"
        else:
            self._in_a_row += 1
        if throttled or self._in_a_row >= FAILED_IN_A_ROW:
            wait = signal.wait_s or 0.0
            if now >= self._resume_at:  # else others of the same moment have said so
                # A wait that was kept to and did not help was too short: what is refused may count as well.
                if signal.wait_s is None or self._rank:
                    wait = max(wait, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**self._rank))
                self._rank += 1
            self._resume_at = max(self._resume_at, now + wait)

    def _taken(self, now: float) -> int:
        """Return how many requests the endpoint surely took within one minute: no more than its quota.

        By when they were sent: they came there later, and what was just refused came there before `now`.
        """
        return sum(p.answered for p in self._passages if p.sent > now - MINUTE_S)

    def _grown(self, now: float) -> float:
        """Return how many requests a minute are taken for the quota that was found out, inf = none was."""
        if self._found is None:
            return math.inf
        most, since = self._found
        minutes = min((now - since) / MINUTE_S, 60.0)  # by then it is none
        return most * float(_GROWTH ** (minutes * (minutes + 1) / 2))

    def _shrunk(self, now: float) -> tuple[float, float] | None:
        """Return what is taken for the quota after a refusal: one step of growth less, which begins anew."""
        if self._found is None:
            return None
        grown = self._grown(now)
        return min(grown, max(self._before, grown / _GROWTH)), now

    def _until_quota(self, now: float, tokens: float) -> float:
        """Return seconds until no quota by the minute is passed by one more request."""
        while self._passages and self._passages[0].at <= now - MINUTE_S:
            gone = self._passages.popleft()
            self._change(gone, False, 0.0)
            gone.is_past = True
        most_requests, most_tokens = self._quotas
        if self._found is not None:
            most_requests = min(self._grown(now), math.inf if most_requests is None else most_requests)
        if most_requests is None and most_tokens is None:
            return 0.0

        def fits(n: int, used: float) -> bool:
            of_requests = most_requests is None or n + 1 <= max(1.0, most_requests)
            return of_requests and (most_tokens is None or used <= 0 or used + tokens <= most_tokens)

        n, used, until = self._counted, self._used, now
        for passage in self._passages:
            if fits(n, used):
                break
            n, used, until = n - passage.counts, used - passage.tokens, passage.at + MINUTE_S
        return until - now if fits(n, used) else math.inf  # what is under way has to end first

    def _change(self, passage: Passage, counts: bool, tokens: float) -> None:
        if not passage.is_past:
            self._counted += counts - passage.counts
            self._used += tokens - passage.tokens
            passage.counts, passage.tokens = counts, tokens
