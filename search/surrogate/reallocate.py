"""Reallocate spare judge calls to uncertain top sets; plan by the highest posterior mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.path_rule import best_plan, best_set, members, order, plan_of_path, scored_sets
from search.plans import Alternative, Plan
from search.problem import Problem
from search.surrogate.set_gp import SetGaussianProcess

IS_SETTLED = "the best set is settled"
SETTLED = 4.0
"""Standard deviations by which the best set has to be ahead of every other for evaluations to end."""
REPEATS = 12
"""Repeated evaluations before that can be said: without them noise may pass for what attributes do."""
_REFIT = 8
"""Evaluations between two choices of the spreads."""
_LOOKED_AT = 6
"""Up to how many attributes each prefix of the plan is looked at once."""
_ALL_PREFIXES = 12
"""Up to how many attributes every prefix is predicted: the path rule orders no more exactly either."""


def reallocate(problem: Problem, calls: int) -> bool:
    """Spend up to `calls` judge calls on sets that are scored; return whether the best one is settled.

    Each look goes to the more uncertain of the two that matter: the set believed best, and the one most
    likely to be better, argmax_S (mu_S - mu_best) / sqrt(sd_S^2 + sd_best^2) (top-two sampling, Russo 2020,
    with the challenger of Qin, Klabjan & Russo 2017). Noise-free, nothing is asked.
    """
    spreads: tuple[int, ...] | None = None
    for spent in range(calls if problem.noisy else 0):
        pooled = SetGaussianProcess(problem, spreads, refit=spent % _REFIT == 0)
        spreads, evaluations = pooled.spreads, pooled.evaluations
        if len(evaluations.masks) < 2:
            return True
        mean, sd = pooled.predict(evaluations.masks)
        mean = problem.objectives(evaluations.masks, mean)
        best = int(np.argmax(mean))
        if evaluations.freedom >= REPEATS and is_settled(mean, sd):
            return True
        rival = int(np.argmax(leads(mean, sd)))
        chosen = [best if sd[best] >= sd[rival] else rival]
        problem.evaluate(evaluations.masks[chosen], evaluations.next_look[chosen])
    return not problem.noisy


def leads(mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Return float64[B], how many standard deviations each is ahead of the best; -inf for the best itself."""
    best = int(np.argmax(mean))
    lead = (mean - mean[best]) / np.maximum(np.hypot(sd, sd[best]), 1e-12)
    lead[best] = -np.inf
    return lead


def is_settled(mean: np.ndarray, sd: np.ndarray) -> bool:
    """Tell whether the best is ahead of every other by `SETTLED` standard deviations."""
    return bool(leads(mean, sd).max() < -SETTLED)


def beliefs_of(problem: Problem) -> dict[int, float]:
    """Return {mask: what to believe of its score} of every scored set: the score, or its posterior mean."""
    if not problem.noisy:
        return scored_sets(problem)
    pooled = SetGaussianProcess(problem)
    return pooled.beliefs(pooled.evaluations.masks)


def finish(
    problem: Problem,
    *,
    simulations: int = 0,
    stopped: str = "",
    alternatives: Sequence[Alternative] | None = None,
) -> Plan:
    """Return the plan by the path rule, of the scores, or of what is believed of them when they are noisy.

    Then judge calls that `max_judge_calls` leaves go into looks at the plan's prefixes and by `reallocate`.

    Raises
    ------
    PlanningFailed
        as `search.path_rule.best_set`.
    """
    if not problem.noisy:
        return best_plan(problem, simulations=simulations, stopped=stopped, alternatives=alternatives)
    while new := _subsets_to_look_at(problem):
        problem.evaluate(np.array(new, np.uint64))
    if problem.calls_left and reallocate(problem, problem.calls_left) and stopped != IS_SETTLED:
        stopped = f"{stopped}, {IS_SETTLED}"
    pooled = SetGaussianProcess(problem)
    beliefs = pooled.beliefs(pooled.evaluations.masks)
    target = best_set(problem, beliefs)
    beliefs = {**pooled.beliefs(np.array(_subsets(problem, target), np.uint64)), **beliefs}
    return plan_of_path(
        problem,
        order(problem, target, beliefs),
        simulations=simulations,
        stopped=stopped,
        alternatives=alternatives,
        beliefs=beliefs,
    )


def _subsets(problem: Problem, target: int) -> list[int]:
    """Return the sets on all ways to `target`, smaller ones first; only the start where there are many."""
    subsets = [int(problem.known)]
    asked = members(target & ~subsets[0])
    for a in asked if len(asked) <= _ALL_PREFIXES else []:
        subsets += [mask | 1 << a for mask in subsets]
    return sorted(subsets, key=lambda mask: (mask.bit_count(), mask))


def _subsets_to_look_at(problem: Problem) -> list[int]:
    """Return unseen sets on the ways to the one believed best, as far as judge calls reach.

    One of them may do without further questions. Without noise the path rule scores as many.
    """
    seen = set(problem.observations()[0].tolist())
    target = best_set(problem, beliefs_of(problem))
    if (target & ~int(problem.known)).bit_count() > _LOOKED_AT:
        return []
    return [m for m in _subsets(problem, target) if m not in seen][: problem.calls_left]
