"""What branching on answers and stopping early gain over the best fixed path, in sample and held out.

Held out: people (never queries) are dealt into folds; each fold is judged by plans made from the others. The
simulated judge is the same for all, so that what is held out is people and not a judge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from envs import DOMAINS, UserError
from search.mcts import MCTSSearch
from search.planning import scenario_rng
from search.policy_tree import PolicyTree
from search.population import PopulationProblem, check_numbers
from search.population_dp import Solution, States, best_fixed_path, fixed_tree
from search.population_mcts import PopulationMCTS
from search.population_plans import Worth, worth
from search.population_scenarios import Population
from search.population_sets import sets_within
from search.problem import Searcher

FIXED, STOPPING, BRANCHING, TREE, CAREFUL = "fixed", "stopping", "branching", "tree", "careful"
ORACLE = "oracle"
EVERYBODY, BY_DOMAIN = "all", "by domain"
_ORACLE_SETS = 200_000
SOLVERS = ("exact", "mcts")


@dataclass(frozen=True)
class Options:
    """How to plan; see `experiments.config.PlanPopulationConfig`."""

    cost_weight: float = 0.0
    decline_rate: float = 0.0
    min_profiles: int = 20
    solver: str = "exact"
    num_simulations: int = 10_000
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(1, self.cost_weight, self.decline_rate)
        if self.solver not in SOLVERS:
            raise UserError(f"solver: found {self.solver!r}, expected one of {', '.join(SOLVERS)}")
        lows = (("min_profiles", 0), ("num_simulations", 1), ("folds", 0), ("seed", 0))
        for name, low in lows:
            if getattr(self, name) < low:
                raise UserError(f"{name}: found {getattr(self, name)}, expected an integer >= {low}")
        if self.folds == 1:
            raise UserError("folds: found 1, expected 0 (nothing held out) or at least 2")


@dataclass(frozen=True)
class Gain:
    """One plan for one domain: a row of `gains.parquet`. Means over people unless it says otherwise.

    `plan`: `fixed` (the best path that asks everybody the same), `stopping` (that path, left when it no
    longer pays), `branching` (at least as many questions as the path, chosen by the answers), `tree` (both,
    the optimum), `careful` (the same, but no branch for fewer than `min_profiles` people), `oracle` (who
    knows the profile and asks its best set). `objective`, `score`, `questions`, `gain` (over `fixed`): in
    sample. `held_*`: on people that were not planned for, `held_stderr` the standard error of `held_gain`.
    NaN = does not apply.
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


def plans(problem: PopulationProblem, options: Options) -> dict[str, PolicyTree]:
    """Return the plans that are compared, the fixed path first."""
    states = States(problem) if options.solver == "exact" else None
    path = best_fixed_path(problem, searcher=_fixed_searcher(options))
    found = {
        FIXED: fixed_tree(problem, path),
        STOPPING: Solution(problem, states=States(problem, order=path), fallback=path).tree(),
    }
    if states is not None:
        found[BRANCHING] = Solution(problem, states=states, min_questions=len(path), fallback=path).tree()
        found[TREE] = Solution(problem, states=states, fallback=path).tree()
        careful = Solution(problem, states=states, fallback=path, min_profiles=options.min_profiles)
        return {**found, CAREFUL: careful.tree()}
    return {
        **found,
        TREE: _searched(problem, options, path, 0),
        CAREFUL: _searched(problem, options, path, options.min_profiles),
    }


def careful_tree(problem: PopulationProblem, options: Options) -> PolicyTree:
    """Return the tree to follow: the best among those without a branch for a few people."""
    states = States(problem) if options.solver == "exact" else None
    path = best_fixed_path(problem, searcher=_fixed_searcher(options))
    if states is not None:
        careful = Solution(problem, states=states, fallback=path, min_profiles=options.min_profiles)
        return careful.tree()
    return _searched(problem, options, path, options.min_profiles)


def _searched(
    problem: PopulationProblem, options: Options, path: Sequence[int], min_profiles: int
) -> PolicyTree:
    rng = scenario_rng(options.seed, problem.group)
    search = PopulationMCTS(options.num_simulations)
    return search.plan(problem, rng, fallback=path, min_profiles=min_profiles)


def _fixed_searcher(options: Options) -> Searcher | None:
    return None if options.solver == "exact" else MCTSSearch(options.num_simulations)


def groups(population: Population) -> dict[str, np.ndarray]:
    """Return {domain: int64[M] rows that can be used} of the domains that occur, then `all`."""
    usable = population.scored()
    domains = np.array(population.domains)
    found = {d: np.flatnonzero(usable & (domains == d)) for d in DOMAINS}
    found = {d: rows for d, rows in found.items() if len(rows)}
    return {**found, EVERYBODY: np.flatnonzero(usable)} if found else {}


def gains(population: Population, options: Options, model_seed: int | None = None) -> list[Gain]:
    """Return a row for each plan of each domain, of all domains together, and of one plan for all."""
    found: list[Gain] = []
    held: list[dict[str, np.ndarray]] = []
    for domain, rows in groups(population).items():
        own, apart = _group_gains(population, domain, rows, options, model_seed)
        if domain == EVERYBODY:
            found += _together(found, held)
        held.append(apart)
        found += own
    return found


def _group_gains(
    population: Population, domain: str, rows: np.ndarray, options: Options, model_seed: int | None
) -> tuple[list[Gain], dict[str, np.ndarray]]:
    """Return (the rows of one domain, {plan: float64[2, people] held-out objective and questions})."""
    problem = _problem(population, rows, options, domain)
    trees = plans(problem, options)
    values = {name: worth(problem, tree) for name, tree in trees.items()}
    held = _held_out(population, rows, options, domain)
    oracle = _oracle(problem)
    values[ORACLE] = Worth(oracle, np.full_like(oracle, math.nan), np.full_like(oracle, math.nan))
    base = float(problem.weights @ values[FIXED].objective)
    found = []
    for name, value in values.items():
        objective = float(problem.weights @ value.objective)
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
            score=float(problem.weights @ value.score),
            questions=float(problem.weights @ value.questions),
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
            float(weights @ values)
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


def _problem(
    population: Population, rows: np.ndarray, options: Options, domain: str, merge: bool = True
) -> PopulationProblem:
    return population.problem(
        rows,
        cost_weight=options.cost_weight,
        decline_rate=options.decline_rate,
        group=domain,
        merge=merge,
    )


def _held_out(
    population: Population, rows: np.ndarray, options: Options, domain: str
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
        trees = plans(_problem(population, rows[~apart], options, domain), options)
        test = _problem(population, rows[apart], options, domain, merge=False)
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
