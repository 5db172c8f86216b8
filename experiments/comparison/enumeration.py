"""Statistics of a judge from the scores of all sets: level, saturation, harm, value of planning.

Everything derives from one table: float64[N, 2^n], the score of every set of every scenario. A value that is
missing from a profile cannot become known: a set with it is the set without it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from envs.errors import UserError
from envs.judges.protocol import Judge, Score, describe, score_value
from envs.judges.simulated import SimulatedJudge
from envs.scenario import Scenario
from envs.schema import Schema
from search.scenario_problem import JudgeScores

BUDGETS = (1, 2, 3, 4, 5)
FIXED = "best fixed set per domain"
MAX_ENUMERABLE = 12  # attributes
STATIC_SETS = {
    "emotion, mental, self-harm": ("Emotional State", "Mental Health Status", "Past Self-Harm History"),
    "age, emotion, mental, profession": ("Age", "Emotional State", "Mental Health Status", "Profession"),
}
_HARM = 0.05  # score points: a step that loses more is called harmful


@dataclass(frozen=True)
class Figures:
    """Figures of one judge over N scenarios; scores and gains in points of [1, 5], shares in [0, 1].

    Attributes
    ----------
    judge, simulated : the judge's name, and whether nobody was asked
    n_scenarios, n_unscored : scenarios behind the figures; those left out because some set has no score
    empty, full, gain_sd : mean score of nothing and of everything known; sd of their difference
    singles : mean gain of each attribute alone
    shares : of what the best set of three brings, the part after one, two and three questions
    harmful : share of scenarios where adding some attribute to some set costs more than 0.05
    n_below : number of scenarios whose full context scores below the empty one
    first, first_share : the most common best first question, and the share of scenarios that have it
    dimensions_empty, dimensions_full : risk sensitivity, emotional empathy, personalization
    regret : planner -> budget -> normalised regret, sum(best - true) / sum(best - empty), against enumeration
    """

    judge: str
    simulated: bool
    n_scenarios: int
    n_unscored: int
    empty: float
    full: float
    gain_sd: float
    singles: dict[str, float]
    shares: tuple[float, float, float]
    harmful: float
    n_below: int
    first: str
    first_share: float
    dimensions_empty: tuple[float, float, float]
    dimensions_full: tuple[float, float, float]
    regret: dict[str, dict[int, float]] = field(default_factory=dict)


class Scores(NamedTuple):
    """A judge's scores of every set; N scenarios, n attributes, NaN = unscored."""

    table: np.ndarray  # float64[N, 2^n], the score of each set, by its bitmask
    empty: np.ndarray  # float64[N, 3], the dimensions with nothing known
    full: np.ndarray  # float64[N, 3], and with everything known


def score_sets(judge: Judge, scenarios: Sequence[Scenario]) -> Scores:
    """Score every set of every scenario: up to 2^n judge calls for each.

    A simulated judge with noise is taken without it, any other stochastic judge at its sample 0.

    Raises
    ------
    UserError
        no scenario, several schemas, more than 12 attributes (too many sets), or a judge that breaks the
        protocol.
    """
    if not scenarios:
        raise UserError("scenarios: found none, expected at least one")
    schema = scenarios[0].schema
    if len(schema) > MAX_ENUMERABLE:
        raise UserError(
            f"scenarios: found {len(schema)} attributes, expected at most {MAX_ENUMERABLE} to score all sets"
        )
    if any(s.schema is not schema and s.schema != schema for s in scenarios):
        raise UserError("scenarios: found several lists of attributes, expected one")
    scores = Scores(
        np.empty((len(scenarios), 1 << len(schema))),
        np.empty((len(scenarios), 3)),
        np.empty((len(scenarios), 3)),
    )
    sets = np.arange(1 << len(schema), dtype=np.uint64)
    for i, scenario in enumerate(scenarios):
        distinct, which = np.unique(sets & np.uint64(scenario.askable), return_inverse=True)
        dimensions = _dimensions(judge, scenario, distinct)[which]
        scores.table[i], scores.empty[i], scores.full[i] = dimensions.mean(1), dimensions[0], dimensions[-1]
    return scores


def _dimensions(judge: Judge, scenario: Scenario, masks: np.ndarray) -> np.ndarray:
    """Return float64[B, 3] of the sets `masks` (uint64[B]); NaN = unscored."""
    if isinstance(judge, SimulatedJudge):
        return judge.dimensions(scenario, masks)
    rows = []
    for verdict in JudgeScores(scenario, judge).verdicts(masks, np.zeros(len(masks), dtype=np.int64)):
        if isinstance(verdict, Score) and verdict.reason is None:
            rows.append((verdict.risk_sensitivity, verdict.emotional_empathy, verdict.personalization))
        else:
            rows.append((score_value(verdict)[0],) * 3)
    return np.array(rows, dtype=np.float64)


def figures(judge: Judge, scenarios: Sequence[Scenario]) -> Figures:
    """Return all figures of `judge` over `scenarios`.

    Raises
    ------
    UserError
        as `score_sets`, and when every scenario has a set without a score.
    """
    scores = score_sets(judge, scenarios)
    schema = scenarios[0].schema
    told = describe(judge)
    scored = ~np.isnan(scores.table).any(axis=1)
    if not scored.any():
        raise UserError(f"judge {told.name}: each of {len(scenarios)} scenarios has a set without a score")
    table = scores.table[scored]
    empty, full = table[:, 0], table[:, -1]
    singles = table[:, 1 << np.arange(len(schema))] - empty[:, None]
    firsts = np.bincount(singles.argmax(axis=1), minlength=len(schema))
    return Figures(
        judge=told.name,
        simulated=told.simulated,
        n_scenarios=len(table),
        n_unscored=int((~scored).sum()),
        empty=float(empty.mean()),
        full=float(full.mean()),
        gain_sd=float((full - empty).std()),
        singles=dict(zip(schema.names, singles.mean(axis=0).tolist(), strict=True)),
        shares=_cumulative_shares(table),
        harmful=float((_worst_step(table) < -_HARM).mean()),
        n_below=int((full < empty).sum()),
        first=schema.names[int(firsts.argmax())],
        first_share=float(firsts.max() / len(table)),
        dimensions_empty=tuple(scores.empty[scored].mean(axis=0).tolist()),
        dimensions_full=tuple(scores.full[scored].mean(axis=0).tolist()),
        regret=regrets(table, schema, [s.domain for s, kept in zip(scenarios, scored, strict=True) if kept]),
    )


def regrets(table: np.ndarray, schema: Schema, domains: Sequence[str]) -> dict[str, dict[int, float]]:
    """Return planner -> budget -> normalised regret; `table` float64[N, 2^n], all sets enumerated."""
    sizes = _sizes(table.shape[1])
    found: dict[str, dict[int, float]] = {"greedy": {}, FIXED: {}}
    found |= {f"static {name}": {} for name in STATIC_SETS}
    found["three random questions"] = {}
    steps = _greedy(table, max(BUDGETS))
    for budget in BUDGETS:
        allowed = np.flatnonzero(sizes <= budget)
        best = table[:, allowed].max(axis=1)

        def regret(true: np.ndarray, best: np.ndarray = best) -> float:
            possible = float((best - table[:, 0]).sum())
            return float((best - true).sum()) / possible if possible > 0.0 else 0.0

        found["greedy"][budget] = regret(steps[:, : budget + 1].max(axis=1))
        found[FIXED][budget] = regret(_fixed_per_domain(table, allowed, domains))
        for name, members in STATIC_SETS.items():
            if set(members) <= set(schema.names) and len(members) <= budget:
                found[f"static {name}"][budget] = regret(table[:, schema.mask(members)])
        if budget == 3 and len(schema) >= 3:
            found["three random questions"][budget] = regret(table[:, sizes == 3].mean(axis=1))
    return found


def _sizes(n_sets: int) -> np.ndarray:
    return np.array([mask.bit_count() for mask in range(n_sets)])


def _greedy(table: np.ndarray, n_steps: int) -> np.ndarray:
    """Return float64[N, n_steps + 1]: scores along the path that always adds the best next attribute."""
    n = table.shape[1].bit_length() - 1
    rows, bits = np.arange(len(table)), 1 << np.arange(n)
    known = np.zeros(len(table), dtype=np.int64)
    scores = [table[:, 0]]
    for _ in range(min(n_steps, n)):
        following = known[:, None] | bits
        values = np.where(following == known[:, None], -np.inf, table[rows[:, None], following])
        known = following[rows, values.argmax(axis=1)]
        scores.append(table[rows, known])
    return np.stack(scores, axis=1)


def _fixed_per_domain(table: np.ndarray, allowed: np.ndarray, domains: Sequence[str]) -> np.ndarray:
    """Return float64[N]: each half of a domain with the set that is best on the mean of its other half."""
    true = table[:, 0].copy()
    of = np.array(domains)
    for domain in dict.fromkeys(domains):
        rows = np.flatnonzero(of == domain)
        halves = rows[::2], rows[1::2]
        for fitted, tested in (halves, halves[::-1]):
            if len(fitted):
                chosen = allowed[table[np.ix_(fitted, allowed)].mean(axis=0).argmax()]
                true[tested] = table[tested, chosen]
    return true


def _cumulative_shares(table: np.ndarray) -> tuple[float, float, float]:
    """Order each scenario's best set of three for the highest mean prefix; return gains after 1, 2, 3.

    NaN with fewer than three attributes, or where three bring nothing.
    """
    n = table.shape[1].bit_length() - 1
    paths = np.array(list(itertools.permutations(range(n), 3)))
    if not len(paths):
        return (np.nan, np.nan, np.nan)
    prefixes = np.cumsum(1 << paths, axis=1)
    last = table[:, prefixes[:, 2]]
    rows = np.arange(len(table))
    # Only orders of the best set compete, by the sum of their prefixes.
    competing = last == last.max(axis=1, keepdims=True)
    order = np.where(competing, table[:, prefixes[:, 0]] + table[:, prefixes[:, 1]], -np.inf).argmax(axis=1)
    gains = table[rows[:, None], prefixes[order]].mean(axis=0) - table[:, 0].mean()
    if gains[2] <= 0.0:
        return (np.nan, np.nan, np.nan)
    first, second, third = (gains / gains[2]).tolist()
    return first, second, third


def _worst_step(table: np.ndarray) -> np.ndarray:
    """Return float64[N]: the least change that adding one attribute to any set makes."""
    sets = np.arange(table.shape[1])
    worst = np.full(len(table), np.inf)
    for i in range(table.shape[1].bit_length() - 1):
        without = sets[(sets >> i) & 1 == 0]
        worst = np.minimum(worst, (table[:, without | 1 << i] - table[:, without]).min(axis=1))
    return worst
