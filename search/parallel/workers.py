"""Worker protocol of a run, and the serial worker in this process.

A judge that waits for others (a server, a person) may set `concurrent_plans = n`: a worker then makes n plans
at once in threads, because each tree grows step by step and one alone would leave the judge idle most of
the time. Each plan is independent, so that no row depends on how they interleave.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import Protocol, TypeVar

from envs import Judge, Scenario
from envs.judges.protocol import describe
from search.parallel.concurrency import CancelToken, RunStopped, in_order, in_turn
from search.planning import (
    Failure,
    PlanOptions,
    ScenarioPlan,
    plan_scenario,
    plan_scenarios,
    plans_at_once,
)
from search.problem import PlanningFailed, Searcher

Outcome = ScenarioPlan | Failure
T = TypeVar("T")
R = TypeVar("R")

_HOLD_S = 0.5
"""Seconds a worker may keep finished plans: slow judges report each plan, fast ones a chunk at once."""


def plan_or_failure(
    scenario: Scenario,
    judge: Judge,
    searcher: Searcher,
    options: PlanOptions,
    before_call: Callable[[], None] | None = None,
) -> Outcome:
    """Return the plan of `scenario`, or the stage and reason of its failure.

    `before_call` is called before each call of the judge and the prior; what it raises ends the plan.
    """
    try:
        return plan_scenario(scenario, judge, searcher, options, before_call)
    except PlanningFailed as failed:
        return Failure(scenario.id, failed.stage, failed.reason)


class Run(Protocol):
    """Workers at work."""

    def plan(self, scenarios: Sequence[Scenario], searcher: Searcher) -> Iterator[Outcome]:
        """Yield the outcome of each scenario."""
        ...

    def stop(self) -> None:
        """Let the workers go."""
        ...


class Parallel(Protocol):
    """A way to run many plans."""

    def start(self, judge: Judge, searcher: Searcher, options: PlanOptions, n_scenarios: int) -> Run:
        """Start the workers; `n_scenarios` are to be planned, in one or several calls of `Run.plan`."""
        ...

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield (index of the task, `function(task)`) of each task as it is finished.

        For many small runs that differ in judge and searcher: one start of the workers serves them all.
        `function` is one of a module, found by import wherever it runs.
        """
        ...


class Serial:
    """In this process, in file order: one scenario after the other, or `judge.concurrent_plans` at once."""

    def start(self, judge: Judge, searcher: Searcher, options: PlanOptions, n_scenarios: int) -> Run:
        """Return a run in this process."""
        n = describe(judge).concurrent_plans
        return _SerialRun(judge, options) if n == 1 else _ThreadedRun(judge, in_turn(options, n), n)

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield (index of the task, `function(task)`) in order."""
        for index, task in enumerate(tasks):
            yield index, function(task)


class _SerialRun:
    def __init__(self, judge: Judge, options: PlanOptions) -> None:
        self.judge = judge
        self.options = options

    def plan(self, scenarios: Sequence[Scenario], searcher: Searcher) -> Iterator[Outcome]:
        size = plans_at_once(self.judge, searcher, self.options)
        for begin in range(0, len(scenarios), size):
            yield from plan_scenarios(scenarios[begin : begin + size], self.judge, searcher, self.options)

    def stop(self) -> None:
        pass


class _ThreadedRun:
    """`n_plans` plans at once in this process, handed over in file order."""

    def __init__(self, judge: Judge, options: PlanOptions, n_plans: int) -> None:
        self.judge = judge
        self.options = options
        self.n_plans = n_plans

    def plan(self, scenarios: Sequence[Scenario], searcher: Searcher) -> Iterator[Outcome]:
        cancel = CancelToken()
        # A searcher may keep what it is at in itself: each thread has its own.
        searchers: SimpleQueue[Searcher] = SimpleQueue()
        for _ in range(self.n_plans):
            searchers.put(copy.deepcopy(searcher))

        def one(scenario: Scenario) -> Outcome:
            mine = searchers.get()
            try:
                with cancel.closed_by_an_error():
                    return plan_or_failure(scenario, self.judge, mine, self.options, cancel.check)
            finally:
                searchers.put(mine)

        with ThreadPoolExecutor(self.n_plans, thread_name_prefix="plan") as pool:
            todo = iter(scenarios)
            try:
                yield from in_order(
                    lambda n: [pool.submit(one, s) for s in islice(todo, n)], self.n_plans, cancel
                )
            finally:
                cancel.close()

    def stop(self) -> None:
        pass


class StreamWorker:
    """A worker in a process of its own with its own judge; `plan` is called from many threads at once."""

    def __init__(self, judge: Judge, options: PlanOptions, n_plans: int) -> None:
        self.judge = judge
        self.options = in_turn(options, n_plans)
        self.cancel = CancelToken()
        self.places = threading.Semaphore(n_plans)
        self.n_plans = n_plans

    def plan(self, scenarios: Sequence[Scenario], searcher: Searcher) -> Iterator[list[Outcome]]:
        """Yield outcomes as they are finished, a few at a time."""
        finished: list[Outcome] = []
        since = time.monotonic()
        try:
            for scenario in scenarios:
                with self.places, self.cancel.closed_by_an_error():
                    finished.append(
                        plan_or_failure(scenario, self.judge, searcher, self.options, self.cancel.check)
                    )
                if time.monotonic() - since >= _HOLD_S:
                    yield finished
                    finished, since = [], time.monotonic()
        except RunStopped:
            pass
        finally:
            yield finished  # in any case: a plug-in's error must not cost the plans before it

    def finish(self, seconds: float) -> None:
        """Begin no more calls of the judge, and wait at most `seconds` for those under way."""
        self.cancel.close()
        limit = time.monotonic() + seconds
        free = [self.places.acquire(timeout=max(0.0, limit - time.monotonic())) for _ in range(self.n_plans)]
        for _ in range(sum(free)):
            self.places.release()
