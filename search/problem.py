"""The planning problem as a search sees it: the scores of sets, and nothing of what scores them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from envs import UserError
from envs.judges.protocol import Surface
from envs.schema import UNKNOWN
from search.plans import Alternative, Plan

__all__ = [
    "Alternative",
    "JudgeCallsSpent",
    "Observations",
    "Plan",
    "PlanningFailed",
    "Problem",
    "Searcher",
]

SetScores = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(masks: uint64[B], samples: int64[B]) -> float64[B]; NaN = unscored."""


class PlanningFailed(Exception):
    """A scenario cannot be planned; the run goes on. `stage` and `reason` go to `failures.jsonl`."""

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage = stage
        self.reason = reason


class JudgeCallsSpent(Exception):
    """A searcher asked for more judge calls than `max_judge_calls`; what was scored makes the plan."""


class Observations(NamedTuple):
    """What one scenario's search has seen, for searchers that learn across scenarios.

    `masks`: uint64[C], `samples`: int64[C], `scores`: float64[C] (NaN = unscored), in the order of asking.
    """

    scenario_id: str
    group: str
    codes: np.ndarray
    masks: np.ndarray
    samples: np.ndarray
    scores: np.ndarray


class Searcher(Protocol):
    """Plans one problem; one that learns has `fit(observations: Sequence[Observations]) -> Searcher`."""

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        """Return an ordered set of at most `problem.budget` askable attributes."""
        ...


class Problem:
    """A set function over attributes, with its budget (paper: k, B).

    Attributes
    ----------
    n_attributes : int, 1 to 64
    budget : int, the most questions that may be asked beyond `known`
    costs : float64[n], units of `cost_weight`
    known, askable : uint64 bitmasks, disjoint; bit i = attribute i
    group : str, the scenario's domain
    codes : int8[n], level of each attribute's value, -1 unknown
    surface : compiled twin of `evaluate` (sample 0), or None
    cost_weight : float; `objective = score - cost_weight * cost of what was asked`
    noisy : bool, whether a set's score depends on the sample: a search may look again, and should not
        believe one score
    names : tuple[str] of n attribute names, "0", "1", ... where none were given
    reasons : Counter[str], what the judge said of sets that it left unscored, where it said something
    max_judge_calls : int or None, the most distinct (set, sample) pairs that `evaluate` will score
    """

    def __init__(
        self,
        n_attributes: int,
        budget: int,
        scores: SetScores,
        *,
        costs: np.ndarray | None = None,
        known: int = 0,
        askable: int | None = None,
        group: str = "other",
        codes: np.ndarray | None = None,
        prior: Callable[[int], np.ndarray | None] | None = None,
        surface: Surface | None = None,
        cost_weight: float = 0.0,
        max_judge_calls: int | None = None,
        noisy: bool = False,
        names: Sequence[str] | None = None,
    ) -> None:
        if not 1 <= n_attributes <= 64:
            raise UserError(f"problem: found {n_attributes} attributes, expected 1 to 64")
        if budget < 1:
            raise UserError(f"budget: found {budget}, expected an integer >= 1")
        everything = (1 << n_attributes) - 1
        self.n_attributes = n_attributes
        self.budget = int(budget)
        self.costs = np.ones(n_attributes) if costs is None else np.asarray(costs, dtype=np.float64)
        self.names = tuple(map(str, range(n_attributes)) if names is None else names)
        self._check_fields(known, everything if askable is None else askable)
        self.known = np.uint64(known)
        self.askable = np.uint64((everything if askable is None else int(askable)) & ~int(known))
        self.group = group
        self.codes = np.full(n_attributes, UNKNOWN, np.int8) if codes is None else codes
        self.surface = surface
        self.cost_weight = float(cost_weight)
        self.max_judge_calls = max_judge_calls
        self.noisy = noisy
        self.reasons: Counter[str] = Counter()
        self._scores = scores
        self._prior = prior
        self._memo: dict[tuple[int, int], float] = {}

    def evaluate(self, masks: np.ndarray, samples: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Return float64[B], the judge's score of each set; NaN = unscored.

        `masks`: uint64[B], each holding `known` and at most `budget` askable attributes. `samples`:
        int[B], which look at a noisy set is wanted (default 0). A repeated (mask, sample) is free.

        Raises
        ------
        ValueError
            a set that is over the budget, lacks `known`, or holds what cannot be asked.
        JudgeCallsSpent
            the new pairs would exceed `max_judge_calls`; nothing was scored.
        """
        masks = np.asarray(masks, dtype=np.uint64)
        evaluations = np.zeros(len(masks), np.int64) if samples is None else np.asarray(samples, np.int64)
        keys = list(zip(masks.tolist(), evaluations.tolist(), strict=True))
        new = [key for key in dict.fromkeys(keys) if key not in self._memo]
        for mask, _ in new:
            self._check(mask)
        if self.calls_left is not None and len(new) > self.calls_left:
            raise JudgeCallsSpent
        if new:
            found = self._scores(
                np.array([mask for mask, _ in new], dtype=np.uint64),
                np.array([look for _, look in new], dtype=np.int64),
            )
            self._memo.update(zip(new, np.asarray(found, dtype=np.float64).tolist(), strict=True))
        return np.array([self._memo[key] for key in keys], dtype=np.float64)

    def prior(self, mask: int) -> np.ndarray | None:
        """Return float64[n], how promising each attribute is next (any scale >= 0), or None = uniform."""
        return None if self._prior is None else self._prior(int(mask))

    @property
    def has_prior(self) -> bool:
        """Tell whether `prior` may say anything."""
        return self._prior is not None

    @property
    def judge_calls(self) -> int:
        """Distinct (set, sample) pairs scored so far."""
        return len(self._memo)

    @property
    def calls_left(self) -> int | None:
        """Judge calls that may still be made; None = no limit."""
        return None if self.max_judge_calls is None else self.max_judge_calls - len(self._memo)

    def told_reasons(self) -> str:
        """Return the reasons of unscored sets, the most frequent first, as " (refused 3, parse 1)"; or ""."""
        told = ", ".join(f"{reason} {count}" for reason, count in self.reasons.most_common())
        return f" ({told})" if told else ""

    def observations(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (masks uint64[C], samples int64[C], scores float64[C]) of all that was scored, in order."""
        keys = list(self._memo)
        return (
            np.array([mask for mask, _ in keys], dtype=np.uint64),
            np.array([look for _, look in keys], dtype=np.int64),
            np.array(list(self._memo.values()), dtype=np.float64),
        )

    def cost(self, mask: int) -> float:
        """Return the cost of having asked for `mask` beyond `known`."""
        asked = int(mask) & ~int(self.known)
        return float(sum(self.costs[i] for i in range(self.n_attributes) if asked >> i & 1))

    def objective(self, mask: int, score: float) -> float:
        """Return `score - cost_weight * cost(mask)`."""
        return score - self.cost_weight * self.cost(mask) if self.cost_weight else score

    def objectives(self, masks: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return float64[B], `objective` of each of the sets `masks` (uint64[B]) and its score."""
        if not self.cost_weight:
            return scores
        return scores - self.cost_weight * np.array([self.cost(mask) for mask in masks.tolist()])

    def on_surface(self, surface: Surface) -> Problem:
        """Return the same problem with the scores of `surface`, exact and in compiled code."""

        def scores(masks: np.ndarray, _: np.ndarray) -> np.ndarray:
            return np.array([surface.function(mask, surface.params) for mask in masks], dtype=np.float64)

        return Problem(
            self.n_attributes,
            self.budget,
            scores,
            costs=self.costs,
            known=int(self.known),
            askable=int(self.askable),
            group=self.group,
            codes=self.codes,
            surface=surface,
            cost_weight=self.cost_weight,
            names=self.names,
        )

    def _check_fields(self, known: int, askable: int) -> None:
        n = self.n_attributes
        if self.costs.shape != (n,) or not np.all(np.isfinite(self.costs)):
            raise UserError(f"problem: costs of shape {self.costs.shape}, expected {n} finite numbers")
        if len(self.names) != n:
            raise UserError(f"problem: found {len(self.names)} names, expected {n}")
        for name, mask in (("known", known), ("askable", askable)):
            if int(mask) >> n:
                raise UserError(f"problem: {name} {int(mask):#x} goes beyond the {n} attributes")

    def _check(self, mask: int) -> None:
        known, askable = int(self.known), int(self.askable)
        if mask & known != known or mask & ~(known | askable):
            raise ValueError(f"set {mask:#x}: expected known {known:#x} and some of askable {askable:#x}")
        if (mask & ~known).bit_count() > self.budget:
            asked = (mask & ~known).bit_count()
            raise ValueError(
                f"set {mask:#x}: {asked} questions, expected at most the budget of {self.budget}"
            )
