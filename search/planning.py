"""Planning one scenario: search, check, then report on samples the search has not seen."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from envs import Judge, Scenario, UserError
from envs.checking.json_values import with_nulls
from envs.judges.protocol import MAX_SCORE, MIN_SCORE, Capabilities, describe
from search.path_table import PathRecord
from search.plans import Plan, check_plan
from search.problem import (
    JudgeCallsSpent,
    Observations,
    PlanningFailed,
    Problem,
    Searcher,
    SetPrior,
    describe_searcher,
    uniform_prior,
)
from search.scenario_problem import scenario_problem
from search.surrogate.reallocate import finish

REPORT_SAMPLE = 1 << 20
"""First sample index of the report: no search evaluations that often, so the report's samples are fresh."""

Prior = Callable[[Scenario, int], "np.ndarray | None"]
"""(scenario, mask of known attributes) -> float64[n], weights of the next question, or None = uniform."""


@dataclass(frozen=True)
class PlanOptions:
    """What holds for every scenario of a run.

    `report_samples`: fresh samples a prefix is reported on when the judge is stochastic. `max_judge_calls`:
    limit of the search's own calls a scenario; None = none. `cost_weight`: score points a unit of cost.
    `dropout`: chance that a person stops answering before each further question, which orders the path.
    `encoded`: workers may hand in plans as `search.plan_lines.PlanBatch`, which is less to send than objects.
    """

    budget: int = 4
    seed: int = 0
    cost_weight: float = 0.0
    dropout: float = 0.1
    report_samples: int = 8
    max_judge_calls: int | None = None
    prior: Prior | None = None
    keep_observations: bool = False
    encoded: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (("budget", 1, 2**31), ("report_samples", 1, 2**20), ("seed", 0, 2**63)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value < high:
                raise UserError(f"{name}: found {value!r}, expected an integer {low} <= {name} < {high}")
        calls = self.max_judge_calls
        if calls is not None and (isinstance(calls, bool) or not isinstance(calls, int) or calls < 2):
            wanted = "an integer >= 2 (nothing known, and one question answered) or null"
            raise UserError(f"search.max_judge_calls: found {calls!r}, expected {wanted}")
        if not (math.isfinite(self.cost_weight) and self.cost_weight >= 0):
            raise UserError(f"cost_weight: found {self.cost_weight}, expected a finite number >= 0")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout: found {self.dropout}, expected a probability, 0 to below 1")


@dataclass(frozen=True)
class ScenarioPlan(PathRecord):
    """A row of the path table, with what the run wants to know beyond it.

    `score_full`: mean score with everything known (NaN = unscored); its calls are not in `judge_calls`.
    `search_calls`: the part of `judge_calls` that the search made. `alternatives`: (step, attribute name,
    visits, value). `requests`, `cache_hits`: what judge and prior counted meanwhile; `invalid_rankings`: sets
    that a prior's ranking failed for.
    """

    score_full: float = math.nan
    search_calls: int = 0
    full_calls: int = 0
    requests: int = 0
    cache_hits: int = 0
    invalid_rankings: int = 0
    stopped: str = ""
    alternatives: tuple[tuple[int, str, int, float], ...] = ()
    observations: Observations | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Failure:
    """A scenario that could not be planned: at which stage (`load`, `judge`, `report`), and why."""

    scenario_id: str
    stage: str
    reason: str


Outcome = ScenarioPlan | Failure


def scenario_rng(seed: int, scenario_id: str) -> np.random.Generator:
    """Return the generator of one scenario: PCG64 seeded by (run seed, SHA-256 of the id)."""
    words = np.frombuffer(hashlib.sha256(scenario_id.encode()).digest(), dtype="<u4")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words.tolist()])))


def plan_scenario(
    scenario: Scenario,
    judge: Judge,
    searcher: Searcher,
    options: PlanOptions,
    before_call: Callable[[], None] | None = None,
) -> ScenarioPlan:
    """Plan one scenario and report on the path.

    `before_call` is called before each call of the judge and of the prior; what it raises ends the plan.

    Raises
    ------
    PlanningFailed
        the judge gave no score where one is needed.
    UserError
        the searcher returned something that is no plan for this problem.
    """
    told = describe(judge)
    described = [told] if options.prior is None else [told, describe(options.prior, "prior")]
    problem = scenario_problem(
        scenario,
        judge,
        options.budget,
        cost_weight=options.cost_weight,
        dropout=options.dropout,
        max_judge_calls=options.max_judge_calls,
        prior=_prior_of(scenario, options.prior, before_call),
        before_call=before_call,
    )
    before = _counts(described)
    who = describe_searcher(searcher).name
    try:
        plan = searcher.plan(problem, scenario_rng(options.seed, scenario.id))
    except JudgeCallsSpent:
        plan = finish(problem, stopped="no judge calls left")
    check_plan(plan, problem, f"search {who}, scenario {scenario.id}")
    search_calls = problem.judge_calls
    report = _Report(problem, options.report_samples)
    scores, full = report.path_scores(plan), report.full_score()
    used = [after - was for after, was in zip(_counts(described), before, strict=True)]
    names = scenario.schema.names
    return ScenarioPlan(
        scenario_id=scenario.id,
        domain=scenario.domain,
        query=scenario.query,
        path=tuple(names[a] for a in plan.path),
        path_scores=tuple(with_nulls(scores)),
        score=scores[-1],
        score_stderr=report.stderr,
        n_samples=report.n_samples,
        # What a searcher believes may lie beyond what a judge can say; NaN stays NaN.
        search_score=float(np.clip(plan.scores[-1], MIN_SCORE, MAX_SCORE)),
        budget=options.budget,
        num_simulations=plan.simulations,
        judge_calls=problem.judge_calls,
        search=who,
        judge=told.current_name(),  # as of now: replies may have told what gave them
        seed=options.seed,
        score_full=full,
        search_calls=search_calls,
        full_calls=len(report.samples),
        requests=used[0],
        cache_hits=used[1],
        invalid_rankings=used[2],
        stopped=plan.stopped,
        alternatives=tuple((a.step, names[a.attribute], a.visits, a.value) for a in plan.alternatives),
        observations=_observations(scenario, problem) if options.keep_observations else None,
    )


def plans_at_once(judge: Judge, searcher: Searcher, options: PlanOptions) -> int:
    """Return how many scenarios one call of `plan_scenarios` should be given: what it returns is kept whole.

    1 unless many are planned faster together: an error of a plug-in costs the plans of its call.
    """
    from search.batch_planning import TOGETHER, are_planned_together

    return TOGETHER if are_planned_together(judge, searcher, options) else 1


def plan_scenarios(
    scenarios: Sequence[Scenario],
    judge: Judge,
    searcher: Searcher,
    options: PlanOptions,
    before_call: Callable[[], None] | None = None,
) -> list[Outcome]:
    """Return the outcome of each scenario, in order; no row depends on what is planned in the same call.

    `before_call` is called before each call of the judge and of the prior; what it raises ends the plans.
    """
    from search.batch_planning import planned_together

    found: list[Outcome] = []
    together = planned_together(scenarios, judge, searcher, options, before_call)
    for scenario, plan in zip(scenarios, together, strict=True):
        try:
            found.append(plan or plan_scenario(scenario, judge, searcher, options, before_call))
        except PlanningFailed as failed:
            found.append(Failure(scenario.id, failed.stage, failed.reason))
    return found


class _Report:
    """Scores of a chosen path on fresh samples, so that no lucky score of the search is reported.

    A deterministic judge says the same again: its sample 0 is the report, and what the search has asked is
    not asked again; but what it took from the judge's compiled twin is, so that a false twin is found out.
    """

    def __init__(self, problem: Problem, n_samples: int) -> None:
        self.from_twin = problem.surface is not None
        self.known, self.everything = int(problem.known), int(problem.known | problem.askable)
        # What the search has scored is free here too; the limit is on the search's own calls.
        self.evaluator = problem.evaluator.without_limit()
        self.noisy = problem.noisy
        self.samples = list(range(REPORT_SAMPLE, REPORT_SAMPLE + n_samples)) if self.noisy else [0]
        self.n_samples = 0
        self.stderr = math.nan
        self._full: float | None = None

    def path_scores(self, plan: Plan) -> list[float]:
        """Return the mean score of each prefix; sets `n_samples` and `stderr`."""
        masks = [self.known]
        for a in plan.path:
            masks.append(masks[-1] | 1 << a)
        table = self._asked(np.array(masks, np.uint64))
        last = table[-1][~np.isnan(table[-1])]
        if not len(last):
            told = f"the path's context is unscored in {len(self.samples)} of {len(self.samples)} samples"
            raise PlanningFailed("report", told + self.evaluator.told_reasons())
        self.n_samples = len(last)
        if not self.noisy:
            self.stderr = 0.0
        elif len(last) > 1:
            self.stderr = float(last.std(ddof=1) / math.sqrt(len(last)))
        return [_mean(row) for row in table]

    def _asked(self, masks: np.ndarray) -> np.ndarray:
        """Return float64[B, S], the scores of `masks` (uint64[B]) at the report's S samples."""
        samples = np.array(self.samples)
        wanted = np.repeat(masks, len(samples)), np.tile(samples, len(masks))
        found = self.evaluator.evaluate(*wanted)
        if self.from_twin:
            everything = np.full(1, self.everything, np.uint64)
            found = self.evaluator.scores(np.concatenate([masks, everything]), np.zeros(len(masks) + 1, int))
            self._full, found = float(found[-1]), found[:-1]
        return found.reshape(-1, len(samples))

    def full_score(self) -> float:
        """Return the mean score with everything known."""
        if self._full is not None:
            return self._full
        # Beyond the budget: no set of the problem, so it is asked past the memo.
        masks = np.full(len(self.samples), self.everything, dtype=np.uint64)
        return _mean(self.evaluator.scores(masks, np.array(self.samples)))


def _mean(values: np.ndarray) -> float:
    if len(values) == 1:
        return float(values[0])
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else math.nan


def _observations(scenario: Scenario, problem: Problem) -> Observations:
    return Observations(scenario.id, scenario.domain, scenario.codes, *problem.observations())


def _counts(described: Sequence[Capabilities]) -> list[int]:
    """Return what judge and prior have counted so far: requests, cache hits, invalid rankings.

    One that is asked by several plans at once counts for each thread alone (`Usage`), and a
    plan stays in its thread, so that the difference of two readings is the plan's own.
    """
    return [sum(counts) for counts in zip(*(part.counts() for part in described), strict=True)]


def _prior_of(scenario: Scenario, prior: Prior | None, before_call: Callable[[], None] | None) -> SetPrior:
    if prior is None:
        return uniform_prior

    def weights(mask: int) -> np.ndarray | None:
        if before_call is not None:
            before_call()
        return prior(scenario, int(mask))

    return weights
