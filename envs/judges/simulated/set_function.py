"""The simulated judge: a smooth, value-dependent set function. Its numbers are simulated, never measured.

For dimension d, a person and a set S of known attributes,

    s_d(S) = b_d + H_d (1 - exp(-G_d(S))) - (b_d - 1) (1 - exp(-Q(S)))
    G_d(S) = sum_a w_a rho_a(level) delta_a(domain) lambda_ad + sum_ab k_ab min(rel_a, rel_b)
    Q(S)   = sum_a q_a(level, domain)

with rel = rho * delta (0 for a value that is missing). G saturates, so that most attributes are substitutes;
the pairs k are complements; the few positive q are attributes that harm. `b` and `H` are functions of the
profile's levels, never of an id. Since 1 <= b_d and b_d + H_d <= 4.9, every score lies in [1, 4.9] and
nothing is clipped. Values in words that no level names are neutral: rho 1, no harm, no part in b and H.
"""

from __future__ import annotations

import importlib
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from operator import is_
from typing import TypeVar

import numpy as np

from envs.elementwise import each
from envs.errors import UserError
from envs.judges.protocol import MAX_SCORE, MIN_SCORE, ManySurfaces, Score, Surface
from envs.judges.simulated.noise import Noisy
from envs.judges.simulated.parameters import PUBLISHED_GAINS, Parameters, normals
from envs.judges.simulated.people import (
    GAIN_SHARES,
    JudgedPeople,
    SchemaDraw,
    draw_of_schema,
    in_order,
    read_people,
)
from envs.judges.simulated.presets import PRESETS
from envs.judges.simulated.surface_params import surface_params
from envs.scenario import Scenario
from envs.schema import Schema

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_REMEMBERED = 1024  # people whose parameters are kept


class SimulatedJudge(Noisy):
    """A judge without a language model, exact or with counter-based noise.

    Parameters
    ----------
    preset : {"published", "varied"}
        The level and saturation of the published figures, or people who differ more.
    model_seed : int
        Another judge of the same kind.
    noise_std : float
        Standard deviation of the score's noise (0.17 between judge and humans in arXiv 2505.18882). Each
        dimension has independent normal noise of sqrt(3) times this, a function of (seed, scenario id, known
        names, sample) alone. Noise that would leave [1, 5] is cut symmetrically, so that the mean stays true
        and only its spread shrinks next to an edge.
    seed : int
        Seed of the noise.
    draws : int
        The mean of so many judges, those of `model_seed`, `model_seed` + 1, ...: what a plan should rest on
        that is for no one of them.

    Raises
    ------
    UserError
        an unknown preset, a noise that is negative or not finite, or no draw.
    """

    fitted_attributes = tuple(PUBLISHED_GAINS)

    def __init__(
        self,
        preset: str = "published",
        model_seed: int = 0,
        noise_std: float = 0.0,
        seed: int = 0,
        draws: int = 1,
    ) -> None:
        if preset not in PRESETS:
            raise UserError(f"judge.preset: found {preset!r}, expected one of {', '.join(PRESETS)}")
        super().__init__(noise_std, seed)
        if draws < 1:
            raise UserError(f"judge.draws: found {draws!r}, expected an integer >= 1")
        self.preset = PRESETS[preset]
        self.name = self.preset.name
        self.model_seed = int(model_seed)
        self.draws = int(draws)
        self._others = [SimulatedJudge(preset, self.model_seed + i) for i in range(1, self.draws)]
        self._parameters = Parameters(self.preset, self.model_seed, GAIN_SHARES)
        self._schemas: OrderedDict[Schema, SchemaDraw] = OrderedDict()
        self._read: OrderedDict[tuple[object, ...], JudgedPeople] = OrderedDict()
        self._latest: tuple[tuple[Scenario, ...], JudgedPeople] | None = None

    def score(
        self,
        scenario: Scenario,
        contexts: Sequence[tuple[str, ...]],
        samples: Sequence[int] | None = None,
    ) -> list[Score]:
        """Return one `Score` for each context; `samples` (default: all 0) matters with noise only."""
        masks = np.array([scenario.schema.mask(names) for names in contexts], dtype=np.uint64)
        looks = np.zeros(len(masks), np.int64) if samples is None else np.asarray(samples, np.int64)
        return [Score(*row) for row in self._seen((scenario,), np.zeros_like(looks), masks, looks).tolist()]

    def score_sets(self, scenario: Scenario, masks: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Return float64[B], the `value` of what `score` says of the sets `masks` (uint64[B])."""
        return self.score_many((scenario,), np.zeros(len(masks), np.int64), masks, samples)

    def score_many(
        self, scenarios: Sequence[Scenario], owners: np.ndarray, masks: np.ndarray, samples: np.ndarray
    ) -> np.ndarray:
        """Return float64[B], `score_sets` of the set `masks[i]` of `scenarios[owners[i]]`; of one schema."""
        seen = self._seen(scenarios, owners, masks, samples)
        return (seen[:, 0] + seen[:, 1] + seen[:, 2]) / 3.0

    def _seen(
        self, scenarios: Sequence[Scenario], owners: np.ndarray, masks: np.ndarray, samples: np.ndarray
    ) -> np.ndarray:
        """Return float64[B, 3], `dimensions` with the noise of each sample."""
        dimensions = self._dimensions(scenarios, owners, masks)
        if self.stochastic:
            asked = [scenarios[i] for i in owners.tolist()]
            noise = [
                self._noise(s.id, s.schema.names_of(mask & s.askable), sample)
                for s, mask, sample in zip(asked, masks.tolist(), samples.tolist(), strict=True)
            ]
            room = np.minimum(dimensions - MIN_SCORE, MAX_SCORE - dimensions)
            dimensions += np.clip(np.reshape(noise, dimensions.shape), -room, room)
        return dimensions

    def dimensions(self, scenario: Scenario, masks: np.ndarray) -> np.ndarray:
        """Return float64[B, 3], without noise, of the sets `masks` (uint64[B])."""
        return self._dimensions((scenario,), np.zeros(len(masks), np.int64), masks)

    def _dimensions(self, scenarios: Sequence[Scenario], owners: np.ndarray, masks: np.ndarray) -> np.ndarray:
        total = self._own_dimensions(scenarios, owners, masks)
        for other in self._others:
            total += other._own_dimensions(scenarios, owners, masks)
        return total / self.draws

    def _own_dimensions(
        self, scenarios: Sequence[Scenario], owners: np.ndarray, masks: np.ndarray
    ) -> np.ndarray:
        """Return float64[B, 3] of the first draw alone."""
        people, draw = self._people(scenarios), self._draw(scenarios[0].schema)
        base, height, load, harm, pair = (part[owners] for part in people)
        known = np.asarray(masks, np.uint64)[:, None] >> np.arange(harm.shape[1], dtype=np.uint64)
        known = (known & np.uint64(1)).astype(np.float64)
        # No `@`, nor NumPy's own expm1: the last bit of either depends on the processor.
        # Nor `sum`, which adds a single row in another order than several.
        both = in_order(known[:, draw.first] * known[:, draw.second] * pair)
        kept = each(math.expm1, -in_order(known[:, :, None] * load) - both[:, None])
        lost = each(math.expm1, -in_order(known * harm))
        return base - height * kept + lost[:, None] * (base - MIN_SCORE)

    def surface(self, scenario: Scenario) -> Surface | None:
        """Return the mean of `dimensions` as compiled code, or None with noise."""
        found = self.surfaces((scenario,))
        return None if found is None else Surface(found.function, found.params)

    def surfaces(self, scenarios: Sequence[Scenario]) -> ManySurfaces | None:
        """Return the surfaces of `scenarios`, all of one schema, or None with noise."""
        if self.stochastic:
            return None
        from envs.judges.simulated.compiled_surface import mean_surface, simulated_surface

        parts = [judge._surface_params(scenarios) for judge in (self, *self._others)]
        if self._others:
            places = 1 + self.draws + np.cumsum([0, *(part.shape[1] for part in parts[:-1])])
            head = np.array([self.draws, *places], np.float64)
            parts.insert(0, np.tile(head, (len(scenarios), 1)))
        params = np.concatenate(parts, axis=1) if self._others else parts[0]
        starts = params.shape[1] * np.arange(len(scenarios) + 1)
        return ManySurfaces(mean_surface if self._others else simulated_surface, params.ravel(), starts)

    def warm_up(self) -> None:
        """Compile the surface, where there is one."""
        if not self.stochastic:
            importlib.import_module("envs.judges.simulated.compiled_surface")

    def _surface_params(self, scenarios: Sequence[Scenario]) -> np.ndarray:
        """Return float64[K, W], the parameters of `simulated_surface` for the first draw."""
        return surface_params(*self._people(scenarios), self._draw(scenarios[0].schema).partners)

    def _noise(self, scenario_id: str, known: Sequence[str], sample: int) -> np.ndarray:
        drawn = normals(3, "noise", self.seed, scenario_id, sorted(known), int(sample))
        return self.noise_std * math.sqrt(3.0) * drawn

    def _people(self, scenarios: Sequence[Scenario]) -> JudgedPeople:
        """Return what is made of `scenarios`, all of one schema; the latest ones are remembered."""
        latest = self._latest
        if latest is not None and len(latest[0]) == len(scenarios) and all(map(is_, latest[0], scenarios)):
            return latest[1]
        draw = self._draw(scenarios[0].schema)
        if len(scenarios) > 1:
            people = read_people(self._parameters, draw, scenarios)
        else:
            one = scenarios[0]
            key = (one.schema, one.domain, one.codes.tobytes(), one.askable)
            people = _remember(
                self._read, key, _REMEMBERED, lambda: read_people(self._parameters, draw, scenarios)
            )
        self._latest = (tuple(scenarios), people)
        return people

    def _draw(self, schema: Schema) -> SchemaDraw:
        return _remember(self._schemas, schema, 8, lambda: draw_of_schema(self._parameters, schema))


def _remember(cache: OrderedDict[K, V], key: K, size: int, make: Callable[[], V]) -> V:
    """Return what `cache` holds for `key`, made now if need be; the least recently used goes."""
    if key in cache:
        cache.move_to_end(key)
        return cache[key]
    cache[key] = value = make()
    if len(cache) > size:
        cache.popitem(last=False)
    return value
