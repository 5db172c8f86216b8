"""Set functions of known shape as judges, to test searches on: simulated, and no finding about people.

With known set S, x_a = 1 where attribute a is known, and every score cut at [1, 5]:

    additive         2 + sum_a w_a x_a,  w ~ N(.2, .2): the best set is the best single attributes
    pair_complement  1.5 + sum_a w_a x_a + sum_ij k_ij x_i x_j,  w ~ N(.03, .08), n pairs (i, j) drawn with
                     replacement, k ~ U(.2, 1): single attributes tell little
    coverage         2 + 2.8 sum_t v_t (1 - prod_{a in S} (1 - c_at)),  20 topics, v ~ Exp normalised to
                     sum 1, c_at = U(.3, 1) with chance .15, else 0: monotone and submodular
    needle           2, and 4.5 where S holds one set of four: nothing can be learned, the negative control
    sketch           2.8 + 1.4 tanh(1.3 x),  x = sum_a w_a x_a + sum_ab p_ab x_a x_b,  w ~ Exp normalised to
                     sum 1, p_ab ~ N(0, s), s ~ U(.015, .04): saturates as the published figures do
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from envs.elementwise import each
from envs.errors import UserError
from envs.judges.protocol import MAX_SCORE, MIN_SCORE
from envs.judges.simulated.noise import Noisy
from envs.judges.simulated.parameters import normals
from envs.scenario import Scenario

NEEDLE_SIZE = 4
"""Attributes in the needle; with fewer attributes than that, all of them."""
_TOPICS = 20

Draws = tuple[np.ndarray, ...]


class Landscape(NamedTuple):
    """A family of set functions.

    `draw`: (generator, n attributes) -> arrays whose rows are drawn alike and independently. `value`:
    (known float64[B, n], those arrays) -> float64[B], before it is cut at [1, 5].
    """

    draw: Callable[[np.random.Generator, int], Draws]
    value: Callable[[np.ndarray, Draws], np.ndarray]


def _draw_additive(rng: np.random.Generator, n: int) -> Draws:
    return (rng.normal(0.2, 0.2, n),)


def _additive(known: np.ndarray, draws: Draws) -> np.ndarray:
    return 2.0 + _sums(known, draws[0])


def _draw_pairs(rng: np.random.Generator, n: int) -> Draws:
    first = rng.integers(n, size=n)
    second = (first + 1 + rng.integers(max(n - 1, 1), size=n)) % n
    return rng.normal(0.03, 0.08, n), np.column_stack([first, second, rng.uniform(0.2, 1.0, n)])


def _pairs(known: np.ndarray, draws: Draws) -> np.ndarray:
    weights, pairs = draws
    first, second = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)
    return 1.5 + _sums(known, weights) + _sums(known[:, first] * known[:, second], pairs[:, 2])


def _draw_coverage(rng: np.random.Generator, n: int) -> Draws:
    covers = rng.uniform(0.3, 1.0, (n, _TOPICS)) * (rng.random((n, _TOPICS)) < 0.15)
    return covers, rng.exponential(size=_TOPICS)


def _coverage(known: np.ndarray, draws: Draws) -> np.ndarray:
    covers, values = draws
    logs = each(math.log1p, -covers)  # c_at < 1, so that no logarithm is of 0
    missed = each(math.exp, _product(known, logs))
    return 2.0 + 2.8 * _sums(1.0 - missed, values / values.sum())


def _draw_needle(rng: np.random.Generator, n: int) -> Draws:
    return (rng.choice(n, min(NEEDLE_SIZE, n), replace=False)[None, :],)


def _needle(known: np.ndarray, draws: Draws) -> np.ndarray:
    return 2.0 + 2.5 * known[:, draws[0][0]].min(axis=1)


def _draw_sketch(rng: np.random.Generator, n: int) -> Draws:
    return rng.exponential(size=n), rng.standard_normal(n * (n - 1) // 2), rng.uniform(0.015, 0.04, 1)


def _sketch(known: np.ndarray, draws: Draws) -> np.ndarray:
    weights, pairs, spread = draws
    n = len(weights)
    upper = np.zeros((n, n))
    upper[np.triu_indices(n, 1)] = spread[0] * pairs
    x = _sums(known, weights / weights.sum()) + _sums(_product(known, upper), known)
    return 2.8 + 1.4 * each(math.tanh, 1.3 * x)


def _sums(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return float64[B], rows @ weights; `@` itself adds in another order on each processor."""
    found: np.ndarray = (rows * weights).sum(axis=1)
    return found


def _product(known: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return float64[B, k], known @ rows, attribute by attribute."""
    found = np.zeros((len(known), rows.shape[1]))
    for column, row in zip(known.T, rows, strict=True):
        found += np.outer(column, row)
    return found


LANDSCAPES = {
    "additive": Landscape(_draw_additive, _additive),
    "pair_complement": Landscape(_draw_pairs, _pairs),
    "coverage": Landscape(_draw_coverage, _coverage),
    "needle": Landscape(_draw_needle, _needle),
    "sketch": Landscape(_draw_sketch, _sketch),
}


class LandscapeJudge(Noisy):
    """A judge whose every scenario is a draw of one family of set functions. SIMULATED, nobody was asked.

    Parameters
    ----------
    kind : {"additive", "pair_complement", "coverage", "needle", "sketch"}
    model_seed : int
        Another judge of the same kind. A scenario's draw is a function of (kind, model_seed, scenario id,
        number of attributes) alone: neither its words nor its values matter.
    noise_std : float
        Standard deviation of the score's noise: normal, a function of (seed, scenario id, known names,
        sample), cut symmetrically where it would leave [1, 5], so that the mean stays true.
    shared : float in [0, 1]
        Chance with which each weight, pair or topic is its domain's instead of the scenario's own: what a
        search can learn from one scenario for the next. The distribution of each is the same for any value.
    seed : int
        Seed of the noise.

    Raises
    ------
    UserError
        an unknown kind, a noise that is negative or not finite, or `shared` outside [0, 1].
    """

    def __init__(
        self,
        kind: str = "sketch",
        model_seed: int = 0,
        noise_std: float = 0.0,
        shared: float = 0.0,
        seed: int = 0,
    ) -> None:
        if kind not in LANDSCAPES:
            raise UserError(f"judge.kind: found {kind!r}, expected one of {', '.join(LANDSCAPES)}")
        super().__init__(noise_std, seed)
        if not 0.0 <= shared <= 1.0:
            raise UserError(f"judge.shared: found {shared!r}, expected a number from 0 to 1")
        self.kind = kind
        self.name = f"simulated_{kind}"
        self.model_seed = int(model_seed)
        self.shared = float(shared)
        self._latest: tuple[Scenario, Draws] | None = None

    def score(
        self,
        scenario: Scenario,
        contexts: Sequence[tuple[str, ...]],
        samples: Sequence[int] | None = None,
    ) -> list[float]:
        """Return one score for each context; `samples` (default: all 0) matters with noise only."""
        schema = scenario.schema
        masks = np.array([schema.mask(names) for names in contexts], dtype=np.uint64)
        scores = self.truth(scenario, masks)
        if self.stochastic:
            looks = [0] * len(contexts) if samples is None else samples
            there = (masks & np.uint64(scenario.askable)).tolist()
            noise = [
                self._noise(scenario.id, schema.names_of(mask), int(look))
                for mask, look in zip(there, looks, strict=True)
            ]
            room = np.minimum(scores - MIN_SCORE, MAX_SCORE - scores)
            scores += np.clip(noise, -room, room)
        return [float(score) for score in scores]

    def truth(self, scenario: Scenario, masks: np.ndarray) -> np.ndarray:
        """Return float64[B], the scores of the sets `masks` (uint64[B]) without noise."""
        n = len(scenario.schema)
        there = np.asarray(masks, dtype=np.uint64) & np.uint64(scenario.askable)
        known = ((there[:, None] >> np.arange(n, dtype=np.uint64)) & np.uint64(1)).astype(np.float64)
        return np.clip(LANDSCAPES[self.kind].value(known, self.draws(scenario)), MIN_SCORE, MAX_SCORE)

    def draws(self, scenario: Scenario) -> Draws:
        """Return what `scenario` drew: the arrays in the order of the formula of its kind."""
        if self._latest is None or self._latest[0] is not scenario:
            self._latest = (scenario, self._draw(scenario))
        return self._latest[1]

    def _draw(self, scenario: Scenario) -> Draws:
        n = len(scenario.schema)
        draw = LANDSCAPES[self.kind].draw
        rng = self._generator("scenario", scenario.id, n)
        own = draw(rng, n)
        if not self.shared:
            return own
        common = draw(self._generator("domain", scenario.domain, n), n)
        taken = [rng.random(len(rows)) < self.shared for rows in own]
        return tuple(
            np.where(take.reshape(-1, *[1] * (mine.ndim - 1)), theirs, mine)
            for take, mine, theirs in zip(taken, own, common, strict=True)
        )

    def _generator(self, *key: object) -> np.random.Generator:
        text = json.dumps([self.kind, self.model_seed, *key])
        words = np.frombuffer(hashlib.blake2b(text.encode(), digest_size=32).digest(), dtype="<u4")
        return np.random.default_rng(np.random.SeedSequence(words.tolist()))

    def _noise(self, scenario_id: str, known: Sequence[str], look: int) -> float:
        return self.noise_std * float(normals(1, "noise", self.seed, scenario_id, sorted(known), look)[0])
