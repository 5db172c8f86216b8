"""From scenarios and a judge to the problem of a user who is one of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs import Judge, Scenario, Schema, UserError
from envs.judges.base import Surface
from search.population import PopulationProblem, Surfaces, check_numbers, sets_within
from search.scenario_problem import judge_scores


def population_problem(
    scenarios: Sequence[Scenario],
    judge: Judge,
    budget: int,
    *,
    weights: Sequence[float] | None = None,
    cost_weight: float = 0.0,
    decline_rate: float = 0.0,
    group: str | None = None,
) -> PopulationProblem:
    """Return the problem of a user who is one of `scenarios`.

    A judge's surfaces are used where it has them; else every set of every scenario is one judge call (sample
    0). Scenarios that no answer and no score tells apart become one row of their joint weight.
    `group`: default, the domain that all share, else `all`.

    Raises
    ------
    UserError
        no scenario, several lists of attributes, or a number out of range.
    PlanningFailed
        the judge has no score for a scenario with nothing known.
    """
    check_numbers(budget, cost_weight, decline_rate)
    schema = common_schema(scenarios)
    given = np.ones(len(scenarios)) if weights is None else np.asarray(weights, dtype=np.float64)
    if given.shape != (len(scenarios),):
        raise UserError(f"weights: expected {len(scenarios)} numbers, one a scenario")
    domains = {scenario.domain for scenario in scenarios}
    codes = np.array([scenario.codes for scenario in scenarios])
    scores: np.ndarray | Surfaces | None = scenario_surfaces(scenarios, judge)
    if scores is None:
        scores = score_table(scenarios, judge, min(budget, len(schema)))
    first, joint = _merge([a.tobytes() + b for a, b in zip(codes, _keys(scores), strict=True)], given)
    return PopulationProblem(
        schema,
        budget,
        codes[first],
        scores.of(first) if isinstance(scores, Surfaces) else scores[first],
        weights=joint,
        n_profiles=len({scenario.profile for scenario in scenarios}),
        cost_weight=cost_weight,
        decline_rate=decline_rate,
        group=group or (domains.pop() if len(domains) == 1 else "all"),
    )


def _keys(scores: np.ndarray | Surfaces) -> list[bytes]:
    """Return for each row what its scores depend on."""
    if not isinstance(scores, Surfaces):
        return [row.tobytes() for row in scores]
    ends = zip(scores.starts.tolist(), scores.starts[1:].tolist(), strict=False)
    parts = [scores.params[start:end].tobytes() for start, end in ends]
    return [part + askable.tobytes() for part, askable in zip(parts, scores.askable, strict=True)]


def _merge(keys: Sequence[bytes], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (int64[M], first place of each distinct key; float64[M], the sum of its weights)."""
    places: dict[bytes, int] = {}
    first = [i for i, key in enumerate(keys) if places.setdefault(key, len(places)) == len(places) - 1]
    joint = np.zeros(len(places))
    np.add.at(joint, [places[key] for key in keys], weights)
    return np.array(first), joint


def common_schema(scenarios: Sequence[Scenario]) -> Schema:
    """Return the schema that all of `scenarios` share; `UserError` when there is none or several."""
    schemas = {scenario.schema for scenario in scenarios}
    if len(schemas) != 1:
        raise UserError(f"scenarios: found {len(schemas)} lists of attributes, expected one")
    return schemas.pop()


def scenario_surfaces(scenarios: Sequence[Scenario], judge: Judge) -> Surfaces | None:
    """Return the compiled scores of `scenarios`, None where the judge has none (for all, of one function)."""
    make_surface = getattr(judge, "surface", None)
    if make_surface is None:
        return None
    found: list[Surface] = []
    for scenario in scenarios:
        surface = make_surface(scenario)
        if surface is None or (found and surface.function is not found[0].function):
            return None
        found.append(surface)
    starts = np.concatenate([[0], np.cumsum([len(surface.params) for surface in found])]).astype(np.int64)
    params = np.concatenate([surface.params for surface in found])
    askable = np.array([scenario.askable for scenario in scenarios], np.uint64)
    return Surfaces(found[0].function, params, starts, askable)


def score_table(scenarios: Sequence[Scenario], judge: Judge, budget: int) -> np.ndarray:
    """Return float64[N, n_sets], the score of every set of at most `budget` attributes; NaN = unscored.

    A value that a profile does not have cannot become known: a set with it is the set without it.
    """
    masks = sets_within(len(common_schema(scenarios)), budget)
    table = np.empty((len(scenarios), len(masks)))
    for row, scenario in zip(table, scenarios, strict=True):
        distinct, where = np.unique(masks & np.uint64(scenario.askable), return_inverse=True)
        row[:] = judge_scores(scenario, judge)(distinct, np.zeros(len(distinct), np.int64))[where]
    return table
