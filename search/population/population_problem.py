"""Planning problem for a user of unknown profile: possible answers and what they are worth.

A hidden profile is drawn from N weighted profiles. Asking attribute a reveals its code: the index of a
level, or `DECLINED` for a value that is missing, in words that no level names, or declined. So each question
is a chance event, and the belief after it is the posterior over the profiles that agree with every answer.
The value of answering is the posterior mean of the judge's score of (profile, what it told) less the
weighted costs.

An answer is declined with probability `decline_rate`, whatever the attribute and the profile, independently.
A declined question is spent, and so is its cost, yet its attribute does not become known. The code alone does
not tell a decline from words without a level: the posterior weighs both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from envs import Schema, UserError
from search.population.policy_tree import DECLINED
from search.population.set_table import Surfaces, columns
from search.problem import PlanningFailed, Problem

TIE = 1e-12
"""Values closer than this are equal: stopping wins, then the lowest attribute."""


class Belief(NamedTuple):
    """What may be the case after some answers: M ways in which they could have come about.

    `profile`: int64[M], rows of the population. `told`: uint64[M], the attributes that were not declined.
    `weight`: float64[M], joint probability with the answers (so that the sum is that of coming here).
    """

    profile: np.ndarray
    answered: np.ndarray
    weight: np.ndarray


class PopulationProblem:
    """A hidden profile drawn from weighted profiles, with the budget of questions.

    Parameters
    ----------
    schema : names, costs and levels of the n attributes
    budget : int >= 1, the most questions
    codes : int8[N, n], level of each profile's attribute, `DECLINED` where missing or without a level
    scores : float64[N, n_sets], the judge's score of each profile and set of at most `budget` attributes,
        columns in the order of `sets_within(n, budget)`, NaN = unscored, where nobody may stop; or `Surfaces`
    weights : float64[N] >= 0, normalised here; default: all equal. Rows of weight 0 are left out.
    n_profiles : how many people the rows stand for, where equal ones are merged; default: the rows
    cost_weight : float >= 0; objective = score - cost_weight * cost of what was asked
    decline_rate : float in [0, 1], probability that an answer is declined
    dropout : float in [0, 1), chance that the person stops answering before each further question
    group : the domain
    row_domains : the domain of each profile, where they are of several; default: `group`

    `budget` is at most n here.

    Raises
    ------
    UserError
        a number out of range, or codes, scores or weights that do not fit together.
    PlanningFailed
        a profile has no score with nothing asked.
    """

    def __init__(
        self,
        schema: Schema,
        budget: int,
        codes: np.ndarray,
        scores: np.ndarray | Surfaces,
        *,
        weights: np.ndarray | Sequence[float] | None = None,
        n_profiles: int | None = None,
        cost_weight: float = 0.0,
        decline_rate: float = 0.0,
        dropout: float = 0.0,
        group: str = "all",
        row_domains: Sequence[str] | None = None,
    ) -> None:
        check_numbers(budget, cost_weight, decline_rate, dropout)
        codes = np.asarray(codes, dtype=np.int8).reshape(-1, len(schema))
        keep, self.weights = _weights(weights, len(codes))
        self.schema = schema
        self.budget = min(int(budget), len(schema))
        self.codes = np.ascontiguousarray(codes[keep])
        self.n_profiles = len(self.codes) if n_profiles is None else int(n_profiles)
        self.cost_weight = float(cost_weight)
        self.decline_rate = float(decline_rate)
        self.dropout = float(dropout)
        self.group = group
        self.row_domains = np.array([group] * len(keep) if row_domains is None else row_domains)[keep]
        self._surfaces = scores.of(np.flatnonzero(keep)) if isinstance(scores, Surfaces) else None
        self._table = None if isinstance(scores, Surfaces) else self._kept(scores, keep)
        self._check_codes()
        nothing = self.scores_of(np.arange(len(self.codes)), np.zeros(len(self.codes), np.uint64))
        if np.isnan(nothing).any():
            raise PlanningFailed("judge", "the context with nothing asked is unscored for some profile")

    @property
    def surfaces(self) -> Surfaces:
        """The scores as compiled code; a table becomes a look-up, the parameters of a profile its row."""
        if self._surfaces is None:
            from search.population.compiled.score_kernels import table_surface

            n, rows = len(self.schema), self._table
            assert rows is not None  # noqa: S101 - one of the two was given
            params = np.column_stack([np.full(len(rows), float(n)), rows])
            starts = np.arange(len(rows) + 1) * params.shape[1]
            everything = np.full(len(rows), (1 << n) - 1, np.uint64)
            self._surfaces = Surfaces(table_surface, params.ravel(), starts, everything)
        return self._surfaces

    def scores_with(self, answered: np.ndarray | Sequence[int]) -> np.ndarray:
        """Return float64[N, T], the score of every profile with each of the sets `told` (uint64[T]) known."""
        answered = np.asarray(answered, dtype=np.uint64)
        if self._table is not None:
            return self._table[:, columns(answered, len(self.schema), self.budget)]
        n = len(self.codes)
        profiles = np.repeat(np.arange(n), len(answered))
        return self.scores_of(profiles, np.tile(answered, n)).reshape(n, len(answered))

    def scores_of(self, profiles: np.ndarray, answered: np.ndarray) -> np.ndarray:
        """Return float64[B], the score of each of `profiles` (int64[B]) with `told` (uint64[B]) known."""
        if self._table is not None:
            return self._table[profiles, columns(answered, len(self.schema), self.budget)]
        from search.population.compiled import score_kernels as kernels

        found = np.empty(len(profiles))
        kernels.score_pairs(*self.surfaces, profiles.astype(np.int64), answered.astype(np.uint64), found)
        return found

    def only(self, profiles: np.ndarray) -> PopulationProblem:
        """Return the problem of a user who is one of `profiles` (int64[M]), weighed as here."""
        scores = self.surfaces.of(profiles) if self._table is None else self._table[profiles]
        return PopulationProblem(
            self.schema,
            self.budget,
            self.codes[profiles],
            scores,
            weights=self.weights[profiles],
            cost_weight=self.cost_weight,
            decline_rate=self.decline_rate,
            dropout=self.dropout,
            group=self.group,
            row_domains=self.row_domains[profiles].tolist(),
        )

    def penalty(self, asked: int) -> float:
        """Return `cost_weight` times the cost of having asked for the set `asked`."""
        costs = self.schema.costs
        return self.cost_weight * float(sum(costs[a] for a in range(len(costs)) if asked >> a & 1))

    def root(self) -> Belief:
        """Return the belief before any question."""
        n = len(self.weights)
        return Belief(np.arange(n), np.zeros(n, np.uint64), self.weights)

    def outcomes(self, belief: Belief, attribute: int) -> Iterator[tuple[int, Belief]]:
        """Yield (code, belief after it) of each answer to `attribute` that can come, by ascending code."""
        answered = belief.answered | np.uint64(1 << attribute)
        codes = self.codes[belief.profile, attribute]
        d = self.decline_rate
        possible = set(np.unique(codes).tolist()) if d < 1 else set[int]()
        for code in sorted(possible | ({DECLINED} if d > 0 else set())):
            own = codes == code
            parts = (
                [Belief(belief.profile[own], answered[own], belief.weight[own] * (1 - d))] if d < 1 else []
            )
            if code == DECLINED and d > 0:
                parts.append(Belief(belief.profile, belief.answered, belief.weight * d))
            yield code, Belief(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def stop_value(self, belief: Belief, asked: int) -> float:
        """Return the posterior mean score less the cost of `asked`; -inf where a score is missing."""
        scores = self.scores_of(belief.profile, belief.answered)
        mean = float((belief.weight * scores).sum() / belief.weight.sum())
        return -math.inf if math.isnan(mean) else mean - self.penalty(asked)

    def expected_scores(self, asked: int) -> np.ndarray:
        """Return float64[N], each profile's expected score when exactly `asked` is asked for."""
        d, n = self.decline_rate, len(self.codes)
        profiles, total, answered = np.arange(n), np.zeros(n), asked
        while True:  # over all subsets of the set
            n_told = answered.bit_count()
            chance = (1 - d) ** n_told * d ** (asked.bit_count() - n_told)
            if chance > 0:  # 0 times NaN would be NaN
                total += chance * self.scores_of(profiles, np.full(n, answered, np.uint64))
            if answered == 0:
                return total
            answered = (answered - 1) & asked

    def mean_problem(self, cost_weight: float | None = None) -> Problem:
        """Return the open-loop problem: the mean score of a set that everybody is asked for.

        `cost_weight`: another one than this problem's.
        """

        def means(masks: np.ndarray, _: np.ndarray) -> np.ndarray:
            return np.array([(self.weights * self.expected_scores(mask)).sum() for mask in masks.tolist()])

        return Problem(
            len(self.schema),
            self.budget,
            means,
            costs=self.schema.costs,
            group=self.group,
            cost_weight=self.cost_weight if cost_weight is None else cost_weight,
            dropout=self.dropout,
            names=self.schema.names,
        )

    def _kept(self, scores: np.ndarray, keep: np.ndarray) -> np.ndarray:
        wanted = (len(keep), sum(math.comb(len(self.schema), k) for k in range(self.budget + 1)))
        if np.shape(scores) != wanted:
            raise UserError(f"scores: found shape {np.shape(scores)}, expected {wanted}")
        return np.ascontiguousarray(np.asarray(scores, dtype=np.float64)[keep])

    def _check_codes(self) -> None:
        if (self.codes < DECLINED).any() or (self.codes >= self.schema.n_levels).any():
            raise UserError("codes: found one that is no level of its attribute")


def _weights(given: np.ndarray | Sequence[float] | None, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (bool[N], rows of positive weight; float64 of those, summing to 1)."""
    weights = np.ones(n) if given is None else np.asarray(given, dtype=np.float64)
    if weights.shape != (n,) or not np.all(np.isfinite(weights)) or np.any(weights < 0):
        raise UserError(f"weights: expected {n} finite numbers >= 0, one a profile")
    if not weights.sum() > 0:
        raise UserError("weights: expected at least one profile of positive weight")
    keep = weights > 0
    return keep, weights[keep] / weights.sum()


def people_counted(weights: np.ndarray) -> int:
    """Return for how many people `weights` (float64[P], at most 1 each) stand: whole ones, at least 1."""
    return max(1, math.floor(weights.sum() + 1e-9))  # a hair above, for a sum that rounding left below


def check_numbers(budget: int, cost_weight: float, decline_rate: float, dropout: float = 0.0) -> None:
    """Refuse what is out of range; `UserError` names the key."""
    if budget < 1:
        raise UserError(f"budget: found {budget}, expected an integer >= 1")
    if not (math.isfinite(cost_weight) and cost_weight >= 0):
        raise UserError(f"cost_weight: found {cost_weight}, expected a finite number >= 0")
    if not 0 <= decline_rate <= 1:
        raise UserError(f"decline_rate: found {decline_rate}, expected a probability, 0 to 1")
    if not 0 <= dropout < 1:
        raise UserError(f"dropout: found {dropout}, expected a probability, 0 to below 1")
