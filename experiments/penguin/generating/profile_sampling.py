"""Profiles by ancestral sampling of the published dependency graph, with tables declared in a file.

P(x_i | parents) is proportional to base_i[x_i] * prod_p factor_{i,p}[x_p][x_i]; parents are drawn
before what depends on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np

from envs import UserError
from envs.checking.validation import FileModel, read_yaml
from experiments.penguin.published_values import DATA, published_values, situation_groups, value_names

SITUATION = "situation"
PUBLISHED_GRAPH: Mapping[str, tuple[str, ...]] = {
    "Age": (SITUATION,),
    "Gender": (SITUATION,),
    "Marital Status": (SITUATION, "Gender"),
    "Education Level": (SITUATION, "Age"),
    "Health Status": (SITUATION, "Age"),
    "Profession": (SITUATION, "Age", "Education Level"),
    "Economic Status": ("Profession", "Marital Status"),
    "Mental Health Status": ("Economic Status", "Health Status", "Education Level"),
    "Past Self-Harm History": ("Mental Health Status",),
    "Emotional State": ("Mental Health Status", "Education Level"),
}
"""Attribute -> what it depends on in the authors' synthetic half, parents before children."""


class _Table(FileModel):
    base: dict[str, float]
    given: dict[str, dict[str, dict[str, float]]]


class ParentCell(NamedTuple):
    """One parents' configuration of an attribute: who has it, and the declared probabilities."""

    rows: np.ndarray
    probabilities: np.ndarray


class ProfileTables:
    """The declared tables. `path`: a YAML file of the form of the package's.

    Raises
    ------
    UserError
        a table is missing, depends on other things than in the published graph, names no such value, or has
        a weight below 0.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        place = str(DATA / "profile_tables.yaml" if path is None else path)
        self._tables: dict[str, _Table] = read_yaml(place, dict[str, _Table], "a table for each attribute")
        for name, parents in PUBLISHED_GRAPH.items():
            table = self._tables.get(name)
            if table is None or set(table.given) != set(parents):
                found = "none" if table is None else ", ".join(table.given)
                raise UserError(f"{place}: {name}: given: found {found}, expected {', '.join(parents)}")
            rows = [table.base, *(row for given in table.given.values() for row in given.values())]
            for value in {value for row in rows for value in row} - set(value_names(name)):
                raise UserError(f"{place}: {name}: found {value!r}, expected one of {value_names(name)}")
            if min(weight for row in rows for weight in [0.0, *row.values()]) < 0.0:
                raise UserError(f"{place}: {name}: found a weight below 0, expected none")

    def probabilities(self, attribute: str, parents: tuple[str, ...]) -> np.ndarray:
        """Return float64[levels] given the values of the parents, in the graph's order.

        A situation is given as `domain/group`.
        """
        table, names = self._tables[attribute], value_names(attribute)
        weights = np.array([table.base.get(name, 0.0) for name in names])
        for parent, value in zip(PUBLISHED_GRAPH[attribute], parents, strict=True):
            for key in value.split("/") if parent == SITUATION else (value,):
                factors = table.given[parent].get(key, {})
                weights *= [factors.get(name, 1.0) for name in names]
        return weights / weights.sum()

    def cells(self, attribute: str, codes: np.ndarray, situations: np.ndarray) -> list[ParentCell]:
        """Return the cells of `attribute`, given int8[n, 10] codes and int[n] positions of situations."""
        schema, groups = published_values(), situation_groups()
        columns, names = [], []
        for parent in PUBLISHED_GRAPH[attribute]:
            if parent == SITUATION:
                labels = sorted({f"{domain}/{group}" for _, group, domain in groups})
                of = np.array([labels.index(f"{domain}/{group}") for _, group, domain in groups])
                columns.append(of[situations])
                names.append(tuple(labels))
            else:
                columns.append(codes[:, schema.index(parent)].astype(np.int64))
                names.append(value_names(parent))
        keys, inverse = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        cells = []
        for i, key in enumerate(keys):
            values = tuple(own[k] for own, k in zip(names, key, strict=True))
            cells.append(
                ParentCell(np.flatnonzero(inverse.ravel() == i), self.probabilities(attribute, values))
            )
        return cells

    def sample(self, situations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return int8[n, 10]: a profile for each of int[n] situations; the first ones whatever n is."""
        schema = published_values()
        codes = np.zeros((len(situations), len(schema)), dtype=np.int8)
        uniform = rng.random(codes.shape)
        for column, attribute in enumerate(PUBLISHED_GRAPH):
            own = codes[:, schema.index(attribute)]
            for cell in self.cells(attribute, codes, situations):
                ends = np.cumsum(cell.probabilities)
                ends[np.flatnonzero(cell.probabilities)[-1] :] = 1.0  # rounding never reaches a factor of 0
                own[cell.rows] = np.searchsorted(ends, uniform[cell.rows, column], side="right")
        return codes


def balanced_situations(people: int) -> np.ndarray:
    """Return int64[people]: the 140 situations in turn; few people are spread over all domains and groups."""
    groups: dict[str, dict[str, list[int]]] = {}
    for i, (_, group, domain) in enumerate(situation_groups()):
        groups.setdefault(domain, {}).setdefault(group, []).append(i)
    order = np.array(_dealt([_dealt(own.values()) for own in groups.values()]))
    return order[np.arange(people) % len(order)]


def _dealt(piles: Iterable[list[int]]) -> list[int]:
    """Return one of each pile, then the next one of each, until all are dealt."""
    return [card for row in zip_longest(*piles) for card in row if card is not None]


def as_values(codes: np.ndarray) -> list[dict[str, str]]:
    """Return the profiles of int8[n, 10] codes as {attribute: printed value}."""
    names = published_values().names
    values = [value_names(name) for name in names]
    return [{a: v[c] for a, v, c in zip(names, values, row, strict=True)} for row in codes.tolist()]
