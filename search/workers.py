"""Who plans: the protocol of a run's workers, and the one worker that is this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from envs import Judge, Scenario
from search.planning import Failure, PlanOptions, ScenarioPlan, plan_scenario
from search.problem import PlanningFailed, Searcher

Outcome = ScenarioPlan | Failure
T = TypeVar("T")
R = TypeVar("R")


def plan_or_failure(scenario: Scenario, judge: Judge, searcher: Searcher, options: PlanOptions) -> Outcome:
    """Return the plan of `scenario`, or the stage and reason of its failure."""
    try:
        return plan_scenario(scenario, judge, searcher, options)
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

    def start(self, judge: Judge, searcher: Searcher, options: PlanOptions) -> Run:
        """Start the workers."""
        ...

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield (index of the task, `function(task)`) of each task as it is finished.

        For many small runs that differ in judge and searcher: one start of the workers serves them all.
        `function` is one of a module, found by import wherever it runs.
        """
        ...


class Serial:
    """One scenario after the other, in this process."""

    def start(self, judge: Judge, searcher: Searcher, options: PlanOptions) -> Run:
        """Return a run in this process."""
        return _SerialRun(judge, options)

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield (index of the task, `function(task)`) in order."""
        for index, task in enumerate(tasks):
            yield index, function(task)


class _SerialRun:
    def __init__(self, judge: Judge, options: PlanOptions) -> None:
        self.judge = judge
        self.options = options

    def plan(self, scenarios: Sequence[Scenario], searcher: Searcher) -> Iterator[Outcome]:
        for scenario in scenarios:
            yield plan_or_failure(scenario, self.judge, searcher, self.options)

    def stop(self) -> None:
        pass
