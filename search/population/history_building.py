"""Build `HistoryValues` of a population: one pass over all histories that enough people share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from search.population.exact import best_fixed_path
from search.population.history_values import NOT_ASKED, HistoryValues
from search.population.population_problem import Belief, PopulationProblem
from search.problem import PlanningFailed, Searcher

MAX_SETS = 2_000
"""Bound on sets of answered questions: histories of more answers than it allows go on with the fallback."""


def history_values(
    problem: PopulationProblem,
    min_profiles: float,
    searcher: Searcher | None = None,
) -> HistoryValues:
    """Return the values of all histories that at least `min_profiles` people share (expected number).

    `searcher`: of the fixed paths; default, all sets.

    Raises
    ------
    PlanningFailed
        a set within the budget is unscored for somebody.
    """
    domains = tuple(dict.fromkeys(problem.row_domains.tolist()))
    of = np.array([domains.index(domain) for domain in problem.row_domains.tolist()])
    paths = [best_fixed_path(problem, searcher=searcher)]
    if len(domains) > 1:
        own = [problem.only(np.flatnonzero(of == d)) for d in range(len(domains))]
        paths += [best_fixed_path(part, searcher=searcher) for part in own]
    pass_ = _Pass(problem, of, len(domains), paths[0], min_profiles)
    rows = pass_.rows()
    padded = np.full((len(paths), problem.budget), -1, np.int8)
    for place, path in zip(padded, paths, strict=True):
        place[: len(path)] = path
    return HistoryValues(
        names=problem.schema.names,
        levels=tuple(tuple(level.name for level in a.levels) for a in problem.schema.attributes),
        domains=domains,
        budget=problem.budget,
        cost_weight=problem.cost_weight,
        dropout=problem.dropout,
        min_profiles=float(min_profiles),
        codes=np.array([row.codes for row in rows], np.int8),
        **{
            name: np.array([getattr(row, name) for row in rows], np.float32)
            for name in ("people", "stop", "fallback", "rest", "after")
        },
        paths=padded,
        path_scores=np.array([pass_.beginnings(path) for path in paths], np.float32),
    )


class _History(NamedTuple):
    """One history, see `HistoryValues`; float64[D] and float64[n, D]."""

    codes: np.ndarray
    people: np.ndarray
    stop: np.ndarray
    fallback: np.ndarray
    rest: np.ndarray
    after: np.ndarray


class _Pass:
    def __init__(
        self,
        problem: PopulationProblem,
        of: np.ndarray,
        n_domains: int,
        fallback: Sequence[int],
        min_profiles: float,
    ) -> None:
        self.problem, self.of, self.n_domains = problem, of, n_domains
        self.fallback = fallback
        self.few = min_profiles * (1 - 1e-9)
        n = len(problem.schema)
        sets = np.cumsum([math.comb(n, k) for k in range(problem.budget)])
        self.longest = int((sets <= MAX_SETS).sum()) - 1

    def by_domain(self, belief: Belief, values: np.ndarray) -> np.ndarray:
        """Return float64[D], the sum over the people of `values` (float64[M], one a way of `belief`)."""
        weights = belief.weight * self.problem.n_profiles * values
        return np.bincount(self.of[belief.profile], weights, minlength=self.n_domains)

    def beginnings(self, path: Sequence[int]) -> np.ndarray:
        """Return float64[budget + 1, D], the objectives when the first k of `path` are asked, k ascending."""
        root, masks = self.problem.root(), [0]
        for a in path:
            masks.append(masks[-1] | 1 << a)
        masks += masks[-1:] * (self.problem.budget - len(path))
        return np.array([self.by_domain(root, self._objective(root, 0, mask)) for mask in masks])

    def rows(self) -> list[_History]:
        """Return all histories, each after its parts."""
        n = len(self.problem.schema)
        start = np.full(n, NOT_ASKED, np.int8)
        waiting: dict[bytes, tuple[np.ndarray, Belief]] = {start.tobytes(): (start, self.problem.root())}
        found: list[_History] = []
        while waiting:
            longer: dict[bytes, tuple[np.ndarray, Belief]] = {}
            for codes, belief in waiting.values():
                found.append(self._row(codes, belief, longer))
            waiting = longer
        return found

    def _row(
        self, codes: np.ndarray, belief: Belief, longer: dict[bytes, tuple[np.ndarray, Belief]]
    ) -> _History:
        """Return one history; what its answers lead to goes into `longer` when enough people share it."""
        asked = sum(1 << a for a in np.flatnonzero(codes != NOT_ASKED).tolist())
        size = asked.bit_count() + 1
        rest = np.full((len(codes), self.n_domains), np.nan)
        after = rest.copy()
        for a in np.flatnonzero(codes == NOT_ASKED).tolist():
            rest[a] = after[a] = 0.0
            for code, then in self.problem.outcomes(belief, a):
                stop = self.by_domain(then, self.going_on(then, asked | 1 << a, ()))
                after[a] += stop
                if size == self.problem.budget:
                    rest[a] += stop
                elif size > self.longest or then.weight.sum() * self.problem.n_profiles < self.few:
                    rest[a] += self.by_domain(then, self.going_on(then, asked | 1 << a, self.fallback))
                else:
                    row = codes.copy()
                    row[a] = code
                    longer.setdefault(row.tobytes(), (row, then))
        return _History(
            codes,
            self.by_domain(belief, np.ones(len(belief.weight))),
            self.by_domain(belief, self.going_on(belief, asked, ())),
            self.by_domain(belief, self.going_on(belief, asked, self.fallback)),
            rest,
            after,
        )

    def going_on(self, belief: Belief, asked: int, path: Sequence[int]) -> np.ndarray:
        """Return float64[M], the expected objective of each way when the rest of `path` is asked."""
        problem, total, here = self.problem, np.zeros(len(belief.weight)), 1.0
        left = [a for a in path if not asked >> a & 1][: problem.budget - asked.bit_count()]
        added = 0
        for a in left:
            if problem.dropout > 0:
                total += here * problem.dropout * self._objective(belief, asked, added)
            here *= 1 - problem.dropout
            added |= 1 << a
        return total + here * self._objective(belief, asked, added)

    def _objective(self, belief: Belief, asked: int, added: int) -> np.ndarray:
        """Return float64[M], the expected objective of each way when exactly `added` is asked as well."""
        problem, d = self.problem, self.problem.decline_rate
        total, told = np.zeros(len(belief.weight)), added
        while True:  # over all subsets of what is asked as well: those that are not declined
            n_told = told.bit_count()
            chance = (1 - d) ** n_told * d ** (added.bit_count() - n_told)
            if chance > 0:
                total += chance * problem.scores_of(belief.profile, belief.answered | np.uint64(told))
            if told == 0:
                break
            told = (told - 1) & added
        if np.isnan(total).any():
            raise PlanningFailed("judge", "a set within the budget is unscored")
        return total - problem.penalty(asked | added)
