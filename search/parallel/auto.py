"""Run plans over Ray where the work is worth its start, in this process elsewhere; the rows are the same."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from envs import Judge, Scenario
from envs.judges.protocol import describe
from search.parallel.cores import available_cores
from search.parallel.ray_workers import NotSendable, Ray, can_share, warm_up
from search.parallel.workers import HandedIn, Run, Serial, groups, handed_in
from search.planning import PlanOptions, plan_scenarios, plans_at_once
from search.problem import Searcher

RAY_START_S = 8.0
"""Seconds that Ray's start and end take together; 5 to 8 were measured, on two cores."""
_MARGIN = 1.5
"""How much more than Ray's start has to be saved: an estimate may err, and a busy machine starts slowly."""
_MEASURED_S = 1.0
"""Seconds of work after which an estimate is believed."""

T = TypeVar("T")
R = TypeVar("R")


class Auto:
    """Plan in this process first; the rest over Ray, once that saves more time than Ray's start takes.

    The first plans are timed. One core, a judge that waits for others (it makes many plans at once in threads
    here) and limits on spending (which one process keeps best) stay in this process; a cluster's address
    means Ray.

    Parameters
    ----------
    num_workers, address, chunk_size : as for `Ray`, where Ray is taken

    Attributes
    ----------
    say : is told in one line what was taken, and why; `print` unless set
    """

    def __init__(
        self,
        num_workers: int | None = None,
        address: str | None = None,
        chunk_size: int = 512,
    ) -> None:
        self.ray = Ray(num_workers, address, chunk_size)
        self.num_workers = num_workers or available_cores()
        self.say: Callable[[str], None] = print
        self._said = ""

    def start(self, judge: Judge, searcher: Searcher, options: PlanOptions, n_scenarios: int) -> Run:
        """Start where it is clear what to take, else a run that finds out."""
        n_plans = describe(judge).concurrent_plans
        if self.ray.address is not None:
            self.tell("Ray", f"parallel.address={self.ray.address}")
            return self.ray.start(judge, searcher, options, n_scenarios)
        if (
            self.num_workers > 1
            and n_plans == 1
            and not can_share(judge, "judge")
            and not can_share(options.prior, "prior")
        ):
            return _AutoRun(self, judge, searcher, options, n_scenarios)
        if n_plans > 1:
            self.tell("this process", f"the judge waits, {n_plans} plans at once")
        elif self.num_workers == 1:
            self.tell("this process", "one worker")
        else:
            self.tell("this process", "it keeps the limits on spending")
        return Serial().start(judge, searcher, options, n_scenarios)

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield (index of the task, `function(task)`) as each is finished."""
        if self.ray.address is not None:
            self.tell("Ray", f"parallel.address={self.ray.address}")
            yield from self.ray.map(function, tasks)
            return

        def by_ray(done: int) -> Iterator[tuple[int, R]]:
            self.tell("Ray", estimate.why())
            for place, result in self.ray.map(function, tasks[done:]):
                yield done + place, result

        estimate = _Estimate(len(tasks), self.num_workers)
        yield from _timed(
            enumerate(tasks), lambda numbered: (numbered[0], function(numbered[1])), by_ray, estimate
        )
        self.tell_if_here(estimate)

    def tell(self, taken: str, why: str) -> None:
        """Say what was taken, unless it is what was said last: many runs may follow one another."""
        if taken != self._said:
            self._said = taken
            self.say(f"parallel=auto takes {taken}: {why}")

    def tell_if_here(self, estimate: _Estimate) -> None:
        """Say that all was done in this process, if it was."""
        if estimate.n_done and not estimate.n_left:
            self.tell(
                "this process",
                f"{estimate.all_s:.1f} s of work, and Ray's start alone takes {RAY_START_S:.0f}",
            )


class _AutoRun:
    """A run that begins in this process; `ray_run` is set when it has gone over to Ray."""

    def __init__(
        self, auto: Auto, judge: Judge, searcher: Searcher, options: PlanOptions, n_scenarios: int
    ) -> None:
        warm_up(judge, searcher)  # compiling is no work to be shared
        self.auto = auto
        self.judge = judge
        self.options = options
        self.size = plans_at_once(judge, searcher, options)
        self.estimate = _Estimate(math.ceil(n_scenarios / self.size), auto.num_workers)
        self.ray_run: Run | None = None

    def plan(self, scenarios: Sequence[Scenario], searcher: Searcher) -> Iterator[HandedIn]:
        def here(group: Sequence[Scenario]) -> Sequence[HandedIn]:
            return handed_in(plan_scenarios(group, self.judge, searcher, self.options), self.options)

        def by_ray(done: int) -> Iterator[Sequence[HandedIn]]:
            rest = scenarios[done * self.size :]
            if self.ray_run is None:
                self.auto.tell("Ray", self.estimate.why())
                try:
                    self.ray_run = self.auto.ray.start(self.judge, searcher, self.options, len(rest))
                except NotSendable as error:
                    self.auto.tell("this process", str(error))
                    self.estimate.n_workers = 1
                    yield from map(here, groups(rest, self.size))
                    return
            yield from ([part] for part in self.ray_run.plan(rest, searcher))

        if self.ray_run is not None:
            yield from self.ray_run.plan(scenarios, searcher)
            return
        for parts in _timed(groups(scenarios, self.size), here, by_ray, self.estimate):
            yield from parts

    def stop(self) -> None:
        if self.ray_run is not None:
            self.ray_run.stop()
        self.auto.tell_if_here(self.estimate)


class _Estimate:
    """What is left to do, from what was done: `n_done` tasks in `all_s` seconds, `n_left` to come."""

    def __init__(self, n_tasks: int, n_workers: int) -> None:
        self.n_left = n_tasks
        self.n_workers = n_workers
        self.n_done = 0
        self.all_s = self._first_s = 0.0

    def add(self, seconds: float) -> None:
        if not self.n_done:
            self._first_s = seconds
        self.all_s += seconds
        self.n_done += 1
        self.n_left -= 1

    def left_s(self) -> float:
        """Return the seconds of work that are left; 0 while too little was done to tell."""
        # The first task also pays for what is loaded and compiled at first use.
        is_evidence = self._first_s > RAY_START_S
        counted = self.all_s if is_evidence else self.all_s - self._first_s
        return self.n_left * counted / (self.n_done - (not is_evidence)) if counted >= _MEASURED_S else 0.0

    def is_worth_ray(self) -> bool:
        """Tell whether sharing the work that is left saves more than Ray's start takes."""
        sharers = max(1, min(self.n_workers, self.n_left))
        return self.left_s() * (1 - 1 / sharers) > _MARGIN * RAY_START_S

    def why(self) -> str:
        return f"{self.n_workers} workers for about {self.left_s():.0f} s of work"


def _timed(
    tasks: Iterable[T],
    here: Callable[[T], R],
    by_ray: Callable[[int], Iterator[R]],
    estimate: _Estimate,
) -> Iterator[R]:
    """Yield the results of `tasks`, done one by one and timed.

    Once that is worth it the rest is Ray's: `by_ray` is called with how many are done.
    """
    for done, task in enumerate(tasks):
        if estimate.is_worth_ray():
            yield from by_ray(done)
            return
        began = time.perf_counter()
        result = here(task)
        estimate.add(time.perf_counter() - began)
        yield result
