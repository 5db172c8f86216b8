"""What the two simulated judges promise over the bundled scenarios, and whether a judge's figures keep it.

Sources of the ranges of `simulated`: arXiv 2505.18882 (level, single gains in Fig. 6, the planned path in
Fig. 15) and, for harm, the share of items with a step that lowers the value on CASE-Bench. `simulated_varied`
keeps the level and is a judge under which planning can matter: no fixed set serves everybody.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

from envs.judges.simulated.parameters import PUBLISHED_GAINS
from experiments.judging.judge_statistics import FIXED, Figures

BUNDLED = 140
"""Scenarios that the promises are about; counts are given for so many."""
_APART = 0.05  # published gains closer than this need not keep their order


class Promise(NamedTuple):
    """A range that a figure lies in; `measure` is NaN where the figure does not exist."""

    what: str
    low: float
    high: float
    measure: Callable[[Figures], float]


class PromiseCheck(NamedTuple):
    """A promise and what was found."""

    promise: Promise
    value: float

    @property
    def met(self) -> bool:
        """Tell whether the value lies in the promised range."""
        return self.promise.low <= self.value <= self.promise.high


def single_error(found: Figures) -> float:
    """Return the largest distance of a single gain from the published one; NaN when none is published."""
    errors = [abs(gain - PUBLISHED_GAINS[name]) for name, gain in found.singles.items() if _published(name)]
    return max(errors, default=math.nan)


def order_errors(found: Figures) -> float:
    """Return how many pairs of single gains are not in their published order; NaN when none is published."""
    names = [name for name in found.singles if _published(name)]
    wrong = sum(
        PUBLISHED_GAINS[a] - PUBLISHED_GAINS[b] >= _APART and found.singles[a] <= found.singles[b]
        for a, b in itertools.permutations(names, 2)
    )
    return float(wrong) if len(names) > 1 else math.nan


def _published(name: str) -> bool:
    return name in PUBLISHED_GAINS


def _fixed(budget: int) -> Callable[[Figures], float]:
    return lambda found: found.regret[FIXED].get(budget, math.nan)


PROMISES = {
    "simulated": (
        Promise("mean score, nothing known", 2.76, 2.96, lambda f: f.empty),
        Promise("mean score, everything known", 3.90, 4.10, lambda f: f.full),
        Promise("sd of their difference", 0.4, 0.7, lambda f: f.gain_sd),
        Promise("largest distance from a published single gain", 0.0, 0.1, single_error),
        Promise("pairs of single gains out of order", 0.0, 0.0, order_errors),
        Promise("best three: share of the gain after 1 question", 0.75, 0.85, lambda f: f.shares[0]),
        Promise("best three: share of the gain after 2", 0.90, 0.97, lambda f: f.shares[1]),
        Promise("share of scenarios with a harmful step", 0.08, 0.20, lambda f: f.harmful),
        Promise(
            f"full context below empty, of {BUNDLED}", 2, 5, lambda f: BUNDLED * f.n_below / f.n_scenarios
        ),
    ),
    "simulated_varied": (
        Promise("mean score, everything known", 4.0, 4.2, lambda f: f.full),
        Promise("largest distance from a published single gain", 0.0, 0.15, single_error),
        Promise("share of the most common best first question", 0.0, 0.45, lambda f: f.first_share),
        Promise("best fixed set per domain: regret at budget 2", 0.08, 1.0, _fixed(2)),
        Promise("best fixed set per domain: regret at budget 4", 0.03, 1.0, _fixed(4)),
    ),
}
"""Name of a simulated judge -> what it promises; low and high inclusive, points of [1, 5] or shares."""


def checks(found: Figures) -> list[PromiseCheck]:
    """Return what was promised of this judge and what was found; nothing for any other judge."""
    promises = PROMISES.get(found.judge, ()) if found.simulated else ()
    all_checks = [PromiseCheck(promise, promise.measure(found)) for promise in promises]
    return [check for check in all_checks if not math.isnan(check.value)]
