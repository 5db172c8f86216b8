"""Fixed-budget sequential halving over sets: `search=halving`."""

from __future__ import annotations

import itertools
import math

import numpy as np

from envs import UserError
from search.path_rule import members
from search.plans import Plan
from search.problem import Problem
from search.surrogate.reallocate import IS_SETTLED, REPEATS, finish, is_settled
from search.surrogate.set_gp import SetGaussianProcess

_WIDEST = 64
"""Sets of each size that grow on the regression where they cannot be enumerated."""


class HalvingSearch:
    """Spend a fixed number of looks on ever fewer, ever better sets.

    Sequential halving (Karnin, Koren & Somekh 2013, algorithm 3) divides T evaluations over ceil(log2 K)
    rounds; in round r the K / 2^r best arms get floor(T / (K / 2^r * ceil(log2 K))) evaluations each, then
    the worse half goes. Arms here are sets, and there are many more of them than evaluations (386 for 10
    attributes and budget 4), so that two things differ. Arms are ranked by `mean + optimism * sd` of a
    regression that pools the evaluations of all sets (`surrogate.set_gp`), not by their own mean: a set
    nobody has looked at can be among the best. And the next round's arms are the best of all sets, so that
    what was dropped can return. K is the largest number that leaves each arm an evaluation in each round.
    Before that the set with nothing asked and each single question are looked at once, or sets of `budget`
    questions that together hold each attribute once, where singles would take more than half of T.

    Without noise a second look tells nothing: each round scores new sets, and the search ends when every set
    is scored. Under a noisy judge it ends early when the best set is ahead of every other by four standard
    deviations of a regression that knows the noise from repeated evaluations.

    Parameters
    ----------
    num_simulations : int >= 2, the T above; `max_judge_calls` may be less
    optimism : float >= 0, standard deviations added to the mean when ranking
    max_sets : int, so many sets are enumerated; beyond that the candidates are those that a beam over the
        regression's means finds, which costs no judge call
    """

    name = "halving"

    def __init__(self, num_simulations: int = 60, optimism: float = 2.0, max_sets: int = 20_000) -> None:
        if num_simulations < 2:
            raise UserError(f"search.num_simulations: found {num_simulations}, expected an integer >= 2")
        if not (math.isfinite(optimism) and optimism >= 0):
            raise UserError(f"search.optimism: found {optimism}, expected a number >= 0")
        if max_sets < 1:
            raise UserError(f"search.max_sets: found {max_sets}, expected an integer >= 1")
        self.num_simulations = num_simulations
        self.optimism = optimism
        self.max_sets = max_sets

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        """Return the path of the set believed best, among those looked at."""
        before = problem.judge_calls
        left = problem.calls_left
        total = self.num_simulations if left is None else min(self.num_simulations, left)
        first = _first_sets(problem, total, rng)
        seen = set(problem.observations()[0].tolist())
        new = [mask for mask in first if mask not in seen][:total]
        problem.evaluate(np.array(new, np.uint64))
        stopped = self._halve(problem, total - (problem.judge_calls - before))
        spent = problem.judge_calls - before
        if stopped is None:
            stopped = "no judge calls left" if problem.calls_left == 0 else "all simulations ran"
        return finish(problem, simulations=spent, stopped=stopped)

    def _halve(self, problem: Problem, total: int) -> str | None:
        """Run the rounds with `total` evaluations; return why they ended early, or None."""
        arms = _arms(total)
        rounds = max(1, math.ceil(math.log2(max(2, arms))))
        spreads = None
        left = total
        for r in itertools.count():
            if left <= 0:
                return None
            pooled = SetGaussianProcess(problem, spreads)
            spreads = pooled.spreads
            masks = self._candidates(problem, pooled)
            masks, following = _open(problem, masks)
            if not len(masks):
                return "every set is scored"
            mean, sd = pooled.predict(masks)
            mean = problem.objectives(masks, mean)
            if pooled.evaluations.freedom >= REPEATS and is_settled(mean, sd):
                return IS_SETTLED
            share = left if r >= rounds - 1 else max(1, left // (rounds - r))
            kept = share if not problem.noisy else max(1, min(share, math.ceil(arms / 2**r)))
            ranked = np.argsort(-(mean + self.optimism * sd), kind="stable")[:kept]
            # Whole turns round the arms, then the better ones once more.
            turns = np.arange(share) if problem.noisy else np.arange(len(ranked))
            chosen = ranked[turns % len(ranked)]
            problem.evaluate(masks[chosen], following[chosen] + turns // len(ranked))
            left -= len(chosen)
        return None

    def _candidates(self, problem: Problem, pooled: SetGaussianProcess) -> np.ndarray:
        """Return uint64[B], every set within the budget, or those a beam over the regression finds."""
        known, askable = int(problem.known), members(int(problem.askable))
        budget = min(problem.budget, len(askable))
        if sum(math.comb(len(askable), k) for k in range(budget + 1)) <= self.max_sets:
            sets = itertools.chain.from_iterable(
                itertools.combinations(askable, k) for k in range(budget + 1)
            )
            return np.array([known | sum(1 << a for a in chosen) for chosen in sets], np.uint64)
        beam = [known]
        found = dict.fromkeys([known, *pooled.evaluations.masks.tolist()])
        for _ in range(budget):
            children = sorted({mask | 1 << a for mask in beam for a in askable if not mask >> a & 1})
            found.update(dict.fromkeys(children))
            masks = np.array(children, np.uint64)
            mean, sd = pooled.predict(masks)
            value = problem.objectives(masks, mean) + self.optimism * sd
            beam = [children[i] for i in np.argsort(-value, kind="stable")[:_WIDEST]]
        return np.array(list(found), np.uint64)


def _arms(total: int) -> int:
    """Return the largest K with K * ceil(log2 K) <= `total`, at least 2."""
    arms = 2
    while (arms + 1) * math.ceil(math.log2(arms + 1)) <= total:
        arms += 1
    return arms


def _first_sets(problem: Problem, total: int, rng: np.random.Generator) -> list[int]:
    """Return nothing asked and all singles, or random sets of `budget` that hold each attribute once."""
    known, askable = int(problem.known), members(int(problem.askable))
    if 2 * (1 + len(askable)) <= total or problem.budget == 1:
        return [known, *(known | 1 << a for a in askable)]
    shuffled = rng.permutation(askable).tolist()
    size = min(problem.budget, len(askable))
    blocks = [shuffled[i : i + size] for i in range(0, len(shuffled), max(1, size))]
    return [known, *(known | sum(1 << a for a in block) for block in blocks)]


def _open(problem: Problem, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return those of `masks` at which an evaluation can tell something, and int64 of their next sample."""
    asked, samples, scores = problem.observations()
    following: dict[int, int] = {}
    scored: set[int] = set()
    for mask, sample, score in zip(asked.tolist(), samples.tolist(), scores.tolist(), strict=True):
        following[mask] = max(following.get(mask, 0), sample + 1)
        if not math.isnan(score):
            scored.add(mask)
    keep = [m for m in masks.tolist() if m not in following or (problem.noisy and m in scored)]
    return np.array(keep, np.uint64), np.array([following.get(m, 0) for m in keep], np.int64)
