"""Plan over Ray workers, each with its own judge; Ray is imported only when it is started."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from envs import Judge, OutsideError, UserError
from envs.judges.protocol import describe
from search.parallel.ray_run import RayRun, WorkerLostError, result_of
from search.parallel.ray_start import start_ray
from search.parallel.sendable import NotSendable as NotSendable
from search.parallel.workers import Run
from search.planning import PlanOptions
from search.problem import Searcher, describe_searcher

T = TypeVar("T")
R = TypeVar("R")


class Ray:
    """Ray workers, each with its own copy of the judge; scenarios stream to them in chunks.

    A worker that dies, alone or with its node, is replaced, and what it had not handed in is planned again.

    Parameters
    ----------
    num_workers : None = one a core that this process may use (of the cluster, with `address`)
    address : None = a local Ray that wants a token, without dashboard; "auto" or "host:port" = join a cluster
    chunk_size : scenarios a task, at most. What a killed run loses at most, a worker: the plans of its last
        half second and the scenario it was at
    """

    def __init__(
        self, num_workers: int | None = None, address: str | None = None, chunk_size: int = 512
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
        return RayRun(judge, options, self.num_workers, self.chunk_size)

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield (index of the task, `function(task)`) as each is finished, in any order."""
        start_ray(self.num_workers, self.address)
        return _ray_map(function, tasks, self.num_workers)


def warm_up(judge: Judge, searcher: Searcher) -> None:
    """Compile: the code is in the cache on disk before any worker starts, so that each only loads it."""
    for part in (describe(judge), describe_searcher(searcher)):
        if part.warm_up is not None:
            part.warm_up()


def can_share(part: Any, role: str) -> bool:
    """Tell whether a judge or prior has limits, which workers would have to share."""
    return describe(part, role).shard is not None


def _ray_map(
    function: Callable[[T], R], tasks: Sequence[T], num_workers: int | None
) -> Iterator[tuple[int, R]]:
    """Yield (index of the task, its result) as each is finished; Ray is running already.

    The tasks that have not begun when one fails, or when the caller stops listening, are never run.

    Raises
    ------
    UserError
        raised by a task, or its worker died again and again.
    """
    import ray

    cores = int(ray.cluster_resources().get("CPU", 1))
    share = min(1.0, cores / (num_workers or cores))
    remote = ray.remote(function).options(num_cpus=share * 0.999 if share < 1 else 1, max_retries=2)
    waiting = deque(enumerate(tasks))
    running: dict[Any, int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < 2 * (num_workers or cores):  # the next one waits at the door
                index, task = waiting.popleft()
                running[remote.remote(task)] = index
            (ready, *_), _ = ray.wait(list(running), num_returns=1)
            index = running.pop(ready)
            try:
                yield index, result_of(ready)
            except WorkerLostError as lost:
                raise OutsideError(
                    "three Ray workers died at one task (out of memory, or killed); "
                    "what was finished is saved, run again with resume=true"
                ) from lost
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
