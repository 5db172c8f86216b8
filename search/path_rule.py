"""The path rule: from scored sets to an ordered path, the same for every search.

The set: the best objective (score - cost_weight * cost) among all scored sets; ties go to the set with fewer
attributes, then the cheaper, then the first in schema order. The order: the highest expected objective when
the person stops answering before each further question with chance d, the problem's `dropout`. With s_k the
objective of the first k of L questions that is

    sum_{0 <= k < L} d (1 - d)^k s_k + (1 - d)^L s_L

where only 0 < k < L depends on the order, so sum (1 - d)^k s_k is what is compared: for d = 0 the limit of
small d, the mean of the prefixes. Ties in schema order.

Where scores are noisy, a searcher hands in `beliefs`, {mask: what it holds the true score to be}. They take
the place of the scores, for the best of many lucky ones is not the best set. Only scored sets can be chosen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from search.plans import Alternative, Plan
from search.problem import PlanningFailed, Problem

TIE = 1e-12
"""Objectives closer than this are equal: sums of the same terms in another order differ by rounding."""
_EXACT_ATTRIBUTES = 6
_EXACT_ATTRIBUTES_SURFACE = 12
"""Up to how many attributes all 2^k prefixes are scored, with a judge and with a surface."""


def members(mask: int) -> list[int]:
    """Return the indices of the attributes in `mask`, ascending."""
    found = []
    while mask:
        lowest = mask & -mask
        found.append(lowest.bit_length() - 1)
        mask ^= lowest
    return found


def scored_sets(problem: Problem) -> dict[int, float]:
    """Return {mask: score} of every set with a score at sample 0."""
    return {m: s for m, s in problem.evaluator.at_first_sample().items() if not math.isnan(s)}


def best_set(problem: Problem, beliefs: Mapping[int, float] | None = None) -> int:
    """Return the mask of the best scored set; with `beliefs`, of the best set among those in them.

    `beliefs` must hold the set with nothing asked and, like every mask in them, it must have been scored.

    Raises
    ------
    PlanningFailed
        stage `judge`: nothing known is unscored, or every set that was asked about is.
    """
    if beliefs is None:
        masks, samples, scores = problem.observations()
        keep = (samples == 0) & ~np.isnan(scores)
        masks, scores = masks[keep], scores[keep]
    else:
        masks = np.fromiter(beliefs, np.uint64, len(beliefs))
        scores = np.fromiter(beliefs.values(), np.float64, len(beliefs))
    _check_scored(problem, masks)
    objectives = problem.objectives(masks, scores)
    tied: list[int] = masks[objectives >= objectives.max() - TIE].tolist()
    return min(tied, key=lambda m: (m.bit_count(), round(problem.cost(m), 9), members(m)))


def _check_scored(problem: Problem, scored: np.ndarray) -> None:
    why = problem.evaluator.told_reasons()
    if not (scored == problem.known).any():
        raise PlanningFailed("judge", f"the context with nothing asked is unscored{why}")
    if len(scored) == 1 and (problem.observations()[0] != problem.known).any():
        raise PlanningFailed("judge", f"every context with a question answered is unscored{why}")


def order(problem: Problem, target: int, beliefs: Mapping[int, float] | None = None) -> tuple[int, ...]:
    """Return the attributes of `target` beyond `known` in the order of asking.

    With `beliefs` (about prefixes that were never scored too) nothing is asked of the judge.

    All prefixes are scored when that is affordable, and the order is exact; else the order is the best among
    the prefixes that are scored (or can be with the judge calls left), a prefix without a score counting
    as worse than any score.
    """
    known = int(problem.known)
    asked = members(target & ~known)
    limit = _EXACT_ATTRIBUTES if problem.surface is None and beliefs is None else _EXACT_ATTRIBUTES_SURFACE
    if len(asked) > limit:
        return _greedy_order(problem, asked, beliefs)
    subsets = [
        known | sum(1 << a for i, a in enumerate(asked) if code >> i & 1) for code in range(1 << len(asked))
    ]
    values = _objectives(problem, subsets, beliefs)
    last = len(subsets) - 1
    stays = 1 - problem.dropout
    # to_go[code]: (prefixes without a score, -discounted sum of objectives) of the best way on to the target
    to_go = [(0, 0.0)] * len(subsets)
    for code in range(last - 1, -1, -1):
        to_go[code] = min(
            _through(values, to_go, code | 1 << i, stays) for i in range(len(asked)) if not code >> i & 1
        )
    path: list[int] = []
    code = 0
    while code != last:
        for i in range(len(asked)):
            if not code >> i & 1:
                missing, negative = _through(values, to_go, code | 1 << i, stays)
                if missing == to_go[code][0] and negative <= to_go[code][1] + TIE:
                    path.append(asked[i])
                    code |= 1 << i
                    break
    return tuple(path)


def _through(
    values: Sequence[float], to_go: Sequence[tuple[int, float]], code: int, stays: float
) -> tuple[int, float]:
    missing, negative = to_go[code]
    value = values[code]
    negative *= stays
    return (missing + 1, negative) if math.isnan(value) else (missing, negative - value)


def _objectives(problem: Problem, subsets: Sequence[int], beliefs: Mapping[int, float] | None) -> list[float]:
    """Score what is unscored as far as the judge calls reach, smaller sets first; NaN for the rest.

    With `beliefs` nothing is scored.
    """
    if beliefs is not None:
        return [problem.objective(m, beliefs.get(m, math.nan)) for m in subsets]
    scored = problem.evaluator.at_first_sample()
    left = math.inf if problem.calls_left is None else problem.calls_left
    new = sorted({m for m in subsets if m not in scored}, key=lambda m: (m.bit_count(), m))
    new = new[: int(min(left, len(new)))]
    if new:
        problem.evaluate(np.array(new, dtype=np.uint64))
        scored = problem.evaluator.at_first_sample()
    return [problem.objective(m, scored.get(m, math.nan)) for m in subsets]


def _greedy_order(
    problem: Problem, asked: Sequence[int], beliefs: Mapping[int, float] | None
) -> tuple[int, ...]:
    """Order a large set one question at a time: the best next prefix, ties in schema order."""
    path: list[int] = []
    mask = int(problem.known)
    rest = list(asked)
    while rest:
        values = _objectives(problem, [mask | 1 << a for a in rest], beliefs) if len(rest) > 1 else [0.0]
        best = max(
            range(len(rest)), key=lambda i: (-math.inf if math.isnan(values[i]) else values[i], -rest[i])
        )
        path.append(rest.pop(best))
        mask |= 1 << path[-1]
    return tuple(path)


def best_plan(
    problem: Problem,
    *,
    simulations: int = 0,
    stopped: str = "",
    alternatives: Sequence[Alternative] | None = None,
    beliefs: Mapping[int, float] | None = None,
) -> Plan:
    """Return the plan that the path rule makes of everything `problem` has scored, or of `beliefs`."""
    target = best_set(problem, beliefs)
    scored = problem.judge_calls
    path = order(problem, target, beliefs)
    # Prefixes are scored for the order, and one of them may be better.
    while problem.judge_calls > scored:
        scored = problem.judge_calls
        if (better := best_set(problem)) != target:
            target, path = better, order(problem, better)
    return plan_of_path(
        problem, path, simulations=simulations, stopped=stopped, alternatives=alternatives, beliefs=beliefs
    )


def plan_of_path(
    problem: Problem,
    path: Sequence[int],
    *,
    simulations: int = 0,
    stopped: str = "",
    alternatives: Sequence[Alternative] | None = None,
    beliefs: Mapping[int, float] | None = None,
) -> Plan:
    """Return `path` with the scores (`beliefs`) of its prefixes and, unless given, of the alternatives."""
    scored = problem.evaluator.at_first_sample() if beliefs is None else beliefs
    mask = int(problem.known)
    prefixes = [mask]
    for a in path:
        mask |= 1 << a
        prefixes.append(mask)
    if alternatives is None:
        alternatives = [
            Alternative(step, a, -1, scored.get(prefix | 1 << a, math.nan))
            for step, prefix in enumerate(prefixes[:-1])
            for a in members(int(problem.askable) & ~prefix)
        ]
    scores = np.array([scored.get(prefix, math.nan) for prefix in prefixes])
    return Plan(tuple(path), scores, simulations, stopped, tuple(alternatives))
