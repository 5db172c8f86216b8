"""Planning over Ray workers. Ray is imported here alone, and only when it is started."""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from envs import Judge, Scenario, UserError
from search.parallel.concurrency import concurrent_plans
from search.parallel.worker_path import worker_options
from search.parallel.workers import Outcome, Run, StreamWorker
from search.planning import PlanOptions
from search.problem import Searcher

_LAST_CALLS_S = 60.0
"""Seconds a worker that is told to stop gets for the judge's answers under way, which are paid for."""

T = TypeVar("T")
R = TypeVar("R")


class Ray:
    """Ray workers, each with its own copy of the judge; scenarios stream to them in chunks.

    Parameters
    ----------
    num_workers : None = one a core (of the cluster, with `address`)
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

    def start(self, judge: Judge, searcher: Searcher, options: PlanOptions) -> Run:
        """Start Ray where it is not running, compile once, then start the workers."""
        for part in (judge, searcher):
            # Compiled code goes to the cache on disk before any worker starts, so that each only loads it.
            getattr(part, "warm_up", lambda: None)()
        _start_ray(self.num_workers, self.address)
        return _RayRun(judge, options, self.num_workers, self.chunk_size)

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield (index of the task, `function(task)`) as each is finished, in any order."""
        _start_ray(self.num_workers, self.address)
        return _ray_map(function, tasks, self.num_workers)


def _start_ray(num_workers: int | None, address: str | None) -> None:
    # Read by Ray at import and by its workers at start: no telemetry, no warning about absent accelerators.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        return
    if address is not None:
        try:
            _knock(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **worker_options())
        except OSError:
            raise UserError(
                f"parallel.address={address}: no Ray cluster answers there, "
                f"or none that takes our RAY_AUTH_TOKEN; "
                f"start one with `ray start --head`, or take parallel.address=null"
            ) from None
        return
    ray.init(
        address="local",
        num_cpus=num_workers or os.cpu_count(),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=128 * 1024**2,  # plans are small; the default is a third of the memory
        _node_ip_address="127.0.0.1",
        **worker_options(),
    )


def _knock(address: str) -> None:
    """Raise OSError where nothing listens at "host:port"; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


class _RayRun:
    def __init__(self, judge: Judge, options: PlanOptions, num_workers: int | None, chunk_size: int) -> None:
        import ray

        cores = int(ray.cluster_resources().get("CPU", 1))
        count = num_workers or cores
        judge, options = _share(judge, count), replace(options, prior=_share(options.prior, count))
        shared = ray.put(judge)
        self.n_plans = concurrent_plans(judge)
        # A fraction of a core each: more workers than cores are allowed (judges that wait, not compute).
        share = min(1.0, cores / count)
        actor = ray.remote(StreamWorker).options(
            num_cpus=share * 0.999 if share < 1 else 1,
            # One more thread for the task at the door, and one to be told to finish by.
            max_concurrency=1 if self.n_plans == 1 else self.n_plans + 2,
        )
        self.workers: list[Any] = [actor.remote(shared, options, self.n_plans) for _ in range(count)]
        self.chunk_size = chunk_size

    def plan(self, scenarios: Sequence[Scenario], searcher: Searcher) -> Iterator[Outcome]:
        import ray

        places = len(self.workers) * self.n_plans
        size = max(1, min(self.chunk_size, len(scenarios) // (2 * places)))
        chunks = deque(scenarios[i : i + size] for i in range(0, len(scenarios), size))
        shared = ray.put(searcher)
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


def _share(part: Any, workers: int) -> Any:
    """Return a judge or prior for one of `workers`: its limits divided, where it has `shard`."""
    shard = getattr(part, "shard", None)
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
        raise UserError(
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
