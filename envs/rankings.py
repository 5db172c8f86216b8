"""Rankings of what could be asked next, and the probabilities that they become.

The paper (METHOD eq. 3) has a model rank the attributes not asked yet and gives no map from ranks to pi0.
Here, with ranks 0 (first), 1, 2, ... and a temperature T in ranks,

    pi0(a) = exp(-rank(a) / T) / sum_b exp(-rank(b) / T)

so that each rank is exp(1 / T) times as likely as the next; T to infinity is the uniform prior. With T = 2
and ten attributes the first has 40 %, the first three together 78 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from envs.checking.json_values import json_object
from envs.elementwise import each
from envs.errors import UserError


def rank_weights(ranks: np.ndarray, temperature: float) -> np.ndarray:
    """Return float64[m], exp(-rank / temperature) normalised to sum to 1; `ranks`: float64[m], 0 = first."""
    weights = each(math.exp, -np.asarray(ranks, dtype=np.float64) / temperature)
    return weights / weights.sum()


def checked_temperature(temperature: float) -> float:
    """Return `temperature`.

    Raises
    ------
    UserError
        it is not above 0.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise UserError(f"prior.temperature: found {temperature}, expected a number > 0 (in ranks)")
    return temperature


def read_ranking(text: str, names: Sequence[str]) -> list[int] | None:
    """Return the places in `names` in the order of `text`, None where it does not rank each exactly once.

    `text`: a JSON object with a `ranking`, or a name a line.
    """
    said = json_object(text)
    found: Any = [line.strip() for line in text.strip().splitlines()] if said is None else said.get("ranking")
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        return None
    place = {name: i for i, name in enumerate(names)}
    return [place[name] for name in found] if sorted(found) == sorted(names) else None
