"""Acquisition: which question next (METHOD: "Online agent")."""

from __future__ import annotations

import numpy as np

from envs import UserError
from policies.dialogue_state import Choice, Situation
from policies.gains import expected_gains, path_gains
from policies.plan_index import NO_ATTRIBUTE


class NearestAcquisition:
    """Follow the path of the nearest stored query, leaving out what is known or declined.

    When that path is used up the next nearest one goes on. The gain it reports is the nearest path's own
    (`policies.gains`), without a standard error: one path has no spread.
    """

    name = "nearest"

    def choose(self, situation: Situation) -> Choice:
        """Return the first open attribute of the nearest path that has one."""
        for rank, path in enumerate(situation.neighbours.paths):
            for attribute in path[path != NO_ATTRIBUTE].tolist():
                if situation.open[attribute]:
                    gains = path_gains(situation.neighbours, situation.known, len(situation.schema))
                    return Choice(
                        attribute, float(gains[rank, attribute]), 0.0, reason=f"neighbour {rank + 1}"
                    )
        return beyond(situation)


class VoteAcquisition:
    """Ask what the neighbours would gain most from, given what is known.

    `temperature`: neighbours weigh exp(cosine similarity / temperature). Ties: schema order.
    """

    name = "vote"

    def __init__(self, temperature: float = 0.1) -> None:
        self.temperature = positive(temperature)

    def choose(self, situation: Situation) -> Choice:
        """Return the open attribute of the highest expected gain."""
        mean, stderr = expected_gains(
            situation.neighbours, situation.known, len(situation.schema), self.temperature
        )
        mean = np.where(situation.open, mean, -np.inf)
        best = int(np.argmax(mean))
        if not mean[best] > 0:
            return beyond(situation)
        return Choice(best, float(mean[best]), float(stderr[best]), reason="vote of the neighbours")


def beyond(situation: Situation) -> Choice:
    """Return what to ask when no neighbour says anything: what adds most over the whole table; gain 0."""
    left = [a for a in situation.memory.ranking if situation.open[a]]
    return Choice(left[0] if left else None, 0.0, 0.0, reason="beyond the neighbours' paths")


def positive(temperature: float) -> float:
    """Return `temperature`; `UserError` unless it is > 0."""
    if not temperature > 0:
        raise UserError(f"temperature: found {temperature}, expected a number > 0")
    return float(temperature)
