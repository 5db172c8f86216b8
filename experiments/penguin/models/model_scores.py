"""Scores of target models under all conditions, as rows and as means with intervals by person."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from envs import Judge, Scenario, Score
from envs.judges.asking import scored
from envs.judges.protocol import describe
from experiments.evaluation.at_once import at_once
from experiments.evaluation.results import DIMENSIONS
from experiments.penguin.models.conditions import FREE, Condition
from experiments.stats import Interval, clustered_mean

ALL = "all"


class ModelRow(NamedTuple):
    """One model's answer to one scenario under one condition; scores are means over the scored looks."""

    model: str
    scenario_id: str
    domain: str
    person: int
    condition: str
    questions: int
    known: tuple[str, ...]
    score: float
    dimensions: tuple[float, float, float]
    looks: int
    unscored: int
    refused: int


class ModelMean(NamedTuple):
    """A cell of the leaderboard; `gain`: paired difference to the context-free condition."""

    model: str
    condition: str
    domain: str
    score: Interval
    gain: Interval
    dimensions: tuple[float, float, float]
    questions: float
    n_scenarios: int
    n_people: int
    looks: int
    unscored: int
    refused: int


def score_model(
    model: str,
    judge: Judge,
    scenarios: Sequence[Scenario],
    found: Sequence[Condition],
    samples: int,
    on_scenario: Callable[[], None] = lambda: None,
) -> list[ModelRow]:
    """Ask `judge`, whose target is `model`, for all contexts of as many scenarios at once as it takes.

    A context that two conditions share is scored once. Replies are kept by the judge's own cache.
    """
    told = describe(judge)
    looks = samples if told.stochastic else 1
    people: dict[Any, int] = {}
    persons = [people.setdefault(scenario.profile, len(people)) for scenario in scenarios]

    def of_scenario(i: int) -> list[ModelRow]:
        contexts = list(dict.fromkeys(c.contexts[i] for c in found))
        asked = [context for context in contexts for _ in range(looks)]
        scores = scored(judge, told, scenarios[i], asked, [k for _ in contexts for k in range(looks)])
        by_context = {c: scores[j * looks : (j + 1) * looks] for j, c in enumerate(contexts)}
        return [_row(model, scenarios[i], persons[i], c, i, by_context[c.contexts[i]]) for c in found]

    rows = []
    for own in at_once([partial(of_scenario, i) for i in range(len(scenarios))], told.concurrent_plans):
        rows += own
        on_scenario()
    return rows


def _row(
    model: str, scenario: Scenario, person: int, condition: Condition, i: int, scores: Sequence[Score]
) -> ModelRow:
    good = [s for s in scores if not math.isnan(s.value)]
    levels = [[getattr(s, d) for s in good] for d in DIMENSIONS]
    first, second, third = (float(np.mean(values)) if values else math.nan for values in levels)
    refused = sum("refus" in (s.reason or "") for s in scores)
    return ModelRow(
        model,
        scenario.id,
        scenario.domain,
        person,
        condition.name,
        condition.questions[i],
        condition.contexts[i],
        float(np.mean([s.value for s in good])) if good else math.nan,
        (first, second, third),
        len(scores),
        len(scores) - len(good),
        refused,
    )


def model_means(rows: Sequence[ModelRow], level: float = 0.95) -> list[ModelMean]:
    """Return a cell for each model, condition and domain, and for all domains together."""
    free = {(r.model, r.scenario_id): r.score for r in rows if r.condition == FREE}
    cells: dict[tuple[str, str, str], list[ModelRow]] = {}
    for row in rows:
        for domain in (ALL, row.domain):
            cells.setdefault((row.model, row.condition, domain), []).append(row)
    return [_mean(*key, own, free, level) for key, own in cells.items()]


class ModelDifference(NamedTuple):
    """How much higher `model` scores than `other` under one condition, paired by scenario."""

    model: str
    other: str
    condition: str
    difference: Interval


def model_differences(rows: Sequence[ModelRow], level: float = 0.95) -> list[ModelDifference]:
    """Return the differences of each two models under each condition; intervals cluster by person."""
    scores: dict[tuple[str, str], dict[str, ModelRow]] = {}
    for row in rows:
        scores.setdefault((row.condition, row.model), {})[row.scenario_id] = row
    models = list(dict.fromkeys(row.model for row in rows))
    found = []
    for condition in dict.fromkeys(row.condition for row in rows):
        for i, other in enumerate(models):
            for model in models[i + 1 :]:
                own, others = scores[condition, model], scores[condition, other]
                values = np.array([own[key].score - others[key].score for key in own])
                people = np.array([own[key].person for key in own])
                difference = clustered_mean(values, people, level)
                found.append(ModelDifference(model, other, condition, difference))
    return found


class ConditionDifference(NamedTuple):
    """How much higher a model scores under `condition` than under `other`, paired; mean questions of both."""

    model: str
    condition: str
    other: str
    difference: Interval
    questions: float
    other_questions: float


def condition_differences(
    rows: Sequence[ModelRow], condition: str, level: float = 0.95
) -> list[ConditionDifference]:
    """Return `condition` (what its name begins with) against all others, of each model."""
    cells: dict[tuple[str, str], dict[str, ModelRow]] = {}
    for row in rows:
        cells.setdefault((row.model, row.condition), {})[row.scenario_id] = row
    found = []
    for (model, name), own in cells.items():
        for other in (o for m, o in cells if m == model and o != name) if name.startswith(condition) else ():
            others = cells[model, other]
            values = np.array([own[key].score - others[key].score for key in own])
            difference = clustered_mean(values, np.array([r.person for r in own.values()]), level)
            asked = (float(np.mean([r.questions for r in cell.values()])) for cell in (own, others))
            found.append(ConditionDifference(model, name, other, difference, *asked))
    return found


def _mean(
    model: str,
    condition: str,
    domain: str,
    rows: Sequence[ModelRow],
    free: dict[tuple[str, str], float],
    level: float,
) -> ModelMean:
    people = np.array([r.person for r in rows])
    scores = np.array([r.score for r in rows])
    gains = scores - np.array([free[model, r.scenario_id] for r in rows])
    first, second, third = (
        clustered_mean(np.array([r.dimensions[d] for r in rows]), people).estimate for d in range(3)
    )
    return ModelMean(
        model,
        condition,
        domain,
        clustered_mean(scores, people, level),
        clustered_mean(gains, people, level),
        (first, second, third),
        float(np.mean([r.questions for r in rows])),
        len(rows),
        len(set(people.tolist())),
        sum(r.looks for r in rows),
        sum(r.unscored for r in rows),
        sum(r.refused for r in rows),
    )
