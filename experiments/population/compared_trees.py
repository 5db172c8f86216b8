"""Policy trees that are compared for unknown people, and the one that is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs import UserError
from search.algorithms.mcts import MCTSSearch
from search.planning import scenario_rng
from search.population.exact import Solution, States, best_fixed_path, fixed_tree
from search.population.policy_tree import PolicyTree
from search.population.population_problem import PopulationProblem, check_numbers
from search.population.scenario_population import Population
from search.population.tree_search import PopulationMCTS
from search.problem import Searcher

FIXED, STOPPING, BRANCHING, TREE, MIN_SUPPORT = "fixed", "stopping", "branching", "tree", "careful"
EVERYBODY = "all"
SOLVERS = ("exact", "mcts")


@dataclass(frozen=True)
class PopulationOptions:
    """How to plan; see `experiments.runs.config.PlanPopulationConfig`."""

    cost_weight: float = 0.0
    decline_rate: float = 0.0
    dropout: float = 0.1
    min_profiles: int = 10
    other_domains: float = 0.3
    solver: str = "exact"
    num_simulations: int = 10_000
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(1, self.cost_weight, self.decline_rate, self.dropout)
        if self.solver not in SOLVERS:
            raise UserError(f"solver: found {self.solver!r}, expected one of {', '.join(SOLVERS)}")
        lows = (("min_profiles", 0), ("num_simulations", 1), ("folds", 0), ("seed", 0))
        for name, low in lows:
            if getattr(self, name) < low:
                raise UserError(f"{name}: found {getattr(self, name)}, expected an integer >= {low}")
        if not 0 <= self.other_domains <= 1:
            raise UserError(f"other_domains: found {self.other_domains}, expected a weight, 0 to 1")
        if self.folds == 1:
            raise UserError("folds: found 1, expected 0 (nothing held out) or at least 2")


def groups(population: Population) -> dict[str, np.ndarray]:
    """Return {domain: int64[M] rows that can be used} of the domains that occur, then `all`."""
    usable = population.scored()
    domains = np.array(population.domains)
    found = {d: np.flatnonzero(usable & (domains == d)) for d in population.schema.domains}
    found = {d: rows for d, rows in found.items() if len(rows)}
    return {**found, EVERYBODY: np.flatnonzero(usable)} if found else {}


def problem_of(
    population: Population,
    rows: np.ndarray,
    options: PopulationOptions,
    domain: str,
    merge: bool = True,
    weights: np.ndarray | None = None,
) -> PopulationProblem:
    """Return the problem of the scenarios `rows` under `options`; see `Population.problem`."""
    return population.problem(
        rows,
        weights=weights,
        cost_weight=options.cost_weight,
        decline_rate=options.decline_rate,
        dropout=options.dropout,
        group=domain,
        merge=merge,
    )


def pooled(
    population: Population,
    rows: np.ndarray,
    options: PopulationOptions,
    domain: str,
    without: np.ndarray | Sequence[int] = (),
) -> PopulationProblem:
    """Return the problem of `rows` (all of `domain`) with people of other domains beside them.

    Each of these counts `other_domains`. A domain has few people and the others are not so different: plans
    for people nobody has seen are better for it. `without`: people (numbers) who stay out.
    """
    others = population.scored() & (np.array(population.domains) != domain)
    others &= ~np.isin(population.people, without)
    if domain == EVERYBODY or options.other_domains == 0 or not others.any():
        return problem_of(population, rows, options, domain)
    also = np.flatnonzero(others)
    weights = np.concatenate([np.ones(len(rows)), np.full(len(also), options.other_domains)])
    return problem_of(population, np.concatenate([rows, also]), options, domain, weights=weights)


def plans(
    problem: PopulationProblem, pooled: PopulationProblem, options: PopulationOptions
) -> dict[str, PolicyTree]:
    """Return the plans that are compared, the fixed path first.

    `pooled`: the same with people of other domains, for the one with minimum support.
    """
    states = States(problem) if options.solver == "exact" else None
    path = best_fixed_path(problem, searcher=fixed_searcher(options))
    found = {
        FIXED: fixed_tree(problem, path),
        STOPPING: Solution(problem, states=States(problem, order=path), fallback=path).tree(),
    }
    if states is not None:
        found[BRANCHING] = Solution(problem, states=states, min_questions=len(path), fallback=path).tree()
        found[TREE] = Solution(problem, states=states, fallback=path).tree()
    else:
        found[TREE] = _searched(problem, options, path, 0)
    return {**found, MIN_SUPPORT: min_support_tree(pooled, options)}


def domain_tree(
    population: Population, rows: np.ndarray, options: PopulationOptions, domain: str
) -> PolicyTree:
    """Return the tree to follow in `domain`, whose scenarios are `rows`."""
    return min_support_tree(pooled(population, rows, options, domain), options)


def min_support_tree(problem: PopulationProblem, options: PopulationOptions) -> PolicyTree:
    """Return the tree to follow: the best among those without a branch for a few people."""
    states = States(problem) if options.solver == "exact" else None
    path = best_fixed_path(problem, searcher=fixed_searcher(options))
    if states is not None:
        min_support = Solution(problem, states=states, fallback=path, min_profiles=options.min_profiles)
        return min_support.tree()
    return _searched(problem, options, path, options.min_profiles)


def _searched(
    problem: PopulationProblem, options: PopulationOptions, path: Sequence[int], min_profiles: int
) -> PolicyTree:
    rng = scenario_rng(options.seed, problem.group)
    search = PopulationMCTS(options.num_simulations)
    return search.plan(problem, rng, fallback=path, min_profiles=min_profiles)


def fixed_searcher(options: PopulationOptions) -> Searcher | None:
    """Return what searches the best fixed path; None = all sets."""
    return None if options.solver == "exact" else MCTSSearch(options.num_simulations)
