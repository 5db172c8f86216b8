"""The problem of one scenario under one judge: where sets become contexts and verdicts become scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from envs import Judge, Scenario, Score, UserError
from envs.judges.protocol import score_value
from search.problem import Problem, SetScores


def judge_scores(
    scenario: Scenario,
    judge: Judge,
    before_call: Callable[[], None] | None = None,
    reasons: Counter[str] | None = None,
) -> SetScores:
    """Return the scores of one scenario's sets under `judge`, as a function of masks and samples.

    `before_call` is called before each call of the judge; `reasons` counts what it says of unscored sets.

    Raises
    ------
    UserError
        (when called) the judge returned another number of scores, or something that is no score.
    """

    def scores(masks: np.ndarray, samples: np.ndarray) -> np.ndarray:
        if before_call is not None:
            before_call()
        found = [score_value(v) for v in judge_verdicts(scenario, judge, masks, samples)]
        if reasons is not None:
            reasons.update(reason for _, reason in found if reason not in (None, "unscored"))
        return np.array([value for value, _ in found], dtype=np.float64)

    return scores


def judge_verdicts(
    scenario: Scenario, judge: Judge, masks: np.ndarray, samples: np.ndarray
) -> Sequence[Score | float]:
    """Return what `judge` says of each set of `masks` (uint64[B]), looked at as `samples` (int64[B]).

    Raises
    ------
    UserError
        the judge returned another number of scores, or something that is no score.
    """
    contexts = [scenario.schema.names_of(mask) for mask in masks.tolist()]
    extra = (samples.tolist(),) if getattr(judge, "stochastic", False) else ()
    verdicts = judge.score(scenario, contexts, *extra)
    place = f"judge {type(judge).__name__}, scenario {scenario.id}"
    if not isinstance(verdicts, (Sequence, np.ndarray)):
        raise UserError(f"{place}: found a {type(verdicts).__name__}, expected {len(contexts)} scores")
    if len(verdicts) != len(contexts):
        raise UserError(f"{place}: found {len(verdicts)} scores, expected {len(contexts)}, one a context")
    for verdict in verdicts:
        numeric = isinstance(verdict, (Score, int, float, np.floating, np.integer))
        if not numeric or isinstance(verdict, bool):
            raise UserError(f"{place}: found a {type(verdict).__name__}, expected a Score or a number")
    return verdicts


def scenario_problem(
    scenario: Scenario,
    judge: Judge,
    budget: int,
    *,
    cost_weight: float = 0.0,
    max_judge_calls: int | None = None,
    prior: Callable[[int], np.ndarray | None] | None = None,
    before_call: Callable[[], None] | None = None,
) -> Problem:
    """Return the problem of one profile and one query (the paper's setting).

    `before_call` is called before each call of the judge.
    """
    make_surface = getattr(judge, "surface", None)
    reasons: Counter[str] = Counter()
    problem = Problem(
        len(scenario.schema),
        budget,
        judge_scores(scenario, judge, before_call, reasons),
        costs=scenario.schema.costs,
        askable=scenario.askable,
        group=scenario.domain,
        codes=scenario.codes,
        prior=prior,
        surface=None if make_surface is None else make_surface(scenario),
        cost_weight=cost_weight,
        max_judge_calls=max_judge_calls,
        noisy=bool(getattr(judge, "stochastic", False)),
        names=scenario.schema.names,
    )
    problem.reasons = reasons
    return problem
