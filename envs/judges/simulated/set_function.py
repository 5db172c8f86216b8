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
from typing import NamedTuple, TypeVar

import numpy as np

from envs.elementwise import each
from envs.errors import UserError
from envs.judges.protocol import MAX_SCORE, MIN_SCORE, Score, Surface
from envs.judges.simulated.parameters import Parameters, crowding, normals
from envs.judges.simulated.presets import PRESETS
from envs.judges.simulated.surface_params import pair_index, surface_params
from envs.scenario import DOMAINS, Scenario
from envs.schema import Schema

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_OFFSETS = np.array([0.04, 0.14, -0.18])  # of the base: 2.9 / 3.0 / 2.7 published
_GAIN_SHARES = (0.66, 1.03, 1.31)  # of the gain: .7 / 1.1 / 1.4 published
_CEILING = 4.9
_REACH = 2.2  # sd: a person's z is squashed to +- this
_REMEMBERED = 1024  # people whose parameters are kept


class Person(NamedTuple):
    """The judge of one person in one domain; n attributes, P complementary pairs."""

    base: np.ndarray  # float64[3], score of the empty set
    height: np.ndarray  # float64[3], the most that context can add
    load: np.ndarray  # float64[n, 3], what each attribute adds to G
    harm: np.ndarray  # float64[n], what each attribute adds to Q
    first: np.ndarray  # int64[P], attributes of each pair
    second: np.ndarray  # int64[P]
    pair: np.ndarray  # float64[P], what each pair adds to G


class _SchemaDraw(NamedTuple):
    load: np.ndarray  # `AttributeDraw`s one below the other, R rows of levels in all
    relevance: np.ndarray
    harm: np.ndarray
    person: np.ndarray
    neutral: np.ndarray  # int64[n], row of each attribute's neutral level, its last
    first: np.ndarray
    second: np.ndarray
    strength: np.ndarray
    spread: np.ndarray  # float64[n, 1], part of each attribute in z and z'
    partners: np.ndarray  # float64[n, 3], `pair_index`


class SimulatedJudge:
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

    simulated = True

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
        if not (math.isfinite(noise_std) and noise_std >= 0.0):
            raise UserError(f"judge.noise_std: found {noise_std!r}, expected a finite number >= 0")
        if draws < 1:
            raise UserError(f"judge.draws: found {draws!r}, expected an integer >= 1")
        self.preset = PRESETS[preset]
        self.name = self.preset.name
        self.model_seed = int(model_seed)
        self.noise_std = float(noise_std)
        self.seed = int(seed)
        self.draws = int(draws)
        self._others = [SimulatedJudge(preset, self.model_seed + i) for i in range(1, self.draws)]
        self._parameters = Parameters(self.preset, self.model_seed, _GAIN_SHARES)
        self._schemas: OrderedDict[Schema, _SchemaDraw] = OrderedDict()
        self._people: OrderedDict[tuple[object, ...], Person] = OrderedDict()
        self._latest: tuple[Scenario, Person] | None = None

    @property
    def stochastic(self) -> bool:
        """Tell whether a set's score depends on the sample's index."""
        return self.noise_std > 0.0

    def score(
        self,
        scenario: Scenario,
        contexts: Sequence[tuple[str, ...]],
        samples: Sequence[int] | None = None,
    ) -> list[Score]:
        """Return one `Score` for each context; `samples` (default: all 0) matters with noise only."""
        masks = np.array([scenario.schema.mask(names) for names in contexts], dtype=np.uint64)
        looks = np.zeros(len(masks), np.int64) if samples is None else np.asarray(samples, np.int64)
        return [Score(*row) for row in self._seen(scenario, masks, looks).tolist()]

    def score_sets(self, scenario: Scenario, masks: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Return float64[B], the `value` of what `score` says of the sets `masks` (uint64[B])."""
        seen = self._seen(scenario, masks, samples)
        return (seen[:, 0] + seen[:, 1] + seen[:, 2]) / 3.0

    def _seen(self, scenario: Scenario, masks: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Return float64[B, 3], `dimensions` with the noise of each sample."""
        dimensions = self.dimensions(scenario, masks)
        if self.stochastic:
            known = masks & np.uint64(scenario.askable)
            noise = [
                self._noise(scenario.id, scenario.schema.names_of(mask), sample)
                for mask, sample in zip(known.tolist(), samples.tolist(), strict=True)
            ]
            room = np.minimum(dimensions - MIN_SCORE, MAX_SCORE - dimensions)
            dimensions += np.clip(np.reshape(noise, dimensions.shape), -room, room)
        return dimensions

    def dimensions(self, scenario: Scenario, masks: np.ndarray) -> np.ndarray:
        """Return float64[B, 3], without noise, of the sets `masks` (uint64[B])."""
        total = self._own_dimensions(scenario, masks)
        for other in self._others:
            total += other._own_dimensions(scenario, masks)
        return total / self.draws

    def _own_dimensions(self, scenario: Scenario, masks: np.ndarray) -> np.ndarray:
        """Return float64[B, 3] of the first draw alone."""
        person = self._person(scenario)
        masks = np.asarray(masks, dtype=np.uint64)
        n = len(person.harm)
        known = (masks[:, None] >> np.arange(n, dtype=np.uint64)) & np.uint64(1)
        known = known.astype(np.float64)
        # No `@`, nor NumPy's own expm1: the last bit of either depends on the processor.
        # Nor `sum`, which adds a single row in another order than several.
        both = _in_order(known[:, person.first] * known[:, person.second] * person.pair)
        kept = each(math.expm1, -_in_order(known[:, :, None] * person.load) - both[:, None])
        lost = each(math.expm1, -_in_order(known * person.harm))
        return person.base - person.height * kept + np.outer(lost, person.base - MIN_SCORE)

    def surface(self, scenario: Scenario) -> Surface | None:
        """Return the mean of `dimensions` as compiled code, or None with noise."""
        if self.stochastic:
            return None
        from envs.judges.simulated.compiled_surface import mean_surface, simulated_surface

        if not self._others:
            return Surface(simulated_surface, self._surface_params(scenario))
        parts = [judge._surface_params(scenario) for judge in (self, *self._others)]
        starts = 1 + self.draws + np.cumsum([0, *map(len, parts[:-1])])
        return Surface(mean_surface, np.concatenate([[self.draws], starts, *parts]).astype(np.float64))

    def warm_up(self) -> None:
        """Compile the surface, where there is one."""
        if not self.stochastic:
            importlib.import_module("envs.judges.simulated.compiled_surface")

    def _surface_params(self, scenario: Scenario) -> np.ndarray:
        """Return the parameters of `simulated_surface` for the first draw."""
        p, partners = self._person(scenario), self._draws(scenario.schema).partners
        return surface_params(p.base, p.height, p.load, p.harm, partners, p.pair)

    def _noise(self, scenario_id: str, known: Sequence[str], sample: int) -> np.ndarray:
        drawn = normals(3, "noise", self.seed, scenario_id, sorted(known), int(sample))
        return self.noise_std * math.sqrt(3.0) * drawn

    def _person(self, scenario: Scenario) -> Person:
        if self._latest is not None and self._latest[0] is scenario:
            return self._latest[1]
        key = (scenario.schema, scenario.domain, scenario.codes.tobytes(), scenario.askable)
        person = _remember(self._people, key, _REMEMBERED, lambda: self._read(scenario))
        self._latest = (scenario, person)
        return person

    def _read(self, scenario: Scenario) -> Person:
        schema, preset = scenario.schema, self.preset
        draw = self._draws(schema)
        domain = DOMAINS.index(scenario.domain) if scenario.domain in DOMAINS else -1
        codes = scenario.codes.astype(np.int64)
        rows = np.where(codes < 0, draw.neutral, draw.neutral - schema.n_levels + codes)
        there = np.array([scenario.askable >> i & 1 for i in range(len(schema))], dtype=bool)
        load, rel = draw.load[rows, domain], draw.relevance[rows, domain] * there
        harm, person = draw.harm[rows, domain], draw.person[rows]
        reach = np.array([_REACH, preset.gain_reach])
        z, further = reach * each(math.tanh, (draw.spread * person).sum(axis=0) / reach)
        base = preset.base + preset.base_sd * z
        height = self._parameters.height - preset.gain_slope * (base - preset.base) + preset.gain_sd * further
        bases = base + _OFFSETS
        heights = np.clip(max(height, 0.0) * np.array(_GAIN_SHARES), 0.0, _CEILING - bases)
        pair = draw.strength * np.minimum(rel[draw.first], rel[draw.second])
        return Person(
            bases,
            heights,
            load * there[:, None],
            harm * there,
            draw.first,
            draw.second,
            np.maximum(pair, 0.0),
        )

    def _draws(self, schema: Schema) -> _SchemaDraw:
        return _remember(self._schemas, schema, 8, lambda: self._draw(schema))

    def _draw(self, schema: Schema) -> _SchemaDraw:
        scale = crowding(schema)
        pairs = np.array(self._parameters.pairs(schema, scale), dtype=np.float64).reshape(-1, 3)
        first, second = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)
        drawn = [self._parameters.attribute(a, scale) for a in schema.attributes]
        return _SchemaDraw(
            np.concatenate([draw.load for draw in drawn]),
            np.concatenate([draw.relevance for draw in drawn]),
            np.concatenate([draw.harm for draw in drawn]),
            np.concatenate([draw.person for draw in drawn]),
            np.cumsum([len(draw.harm) for draw in drawn]) - 1,
            first,
            second,
            pairs[:, 2],
            self._parameters.spread(schema, scale)[:, None],
            pair_index(len(schema), first, second),
        )


def _in_order(terms: np.ndarray) -> np.ndarray:
    """Return the sums over axis 1, added one by one in ascending order: the same bits for any shape."""
    if not terms.shape[1]:
        return np.zeros(terms.shape[:1] + terms.shape[2:])
    total: np.ndarray = np.add.accumulate(terms, axis=1)[:, -1]
    return total


def _remember(cache: OrderedDict[K, V], key: K, size: int, make: Callable[[], V]) -> V:
    """Return what `cache` holds for `key`, made now if need be; the least recently used goes."""
    if key in cache:
        cache.move_to_end(key)
        return cache[key]
    cache[key] = value = make()
    if len(cache) > size:
        cache.popitem(last=False)
    return value
