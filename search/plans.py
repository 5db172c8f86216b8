"""`Plan`: the data that a search returns; importable without any search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Alternative(NamedTuple):
    """One question the search weighed at one step of the path.

    `step`: 0 = first question. `attribute`: schema index. `visits`: visit count of the edge, -1 where
    the algorithm keeps none. `value`: what the search believed the question leads to, an objective (score
    less cost); NaN where it never looked.
    """

    step: int
    attribute: int
    visits: int
    value: float


@dataclass(frozen=True)
class Plan:
    """An ordered set of attributes to ask for.

    `path`: schema indices in the order of asking, at most `budget` of them. `scores`: float64[len(path) + 1],
    what the searcher believed of each prefix, the first with nothing asked; NaN = unscored.
    `simulations`: search iterations that ran. `stopped`: why the search ended, in a few words.
    """

    path: tuple[int, ...]
    scores: np.ndarray
    simulations: int = 0
    stopped: str = ""
    alternatives: tuple[Alternative, ...] = ()
