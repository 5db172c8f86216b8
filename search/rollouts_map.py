"""Many tasks of any kind over Ray workers: what `Ray.map` of `search.rollouts` does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from envs import UserError

T = TypeVar("T")
R = TypeVar("R")


def ray_map(
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


def _result(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise UserError(str(error.cause)) from None
        raise
    except ray.exceptions.WorkerCrashedError as error:
        raise UserError(
            "a Ray worker died (out of memory, or killed); what was finished is saved, "
            "run again with resume=true"
        ) from error
