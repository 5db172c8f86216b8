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

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from envs.elementwise import each
from envs.errors import UserError
from envs.judges.protocol import MAX_SCORE, MIN_SCORE, Score, Surface
from envs.judges.simulated.parameters import AttributeDraw, Parameters, crowding, normals
from envs.judges.simulated.presets import PRESETS
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
    attributes: list[AttributeDraw]
    first: np.ndarray
    second: np.ndarray
    strength: np.ndarray
    spread: np.ndarray  # float64[n, 1], part of each attribute in z and z'


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

    Raises
    ------
    UserError
        an unknown preset, or a noise that is negative or not finite.
    """

    simulated = True

    def __init__(
        self, preset: str = "published", model_seed: int = 0, noise_std: float = 0.0, seed: int = 0
    ) -> None:
        if preset not in PRESETS:
            raise UserError(f"judge.preset: found {preset!r}, expected one of {', '.join(PRESETS)}")
        if not (math.isfinite(noise_std) and noise_std >= 0.0):
            raise UserError(f"judge.noise_std: found {noise_std!r}, expected a finite number >= 0")
        self.preset = PRESETS[preset]
        self.name = self.preset.name
        self.model_seed = int(model_seed)
        self.noise_std = float(noise_std)
        self.seed = int(seed)
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
        schema = scenario.schema
        masks = np.array([schema.mask(names) for names in contexts], dtype=np.uint64)
        dimensions = self.dimensions(scenario, masks)
        if self.stochastic:
            indices = [0] * len(contexts) if samples is None else samples
            known = masks & np.uint64(scenario.askable)
            noise = [
                self._noise(scenario.id, schema.names_of(mask), sample)
                for mask, sample in zip(known, indices, strict=True)
            ]
            room = np.minimum(dimensions - MIN_SCORE, MAX_SCORE - dimensions)
            dimensions += np.clip(np.reshape(noise, dimensions.shape), -room, room)
        return [Score(*row) for row in dimensions.tolist()]

    def dimensions(self, scenario: Scenario, masks: np.ndarray) -> np.ndarray:
        """Return float64[B, 3], without noise, of the sets `masks` (uint64[B])."""
        person = self._person(scenario)
        masks = np.asarray(masks, dtype=np.uint64)
        n = len(person.harm)
        known = (masks[:, None] >> np.arange(n, dtype=np.uint64)) & np.uint64(1)
        known = known.astype(np.float64)
        # No `@`, nor NumPy's own expm1: the last bit of either depends on the processor.
        both = (known[:, person.first] * known[:, person.second] * person.pair).sum(axis=1)
        kept = each(math.expm1, -(known[:, :, None] * person.load).sum(axis=1) - both[:, None])
        lost = each(math.expm1, -(known * person.harm).sum(axis=1))
        return person.base - person.height * kept + np.outer(lost, person.base - MIN_SCORE)

    def surface(self, scenario: Scenario) -> Surface | None:
        """Return the mean of `dimensions` as compiled code, or None with noise."""
        if self.stochastic:
            return None
        from envs.judges.simulated.compiled_surface import simulated_surface

        person = self._person(scenario)
        head = [len(person.harm), len(person.pair), *person.base, *person.height]
        attributes = np.column_stack([person.load, person.harm]).ravel()
        pairs = np.column_stack([person.first, person.second, person.pair]).ravel()
        params = np.concatenate([head, attributes, pairs]).astype(np.float64)
        return Surface(simulated_surface, params)

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
        draw = _remember(self._schemas, schema, 8, lambda: self._draw(schema))
        domain = DOMAINS.index(scenario.domain) if scenario.domain in DOMAINS else -1
        codes = scenario.codes
        there = np.array([scenario.askable >> i & 1 for i in range(len(schema))], dtype=bool)
        load = np.array([a.load[c, domain] for a, c in zip(draw.attributes, codes, strict=True)])
        rel = np.array([a.relevance[c, domain] for a, c in zip(draw.attributes, codes, strict=True)])
        harm = np.array([a.harm[c, domain] for a, c in zip(draw.attributes, codes, strict=True)])
        person = np.array([a.person[c] for a, c in zip(draw.attributes, codes, strict=True)])
        reach = np.array([_REACH, preset.gain_reach])
        z, further = reach * each(math.tanh, (draw.spread * person).sum(axis=0) / reach)
        base = preset.base + preset.base_sd * z
        height = self._parameters.height - preset.gain_slope * (base - preset.base) + preset.gain_sd * further
        bases = base + _OFFSETS
        heights = np.clip(max(height, 0.0) * np.array(_GAIN_SHARES), 0.0, _CEILING - bases)
        rel = rel * there
        pair = draw.strength * np.minimum(rel[draw.first], rel[draw.second])
        some = pair > 0.0
        return Person(
            bases,
            heights,
            load * there[:, None],
            harm * there,
            draw.first[some],
            draw.second[some],
            pair[some],
        )

    def _draw(self, schema: Schema) -> _SchemaDraw:
        scale = crowding(schema)
        pairs = np.array(self._parameters.pairs(schema, scale), dtype=np.float64).reshape(-1, 3)
        return _SchemaDraw(
            [self._parameters.attribute(a, scale) for a in schema.attributes],
            pairs[:, 0].astype(np.int64),
            pairs[:, 1].astype(np.int64),
            pairs[:, 2],
            self._parameters.spread(schema, scale)[:, None],
        )


def _remember(cache: OrderedDict[K, V], key: K, size: int, make: Callable[[], V]) -> V:
    """Return what `cache` holds for `key`, made now if need be; the least recently used goes."""
    if key in cache:
        cache.move_to_end(key)
        return cache[key]
    cache[key] = value = make()
    if len(cache) > size:
        cache.popitem(last=False)
    return value
