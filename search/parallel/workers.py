"""Worker protocol of a run, and the serial worker in this process.

A judge that waits for others (a server, a person) may set `concurrent_plans = n`: a worker then makes n plans
at once in threads, because each tree grows step by step and one alone would leave the judge idle most of
the time. Each plan is independent, so that no row depends on how they interleave.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from envs import Judge, Scenario
from envs.judges.protocol import describe
from envs.loading.stored_scenarios import unpacked
from search.parallel.concurrency import CancelToken, RunStopped, in_order, in_turn
from search.plan_lines import PlanBatch, batch_of
from search.planning import Outcome, PlanOptions, plan_scenarios, plans_at_once
from search.problem import Searcher

HandedIn = Outcome | PlanBatch
"""What a run yields: outcomes one by one, or some of them encoded where the options allow it."""
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
    (outcome,) = plan_scenarios([scenario], judge, searcher, options, before_call)
    return outcome


def handed_in(outcomes: Sequence[Outcome], options: PlanOptions) -> Sequence[HandedIn]:
    """Return `outcomes` as they are handed in under `options`."""
    return [batch_of(outcomes)] if options.encoded and outcomes else outcomes


def groups(scenarios: Iterable[Scenario], size: int) -> Iterator[list[Scenario]]:
    """Yield `scenarios` in lists of `size`."""
    todo = iter(scenarios)
    while group := list(islice(todo, size)):
        yield group


class Run(Protocol):
    """Workers at work."""

    def plan(self, scenarios: Sequence[Scenario], searcher: Searcher) -> Iterator[HandedIn]:
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

    def plan(self, scenarios: Sequence[Scenario], searcher: Searcher) -> Iterator[HandedIn]:
        for group in groups(scenarios, plans_at_once(self.judge, searcher, self.options)):
            yield from handed_in(plan_scenarios(group, self.judge, searcher, self.options), self.options)

    def stop(self) -> None:
        pass


class _ThreadedRun:
    """`n_plans` plans at once in this process, handed over in file order."""

    def __init__(self, judge: Judge, options: PlanOptions, n_plans: int) -> None:
        self.judge = judge
        self.options = options
        self.n_plans = n_plans

    def plan(self, scenarios: Sequence[Scenario], searcher: Searcher) -> Iterator[HandedIn]:
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
        self._kept: dict[Any, Any] = {}

    def ready(self) -> None:
        """Return: the process has started."""

    def plan(self, chunk: Sequence[Scenario] | bytes, shared: Sequence[Any]) -> Iterator[Sequence[HandedIn]]:
        """Yield outcomes as they are finished, a few at a time.

        `chunk`: scenarios, or as `StoredScenarios.packed` has them. `shared`: Ray's references to the
        searcher and, for packed scenarios, to their schema.
        """
        searcher, *schema = map(self._fetched, shared)
        scenarios = unpacked(chunk, schema[0]) if isinstance(chunk, bytes) else chunk
        finished: list[Outcome] = []
        since = time.monotonic()
        try:
            for group in groups(scenarios, plans_at_once(self.judge, searcher, self.options)):
                with self.places, self.cancel.closed_by_an_error():
                    finished += plan_scenarios(group, self.judge, searcher, self.options, self.cancel.check)
                if time.monotonic() - since >= _HOLD_S:
                    yield handed_in(finished, self.options)
                    finished, since = [], time.monotonic()
        except RunStopped:
            pass
        finally:
            # in any case: a plug-in's error must not cost the plans before it
            yield handed_in(finished, self.options)

    def _fetched(self, reference: Any) -> Any:
        """Return what `reference` stands for; where plans are made at once each has a searcher of its own."""
        import ray

        found = self._kept.get(reference)
        if found is None:
            found = ray.get(reference)
            if self.n_plans == 1:
                self._kept = {**dict(list(self._kept.items())[-1:]), reference: found}
        return found

    def finish(self, seconds: float) -> None:
        """Begin no more calls of the judge, and wait at most `seconds` for those under way."""
        self.cancel.close()
        limit = time.monotonic() + seconds
        free = [self.places.acquire(timeout=max(0.0, limit - time.monotonic())) for _ in range(self.n_plans)]
        for _ in range(sum(free)):
            self.places.release()
