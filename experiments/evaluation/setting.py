"""What one evaluation is about: who is planned for, who is asked, who judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from envs import Judge, Scenario, Schema, UserError
from envs.judges.simulated import SimulatedJudge
from experiments.evaluation.trajectories import TrueScores
from search.path_table import PathTable
from search.scenario_problem import judge_scores

MAX_ENUMERABLE = 12
"""Up to how many attributes every set within the budget is scored, of a judge that costs nothing."""


@dataclass
class Setting:
    """One draw of the judge with the people on both sides of the split.

    Attributes
    ----------
    judge : the judge as a search sees it, noise included
    train, test : scenarios planned for, and scenarios of other profiles
    budget : int, the most questions
    tellable : uint64[N_test], the attributes that each test person would answer usefully when asked
    table : path table planned for `train` alone
    seed : seed of what is random in methods (orders)
    costs : float64[n], `disclosure` of each attribute: cost times sensitivity
    """

    judge: Judge
    train: Sequence[Scenario]
    test: Sequence[Scenario]
    budget: int
    tellable: np.ndarray
    table: PathTable
    seed: int = 0
    report_samples: int = 8
    model_seed: int = 0
    true: TrueScores = field(init=False)

    def __post_init__(self) -> None:
        schemas = {s.schema for s in (*self.train, *self.test)}
        if len(schemas) != 1:
            raise UserError(f"scenarios: found {len(schemas)} lists of attributes, expected one")
        shared = {s.profile for s in self.train} & {s.profile for s in self.test}
        if shared:
            raise UserError(
                f"evaluation: {len(shared)} profiles are on both sides of the split, expected none; "
                f"plans made for a person say nothing about others"
            )
        self.true = TrueScores(self.judge, self.test, self.report_samples)

    @property
    def schema(self) -> Schema:
        """The attributes, the same for everybody."""
        return self.test[0].schema

    @property
    def disclosure(self) -> np.ndarray:
        """float64[n]: what telling each attribute costs, its cost times its sensitivity."""
        return np.array([a.cost * a.sensitivity for a in self.schema.attributes], dtype=np.float64)

    @property
    def enumerable(self) -> bool:
        """Tell whether every set can be scored: a simulated judge, and not too many attributes."""
        return isinstance(self.judge, SimulatedJudge) and len(self.schema) <= MAX_ENUMERABLE


def sets_of_at_most(n: int, budget: int) -> np.ndarray:
    """Return uint64[n_sets], the sets of at most `budget` of n attributes: fewer first, then schema order."""
    masks = [mask for mask in range(1 << n) if mask.bit_count() <= budget]
    return np.array(sorted(masks, key=lambda mask: (mask.bit_count(), _members(mask))), dtype=np.uint64)


def _members(mask: int) -> list[int]:
    return [i for i in range(mask.bit_length()) if mask >> i & 1]


def people(scenarios: Sequence[Scenario]) -> tuple[np.ndarray, np.ndarray]:
    """Return (int64[P] first scenario of each person in a domain, int64[N] person of each scenario)."""
    numbers: dict[tuple[object, str], int] = {}
    first: list[int] = []
    of = np.empty(len(scenarios), dtype=np.int64)
    for i, scenario in enumerate(scenarios):
        key = (scenario.profile, scenario.domain)
        if key not in numbers:
            numbers[key] = len(first)
            first.append(i)
        of[i] = numbers[key]
    return np.array(first, dtype=np.int64), of


def score_table(judge: Judge, scenarios: Sequence[Scenario], masks: np.ndarray) -> np.ndarray:
    """Return float64[P, n_sets], exact scores of sets under a simulated judge, else sample 0.

    What a profile does not hold cannot become known: a set with it is the set without it.
    """
    table = np.empty((len(scenarios), len(masks)))
    for row, scenario in zip(table, scenarios, strict=True):
        known = masks & np.uint64(scenario.askable)
        if isinstance(judge, SimulatedJudge):
            row[:] = judge.dimensions(scenario, known).mean(axis=1)
        else:
            distinct, where = np.unique(known, return_inverse=True)
            row[:] = judge_scores(scenario, judge)(distinct, np.zeros(len(distinct), np.int64))[where]
    return table
