"""Planning many scenarios: together where the judge is compiled, else one by one, with the same rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from envs import Judge, Scenario
from envs.judges.protocol import MAX_SCORE, MIN_SCORE, describe
from search.planning import PlanOptions, ScenarioPlan
from search.plans import ALL_RAN, EVERY_SET
from search.problem import Searcher, describe_searcher
from search.scenario_problem import scores_of_many, surfaces_of

if TYPE_CHECKING:
    from search.core.surface_plans import SurfacePlans

TOGETHER = 128
"""Scenarios of one compiled call: few enough that an interrupt waits for some hundredths of a second."""


def are_planned_together(judge: Judge, searcher: Searcher, options: PlanOptions) -> bool:
    """Tell whether judge and searcher declare that many of their plans are made in one compiled call."""
    told = describe(judge)
    return (
        told.surface is not None
        and not told.stochastic
        and told.concurrent_plans == 1
        and told.request_costs is None
        and describe_searcher(searcher).plan_surfaces is not None
        and options.prior is None
        and options.max_judge_calls is None
        and not options.cost_weight
        and not options.keep_observations
    )


def planned_together(
    scenarios: Sequence[Scenario],
    judge: Judge,
    searcher: Searcher,
    options: PlanOptions,
    before_call: Callable[[], None] | None = None,
) -> list[ScenarioPlan | None]:
    """Return for each of `scenarios` what `plan_scenario` would, or None where it is to be asked itself."""
    found: list[ScenarioPlan | None] = []
    if not scenarios or not are_planned_together(judge, searcher, options):
        return [None] * len(scenarios)
    batch = _PlannedTogether(judge, searcher, options, before_call)
    for _, group in groupby(scenarios, lambda scenario: id(scenario.schema)):
        found += batch.planned(tuple(group))
    return found


class _PlannedTogether:
    """Plans of many scenarios of one judge and searcher."""

    def __init__(
        self,
        judge: Judge,
        searcher: Searcher,
        options: PlanOptions,
        before_call: Callable[[], None] | None,
    ) -> None:
        self.judge, self.options, self.before_call = judge, options, before_call
        self.told, self.who = describe(judge), describe_searcher(searcher)

    def planned(self, scenarios: tuple[Scenario, ...]) -> list[ScenarioPlan | None]:
        """Return the plans of `scenarios`, all of one schema; None for those that are to be made alone."""
        nothing: list[ScenarioPlan | None] = [None] * len(scenarios)
        askable = np.array([scenario.askable for scenario in scenarios], np.uint64)
        search = self.who.plan_surfaces
        if search is None or not askable.all():
            return nothing
        surfaces = surfaces_of(scenarios, self.told)
        if surfaces is None:
            return nothing
        n = len(scenarios[0].schema)
        plans = search(surfaces, askable, n, self.options.budget, self.options.dropout)
        if plans is None:
            return nothing
        if self.before_call is not None:
            self.before_call()
        return self._rows(scenarios, plans, self._report(scenarios, plans, askable))

    def _report(
        self, scenarios: tuple[Scenario, ...], plans: SurfacePlans, askable: np.ndarray
    ) -> np.ndarray:
        """Return float64[K, B + 2], the judge's own score of each prefix, and last of all attributes; or NaN.

        So a false twin of the judge is found out.
        """
        steps = np.arange(plans.path.shape[1] + 2)
        wanted = plans.decided[:, None] & ((steps <= plans.length[:, None]) | (steps == steps[-1]))
        masks = np.zeros(wanted.shape, np.uint64)
        masks[:, 1:-1] = np.cumsum(np.uint64(1) << plans.path.astype(np.uint64), axis=1)
        masks[:, -1] = askable
        found = np.full(wanted.shape, np.nan)
        found[wanted] = scores_of_many(scenarios, self.judge, self.told, np.nonzero(wanted)[0], masks[wanted])
        return found

    def _rows(
        self, scenarios: tuple[Scenario, ...], plans: SurfacePlans, report: np.ndarray
    ) -> list[ScenarioPlan | None]:
        names, options = scenarios[0].schema.names, self.options
        ends = plans.weighed_to.tolist()
        weighed = list(
            zip(
                plans.step[: ends[-1]].tolist(),
                [names[a] for a in plans.attribute[: ends[-1]].tolist()],
                plans.visits[: ends[-1]].tolist(),
                plans.value[: ends[-1]].tolist(),
                strict=True,
            )
        )
        believed = plans.scores[np.arange(len(ends)), plans.length].clip(MIN_SCORE, MAX_SCORE).tolist()
        paths, lengths, told = plans.path.tolist(), plans.length.tolist(), report.tolist()
        ran, scored = plans.simulations.tolist(), plans.scored.tolist()
        judge = self.told.current_name()
        rows: list[ScenarioPlan | None] = []
        for k, scenario in enumerate(scenarios):
            score = told[k][lengths[k]]
            if not plans.decided[k] or math.isnan(score):
                rows.append(None)
                continue
            rows.append(
                ScenarioPlan(
                    scenario_id=scenario.id,
                    domain=scenario.domain,
                    query=scenario.query,
                    path=tuple(names[a] for a in paths[k][: lengths[k]]),
                    path_scores=tuple(None if s != s else s for s in told[k][: lengths[k] + 1]),
                    score=score,
                    score_stderr=0.0,
                    n_samples=1,
                    search_score=believed[k],
                    budget=options.budget,
                    num_simulations=ran[k],
                    judge_calls=scored[k],
                    search=self.who.name,
                    judge=judge,
                    seed=options.seed,
                    score_full=told[k][-1],
                    search_calls=scored[k],
                    full_calls=1,
                    stopped=ALL_RAN if ran[k] == self.who.num_simulations else EVERY_SET,
                    alternatives=tuple(weighed[ends[k - 1] if k else 0 : ends[k]]),
                )
            )
        return rows
