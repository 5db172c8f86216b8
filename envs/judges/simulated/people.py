"""What the simulated judge makes of people: their parameters, read for many at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from envs.elementwise import each
from envs.judges.simulated.parameters import Parameters, crowding
from envs.judges.simulated.surface_params import pair_index
from envs.scenario import DOMAINS, Scenario
from envs.schema import Schema

OFFSETS = np.array([0.04, 0.14, -0.18])  # of the base: 2.9 / 3.0 / 2.7 published
GAIN_SHARES = (0.66, 1.03, 1.31)  # of the gain: .7 / 1.1 / 1.4 published
_CEILING = 4.9
_REACH = 2.2  # sd: a person's z is squashed to +- this
_DOMAINS = {name: i for i, name in enumerate(DOMAINS)}


class People(NamedTuple):
    """The judge of K people, each in one domain; n attributes, P complementary pairs."""

    base: np.ndarray  # float64[K, 3], score of the empty set
    height: np.ndarray  # float64[K, 3], the most that context can add
    load: np.ndarray  # float64[K, n, 3], what each attribute adds to G
    harm: np.ndarray  # float64[K, n], what each attribute adds to Q
    pair: np.ndarray  # float64[K, P], what each pair adds to G


class SchemaDraw(NamedTuple):
    """What a judge has drawn for one schema: the same for all people."""

    load: np.ndarray  # `AttributeDraw`s one below the other, R rows of levels in all
    relevance: np.ndarray
    harm: np.ndarray
    person: np.ndarray
    neutral: np.ndarray  # int64[n], row of each attribute's neutral level, its last
    n_levels: np.ndarray  # int64[n]
    first: np.ndarray  # int64[P], attributes of each pair
    second: np.ndarray  # int64[P]
    strength: np.ndarray  # float64[P]
    spread: np.ndarray  # float64[n, 1], part of each attribute in z and z'
    partners: np.ndarray  # float64[n, 3], `pair_index`


def draw_of_schema(parameters: Parameters, schema: Schema) -> SchemaDraw:
    """Return what the judge of `parameters` draws for `schema`."""
    scale = crowding(schema)
    pairs = np.array(parameters.pairs(schema, scale), dtype=np.float64).reshape(-1, 3)
    first, second = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)
    drawn = [parameters.attribute(a, scale) for a in schema.attributes]
    return SchemaDraw(
        np.concatenate([draw.load for draw in drawn]),
        np.concatenate([draw.relevance for draw in drawn]),
        np.concatenate([draw.harm for draw in drawn]),
        np.concatenate([draw.person for draw in drawn]),
        np.cumsum([len(draw.harm) for draw in drawn]) - 1,
        np.array(schema.n_levels, np.int64),
        first,
        second,
        pairs[:, 2],
        parameters.spread(schema, scale)[:, None],
        pair_index(len(schema), first, second),
    )


def read_people(parameters: Parameters, draw: SchemaDraw, scenarios: Sequence[Scenario]) -> People:
    """Return the judge of each of K `scenarios`, all of the schema of `draw`."""
    preset = parameters.preset
    codes = np.array([s.codes for s in scenarios], np.int64)
    domain = np.array([[_DOMAINS.get(s.domain, -1)] for s in scenarios])
    rows = np.where(codes < 0, draw.neutral, draw.neutral - draw.n_levels + codes)
    askable = np.array([s.askable for s in scenarios], np.uint64)
    there = (askable[:, None] >> np.arange(codes.shape[1], dtype=np.uint64) & np.uint64(1)).astype(bool)
    reach = np.array([_REACH, preset.gain_reach])
    z, further = (reach * each(math.tanh, in_order(draw.spread * draw.person[rows]) / reach)).T
    base = preset.base + preset.base_sd * z
    height = parameters.height - preset.gain_slope * (base - preset.base) + preset.gain_sd * further
    bases = base[:, None] + OFFSETS
    shares = np.maximum(height, 0.0)[:, None] * np.array(GAIN_SHARES)
    relevance = draw.relevance[rows, domain] * there
    pair = draw.strength * np.minimum(relevance[:, draw.first], relevance[:, draw.second])
    return People(
        bases,
        np.clip(shares, 0.0, _CEILING - bases),
        draw.load[rows, domain] * there[:, :, None],
        draw.harm[rows, domain] * there,
        np.maximum(pair, 0.0),
    )


def in_order(terms: np.ndarray) -> np.ndarray:
    """Return the sums over axis 1, added one by one in ascending order: the same bits for any shape."""
    if not terms.shape[1]:
        return np.zeros(terms.shape[:1] + terms.shape[2:])
    total: np.ndarray = np.add.accumulate(terms, axis=1)[:, -1]
    return total
