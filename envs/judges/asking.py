"""Ask any judge as it wants to be asked, and hold what it returns against the protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from envs.errors import UserError
from envs.judges.protocol import Capabilities, Judge, Score, score_value
from envs.scenario import Scenario


def checked_scores(
    judge: object, scenario: Scenario, found: Any, expected: int, what: str = "context"
) -> Sequence[Score | float]:
    """Return `found`, what `judge` said of `expected` contexts or answers, where it is as many scores.

    Raises
    ------
    UserError
        another number of scores, or something that is no score.
    """
    place = f"judge {type(judge).__name__}, scenario {scenario.id}"
    if not isinstance(found, (Sequence, np.ndarray)):
        raise UserError(f"{place}: found a {type(found).__name__}, expected {expected} scores")
    verdicts: Sequence[Score | float] = list(found)
    if len(found) != expected:
        article = "an" if what.startswith("a") else "a"
        raise UserError(f"{place}: found {len(found)} scores, expected {expected}, one {article} {what}")
    for verdict in verdicts:
        numeric = isinstance(verdict, (Score, int, float, np.floating, np.integer))
        if not numeric or isinstance(verdict, bool):
            raise UserError(f"{place}: found a {type(verdict).__name__}, expected a Score or a number")
    return verdicts


def as_score(verdict: Score | float) -> Score:
    """Return a judge's verdict as a `Score`; a number stands for three equal dimensions."""
    if isinstance(verdict, Score):
        return verdict
    value, reason = score_value(verdict)
    return Score(value, value, value, reason)


def scored(
    judge: Judge,
    told: Capabilities,
    scenario: Scenario,
    contexts: Sequence[tuple[str, ...]],
    samples: Sequence[int],
) -> list[Score]:
    """Return one `Score` for each context; `told`: what `describe(judge)` says; raises `checked_scores`'."""
    more: tuple[Any, ...] = (list(samples),) if told.stochastic else ()
    found = judge.score(scenario, contexts, *more)
    return [as_score(v) for v in checked_scores(judge, scenario, found, len(contexts))]


def check_rates(told: Capabilities, place: str = "judge") -> Callable[..., Sequence[Score | float]]:
    """Return a judge's method `rate`; a `UserError` where it has none, and `place` wants it to."""
    if told.rate is None:
        raise UserError(f"{place}: {told.name} has no method rate, expected a judge that rates answers")
    return told.rate


def rated(
    judge: object,
    told: Capabilities,
    scenario: Scenario,
    answers: Sequence[str],
    samples: Sequence[int] | None = None,
    attributes: Sequence[str] | None = None,
) -> list[Score]:
    """Return one `Score` for each of `answers`, written elsewhere; `told`: what `describe(judge)` says.

    `samples`: which look at each answer this is, default 0. `attributes`: what the judge reads of the
    profile, None = all.

    Raises
    ------
    UserError
        the judge has no `rate`; as `checked_scores`.
    """
    rate = check_rates(told)
    more: tuple[Any, ...] = ()
    if told.stochastic:
        more = ([0] * len(answers) if samples is None else list(samples),)
    keys = {} if attributes is None else {"attributes": list(attributes)}
    found = rate(scenario, list(answers), *more, **keys)
    return [as_score(v) for v in checked_scores(judge, scenario, found, len(answers), "answer")]
