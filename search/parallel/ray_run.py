"""A run over Ray workers: who plans what, and what becomes of the work of one that dies."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from envs import Judge, OutsideError, Scenario, UserError
from envs.judges.protocol import describe
from envs.loading.stored_scenarios import StoredScenarios
from search.parallel.sendable import put
from search.parallel.workers import HandedIn, StreamWorker
from search.plan_lines import PlanBatch
from search.planning import PlanOptions
from search.problem import Searcher

_LAST_CALLS_S = 60.0
"""Seconds a worker that is told to stop gets for the judge's answers under way, which are paid for."""
_START_S = 300.0
"""Seconds that a run without a living worker waits for one to start: a cluster may be making a node."""
_LIVES = 3
"""How often a scenario may be in a worker that dies: the last time with nothing else in it."""


class _Span(NamedTuple):
    """Places of scenarios that one task plans, the last not included."""

    start: int
    stop: int


class _Queue:
    """What is left to plan of `n` scenarios: in large spans at first, in small ones at the end."""

    def __init__(self, n: int, places: int, largest: int) -> None:
        self._next, self._n, self._places, self._largest = 0, n, places, largest
        self._returned: deque[_Span] = deque()
        self._suspects: deque[_Span] = deque()
        self._deaths: Counter[int] = Counter()

    def __bool__(self) -> bool:
        return self.is_alone or bool(self._returned) or self._next < self._n

    @property
    def is_alone(self) -> bool:
        """Tell whether what is next needs a worker that has nothing else: if that dies, it is why."""
        return bool(self._suspects)

    def take(self) -> _Span:
        """Return what is to be planned next."""
        if self._suspects or self._returned:
            return (self._suspects or self._returned).popleft()
        size = max(1, min(self._largest, (self._n - self._next) // (2 * self._places)))
        span = _Span(self._next, min(self._n, self._next + size))
        self._next = span.stop
        return span

    def give_back(self, span: _Span) -> int | None:
        """Queue anew, one by one, what died with its worker; return the place of what is to be given up."""
        self._deaths.update(range(*span))
        for i in reversed(range(*span)):
            (self._returned if self._deaths[i] == 1 else self._suspects).appendleft(_Span(i, i + 1))
        return next((i for i in range(*span) if self._deaths[i] >= _LIVES), None)


class _Task:
    """One task at work: `span` is what of it has not been handed in, `places` those that it takes."""

    def __init__(self, places: Sequence[Any], span: _Span) -> None:
        self.places = places
        self.worker = places[0]
        self.span = span

    def took(self, handed_in: Sequence[HandedIn]) -> None:
        """Count what has been handed in off."""
        n = sum(len(part) if isinstance(part, PlanBatch) else 1 for part in handed_in)
        self.span = _Span(self.span.start + n, self.span.stop)


class RayRun:
    """Workers at work; Ray is running already.

    A worker that dies is replaced. One that cannot be, because its node is gone, is waited for no longer than
    others work.
    """

    def __init__(self, judge: Judge, options: PlanOptions, num_workers: int | None, chunk_size: int) -> None:
        import ray

        cores = int(ray.cluster_resources().get("CPU", 1))
        count = num_workers or cores
        judge, options = (
            _share(judge, count, "judge"),
            replace(options, prior=_share(options.prior, count, "prior")),
        )
        shared = put(judge, "judge")
        if options.prior is not None:
            put(options.prior, "prior")  # to name it: it is sent with the options
        self._given = shared, ray.put(options)
        self.n_plans = describe(judge).concurrent_plans
        # A fraction of a core each: more workers than cores are allowed (judges that wait, not compute).
        share = min(1.0, cores / count)
        self._actor = ray.remote(StreamWorker).options(
            num_cpus=share * 0.999 if share < 1 else 1,
            # One more thread for the task at the door, and one to be told to finish by.
            max_concurrency=1 if self.n_plans == 1 else self.n_plans + 2,
        )
        self.workers: list[Any] = [self._new() for _ in range(count)]
        self._coming: dict[Any, Any] = {}
        self.chunk_size = chunk_size

    def _new(self) -> Any:
        return self._actor.remote(*self._given, self.n_plans)

    def plan(self, scenarios: Sequence[Scenario], searcher: Searcher) -> Iterator[HandedIn]:
        """Yield what the workers hand in, as it comes."""
        import ray

        queue = _Queue(len(scenarios), len(self.workers) * self.n_plans, self.chunk_size)
        shared: list[Any] = [put(searcher, "search")]
        if isinstance(scenarios, StoredScenarios):
            shared.append(ray.put(scenarios.schema))
        running: dict[Any, _Task] = {}
        idle = deque(self.workers * (self.n_plans + 1))  # one more than it works at: it waits at the door
        while queue or running:
            while queue and (places := self._free(idle, queue.is_alone)):
                task = _Task(places, queue.take())
                chunk = scenarios[task.span.start : task.span.stop]
                sent = chunk.packed() if isinstance(chunk, StoredScenarios) else chunk
                running[task.worker.plan.options(num_returns="streaming").remote(sent, shared)] = task
            try:
                stream = self._next_of(running, idle)
                if stream is None:
                    continue
                outcomes: Sequence[HandedIn] = result_of(next(stream))
            except StopIteration:
                idle.extend(running.pop(stream).places)
            except WorkerLostError as lost:
                task = running.pop(stream)
                self._replace(task.worker, idle)
                if (place := queue.give_back(task.span)) is not None:
                    self._finish()
                    yield from _what_is_ready(list(running))
                    raise _given_up(scenarios[place]) from lost
            except (UserError, ray.exceptions.RayError, KeyboardInterrupt):
                self._finish()
                yield from _what_is_ready(list(running))
                raise
            else:
                running[stream].took(outcomes)
                yield from outcomes

    def _free(self, idle: deque[Any], alone: bool) -> list[Any]:
        """Take a place of a worker out of `idle`; all of one where the task has to be alone; [] = wait."""
        if not alone:
            return [idle.popleft()] if idle else []
        every = self.n_plans + 1
        worker = next((worker for worker in idle if idle.count(worker) == every), None)
        if worker is None:
            return []
        for _ in range(every):
            idle.remove(worker)
        return [worker] * every

    def _next_of(self, running: dict[Any, _Task], idle: deque[Any]) -> Any:
        """Return the first stream that has something; None when a new worker has begun instead."""
        import ray

        found = _ready([*running, *self._coming], None if running else _START_S)
        if found is None:
            raise OutsideError(
                f"the Ray workers died, and in {_START_S:.0f} s none could be started anew; "
                f"what was finished is saved, run again with resume=true"
            )
        if found not in self._coming:
            return found
        worker = self._coming.pop(found)
        try:
            ray.get(found)
        except ray.exceptions.RayError:
            self._replace(worker, idle)
        else:
            idle.extend([worker] * (self.n_plans + 1))
        return None

    def _replace(self, worker: Any, idle: deque[Any]) -> None:
        """Start another worker in place of one that is lost, unless that was done; once up, it gets work."""
        import ray

        if worker not in self.workers:
            return
        for _ in range(idle.count(worker)):
            idle.remove(worker)
        with suppress(ray.exceptions.RayError):
            ray.kill(worker)
        new = self._new()
        self.workers[self.workers.index(worker)] = new
        self._coming[new.ready.remote()] = new

    def _finish(self) -> None:
        """Let workers that make several plans at once end their calls of the judge; others are at one."""
        import ray

        if self.n_plans > 1:
            told = [worker.finish.remote(_LAST_CALLS_S) for worker in self.workers]
            ray.wait(told, num_returns=len(told), timeout=_LAST_CALLS_S)

    def stop(self) -> None:
        """Let the workers go."""
        import ray

        self._finish()
        for worker in self.workers:
            ray.kill(worker)


class WorkerLostError(Exception):
    """A worker died, or what it had handed in went with its node."""


def _given_up(scenario: Scenario) -> OutsideError:
    return OutsideError(
        f"scenario {scenario.id}: {_LIVES} Ray workers died at it (out of memory, or killed); "
        f"what was finished is saved, run again with resume=true"
    )


def _share(part: Any, workers: int, role: str) -> Any:
    """Return a judge or prior for one of `workers`: its limits divided, where it has `shard`."""
    shard = describe(part, role).shard
    return part if shard is None else shard(workers)


def _ready(streams: Sequence[Any], timeout: float | None) -> Any:
    """Return the first stream that has something (a result, an error, its end), None after `timeout`."""
    import ray

    ready, _ = ray.wait(list(streams), num_returns=1, timeout=timeout)
    return ready[0] if ready else None


def _what_is_ready(streams: list[Any]) -> Iterator[HandedIn]:
    """Yield the outcomes that the other workers have handed in when one has failed."""
    import ray

    while streams and (stream := _ready(streams, 0)) is not None:
        try:
            outcomes = list(ray.get(next(stream)))
        except (StopIteration, ray.exceptions.RayError):
            streams.remove(stream)
        else:
            yield from outcomes


def result_of(reference: Any) -> Any:
    """Return the result behind `reference`; a task's own `UserError` is raised as it is.

    Raises
    ------
    WorkerLostError
        the worker died, or the result was lost with its node.
    """
    import ray

    errors = ray.exceptions
    try:
        return ray.get(reference)
    except errors.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from None  # of its own kind: it knows the exit code
        raise
    except (
        *(errors.RayActorError, errors.WorkerCrashedError, errors.NodeDiedError),
        *(errors.OutOfMemoryError, errors.ObjectLostError),
    ) as error:
        raise WorkerLostError from error
