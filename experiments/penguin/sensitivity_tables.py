"""Attributions of many scenarios as means by domain, with intervals by person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from envs import Scenario
from experiments.penguin.attribution import Attribution
from experiments.stats import Interval, clustered_mean

SINGLE, SHAPLEY, PAIR = "single", "shapley", "pair"
ALL = "all"


class MeanWorth(NamedTuple):
    """One mean over scenarios: what (`single`, `shapley`, `pair`), of which attributes, in which domain."""

    kind: str
    domain: str
    attribute: str
    other: str
    worth: Interval
    n_scenarios: int
    n_people: int


def mean_worths(
    scenarios: Sequence[Scenario], found: Sequence[Attribution], level: float = 0.95
) -> list[MeanWorth]:
    """Return the means over all scenarios and those of each domain; intervals cluster by person."""
    people: dict[object, int] = {}
    owner = np.array([people.setdefault(s.profile, len(people)) for s in scenarios])
    names = scenarios[0].schema.names
    tables = {
        SINGLE: np.array([f.single for f in found]),
        SHAPLEY: np.array([f.shapley for f in found]),
    }
    pairs = np.array([f.pairs for f in found])
    domains = [ALL, *dict.fromkeys(s.domain for s in scenarios)]
    rows = []
    for domain in domains:
        here = np.array([domain in (ALL, s.domain) for s in scenarios])
        columns = [(k, a, "", t[here, i]) for k, t in tables.items() for i, a in enumerate(names)]
        columns += [
            (PAIR, names[i], names[j], pairs[here, i, j])
            for i in range(len(names))
            for j in range(i + 1, len(names))
        ]
        for kind, attribute, other, values in columns:
            seen = owner[here][~np.isnan(values)]
            worth = clustered_mean(values, owner[here], level)
            rows.append(MeanWorth(kind, domain, attribute, other, worth, len(seen), len(set(seen.tolist()))))
    return rows
