"""Turns conversations into rows: one for each method, scenario and draw of the judge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from experiments.evaluation.at_once import at_once
from experiments.evaluation.methods.baselines import FULL, ORACLE
from experiments.evaluation.methods.trajectories import Known, Method, Trajectory
from experiments.evaluation.setting import Setting

DIMENSIONS = ("risk_sensitivity", "emotional_empathy", "personalization")
COLUMNS = (
    "method",
    "kind",
    "curve",
    "model_seed",
    "scenario_id",
    "profile",
    "domain",
    "score",
    *DIMENSIONS,
    "n_asked",
    "n_told",
    "disclosure",
    "score_empty",
    "score_best",
    "score_full",
    "asked",
)
"""`profile` numbers people and says nothing of them; `asked`: attribute names, [] where orders differ."""

Talks = Mapping[str, Sequence[Sequence[Trajectory]]]
"""Method -> the conversations with each person."""


def converse(setting: Setting, methods: Sequence[Method], n_at_once: int = 1) -> Talks:
    """Return the conversations of all `methods` with all test people.

    Those of methods that ask a model are held with `n_at_once` people at one time.
    """
    setting.answers.fill()
    slow = [method for method in methods if method.asks_a_model]
    people = range(len(setting.test))

    def with_one(i: int) -> list[Sequence[Trajectory]]:
        return [method.converse(i) for method in slow]

    held = list(at_once([partial(with_one, i) for i in people], n_at_once)) if slow else []
    of_slow = {method.name: [held[i][k] for i in people] for k, method in enumerate(slow)}
    return {m.name: of_slow[m.name] if m.asks_a_model else [m.converse(i) for i in people] for m in methods}


def needed(talks: Talks, n_people: int, exact: bool = False) -> list[list[Known]]:
    """Return what is known of each person where scores are needed, nothing first, each once."""
    answered = [
        [known for held in talks.values() for c in held[i] for known in c.outcomes(exact)]
        for i in range(n_people)
    ]
    return [list(dict.fromkeys([Known(0), *of_person])) for of_person in answered]


def evaluate(
    setting: Setting, methods: Sequence[Method], profiles: Sequence[int], talks: Talks | None = None
) -> pd.DataFrame:
    """Return a row for each method and test scenario, with the `COLUMNS`.

    `profiles`: int[N_test], number of each scenario's profile. `score` and its dimensions are true means
    (exact when simulated); `n_asked` counts declined questions; `disclosure` sums cost times sensitivity of
    what was answered; `score_empty`, `score_best`, `score_full` are the scores with nothing known, with the
    best set within the budget for this very person (NaN where sets cannot be enumerated), and with everything
    known. `talks`: the conversations of `methods` where they have been held already.
    """
    rows = []
    talks = converse(setting, methods) if talks is None else talks
    setting.true.fill(needed(talks, len(setting.test), setting.true.exact))
    references = _references(setting, talks)
    for method in methods:
        for i, scenario in enumerate(setting.test):
            conversations = talks[method.name][i]
            rows.append(
                (
                    method.name,
                    method.kind,
                    method.curve,
                    setting.model_seed,
                    scenario.id,
                    profiles[i],
                    scenario.domain,
                    *_outcome(setting, i, conversations),
                    *references[i],
                    _names(setting, conversations),
                )
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _outcome(setting: Setting, i: int, conversations: Sequence[Trajectory]) -> tuple[float, ...]:
    """Return (score, three dimensions, questions asked, questions answered, disclosure): means."""
    exact = setting.true.exact
    each = [_mean(setting.true.dimensions(i, c.outcomes(exact))) for c in conversations]
    dimensions = _mean(np.array(each))
    asked = [len(c.asked) for c in conversations]
    told = [c.answered | c.partly for c in conversations]
    answered = [mask.bit_count() for mask in told]
    costs = setting.disclosure
    disclosed = [sum(costs[a] for a in range(len(costs)) if mask >> a & 1) for mask in told]
    means = (float(np.mean(asked)), float(np.mean(answered)), float(np.mean(disclosed)))
    return (float(np.mean(dimensions)), *dimensions, *means)


def _mean(rows: np.ndarray) -> list[float]:
    """Return the mean of float64[N, 3] over N, rounded once: that of equal rows is the row, exactly."""
    return [math.fsum(column) / len(column) for column in rows.T.tolist()]


def _references(setting: Setting, talks: Talks) -> list[tuple[float, float, float]]:
    oracle, full = talks.get(ORACLE), talks.get(FULL)
    found = []
    for i in range(len(setting.test)):
        wanted = [Known(0), *(Known(held[i][0].answered) for held in (oracle, full) if held is not None)]
        scores = [float(np.mean(row)) for row in setting.true.dimensions(i, wanted).tolist()]
        empty = scores.pop(0)
        best = scores.pop(0) if oracle is not None else float("nan")
        found.append((empty, best, scores.pop(0) if full is not None else float("nan")))
    return found


def _names(setting: Setting, conversations: Sequence[Trajectory]) -> list[str]:
    if len(conversations) != 1:
        return []
    return [setting.schema.names[a] for a in conversations[0].asked]
