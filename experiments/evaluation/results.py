"""From conversations to rows: one row a method, scenario and draw of the judge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.evaluation.baselines import FULL, ORACLE
from experiments.evaluation.setting import Setting
from experiments.evaluation.trajectories import Method, Trajectory

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


def evaluate(setting: Setting, methods: Sequence[Method], profiles: Sequence[int]) -> pd.DataFrame:
    """Return a row for each method and test scenario, with the `COLUMNS`.

    `profiles`: int[N_test], number of each scenario's profile. `score` and its dimensions are true means
    (exact when simulated); `n_asked` counts declined questions; `disclosure` sums cost times sensitivity of
    what was told; `score_empty`, `score_best`, `score_full` are the scores with nothing known, with the best
    set within the budget for this very person (NaN where sets cannot be enumerated), and with everything
    known.
    """
    rows = []
    references = _references(setting, methods)
    for method in methods:
        for i, scenario in enumerate(setting.test):
            conversations = method.converse(i)
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
    dimensions = setting.true.dimensions(i, [c.told for c in conversations]).mean(axis=0)
    asked = [len(c.asked) for c in conversations]
    told = [c.told.bit_count() for c in conversations]
    costs = setting.disclosure
    disclosed = [sum(costs[a] for a in range(len(costs)) if c.told >> a & 1) for c in conversations]
    score = float(dimensions.mean())
    means = (float(np.mean(asked)), float(np.mean(told)), float(np.mean(disclosed)))
    return (score, *dimensions.tolist(), *means)


def _references(setting: Setting, methods: Sequence[Method]) -> list[tuple[float, float, float]]:
    oracle = next((m for m in methods if m.name == ORACLE), None)
    full = next((m for m in methods if m.name == FULL), None)
    found = []
    for i in range(len(setting.test)):
        masks = [0, *(m.converse(i)[0].told for m in (oracle, full) if m is not None)]
        scores = setting.true.dimensions(i, masks).mean(axis=1).tolist()
        empty = scores.pop(0)
        best = scores.pop(0) if oracle is not None else float("nan")
        found.append((empty, best, scores.pop(0) if full is not None else float("nan")))
    return found


def _names(setting: Setting, conversations: Sequence[Trajectory]) -> list[str]:
    if len(conversations) != 1:
        return []
    return [setting.schema.names[a] for a in conversations[0].asked]
