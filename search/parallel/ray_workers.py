"""Plan over Ray workers, each with its own judge; Ray is imported only when it is started."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from envs import Judge, OutsideError, Scenario, UserError
from envs.judges.protocol import describe
from search.parallel.ray_start import start_ray
from search.parallel.sendable import NotSendable as NotSendable
from search.parallel.sendable import put
from search.parallel.workers import Outcome, Run, StreamWorker
from search.planning import PlanOptions
from search.problem import Searcher, describe_searcher

_LAST_CALLS_S = 60.0
"""Seconds a worker that is told to stop gets for the judge's answers under way, which are paid for."""

T = TypeVar("T")
R = TypeVar("R")


class Ray:
    """Ray workers, each with its own copy of the judge; scenarios stream to them in chunks.

    Parameters
    ----------
    num_workers : None = one a core that this process may use (of the cluster, with `address`)
    address : None = a local Ray on loopback without dashboard; "auto" or "host:port" = join a cluster
    chunk_size : scenarios a task. What a killed run loses at most, a worker: the plans of its last half
        second and the scenario it was at
    """

    def __init__(
        self, num_workers: int | None = None, address: str | None = None, chunk_size: int = 8
    ) -> None:
        if num_workers is not None and num_workers < 1:
            raise UserError(f"parallel.num_workers: found {num_workers}, expected an integer >= 1 or null")
        if chunk_size < 1:
            raise UserError(f"parallel.chunk_size: found {chunk_size}, expected an integer >= 1")
        self.num_workers = num_workers
        self.address = address
        self.chunk_size = chunk_size

    def start(self, judge: Judge, searcher: Searcher, options: PlanOptions, n_scenarios: int) -> Run:
        """Start Ray where it is not running, compile once, then start the workers.

        Raises
        ------
        NotSendable
            the judge or prior cannot be sent to other processes.
        """
        warm_up(judge, searcher)
        start_ray(self.num_workers, self.address)
        return _RayRun(judge, options, self.num_workers, self.chunk_size)

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield (index of the task, `function(task)`) as each is finished, in any order."""
        start_ray(self.num_workers, self.address)
        return _ray_map(function, tasks, self.num_workers)


def warm_up(judge: Judge, searcher: Searcher) -> None:
    """Compile: the code is in the cache on disk before any worker starts, so that each only loads it."""
    for part in (describe(judge), describe_searcher(searcher)):
        if part.warm_up is not None:
            part.warm_up()


class _RayRun:
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
        shared_options = ray.put(options)
        self.n_plans = describe(judge).concurrent_plans
        # A fraction of a core each: more workers than cores are allowed (judges that wait, not compute).
        share = min(1.0, cores / count)
        actor = ray.remote(StreamWorker).options(
            num_cpus=share * 0.999 if share < 1 else 1,
            # One more thread for the task at the door, and one to be told to finish by.
            max_concurrency=1 if self.n_plans == 1 else self.n_plans + 2,
        )
        self.workers: list[Any] = [actor.remote(shared, shared_options, self.n_plans) for _ in range(count)]
        self.chunk_size = chunk_size

    def plan(self, scenarios: Sequence[Scenario], searcher: Searcher) -> Iterator[Outcome]:
        import ray

        places = len(self.workers) * self.n_plans
        size = max(1, min(self.chunk_size, len(scenarios) // (2 * places)))
        chunks = deque(scenarios[i : i + size] for i in range(0, len(scenarios), size))
        shared = put(searcher, "search")
        running: dict[Any, Any] = {}
        idle = deque(self.workers * (self.n_plans + 1))  # one more than it works at: it waits at the door
        while chunks or running:
            while chunks and idle:
                worker = idle.popleft()
                stream = worker.plan.options(num_returns="streaming").remote(chunks.popleft(), shared)
                running[stream] = worker
            try:
                stream = _ready(list(running), None)
                outcomes: list[Outcome] = _result(next(stream))
            except StopIteration:
                idle.append(running.pop(stream))
            except (UserError, ray.exceptions.RayError, KeyboardInterrupt):
                self._finish()
                yield from _what_is_ready(list(running))
                raise
            else:
                yield from outcomes

    def _finish(self) -> None:
        """Let workers that make several plans at once end their calls of the judge; others are at one."""
        import ray

        if self.n_plans > 1:
            told = [worker.finish.remote(_LAST_CALLS_S) for worker in self.workers]
            ray.wait(told, num_returns=len(told), timeout=_LAST_CALLS_S)

    def stop(self) -> None:
        import ray

        self._finish()
        for worker in self.workers:
            ray.kill(worker)


def can_share(part: Any, role: str) -> bool:
    """Tell whether a judge or prior has limits, which workers would have to share."""
    return describe(part, role).shard is not None


def _share(part: Any, workers: int, role: str) -> Any:
    """Return a judge or prior for one of `workers`: its limits divided, where it has `shard`."""
    shard = describe(part, role).shard
    return part if shard is None else shard(workers)


def _ready(streams: Sequence[Any], timeout: float | None) -> Any:
    """Return the first stream that has something (a result, an error, its end), None after `timeout`."""
    import ray

    ready, _ = ray.wait(list(streams), num_returns=1, timeout=timeout)
    return ready[0] if ready else None


def _what_is_ready(streams: list[Any]) -> Iterator[Outcome]:
    """Yield the outcomes that the other workers have handed in when one has failed."""
    import ray

    while streams and (stream := _ready(streams, 0)) is not None:
        try:
            outcomes = list(ray.get(next(stream)))
        except (StopIteration, ray.exceptions.RayError):
            streams.remove(stream)
        else:
            yield from outcomes


def _result(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from None  # of its own kind: it knows the exit code
        raise
    except (ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError) as error:
        raise OutsideError(
            "a Ray worker died (out of memory, or killed); what was finished is saved, "
            "run again with resume=true"
        ) from error


def _ray_map(
    function: Callable[[T], R], tasks: Sequence[T], num_workers: int | None
) -> Iterator[tuple[int, R]]:
    """Yield (index of the task, its result) as each is finished; Ray is running already.

    The tasks that have not begun when one fails, or when the caller stops listening, are never run.

    Raises
    ------
    UserError
        raised by a task, or a worker died.
    """
    import ray

    cores = int(ray.cluster_resources().get("CPU", 1))
    share = min(1.0, cores / (num_workers or cores))
    remote = ray.remote(function).options(num_cpus=share * 0.999 if share < 1 else 1, max_retries=0)
    waiting = deque(enumerate(tasks))
    running: dict[Any, int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < 2 * (num_workers or cores):  # the next one waits at the door
                index, task = waiting.popleft()
                running[remote.remote(task)] = index
            (ready, *_), _ = ray.wait(list(running), num_returns=1)
            index = running.pop(ready)
            yield index, _result(ready)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
