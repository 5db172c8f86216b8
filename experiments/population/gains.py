"""Gains of branching on answers and of stopping early over the best fixed path, in sample and held out.

Held out: people (never queries) are dealt into folds; each fold is judged by plans made from the others. The
simulated judge is the same for all, so that what is held out is people and not a judge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from experiments.population.compared_trees import (
    EVERYBODY,
    FIXED,
    PopulationOptions,
    groups,
    plans,
    pooled,
    problem_of,
)
from search.planning import scenario_rng
from search.population.population_problem import PopulationProblem
from search.population.scenario_population import Population
from search.population.set_table import sets_within
from search.population.tree_building import Worth, worth

ORACLE, BY_DOMAIN = "oracle", "by domain"
_ORACLE_SETS = 200_000


@dataclass(frozen=True)
class Gain:
    """One plan for one domain: a row of `gains.parquet`. Means over people unless it says otherwise.

    `plan`: `fixed` (the best path that asks everybody the same), `stopping` (that path, left when it no
    longer pays), `branching` (at least as many questions as the path, chosen by the answers), `tree` (both,
    the optimum), `careful` (the same with minimum support: no branch is for fewer than `min_profiles`
    people, and people of other domains count too, `other_domains` each), `oracle` (who knows the profile and
    asks its best set).
    `objective`, `score`, `questions`, `gain` (over `fixed`): in sample, of the domain's own people. `held_*`:
    on people that were not planned for, `held_stderr` the standard error of `held_gain`. NaN: not known.
    """

    model_seed: int | None
    domain: str
    plan: str
    n_people: int
    n_scenarios: int
    budget: int
    cost_weight: float
    decline_rate: float
    min_profiles: int
    n_nodes: int
    objective: float
    score: float
    questions: float
    gain: float
    held_objective: float = math.nan
    held_questions: float = math.nan
    held_gain: float = math.nan
    held_stderr: float = math.nan


class _Held(NamedTuple):
    """Means over people who were held out; see `Gain`."""

    held_objective: float = math.nan
    held_questions: float = math.nan
    held_gain: float = math.nan
    held_stderr: float = math.nan


GroupGains = tuple[list[Gain], dict[str, np.ndarray]]
"""The rows of one domain; {plan: float64[2, people], held-out objective and questions}."""
KeepGains = Callable[[str, Callable[[], GroupGains]], GroupGains]
"""(domain, what makes its rows) -> the rows, made now or by an earlier session."""


def gains(
    population: Population,
    options: PopulationOptions,
    model_seed: int | None = None,
    on_group: Callable[[], None] = lambda: None,
    keep: KeepGains = lambda domain, make: make(),
) -> list[Gain]:
    """Return a row for each plan of each domain, of all domains together, and of one plan for all.

    `on_group` is called when the rows of one of them are finished; `keep`: where they are kept.
    """
    found: list[Gain] = []
    held: list[dict[str, np.ndarray]] = []
    for domain, rows in groups(population).items():
        make = partial(_group_gains, population, domain, rows, options, model_seed)
        own, apart = keep(domain, make)
        if domain == EVERYBODY:
            found += _together(found, held)
        held.append(apart)
        found += own
        on_group()
    return found


def _group_gains(
    population: Population, domain: str, rows: np.ndarray, options: PopulationOptions, model_seed: int | None
) -> GroupGains:
    problem = problem_of(population, rows, options, domain)
    trees = plans(problem, pooled(population, rows, options, domain), options)
    values = {name: worth(problem, tree) for name, tree in trees.items()}
    held = _held_out(population, rows, options, domain)
    oracle = _oracle(problem)
    values[ORACLE] = Worth(oracle, np.full_like(oracle, math.nan), np.full_like(oracle, math.nan))
    base = float((problem.weights * values[FIXED].objective).sum())
    found = []
    for name, value in values.items():
        objective = float((problem.weights * value.objective).sum())
        row = Gain(
            model_seed=model_seed,
            domain=domain,
            plan=name,
            n_people=problem.n_profiles,
            n_scenarios=len(rows),
            budget=problem.budget,
            cost_weight=options.cost_weight,
            decline_rate=options.decline_rate,
            min_profiles=options.min_profiles,
            n_nodes=len(trees[name].nodes) if name in trees else 0,
            objective=objective,
            score=float((problem.weights * value.score).sum()),
            questions=float((problem.weights * value.questions).sum()),
            gain=objective - base,
        )
        found.append(replace(row, **_held(held, name)._asdict()))
    return found, held


def _held(held: Mapping[str, np.ndarray], name: str) -> _Held:
    if name not in held:
        return _Held()
    objective, questions = held[name]
    difference = objective - held[FIXED][0]
    stderr = float(difference.std(ddof=1) / math.sqrt(len(difference))) if len(difference) > 1 else math.nan
    return _Held(float(objective.mean()), float(questions.mean()), float(difference.mean()), stderr)


def _together(found: Sequence[Gain], held: Sequence[Mapping[str, np.ndarray]]) -> list[Gain]:
    """Return the rows of all domains together, each with its own plans: means over scenarios and people."""
    joint = []
    for name in dict.fromkeys(row.plan for row in found):
        rows = [row for row in found if row.plan == name]
        weights = np.array([row.n_scenarios for row in rows]) / sum(row.n_scenarios for row in rows)
        means = [
            float((weights * values).sum())
            for values in zip(*((r.objective, r.score, r.questions, r.gain) for r in rows), strict=True)
        ]
        apart = {
            plan: np.concatenate([h[plan] for h in held if plan in h], axis=1)
            for plan in (name, FIXED)
            if any(plan in h for h in held)
        }
        row = replace(
            rows[0],
            domain=BY_DOMAIN,
            n_people=sum(r.n_people for r in rows),
            n_scenarios=sum(r.n_scenarios for r in rows),
            n_nodes=sum(r.n_nodes for r in rows),
            objective=means[0],
            score=means[1],
            questions=means[2],
            gain=means[3],
        )
        joint.append(replace(row, **_held(apart, name)._asdict()))
    return joint


def _held_out(
    population: Population, rows: np.ndarray, options: PopulationOptions, domain: str
) -> dict[str, np.ndarray]:
    """Return {plan: float64[2, people], objective and questions of each by plans made without them}."""
    people, person = np.unique(population.people[rows], return_inverse=True)
    folds = min(options.folds, len(people))
    if folds < 2:
        return {}
    fold_of = np.empty(len(people), np.int64)
    order = scenario_rng(options.seed, f"folds of {domain}").permutation(len(people))
    fold_of[order] = np.arange(len(people)) % folds
    found: dict[str, np.ndarray] = {}
    counts = np.bincount(person)
    for fold in range(folds):
        apart = fold_of[person] == fold
        kept = rows[~apart]
        with_others = pooled(population, kept, options, domain, without=population.people[rows[apart]])
        trees = plans(problem_of(population, kept, options, domain), with_others, options)
        test = problem_of(population, rows[apart], options, domain, merge=False)
        for name, tree in trees.items():
            value = worth(test, tree)
            sums = found.setdefault(name, np.zeros((2, len(people))))
            sums[0] += np.bincount(person[apart], value.objective, len(people))
            sums[1] += np.bincount(person[apart], value.questions, len(people))
    return {name: sums / counts for name, sums in found.items()}


def _oracle(problem: PopulationProblem) -> np.ndarray:
    """Return float64[N], the best objective of a fixed set by one who knows the profile; NaN: too many."""
    n, budget = len(problem.schema), problem.budget
    if sum(math.comb(n, k) for k in range(budget + 1)) > _ORACLE_SETS:
        return np.full(len(problem.weights), math.nan)
    masks = sets_within(n, budget).tolist()
    best = np.full(len(problem.weights), -math.inf)
    for mask in masks:
        best = np.fmax(best, problem.expected_scores(mask) - problem.penalty(mask))
    return best
