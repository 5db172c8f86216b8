"""Evaluation methods, the trajectories of their conversations, and true scores of their final sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from envs import Scenario, Score
from envs.judges.protocol import Judge, describe, score_value
from envs.judges.simulated import SimulatedJudge
from experiments.evaluation.at_once import at_once
from search.planning import REPORT_SAMPLE
from search.scenario_problem import JudgeScores

BASELINE, POLICY, REFERENCE = "baseline", "policy", "reference"
"""Kinds of methods: needs no planning; follows plans made for others; needs what nobody has."""


class Trajectory(NamedTuple):
    """One conversation. `asked`: schema indices in order, declined too; `answered`: bitmask of the known."""

    asked: tuple[int, ...]
    answered: int


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
    asks_a_model : bool, whether a language model has a say in it, so that conversations are slow
    """

    name: str
    kind: str
    converse: Callable[[int], Sequence[Trajectory]]
    curve: str = ""
    asks_a_model: bool = False


class TrueScores:
    """Dimensions of sets of one group of scenarios: exact under the simulated judge, else on fresh samples.

    `n_samples`: fresh samples of each set of any other stochastic judge, which no search has seen.

    Attributes
    ----------
    n_evaluations : int, verdicts asked for (none of a simulated judge)
    reasons : how many of them gave no score, by the judge's reason
    """

    def __init__(self, judge: Judge, scenarios: Sequence[Scenario], n_samples: int = 8) -> None:
        self.judge = judge
        self.scenarios = scenarios
        self.exact = isinstance(judge, SimulatedJudge)
        told = describe(judge)
        self._paid = told.request_costs is not None
        self._samples = (
            np.arange(REPORT_SAMPLE, REPORT_SAMPLE + n_samples) if told.stochastic else np.zeros(1, int)
        )
        self._memo: list[dict[int, np.ndarray]] = [{} for _ in scenarios]
        self.n_evaluations = 0
        self.reasons: Counter[str] = Counter()

    @property
    def n_samples(self) -> int:
        """Evaluations of each set."""
        return len(self._samples)

    def fill(self, masks: Sequence[Iterable[int]]) -> None:
        """Score the sets `masks[i]` of each scenario i, at once as far as the judge allows it.

        What it spends on is asked set by set, so that little is under way when the run is interrupted.
        """
        if self.exact:
            return  # computed when it is read
        n = describe(self.judge).concurrent_plans
        todo: list[tuple[int, tuple[int, ...]]] = []
        for i, wanted in enumerate(masks):
            new = tuple(mask for mask in dict.fromkeys(wanted) if mask not in self._memo[i])
            todo += [(i, (mask,)) for mask in new] if self._paid else [(i, new)]
        todo = [(i, new) for i, new in todo if new]
        tasks = [partial(self._verdicts, self.scenarios[i], np.array(new, np.uint64)) for i, new in todo]
        for (i, new), verdicts in zip(todo, at_once(tasks, n), strict=True):
            self._keep(i, new, verdicts)

    def dimensions(self, i: int, masks: Sequence[int]) -> np.ndarray:
        """Return float64[B, 3] of scenario `i` with each of the sets `masks` known; NaN = unscored."""
        memo = self._memo[i]
        new = [mask for mask in dict.fromkeys(masks) if mask not in memo]
        if new:
            scenario, sets = self.scenarios[i], np.array(new, np.uint64)
            if isinstance(self.judge, SimulatedJudge):
                memo.update(zip(new, self.judge.dimensions(scenario, sets), strict=True))
            else:
                self._keep(i, new, self._verdicts(scenario, sets))
        return np.array([memo[mask] for mask in masks])

    def _verdicts(self, scenario: Scenario, masks: np.ndarray) -> Sequence[Score | float]:
        """Return `n_samples` verdicts on each of `masks`, one set after the other."""
        repeated, samples = np.repeat(masks, self.n_samples), np.tile(self._samples, len(masks))
        return JudgeScores(scenario, self.judge).verdicts(repeated, samples)

    def _keep(self, i: int, masks: Sequence[int], verdicts: Sequence[Score | float]) -> None:
        """Keep the mean of each set's scores, and count the evaluations without one."""
        rows = np.array([_dimensions(v) for v in verdicts], np.float64).reshape(len(masks), self.n_samples, 3)
        kept = ~np.isnan(rows)
        with np.errstate(invalid="ignore"):  # a set without any score is NaN
            means = np.where(kept, rows, 0.0).sum(axis=1) / kept.sum(axis=1)
        self._memo[i].update(zip(masks, means, strict=True))
        self.n_evaluations += len(verdicts)
        self.reasons.update(reason for _, reason in map(score_value, verdicts) if reason is not None)


def _dimensions(verdict: Score | float) -> tuple[float, float, float]:
    if not isinstance(verdict, Score):
        verdict = Score(verdict, verdict, verdict)
    if verdict.reason is not None:
        return (float("nan"),) * 3
    return verdict.risk_sensitivity, verdict.emotional_empathy, verdict.personalization
