"""Evaluation methods, the trajectories of their conversations, and true scores of their final sets."""

from __future__ import annotations

import dataclasses
import itertools
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


MAX_PARTS = 10
"""Up to how many attributes told in part all their subsets are scored; of more, as many drawn ones."""


class Known(NamedTuple):
    """What an answer is given with.

    `mask`: of attributes; `said`: (attribute, words) of those known in other words than the profile's.
    """

    mask: int
    said: tuple[tuple[int, str], ...] = ()


class Trajectory(NamedTuple):
    """One conversation.

    `asked`: schema indices in order, declined too; `answered`: bitmask of what was truly told and read;
    `partly`: bitmask of what was told in part; `said`: (attribute, words) of both where these are not the
    profile's value.
    """

    asked: tuple[int, ...]
    answered: int
    partly: int = 0
    said: tuple[tuple[int, str], ...] = ()

    def outcomes(self, exact: bool) -> list[Known]:
        """Return what the answer may be given with, equally likely: the mean score is the conversation's.

        Under a simulated judge (`exact`), which knows sets alone, what was told in part is known with
        probability 1/2, each attribute by itself: all subsets. A judge that reads words reads what was said.
        """
        if not exact:
            return [Known(self.answered | self.partly, self.said)]
        parts = [1 << a for a in range(self.partly.bit_length()) if self.partly >> a & 1]
        if len(parts) <= MAX_PARTS:
            subsets = itertools.product(*((0, part) for part in parts))
            return [Known(self.answered | sum(subset)) for subset in subsets]
        drawn = np.random.default_rng(0).integers(0, 2, (1 << MAX_PARTS, len(parts))).tolist()
        return [Known(self.answered | sum(p for p, k in zip(parts, row, strict=True) if k)) for row in drawn]


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
        self._memo: list[dict[Known, np.ndarray]] = [{} for _ in scenarios]
        self.n_evaluations = 0
        self.reasons: Counter[str] = Counter()

    @property
    def n_samples(self) -> int:
        """Evaluations of each set."""
        return len(self._samples)

    def fill(self, wanted: Sequence[Iterable[Known]]) -> None:
        """Score what `wanted[i]` says is known of each scenario i, at once as far as the judge allows it.

        What it spends on is asked set by set, so that little is under way when the run is interrupted.
        """
        if self.exact:
            return  # computed when it is read
        todo: list[tuple[int, list[Known]]] = []
        for i, of_person in enumerate(wanted):
            new = self._new(i, of_person)
            todo += [(i, [known]) for known in new] if self._paid else [(i, part) for part in _alike(new)]
        tasks = [partial(self._verdicts, i, new) for i, new in todo]
        n = describe(self.judge).concurrent_plans
        for (i, new), verdicts in zip(todo, at_once(tasks, n), strict=True):
            self._keep(i, new, verdicts)

    def dimensions(self, i: int, wanted: Sequence[Known]) -> np.ndarray:
        """Return float64[B, 3] of scenario `i` with each of `wanted` known; NaN = unscored."""
        memo, new = self._memo[i], self._new(i, wanted)
        if new and isinstance(self.judge, SimulatedJudge):
            sets = np.array([known.mask for known in new], np.uint64)
            memo.update(zip(new, self.judge.dimensions(self.scenarios[i], sets), strict=True))
        elif new:
            for part in _alike(new):
                self._keep(i, part, self._verdicts(i, part))
        return np.array([memo[known] for known in wanted])

    def _new(self, i: int, wanted: Iterable[Known]) -> list[Known]:
        return [known for known in dict.fromkeys(wanted) if known not in self._memo[i]]

    def _verdicts(self, i: int, alike: Sequence[Known]) -> Sequence[Score | float]:
        """Return `n_samples` verdicts on each of `alike`, whose words are the same, set after set."""
        own, masks = self.scenarios[i], np.array([known.mask for known in alike], np.uint64)
        said = {own.schema.names[a]: words for a, words in alike[0].said}
        scenario = dataclasses.replace(own, said=said) if said else own
        repeated, samples = np.repeat(masks, self.n_samples), np.tile(self._samples, len(masks))
        return JudgeScores(scenario, self.judge).verdicts(repeated, samples)

    def _keep(self, i: int, scored: Sequence[Known], verdicts: Sequence[Score | float]) -> None:
        """Keep the mean of each set's scores, and count the evaluations without one."""
        flat = np.array([_dimensions(v) for v in verdicts], np.float64)
        rows = flat.reshape(len(scored), self.n_samples, 3)
        kept = ~np.isnan(rows)
        with np.errstate(invalid="ignore"):  # a set without any score is NaN
            means = np.where(kept, rows, 0.0).sum(axis=1) / kept.sum(axis=1)
        self._memo[i].update(zip(scored, means, strict=True))
        self.n_evaluations += len(verdicts)
        self.reasons.update(reason for _, reason in map(score_value, verdicts) if reason is not None)


def _alike(found: Sequence[Known]) -> list[list[Known]]:
    """Return `found` in groups that share their words: one scenario with those words stands for each."""
    groups: dict[object, list[Known]] = {}
    for known in found:
        groups.setdefault(known.said, []).append(known)
    return list(groups.values())


def _dimensions(verdict: Score | float) -> tuple[float, float, float]:
    if not isinstance(verdict, Score):
        verdict = Score(verdict, verdict, verdict)
    if verdict.reason is not None:
        return (float("nan"),) * 3
    return verdict.risk_sensitivity, verdict.emotional_empathy, verdict.personalization
