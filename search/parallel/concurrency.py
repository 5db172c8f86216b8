"""Make several plans at once in threads, with results in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile
from typing import TypeVar

import numpy as np

from envs import Scenario
from envs.judges.protocol import describe
from search.planning import PlanOptions, Prior

_AHEAD = 4
"""Plans at work or waiting to be handed over in order, for each plan at once: memory is bounded."""

_T = TypeVar("_T")


class RunStopped(Exception):
    """The run ended; a plan that was under way asks its judge nothing more."""


class CancelToken:
    """Stands before every call of the judge and prior, so that a run that is over pays for nothing more."""

    def __init__(self) -> None:
        self._closed = threading.Event()

    def close(self) -> None:
        """Let nobody through from now on; calls under way go on to their end."""
        self._closed.set()

    def check(self) -> None:
        """Raise RunStopped when the gate is closed."""
        if self._closed.is_set():
            raise RunStopped

    @contextmanager
    def closed_by_an_error(self) -> Iterator[None]:
        """Close the gate at once when the block raises: the other threads need not wait to be told."""
        finished = False
        try:
            yield
            finished = True
        finally:
            if not finished:
                self.close()


def in_turn(options: PlanOptions, n_plans: int) -> PlanOptions:
    """Return `options` for `n_plans` plans at once: a prior that does not allow as many is asked in turn."""
    prior = options.prior
    if prior is None or n_plans == 1 or describe(prior, "prior").concurrent_plans > 1:
        return options
    return replace(options, prior=_one_at_a_time(prior))


def _one_at_a_time(prior: Prior) -> Prior:
    lock = threading.Lock()

    def ask(scenario: Scenario, mask: int) -> np.ndarray | None:
        with lock:
            return prior(scenario, mask)

    return ask


def in_order(submit: Callable[[int], list[Future[_T]]], n_plans: int, cancel: CancelToken) -> Iterator[_T]:
    """Yield outcomes in the order of submission; `submit(n)` starts up to n more plans.

    When a plan raises, or on an interrupt, the gate is closed, the others come to rest, and what has finished
    is yielded, whatever its place, before the error is raised.
    """
    ahead: deque[Future[_T]] = deque()
    try:
        for _ in range(_AHEAD * n_plans):  # one by one: an interrupt finds those that are at work
            ahead.extend(submit(1))
        while ahead:
            at_work = [plan for plan in ahead if not plan.done()]
            if ahead[0] in at_work:
                wait(at_work, return_when=FIRST_COMPLETED)
            done = [plan for plan in ahead if plan.done()]
            if any(plan.exception() for plan in done):
                break
            for plan in takewhile(done.__contains__, tuple(ahead)):
                ahead.popleft()
                ahead.extend(submit(1))
                yield plan.result()
    except KeyboardInterrupt:
        yield from _finished(ahead, cancel)
        raise
    yield from _finished(ahead, cancel)
    for plan in ahead:
        if not plan.cancelled() and not isinstance(plan.exception(), RunStopped):
            plan.result()  # raises the first error there was; there is none unless the loop was left early


def _finished(ahead: Sequence[Future[_T]], cancel: CancelToken) -> list[_T]:
    """Close the gate, wait for the calls under way, which are paid for, and return the finished outcomes."""
    cancel.close()
    for plan in ahead:
        plan.cancel()
    wait(ahead)
    return [plan.result() for plan in ahead if not plan.cancelled() and plan.exception() is None]
