"""Build the `Problem` of one scenario and judge: bitmasks become contexts, verdicts become scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from envs import Judge, Scenario, Score, UserError
from envs.judges.asking import checked_scores
from envs.judges.protocol import MAX_SCORE, MIN_SCORE, Capabilities, Surfaces, describe, score_value
from search.problem import Problem, SetPrior, uniform_prior


class JudgeScores:
    """Scores of one scenario's sets under a judge: `search.evaluator.SetScores`.

    Parameters
    ----------
    scenario, judge : whose sets, and who scores them
    before_call : called before each call of the judge; what it raises ends the plan

    Attributes
    ----------
    reasons : what the judge said of sets that it left unscored, where it said something
    """

    def __init__(
        self, scenario: Scenario, judge: Judge, before_call: Callable[[], None] | None = None
    ) -> None:
        self.scenario = scenario
        self.judge = judge
        self.before_call = before_call
        self.told = describe(judge)
        self.stochastic = self.told.stochastic
        self.reasons: Counter[str] = Counter()

    def __call__(self, masks: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Return float64[B], the score of each set of `masks` (uint64[B]) at `samples` (int64[B]).

        Raises
        ------
        UserError
            the judge returned another number of scores, or something that is no score.
        """
        if self.before_call is not None:
            self.before_call()
        if self.told.score_sets is not None:
            return self._of_arrays(
                np.asarray(self.told.score_sets(self.scenario, masks, samples)), len(masks)
            )
        verdicts = self.judge.score(self.scenario, *self._contexts(masks, samples))
        checked = checked_scores(self.judge, self.scenario, verdicts, len(masks))
        values = [score_value(verdict) for verdict in checked]
        self.reasons.update(reason for _, reason in values if reason not in (None, "unscored"))
        return np.array([value for value, _ in values], dtype=np.float64)

    def _of_arrays(self, found: np.ndarray, expected: int) -> np.ndarray:
        _check_floats(
            found, expected, f"{type(self.judge).__name__}, scenario {self.scenario.id}: score_sets"
        )
        outside = (found < MIN_SCORE) | (found > MAX_SCORE)
        if outside.any():
            self.reasons["out_of_range"] += int(outside.sum())
            return np.where(outside, np.nan, found)
        return found

    def verdicts(self, masks: np.ndarray, samples: np.ndarray) -> Sequence[Score | float]:
        """Return what the judge says of each set, as it is; raises what a call does."""
        found = self.judge.score(self.scenario, *self._contexts(masks, samples))
        return checked_scores(self.judge, self.scenario, found, len(masks))

    def _contexts(self, masks: np.ndarray, samples: np.ndarray) -> tuple[Any, ...]:
        """Return the judge's arguments after the scenario: the contexts, and the samples if it takes them."""
        contexts = [self.scenario.schema.names_of(mask) for mask in masks.tolist()]
        return (contexts, samples.tolist()) if self.stochastic else (contexts,)


def _check_floats(found: np.ndarray, expected: int, who: str) -> None:
    if found.shape != (expected,) or found.dtype.kind != "f":
        raise UserError(
            f"judge {who} gave {found.dtype} of shape {found.shape}, expected floats of shape ({expected},)"
        )


def scores_of_many(
    scenarios: Sequence[Scenario], judge: Judge, told: Capabilities, owners: np.ndarray, masks: np.ndarray
) -> np.ndarray:
    """Return float64[B], what an exact judge says of the set `masks[i]` of `scenarios[owners[i]]`.

    `told`: what `describe` says of the judge. `owners`: int64[B], ascending. Errors and NaN as `JudgeScores`.
    """
    looks = np.zeros(len(masks), np.int64)
    if told.score_many is None:
        ends = np.searchsorted(owners, np.arange(len(scenarios) + 1)).tolist()
        parts = [
            JudgeScores(scenario, judge)(masks[begin:end], looks[begin:end])
            for scenario, begin, end in zip(scenarios, ends[:-1], ends[1:], strict=True)
        ]
        return np.concatenate(parts)
    found = np.asarray(told.score_many(scenarios, owners, masks, looks))
    _check_floats(found, len(masks), f"{type(judge).__name__}: score_many")
    return np.where((found < MIN_SCORE) | (found > MAX_SCORE), np.nan, found)


def surfaces_of(scenarios: Sequence[Scenario], told: Capabilities) -> Surfaces | None:
    """Return the surfaces of `scenarios`, None unless all have one, of one function."""
    if told.surfaces is not None:
        return told.surfaces(scenarios)
    if told.surface is None:
        return None
    found = [told.surface(scenario) for scenario in scenarios]
    parts = [surface for surface in found if surface is not None]
    if len(parts) < len(found) or any(part.function is not parts[0].function for part in parts):
        return None
    params = [np.asarray(part.params, np.float64) for part in parts]
    starts = np.cumsum([0, *map(len, params)])
    return Surfaces(parts[0].function, np.concatenate(params), starts)


def scenario_problem(
    scenario: Scenario,
    judge: Judge,
    budget: int,
    *,
    cost_weight: float = 0.0,
    dropout: float = 0.0,
    max_judge_calls: int | None = None,
    prior: SetPrior = uniform_prior,
    before_call: Callable[[], None] | None = None,
) -> Problem:
    """Return the problem of one profile and one query (the paper's setting).

    `before_call` is called before each call of the judge.
    """
    scores = JudgeScores(scenario, judge, before_call)
    make_surface = scores.told.surface
    return Problem(
        len(scenario.schema),
        budget,
        scores,
        costs=scenario.schema.costs,
        askable=np.uint64(scenario.askable),
        group=scenario.domain,
        codes=scenario.codes,
        prior=prior,
        surface=None if make_surface is None else make_surface(scenario),
        cost_weight=cost_weight,
        dropout=dropout,
        max_judge_calls=max_judge_calls,
        noisy=scores.stochastic,
        names=scenario.schema.names,
        reasons=scores.reasons,
    )
