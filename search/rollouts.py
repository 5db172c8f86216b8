"""Planning many scenarios, serially or over Ray workers, with the same rows either way.

Each scenario is planned alone: its random numbers come from (run seed, its id) and its memo of scores is its
own, so neither the number of workers nor the order of completion can change a row. A searcher that
learns across scenarios (`fit`) is the one exception, and learns in waves at fixed places of the file.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from envs import Judge, Scenario, UserError
from search.concurrency import concurrent_plans
from search.planning import Failure, PlanOptions, Prior, ScenarioPlan
from search.problem import Observations, Searcher
from search.rollouts_map import ray_map
from search.workers import Outcome, Parallel, Run, Serial, StreamWorker

__all__ = ["Failure", "Ray", "ScenarioPlan", "Serial", "plan"]

_LAST_CALLS_S = 60.0
"""Seconds a worker that is told to stop gets for the judge's answers under way, which are paid for."""

T = TypeVar("T")
R = TypeVar("R")


def plan(
    scenarios: Sequence[Scenario],
    judge: Judge,
    searcher: Searcher,
    budget: int = 4,
    seed: int = 0,
    parallel: Parallel | None = None,
    *,
    cost_weight: float = 0.0,
    report_samples: int = 8,
    max_judge_calls: int | None = None,
    prior: Prior | None = None,
    wave: int = 50,
    done: Mapping[str, Observations | None] | None = None,
    on_failure: Callable[[Failure], None] | None = None,
) -> Generator[ScenarioPlan, None, None]:
    """Yield the plan of each scenario as it is finished (`parallel=None` or `Serial()`: in file order).

    A judge with `concurrent_plans` above 1 is asked by that many plans at once in each worker, in threads. A
    run that is over (an error, an interrupt, `close`) waits for the answers under way and asks no more.

    Parameters
    ----------
    parallel : `Serial()` (None) or `Ray(num_workers=..., address=...)`
    max_judge_calls : limit of each scenario's search; the report's samples come on top
    wave : scenarios between two calls of `searcher.fit`, where it has one
    done : ids that are planned already (a run resumed), with what their searches saw; they are skipped
    on_failure : called with each scenario that could not be planned; None = such scenarios are left out

    Raises
    ------
    UserError
        options out of range, two scenarios of one id, or a plug-in that returned what is no plan or score.
    """
    learns = hasattr(searcher, "fit")
    options = PlanOptions(
        budget=budget,
        seed=seed,
        cost_weight=cost_weight,
        report_samples=report_samples,
        max_judge_calls=max_judge_calls,
        prior=prior,
        keep_observations=learns,
    )
    if isinstance(wave, bool) or not isinstance(wave, int) or wave < 1:
        raise UserError(f"search.wave: found {wave!r}, expected an integer >= 1")
    seen: set[str] = set()
    for scenario in scenarios:
        if scenario.id in seen:
            raise UserError(f"scenario {scenario.id}: the id occurs twice, expected distinct ids")
        seen.add(scenario.id)
    size = wave if learns else max(1, len(scenarios))
    waves = [scenarios[i : i + size] for i in range(0, len(scenarios), size)]
    return _plan_waves(waves, judge, searcher, parallel or Serial(), options, done or {}, on_failure)


def _plan_waves(
    waves: Sequence[Sequence[Scenario]],
    judge: Judge,
    searcher: Searcher,
    parallel: Parallel,
    options: PlanOptions,
    done: Mapping[str, Observations | None],
    on_failure: Callable[[Failure], None] | None,
) -> Generator[ScenarioPlan, None, None]:
    history: list[Observations] = []
    run = parallel.start(judge, searcher, options)
    try:
        for wave in waves:
            if history:
                searcher = searcher.fit(tuple(history))  # type: ignore[attr-defined]
            observations = dict(done)
            for outcome in run.plan([s for s in wave if s.id not in done], searcher):
                if isinstance(outcome, Failure):
                    if on_failure is not None:
                        on_failure(outcome)
                    continue
                observations[outcome.scenario_id] = outcome.observations
                yield outcome
            if options.keep_observations:
                for scenario in wave:  # scenario order, not order of completion
                    seen = observations.get(scenario.id)
                    if seen is not None:
                        # Codes tell of a person's values: a journal leaves them out, the scenario has them.
                        history.append(seen._replace(codes=scenario.codes))
    finally:
        run.stop()


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
        return ray_map(function, tasks, self.num_workers)


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
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
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
                outcomes = _result(next(stream))
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
    """Return a judge or prior for one of `workers`: its limits divided, where it has `divided`."""
    divided = getattr(part, "divided", None)
    return part if divided is None else divided(workers)


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


def _result(reference: Any) -> list[Outcome]:
    import ray

    try:
        return list(ray.get(reference))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from None  # of its own kind: it knows the exit code
        raise
    except ray.exceptions.RayActorError as error:
        raise UserError(
            "a Ray worker died (out of memory, or killed); what was finished is saved, "
            "run again with resume=true"
        ) from error
