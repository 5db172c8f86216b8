"""What a judge says of sets of many scenarios: in one compiled call, or in one batch a scenario."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs.errors import UserError
from envs.judges.asking import checked_scores
from envs.judges.protocol import MAX_SCORE, MIN_SCORE, Capabilities, Judge, Surface, score_value
from envs.scenario import Scenario
from envs.vector.episode_rules import score_all


class BatchScores:
    """Scores of sets of several scenarios.

    Where the judge has a surface of one function for all scenarios, all sets are scored in one compiled call.
    Else each scenario's are asked for together, a set (and sample, of a stochastic judge) once: through
    `score_sets` if the judge has it, else through `score`.

    Parameters
    ----------
    scenarios : S of them
    judge, told : the judge, and what `describe` says of it
    """

    def __init__(self, scenarios: Sequence[Scenario], judge: Judge, told: Capabilities) -> None:
        self._scenarios, self._judge, self._told = scenarios, judge, told
        self._surface = self._one_surface()

    def __call__(self, scenarios: np.ndarray, masks: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Return float64[B], s(masks[i]) of scenario `scenarios[i]` at `samples[i]`; NaN where unscored.

        `scenarios`: int64[B], indices. `masks`: uint64[B], known sets. `samples`: int64[B].

        Raises
        ------
        UserError
            the judge returned another number of scores, or something that is no score.
        """
        found = np.empty(len(masks))
        if self._surface is not None:
            (function, params), starts = self._surface
            score_all(function, params, starts, scenarios, masks, found)
        else:
            if not self._told.stochastic:
                samples = np.zeros_like(samples)
            order = np.lexsort((samples, masks, scenarios))
            bounds = np.flatnonzero(np.diff(scenarios[order])) + 1
            for part in np.split(order, bounds) if len(order) else ():
                found[part] = self._asked(self._scenarios[scenarios[part[0]]], masks[part], samples[part])
        outside = (found < MIN_SCORE) | (found > MAX_SCORE)
        if outside.any():
            found[outside] = np.nan
        return found

    def _asked(self, scenario: Scenario, masks: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Return float64[B] of one scenario; equal pairs of (mask, sample) are neighbours and asked once."""
        new = np.ones(len(masks), dtype=bool)
        new[1:] = (np.diff(masks) != 0) | (np.diff(samples) != 0)
        masks, samples = masks[new], samples[new]
        if self._told.score_sets is not None:
            found = np.asarray(self._told.score_sets(scenario, masks, samples))
            if found.shape != masks.shape or found.dtype.kind != "f":
                raise UserError(
                    f"judge {self._told.name}, scenario {scenario.id}: score_sets gave {found.dtype} "
                    f"of shape {found.shape}, expected floats of shape ({len(masks)},)"
                )
        else:
            contexts = [scenario.schema.names_of(mask) for mask in masks.tolist()]
            more = (samples.tolist(),) if self._told.stochastic else ()
            verdicts = self._judge.score(scenario, contexts, *more)
            checked = checked_scores(self._judge, scenario, verdicts, len(contexts))
            found = np.array([score_value(verdict)[0] for verdict in checked])
        return found[np.cumsum(new) - 1]

    def _one_surface(self) -> tuple[Surface, np.ndarray] | None:
        """Return a surface with the parameters of all scenarios, and int64[S + 1], where each one's begin."""
        if self._told.surface is None:
            return None
        surfaces: list[Surface] = []
        for scenario in self._scenarios:
            surface = self._told.surface(scenario)
            if surface is None or (surfaces and surface.function is not surfaces[0].function):
                return None
            surfaces.append(surface)
        starts = np.cumsum([0, *(len(s.params) for s in surfaces)])
        return Surface(surfaces[0].function, np.concatenate([s.params for s in surfaces])), starts
