"""The planning problem as a search sees it: the scores of sets, and nothing of what scores them.

`Problem` is the specification and never changes. What does change while a search runs (which sets are scored,
how many judge calls are left) is in its `evaluator`, which the problem hands on: a searcher needs one object.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from envs import UserError
from envs.checking.declared import Declared
from envs.judges.protocol import ManySurfaces, Surface
from envs.schema.attribute import UNKNOWN
from search.evaluator import Evaluator, JudgeCallsSpent, SetRules, SetScores
from search.plans import Alternative, Plan

if TYPE_CHECKING:
    from search.core.surface_plans import SurfacePlans

__all__ = [
    "Alternative",
    "JudgeCallsSpent",
    "Observations",
    "Plan",
    "PlanningFailed",
    "Problem",
    "Searcher",
    "describe_searcher",
]

SetPrior = Callable[[int], "np.ndarray | None"]
"""mask -> float64[n], how promising each attribute is next (any scale >= 0), or None = uniform."""


class PlanningFailed(Exception):
    """A scenario cannot be planned; the run goes on. `stage` and `reason` go to `failures.jsonl`."""

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage = stage
        self.reason = reason


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
    """Plans one problem; `SearcherCapabilities` has what it may declare beyond that."""

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        """Return an ordered set of at most `problem.budget` askable attributes."""
        ...


@dataclass(frozen=True)
class SearcherCapabilities:
    """What a searcher declares, under the names of its own attributes.

    Attributes
    ----------
    name : default, the name of its class
    num_simulations : search iterations; None = it counts none
    fit : (observations of the scenarios so far) -> a searcher that has learned from them
    warm_up : () -> compiles, or loads what is compiled, before workers start
    plan_surfaces : (surfaces, askable uint64[K], attributes, budget, dropout) -> `SurfacePlans`, what `plan`
        would return of K exact problems without costs, limit and prior, in compiled code; or None. It is
        not taken of a subclass that has its own `plan` alone
    most_judge_calls, expected_judge_calls : (askable attributes, budget) -> judge calls of one plan
    """

    name: str
    num_simulations: int | None
    fit: Callable[[Sequence[Observations]], Searcher] | None
    warm_up: Callable[[], None] | None
    plan_surfaces: Callable[[ManySurfaces, np.ndarray, int, int, float], SurfacePlans | None] | None
    most_judge_calls: Callable[[int, int], int] | None
    expected_judge_calls: Callable[[int, int], int] | None


def describe_searcher(searcher: object) -> SearcherCapabilities:
    """Return what `searcher` declares.

    Raises
    ------
    UserError
        one line that names the attribute: it is of another type than `SearcherCapabilities` says.
    """
    declared = Declared(searcher, "search")
    return SearcherCapabilities(
        name=declared.name(),
        num_simulations=declared.whole("num_simulations", None),
        fit=declared.method("fit", "(observations)"),
        warm_up=declared.method("warm_up", "()"),
        plan_surfaces=declared.twin(
            "plan_surfaces", "(surfaces, askable, n_attributes, budget, dropout)", "plan"
        ),
        most_judge_calls=declared.method("most_judge_calls", "(n_askable, budget)"),
        expected_judge_calls=declared.method("expected_judge_calls", "(n_askable, budget)"),
    )


def uniform_prior(mask: int) -> None:
    """Say nothing of what to ask next."""


_NOTHING = np.uint64(0)
_DEFAULT: Any = None
"""Stands for what depends on the number of attributes."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A set function over attributes, with its budget (paper: k, B).

    Attributes
    ----------
    n_attributes : int, 1 to 64
    budget : int, the most questions that may be asked beyond `known`
    scores : what `evaluate` asks about new (set, sample) pairs
    costs : float64[n], units of `cost_weight`; default 1 each
    known, askable : uint64 bitmasks, disjoint; bit i = attribute i; default nothing and everything
    group : str, the scenario's domain
    codes : int8[n], level of each attribute's value, -1 unknown
    prior : mask -> float64[n], how promising each attribute is next (any scale >= 0), or None = uniform
    surface : compiled twin of `evaluate` (sample 0), or None
    cost_weight : float; `objective = score - cost_weight * cost of what was asked`
    dropout : float in [0, 1), chance that the person stops answering before each further question
    max_judge_calls : int or None, the most distinct (set, sample) pairs that `evaluate` will score
    noisy : bool, whether a set's score depends on the sample: a search may evaluate it again, and should not
        believe one score
    names : tuple[str] of n attribute names, "0", "1", ... where none were given
    reasons : Counter[str], why sets were left unscored, filled by `scores` where it has something to say
    evaluator : what was scored so far, made with the problem

    Raises
    ------
    UserError
        a size out of range, or a field that does not fit the number of attributes.
    """

    n_attributes: int
    budget: int
    scores: SetScores
    _: KW_ONLY
    costs: np.ndarray = _DEFAULT
    known: np.uint64 = _NOTHING
    askable: np.uint64 = _DEFAULT
    group: str = "other"
    codes: np.ndarray = _DEFAULT
    prior: SetPrior = uniform_prior
    surface: Surface | None = None
    cost_weight: float = 0.0
    dropout: float = 0.0
    max_judge_calls: int | None = None
    noisy: bool = False
    names: tuple[str, ...] = _DEFAULT
    reasons: Counter[str] = field(default_factory=Counter, repr=False)
    evaluator: Evaluator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n = self.n_attributes
        if not 1 <= n <= 64:
            raise UserError(f"problem: found {n} attributes, expected 1 to 64")
        if self.budget < 1:
            raise UserError(f"budget: found {self.budget}, expected an integer >= 1")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout: found {self.dropout}, expected a probability, 0 to below 1")
        known = int(self.known)
        askable = (1 << n) - 1 if self.askable is None else int(self.askable)
        filled: dict[str, Any] = {
            "budget": int(self.budget),
            "costs": np.ones(n) if self.costs is None else np.asarray(self.costs, dtype=np.float64),
            "codes": np.full(n, UNKNOWN, np.int8) if self.codes is None else self.codes,
            "names": tuple(map(str, range(n)) if self.names is None else self.names),
            "prior": uniform_prior if self.prior is None else self.prior,
        }
        _check_fields(n, filled["costs"], filled["names"], known, askable)
        rules = SetRules(known, askable & ~known, filled["budget"])
        filled |= {"known": np.uint64(rules.known), "askable": np.uint64(rules.askable)}
        filled["evaluator"] = Evaluator(self.scores, rules, self.max_judge_calls, self.reasons)
        for name, value in filled.items():
            object.__setattr__(self, name, value)

    @property
    def evaluate(self) -> Callable[..., np.ndarray]:
        """`Evaluator.evaluate`: (masks: uint64[B], samples: int[B] or None) -> float64[B], NaN = unscored."""
        return self.evaluator.evaluate

    @property
    def has_prior(self) -> bool:
        """Tell whether `prior` may say anything."""
        return self.prior is not uniform_prior

    @property
    def judge_calls(self) -> int:
        """Distinct (set, sample) pairs scored so far."""
        return self.evaluator.judge_calls

    @property
    def calls_left(self) -> int | None:
        """Judge calls that may still be made; None = no limit."""
        return self.evaluator.calls_left

    def observations(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (masks uint64[C], samples int64[C], scores float64[C]) of all that was scored, in order."""
        return self.evaluator.observations()

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
        asked = np.asarray(masks, np.uint64) & ~self.known
        costs = np.zeros(len(asked))
        for i, cost in enumerate(self.costs):  # added one by one, as `cost` does
            costs += np.where(asked >> np.uint64(i) & np.uint64(1), cost, 0.0)
        return scores - self.cost_weight * costs


def _check_fields(n: int, costs: np.ndarray, names: Sequence[str], known: int, askable: int) -> None:
    if costs.shape != (n,) or not np.all(np.isfinite(costs)):
        raise UserError(f"problem: costs of shape {costs.shape}, expected {n} finite numbers")
    if len(names) != n:
        raise UserError(f"problem: found {len(names)} names, expected {n}")
    for name, mask in (("known", known), ("askable", askable)):
        if mask >> n:
            raise UserError(f"problem: {name} {mask:#x} goes beyond the {n} attributes")
