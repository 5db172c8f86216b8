"""Static sets and the oracle where not every set can be scored: grown by one attribute after another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from envs import Judge, Scenario
from envs.judges.protocol import describe
from experiments.evaluation.at_once import at_once
from search.scenario_problem import JudgeScores

GREEDY_PEOPLE = 24
"""Train people that static sets are searched on, evenly taken."""


def greedy_sets(n: int, budget: int) -> int:
    """Return how many sets one greedy search looks at, of `n` attributes."""
    return 1 + sum(n - k for k in range(min(n, budget)))


class StepwiseSets:
    """Grows sets by the attribute that raises the mean score of some people most.

    `judge` is asked once for each set of each of `scenarios`, its first sample, whatever groups of them are
    searched for. A value that a profile lacks cannot become known; what is unscored has no say.
    """

    def __init__(self, judge: Judge, scenarios: Sequence[Scenario]) -> None:
        self._n_at_once = describe(judge).concurrent_plans
        self.scenarios = scenarios
        self._scores = [JudgeScores(scenario, judge) for scenario in scenarios]
        self._memo: list[dict[int, float]] = [{} for _ in scenarios]

    @property
    def n_calls(self) -> int:
        """Judge calls so far."""
        return sum(map(len, self._memo))

    def paths(self, groups: Sequence[Sequence[int]], budget: int) -> list[tuple[tuple[int, ...], int]]:
        """Return for each group of people (indices) its path, and how many of its questions score highest.

        Ties: the attribute that comes first in the schema, and fewer questions.
        """
        n = len(self.scenarios[0].schema)
        paths: list[tuple[int, ...]] = [()] * len(groups)
        means = [[mean] for mean in self._means([(group, [0]) for group in groups])[:, 0].tolist()]
        for _ in range(min(budget, n)):
            masks = [sum(1 << a for a in path) for path in paths]
            left = [[a for a in range(n) if not mask >> a & 1] for mask in masks]
            wanted = [
                (group, [mask | 1 << a for a in open_])
                for group, mask, open_ in zip(groups, masks, left, strict=True)
            ]
            for g, row in enumerate(self._means(wanted)):
                best = int(row.argmax())
                paths[g] += (left[g][best],)
                means[g].append(float(row[best]))
        return [(path, int(np.argmax(mean))) for path, mean in zip(paths, means, strict=True)]

    def _means(self, wanted: Sequence[tuple[Sequence[int], Sequence[int]]]) -> np.ndarray:
        """Return float64[G, B], means of B sets over the people of each group; -inf = none is scored."""
        own = [set[int]() for _ in self.scenarios]
        for group, masks in wanted:
            for i in group:
                own[i] |= {mask & self.scenarios[i].askable for mask in masks} - self._memo[i].keys()
        todo = [(i, np.array(sorted(masks), np.uint64)) for i, masks in enumerate(own) if masks]
        tasks = [partial(self._scores[i], masks, np.zeros(len(masks), np.int64)) for i, masks in todo]
        for (i, new), found in zip(todo, at_once(tasks, self._n_at_once), strict=True):
            self._memo[i].update(zip(new.tolist(), found.tolist(), strict=True))
        return np.array([[self._mean(group, mask) for mask in masks] for group, masks in wanted])

    def _mean(self, group: Sequence[int], mask: int) -> float:
        scores = [self._memo[i][mask & self.scenarios[i].askable] for i in group]
        scored = [score for score in scores if not np.isnan(score)]
        return float(np.mean(scored)) if scored else -np.inf
