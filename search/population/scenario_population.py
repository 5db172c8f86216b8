"""Build the population problem from scenarios and a judge."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from envs import Judge, Scenario, Schema, UserError
from envs.judges.protocol import Surface, describe
from envs.scenario import within_one_plan
from search.population.population_problem import PopulationProblem, check_numbers, people_counted
from search.population.set_table import Surfaces, sets_within
from search.scenario_problem import JudgeScores

MAX_TABLE = 20_000_000
"""Scores of a table (160 MB) beyond which surfaces are asked for each score again."""


class Population:
    """Scenarios with all that a judge has to say about them, to make problems of any of them.

    Every set of at most `budget` attributes of every scenario is scored here, one judge call each unless the
    judge has surfaces. A noisy judge is asked `samples` times, and the mean is taken. Where these sets are
    more than `MAX_TABLE` surfaces are kept instead.

    Attributes
    ----------
    schema : the list of attributes that all scenarios share
    codes : int8[S, n]
    scores : float64[S, n_sets] (NaN = unscored) or `Surfaces`, a row a scenario
    people : int64[S], which distinct profile each scenario is of
    domains : tuple[str, ...] of S

    Raises
    ------
    UserError
        no scenario, several lists of attributes, a budget or a number of samples below 1, or too many sets
        for a judge that is not compiled.
    """

    def __init__(self, scenarios: Sequence[Scenario], judge: Judge, budget: int, samples: int = 1) -> None:
        check_numbers(budget, 0.0, 0.0)
        if samples < 1:
            raise UserError(f"samples: found {samples}, expected an integer >= 1")
        scenarios = within_one_plan(scenarios)
        self.schema = common_schema(scenarios)
        self.budget = min(budget, len(self.schema))
        self.codes = np.array([scenario.codes for scenario in scenarios])
        self.domains = tuple(scenario.domain for scenario in scenarios)
        numbers: dict[object, int] = {}
        self.people = np.array([numbers.setdefault(s.profile, len(numbers)) for s in scenarios])
        self.scores = self._score(scenarios, judge, samples)

    def _score(self, scenarios: Sequence[Scenario], judge: Judge, samples: int) -> np.ndarray | Surfaces:
        surfaces = scenario_surfaces(scenarios, judge)
        sets = sum(math.comb(len(self.schema), k) for k in range(self.budget + 1))
        large = len(scenarios) * sets > MAX_TABLE
        if surfaces is None and large:
            raise UserError(
                f"population: found {len(scenarios):,} scenarios with {sets:,} sets each, expected at most "
                f"{MAX_TABLE:,} in all without a compiled judge; take a smaller budget or scenarios.limit"
            )
        if surfaces is None:
            noisy = describe(judge).stochastic
            return score_table(scenarios, judge, self.budget, samples if noisy else 1)
        if large:
            return surfaces
        from search.population.compiled.score_kernels import score_sets

        masks = sets_within(len(self.schema), self.budget)
        table = np.empty((len(scenarios), len(masks)))
        score_sets(*surfaces, masks, table)
        return table

    def scored(self) -> np.ndarray:
        """Return bool[S], whether all sets of a scenario have a score."""
        if isinstance(self.scores, Surfaces):  # surfaces have no NaN
            return np.ones(len(self.people), bool)
        return ~np.isnan(self.scores).any(axis=1)

    def problem(
        self,
        rows: np.ndarray | None = None,
        *,
        weights: Sequence[float] | np.ndarray | None = None,
        cost_weight: float = 0.0,
        decline_rate: float = 0.0,
        dropout: float = 0.0,
        group: str | None = None,
        merge: bool = True,
    ) -> PopulationProblem:
        """Return the problem of a user who is one of the scenarios `rows` (int64[M]; default: all).

        `weights`: float64[M]; where people are counted (`min_profiles` of a plan) each counts as the greatest
        weight of their scenarios, at most 1. `group`: default, the domain that all share, else `all`.
        `merge`: make one row of scenarios of one domain that neither an answer nor a score tells apart.

        Raises
        ------
        UserError
            a number out of range.
        PlanningFailed
            a scenario has no score with nothing known.
        """
        rows = np.arange(len(self.people)) if rows is None else np.asarray(rows, dtype=np.int64)
        given = np.ones(len(rows)) if weights is None else np.asarray(weights, dtype=np.float64)
        if given.shape != rows.shape:
            raise UserError(f"weights: expected {len(rows)} numbers, one a scenario")
        domains = {self.domains[row] for row in rows.tolist()}
        people, person = np.unique(self.people[rows], return_inverse=True)
        counts = np.zeros(len(people))
        np.maximum.at(counts, person, np.minimum(given, 1.0))
        n_profiles = people_counted(counts)
        if merge:
            first, given = self._merge(rows, given)
            rows = rows[first]
        return PopulationProblem(
            self.schema,
            self.budget,
            self.codes[rows],
            self.scores.of(rows) if isinstance(self.scores, Surfaces) else self.scores[rows],
            weights=given,
            n_profiles=n_profiles,
            cost_weight=cost_weight,
            decline_rate=decline_rate,
            dropout=dropout,
            group=group or (domains.pop() if len(domains) == 1 else "all"),
            row_domains=[self.domains[row] for row in rows.tolist()],
        )

    def _merge(self, rows: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (int64[K], first place of each distinct row; float64[K], the sum of its weights)."""
        first: dict[bytes, int] = {}
        places = [first.setdefault(self._key(row), i) for i, row in enumerate(rows.tolist())]
        kept = np.array(list(first.values()), dtype=np.int64)
        return kept, np.bincount(places, weights)[kept]

    def _key(self, row: int) -> bytes:
        """Return all that the answers and scores of a row depend on."""
        codes = self.domains[row].encode() + self.codes[row].tobytes()
        if not isinstance(self.scores, Surfaces):
            return codes + self.scores[row].tobytes()
        start, end = self.scores.starts[row : row + 2].tolist()
        return codes + self.scores.askable[row].tobytes() + self.scores.params[start:end].tobytes()


def common_schema(scenarios: Sequence[Scenario]) -> Schema:
    """Return the schema that all of `scenarios` share; `UserError` when there is none or several."""
    schemas = {scenario.schema for scenario in scenarios}
    if len(schemas) != 1:
        raise UserError(f"scenarios: found {len(schemas)} lists of attributes, expected one")
    return schemas.pop()


def scenario_surfaces(scenarios: Sequence[Scenario], judge: Judge) -> Surfaces | None:
    """Return the compiled scores of `scenarios`, None where the judge has none (for all, of one function)."""
    make_surface = describe(judge).surface
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


def score_table(scenarios: Sequence[Scenario], judge: Judge, budget: int, samples: int = 1) -> np.ndarray:
    """Return float64[S, n_sets], the mean score of every set of at most `budget` attributes; NaN = unscored.

    A value that a profile does not have cannot become known: a set with it is the set without it. A set is
    unscored when one of its `samples` is: a mean over those that came would favour what is rarely refused.
    """
    masks = sets_within(len(common_schema(scenarios)), budget)
    table = np.empty((len(scenarios), len(masks)))
    for row, scenario in zip(table, scenarios, strict=True):
        distinct, where = np.unique(masks & np.uint64(scenario.askable), return_inverse=True)
        evaluations = np.tile(np.arange(samples), len(distinct))
        scores = JudgeScores(scenario, judge)(np.repeat(distinct, samples), evaluations)
        row[:] = scores.reshape(len(distinct), samples).mean(axis=1)[where]
    return table
