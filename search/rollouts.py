"""Planning many scenarios, serially or over Ray workers, with the same rows either way.

Each scenario is planned alone: its random numbers come from (run seed, its id) and its memo of scores is its
own, so neither the number of workers nor the order of completion can change a row. A searcher that
learns across scenarios (`fit`) is the one exception, and learns in waves at fixed places of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from envs import Judge, Scenario, UserError
from envs.loading.stored_scenarios import StoredScenarios
from envs.scenario import within_one_plan
from search.parallel.auto import Auto
from search.parallel.ray_workers import Ray
from search.parallel.workers import HandedIn, Parallel, Serial
from search.plan_lines import PlanBatch, batch_of
from search.planning import Failure, PlanOptions, Prior, ScenarioPlan
from search.problem import Observations, Searcher, describe_searcher

__all__ = ["Auto", "Failure", "Ray", "ScenarioPlan", "Serial", "plan", "plan_batches"]


def plan(
    scenarios: Sequence[Scenario],
    judge: Judge,
    searcher: Searcher,
    budget: int = 4,
    seed: int = 0,
    parallel: Parallel | None = None,
    *,
    cost_weight: float = 0.0,
    dropout: float = 0.1,
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
    scenarios : of a schema of over 64 attributes those are planned with that most of these scenarios have
    parallel : `Serial()` (None), `Ray(num_workers=..., address=...)`, or `Auto()`, which takes one of them
    max_judge_calls : limit of each scenario's search; the report's samples come on top
    wave : scenarios between two calls of `searcher.fit`, where it has one
    done : ids that are planned already (a run resumed), with what their searches saw; they are skipped
    on_failure : called with each scenario that could not be planned; None = such scenarios are left out

    Raises
    ------
    UserError
        options out of range, two scenarios of one id, or a plug-in that returned what is no plan or score.
    """
    options = PlanOptions(
        budget=budget,
        seed=seed,
        cost_weight=cost_weight,
        dropout=dropout,
        report_samples=report_samples,
        max_judge_calls=max_judge_calls,
        prior=prior,
    )
    return _plans(_checked(scenarios, judge, searcher, options, parallel, wave, done), on_failure)


def plan_batches(
    scenarios: Sequence[Scenario],
    judge: Judge,
    searcher: Searcher,
    options: PlanOptions,
    parallel: Parallel | None = None,
    *,
    wave: int = 50,
    done: Mapping[str, Observations | None] | None = None,
) -> Generator[PlanBatch, None, None]:
    """Yield what `plan` does, encoded: workers hand in bytes, and nothing is kept of them here.

    A searcher that learns (`fit`) is told of all plans of earlier waves, which are kept for it.
    """
    learns = describe_searcher(searcher).fit is not None
    options = replace(options, encoded=not learns)
    return _batches(_checked(scenarios, judge, searcher, options, parallel, wave, done))


def _plans(
    running: Generator[HandedIn, None, None], on_failure: Callable[[Failure], None] | None
) -> Generator[ScenarioPlan, None, None]:
    with closing(running):
        for outcome in running:
            if isinstance(outcome, ScenarioPlan):
                yield outcome
            elif isinstance(outcome, Failure) and on_failure is not None:
                on_failure(outcome)


def _batches(running: Generator[HandedIn, None, None]) -> Generator[PlanBatch, None, None]:
    with closing(running):
        for outcome in running:
            yield outcome if isinstance(outcome, PlanBatch) else batch_of([outcome])


def _checked(
    scenarios: Sequence[Scenario],
    judge: Judge,
    searcher: Searcher,
    options: PlanOptions,
    parallel: Parallel | None,
    wave: int,
    done: Mapping[str, Observations | None] | None,
) -> Generator[HandedIn, None, None]:
    """Check at the call, and return what plans when it is asked to."""
    if isinstance(wave, bool) or not isinstance(wave, int) or wave < 1:
        raise UserError(f"search.wave: found {wave!r}, expected an integer >= 1")
    learns = describe_searcher(searcher).fit is not None
    if not isinstance(scenarios, StoredScenarios):  # what read those has seen to it
        scenarios = within_one_plan(scenarios)
        _refuse_twice(scenarios)
    size = wave if learns else max(1, len(scenarios))
    waves = [scenarios[i : i + size] for i in range(0, len(scenarios), size)]
    options = replace(options, keep_observations=learns)
    return _plan_waves(waves, judge, searcher, parallel or Serial(), options, done or {})


def _refuse_twice(scenarios: Sequence[Scenario]) -> None:
    seen: set[str] = set()
    for scenario in scenarios:
        if scenario.id in seen:
            raise UserError(f"scenario {scenario.id}: the id occurs twice, expected distinct ids")
        seen.add(scenario.id)


def _plan_waves(
    waves: Sequence[Sequence[Scenario]],
    judge: Judge,
    searcher: Searcher,
    parallel: Parallel,
    options: PlanOptions,
    done: Mapping[str, Observations | None],
) -> Generator[HandedIn, None, None]:
    history: list[Observations] = []
    todo = [_without(wave, done) for wave in waves]
    run = parallel.start(judge, searcher, options, sum(map(len, todo)))
    try:
        for wave, left in zip(waves, todo, strict=True):
            fit = describe_searcher(searcher).fit
            if history and fit is not None:
                searcher = fit(tuple(history))
            observations = dict(done)
            for outcome in run.plan(left, searcher):
                if options.keep_observations and isinstance(outcome, ScenarioPlan):
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


def _without(scenarios: Sequence[Scenario], done: Mapping[str, object]) -> Sequence[Scenario]:
    return [s for s in scenarios if s.id not in done] if done else scenarios
