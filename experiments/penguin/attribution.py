"""What single attributes are worth to a judge: gains of a single reveal, Shapley values, pair interactions.

With s the score of a set, N the n askable attributes and 0 the empty set, of attribute a:
    single gain      s({a}) - s(0)
    Shapley value    mean over orders of s(those before a, and a) - s(those before a)
                     = 1/n [s({a}) - s(0) + s(N) - s(N - a)] + (n - 2)/n E[marginal | a not first, not last]
    interaction      s({a, b}) - s({a}) - s({b}) + s(0)
The first terms of the Shapley value are scored for each attribute; the last is estimated over random orders
in antithetic pairs, an order and its reverse (Castro, Gomez & Tejada 2009; Mitchell et al. 2022). Each
attribute ends about as many pairs as any other, which leaves the rest of the order random.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from envs import Scenario, UserError
from search.scenario_problem import JudgeScores

_EMPTY_SHARE = 2
"""The empty set is in every single gain: it gets so many times the looks of the full one."""


class Attribution(NamedTuple):
    """What one scenario's attributes are worth; n attributes of the schema, NaN where missing or unscored.

    `single`, `shapley` : float64[n]
    `pairs` : float64[n, n], interactions that the orders met, symmetric
    `noise` : (sum of squares, degrees of freedom) of repeated looks at the same set
    `calls` : judge calls; `unscored`: of them
    """

    single: np.ndarray
    shapley: np.ndarray
    pairs: np.ndarray
    noise: tuple[float, int]
    calls: int
    unscored: int


def least_calls(n: int) -> int:
    """Return how many calls two antithetic pairs over `n` attributes need, single reveals included."""
    return min(2**n, 3 + 2 * n + 4 * max(0, n - 3))


class _Looks:
    """Sets that are asked for first and scored in one batch; a noisy set is a new look each time."""

    def __init__(self, scores: JudgeScores) -> None:
        self._scores = scores
        self._asked: list[int] = []
        self._times: dict[int, int] = {}
        self._place: dict[int, int] = {}
        self._samples: list[int] = []
        self._values = np.empty(0)

    def ask(self, mask: int) -> int:
        """Return where the score will be."""
        if not self._scores.stochastic and mask in self._place:
            return self._place[mask]
        sample = self._times.get(mask, 0)
        self._times[mask] = sample + 1
        self._place[mask] = len(self._asked)
        self._asked.append(mask)
        self._samples.append(sample)
        return len(self._asked) - 1

    def score(self) -> np.ndarray:
        """Return float64[calls], all of what was asked."""
        masks = np.array(self._asked, dtype=np.uint64)
        return self._scores(masks, np.array(self._samples, dtype=np.int64))


def attribute(
    scenario: Scenario, scores: JudgeScores, max_calls: int, rng: np.random.Generator
) -> Attribution:
    """Spend at most `max_calls` judge calls on what the attributes of `scenario` are worth.

    Raises
    ------
    UserError
        too few calls for two antithetic pairs of orders.
    """
    there = [i for i in range(len(scenario.schema)) if scenario.askable >> i & 1]
    n = len(there)
    if not n:
        raise UserError(f"scenario {scenario.id}: found no attribute with a value, expected at least one")
    if max_calls < least_calls(n):
        raise UserError(
            f"max_judge_calls: found {max_calls}, expected at least {least_calls(n)} for {n} attributes"
        )
    repeats = max_calls // 2**n
    if repeats >= (2 if scores.stochastic else 1) or n < 4:
        return _exact(scenario, scores, there, max(1, repeats) if scores.stochastic else 1)
    return _sampled(scenario, scores, there, max_calls, rng)


def _exact(scenario: Scenario, scores: JudgeScores, there: list[int], repeats: int) -> Attribution:
    """Score every set, `repeats` times."""
    n, total = len(there), len(scenario.schema)
    looks = _Looks(scores)
    at = np.array([[looks.ask(_mask(there, s)) for _ in range(repeats)] for s in range(2**n)])
    values = looks.score()
    means = values[at].mean(axis=1)
    size = np.array([s.bit_count() for s in range(2**n)])
    weight = np.array([1.0 / (n * math.comb(n - 1, k)) for k in range(n)])
    made = _nothing(total, _noise(values, at), values)
    sets = np.arange(2**n)
    for i, a in enumerate(there):
        without = sets[sets >> i & 1 == 0]
        w = weight[size[without]]
        made.single[a] = means[1 << i] - means[0]
        made.shapley[a] = (w * (means[without | 1 << i] - means[without])).sum()
        for j, b in enumerate(there[:i]):
            both = means[1 << i | 1 << j] - means[1 << i] - means[1 << j] + means[0]
            made.pairs[a, b] = made.pairs[b, a] = both
    return made


def _mask(there: list[int], subset: int) -> int:
    return sum(1 << a for i, a in enumerate(there) if subset >> i & 1)


def _nothing(total: int, noise: tuple[float, int], values: np.ndarray) -> Attribution:
    single, shapley = (np.full(total, math.nan) for _ in range(2))
    pairs = np.full((total, total), math.nan)
    return Attribution(single, shapley, pairs, noise, len(values), int(np.isnan(values).sum()))


def _noise(values: np.ndarray, at: np.ndarray) -> tuple[float, int]:
    """Return the sum of squares within the rows of int[K, R] places, and its degrees of freedom."""
    rows = values[at]
    rows = rows[~np.isnan(rows).any(axis=1)]
    squares = (rows - rows.mean(axis=1, keepdims=True)) ** 2
    return float(squares.sum()), rows.shape[0] * (rows.shape[1] - 1)


def _orders(n: int, pairs: int, rng: np.random.Generator) -> list[list[int]]:
    """Return `pairs` orders of n; with their reverses each of n is at an end about equally often."""
    ends: list[int] = []
    while len(ends) < 2 * pairs:
        block = rng.permutation(n).tolist()
        if len(ends) % 2 and ends[-1] == block[0]:
            block.reverse()
        ends += block
    orders = []
    for first, last in zip(ends[: 2 * pairs : 2], ends[1 : 2 * pairs : 2], strict=True):
        inner = [i for i in range(n) if i not in (first, last)]
        orders.append([first, *(inner[i] for i in rng.permutation(len(inner))), last])
    return orders


def _sampled(
    scenario: Scenario, scores: JudgeScores, there: list[int], max_calls: int, rng: np.random.Generator
) -> Attribution:
    n, total = len(there), len(scenario.schema)
    noisy = scores.stochastic
    n_pairs = (max_calls - 2 * n - (3 if noisy else 2)) // (2 * (n - 3))
    left = max_calls - 2 * n - 2 * (n - 3) * n_pairs
    fulls = max(1, left // (1 + _EMPTY_SHARE)) if noisy else 1
    looks = _Looks(scores)
    whole = _mask(there, 2**n - 1)
    empty = [looks.ask(0) for _ in range(left - fulls if noisy else 1)]
    full = [looks.ask(whole) for _ in range(fulls)]
    ones = [looks.ask(1 << a) for a in there]
    others = [looks.ask(whole & ~(1 << a)) for a in there]
    walks: list[_Walk] = []
    for order in _orders(n, n_pairs, rng):
        for walk in (order, order[::-1]):
            sets = np.cumsum([1 << there[i] for i in walk]).tolist()
            inner = [looks.ask(int(s)) for s in sets[1 : n - 2]]
            walks.append((walk, [ones[walk[0]], *inner, others[walk[-1]]]))
    values = looks.score()
    squares = [_noise(values, np.array([places])) for places in (empty, full)]
    noise = (sum(s for s, _ in squares), sum(d for _, d in squares))
    made = _nothing(total, noise, values)
    base, top = float(values[empty].mean()), float(values[full].mean())
    marginals = _marginals(n, walks, values)
    for i, a in enumerate(there):
        single, last = values[ones[i]] - base, top - values[others[i]]
        rises = marginals[i]
        made.single[a] = single
        if len(rises) > 1:
            made.shapley[a] = (single + last + (n - 2) * rises.mean()) / n
    _add_pairs(made.pairs, there, walks, values, values[ones] - base, base)
    return made


_Walk = tuple[list[int], list[int]]


def _marginals(n: int, walks: list[_Walk], values: np.ndarray) -> list[np.ndarray]:
    """Return, for each attribute, its mean marginals of the antithetic pairs where it is inside; no NaN."""
    found: list[list[float]] = [[] for _ in range(n)]
    for there, back in zip(walks[::2], walks[1::2], strict=True):
        first, second = (
            dict(zip(w[1:-1], np.diff(values[at]).tolist(), strict=True)) for w, at in (there, back)
        )
        for i, rise in first.items():
            both = (rise + second[i]) / 2.0
            if not math.isnan(both):
                found[i].append(both)
    return [np.array(rows) for rows in found]


def _add_pairs(
    pairs: np.ndarray,
    there: list[int],
    walks: list[_Walk],
    values: np.ndarray,
    gains: np.ndarray,
    base: float,
) -> None:
    for walk, places in walks:
        i, j = walk[:2]
        a, b = there[i], there[j]
        pairs[a, b] = pairs[b, a] = values[places[1]] - base - gains[i] - gains[j]
