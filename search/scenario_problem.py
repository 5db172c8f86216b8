"""Build the `Problem` of one scenario and judge: bitmasks become contexts, verdicts become scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from envs import Judge, Scenario, Score, UserError
from envs.judges.protocol import describe, score_value
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
        self.stochastic = describe(judge).stochastic
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
        verdicts = self.judge.score(self.scenario, *self._contexts(masks, samples))
        found = [score_value(verdict) for verdict in self._checked(verdicts, len(masks))]
        self.reasons.update(reason for _, reason in found if reason not in (None, "unscored"))
        return np.array([value for value, _ in found], dtype=np.float64)

    def verdicts(self, masks: np.ndarray, samples: np.ndarray) -> Sequence[Score | float]:
        """Return what the judge says of each set, as it is; raises what a call does."""
        return self._checked(self.judge.score(self.scenario, *self._contexts(masks, samples)), len(masks))

    def _contexts(self, masks: np.ndarray, samples: np.ndarray) -> tuple[Any, ...]:
        """Return the judge's arguments after the scenario: the contexts, and the samples if it takes them."""
        contexts = [self.scenario.schema.names_of(mask) for mask in masks.tolist()]
        return (contexts, samples.tolist()) if self.stochastic else (contexts,)

    def _checked(self, verdicts: Sequence[Score | float], expected: int) -> Sequence[Score | float]:
        place = f"judge {type(self.judge).__name__}, scenario {self.scenario.id}"
        if not isinstance(verdicts, (Sequence, np.ndarray)):
            raise UserError(f"{place}: found a {type(verdicts).__name__}, expected {expected} scores")
        if len(verdicts) != expected:
            raise UserError(f"{place}: found {len(verdicts)} scores, expected {expected}, one a context")
        for verdict in verdicts:
            numeric = isinstance(verdict, (Score, int, float, np.floating, np.integer))
            if not numeric or isinstance(verdict, bool):
                raise UserError(f"{place}: found a {type(verdict).__name__}, expected a Score or a number")
        return verdicts


def scenario_problem(
    scenario: Scenario,
    judge: Judge,
    budget: int,
    *,
    cost_weight: float = 0.0,
    max_judge_calls: int | None = None,
    prior: SetPrior = uniform_prior,
    before_call: Callable[[], None] | None = None,
) -> Problem:
    """Return the problem of one profile and one query (the paper's setting).

    `before_call` is called before each call of the judge.
    """
    scores = JudgeScores(scenario, judge, before_call)
    make_surface = describe(judge).surface
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
        max_judge_calls=max_judge_calls,
        noisy=scores.stochastic,
        names=scenario.schema.names,
        reasons=scores.reasons,
    )
