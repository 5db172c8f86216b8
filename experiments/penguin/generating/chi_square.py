"""Whether profiles follow the declared tables: Pearson's chi-square over the parents' configurations."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from experiments.penguin.generating.profile_sampling import PUBLISHED_GRAPH, ProfileTables
from experiments.penguin.published_values import published_values

MIN_EXPECTED = 5.0
"""Values that are expected less often are pooled, within the configuration."""


class ChiSquare(NamedTuple):
    """The statistic of one attribute; `p`: chance of a larger one; `impossible`: people of factor 0."""

    attribute: str
    statistic: float
    degrees: int
    p: float
    impossible: int


def chi_square(tables: ProfileTables, codes: np.ndarray, situations: np.ndarray) -> list[ChiSquare]:
    """Hold int8[n, 10] profiles of int[n] situations against `tables`, attribute by attribute."""
    schema, found = published_values(), []
    for attribute in PUBLISHED_GRAPH:
        column, total, degrees, impossible = codes[:, schema.index(attribute)], 0.0, 0, 0
        for rows, probabilities in tables.cells(attribute, codes, situations):
            seen = np.bincount(column[rows], minlength=len(probabilities)).astype(np.float64)
            expected = len(rows) * probabilities
            impossible += int(seen[expected == 0.0].sum())
            often = expected >= MIN_EXPECTED
            rare = expected[~often].sum()
            if rare >= MIN_EXPECTED or (rare > 0.0 and not often.any()):
                seen, expected = np.append(seen[often], seen[~often].sum()), np.append(expected[often], rare)
            elif often.any():  # too few to stand alone: with the least of the others
                least = int(np.argmin(np.where(often, expected, np.inf)))
                seen[least], expected[least] = seen[least] + seen[~often].sum(), expected[least] + rare
                seen, expected = seen[often], expected[often]
            total += float(((seen - expected) ** 2 / expected).sum())
            degrees += len(expected) - 1
        found.append(ChiSquare(attribute, total, degrees, upper_tail(total, degrees), impossible))
    return found


def upper_tail(statistic: float, degrees: int) -> float:
    """Return P(chi-square > statistic), by the cube-root normal (Wilson & Hilferty 1931); 1 for 0 degrees."""
    if degrees == 0:
        return 1.0
    spread = 2.0 / (9.0 * degrees)
    z = ((statistic / degrees) ** (1.0 / 3.0) - (1.0 - spread)) / math.sqrt(spread)
    return 0.5 * math.erfc(z / math.sqrt(2.0))
