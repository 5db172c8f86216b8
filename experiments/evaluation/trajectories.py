"""What a method asked one person, what it was told, and what that was worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from envs import Scenario, Score
from envs.judges.base import Judge
from envs.judges.simulated import SimulatedJudge
from search.planning import REPORT_SAMPLE
from search.scenario_problem import judge_verdicts

BASELINE, POLICY, REFERENCE = "baseline", "policy", "reference"
"""Kinds of methods: needs no planning; follows plans made for others; needs what nobody has."""


class Trajectory(NamedTuple):
    """One conversation. `asked`: schema indices in order, declined ones too; `told`: bitmask of the known."""

    asked: tuple[int, ...]
    told: int


@dataclass(frozen=True)
class Method:
    """A way to decide what to ask and when to stop.

    Attributes
    ----------
    name : str, unique
    kind : BASELINE, POLICY or REFERENCE
    converse : scenario index -> the conversations with that person; of several (random orders) the
        mean counts
    curve : str, name of the family of operating points it belongs to ("" = none)
    """

    name: str
    kind: str
    converse: Callable[[int], Sequence[Trajectory]]
    curve: str = ""


class TrueScores:
    """Dimensions of sets of one group of scenarios: exact under the simulated judge, else on fresh samples.

    `n_samples`: fresh looks at each set of any other stochastic judge, which no search has seen.
    """

    def __init__(self, judge: Judge, scenarios: Sequence[Scenario], n_samples: int = 8) -> None:
        self.judge = judge
        self.scenarios = scenarios
        self.exact = isinstance(judge, SimulatedJudge)
        stochastic = bool(getattr(judge, "stochastic", False))
        self._samples = (
            np.arange(REPORT_SAMPLE, REPORT_SAMPLE + n_samples) if stochastic else np.zeros(1, int)
        )
        self._memo: list[dict[int, np.ndarray]] = [{} for _ in scenarios]

    def dimensions(self, i: int, masks: Sequence[int]) -> np.ndarray:
        """Return float64[B, 3] of scenario `i` with each of the sets `masks` known; NaN = unscored."""
        memo = self._memo[i]
        new = [mask for mask in dict.fromkeys(masks) if mask not in memo]
        if new:
            memo.update(zip(new, self._score(self.scenarios[i], np.array(new, np.uint64)), strict=True))
        return np.array([memo[mask] for mask in masks])

    def _score(self, scenario: Scenario, masks: np.ndarray) -> np.ndarray:
        if isinstance(self.judge, SimulatedJudge):
            return self.judge.dimensions(scenario, masks)
        looks = len(self._samples)
        repeated, samples = np.repeat(masks, looks), np.tile(self._samples, len(masks))
        verdicts = judge_verdicts(scenario, self.judge, repeated, samples)
        rows = np.array([_dimensions(v) for v in verdicts], dtype=np.float64).reshape(len(masks), looks, 3)
        kept = ~np.isnan(rows)
        with np.errstate(invalid="ignore"):  # a set without any score is NaN
            return np.where(kept, rows, 0.0).sum(axis=1) / kept.sum(axis=1)


def _dimensions(verdict: Score | float) -> tuple[float, float, float]:
    if not isinstance(verdict, Score):
        verdict = Score(verdict, verdict, verdict)
    if verdict.reason is not None:
        return (float("nan"),) * 3
    return verdict.risk_sensitivity, verdict.emotional_empathy, verdict.personalization
