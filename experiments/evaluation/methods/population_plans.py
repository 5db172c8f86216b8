"""Policy trees as methods: exact dynamic programming over the train profiles."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np

from experiments.evaluation.methods.trajectories import POLICY, REFERENCE, Method, Trajectory
from experiments.evaluation.setting import Setting, TrainScores
from search.population.exact import Solution, States, best_fixed_path
from search.population.policy_tree import DECLINED, STOP, PolicyTree
from search.population.policy_tree_file import PolicyTrees
from search.population.population_problem import PopulationProblem, people_counted
from search.population.set_table import sets_within

ALL = "all"
POPULATION, POPULATION_ALL = "population plan", "population plan, domain not told"
TOLD = "conditional, domain told + value"
"""Families of operating points: the cost weight that a plan was made with."""


def plan_tree(
    scores: TrainScores,
    domain: str,
    *,
    exact: bool,
    cost_weight: float,
    min_profiles: float,
    budget: int | None = None,
    other_domains: float = 0.0,
) -> PolicyTree:
    """Return the tree for `domain` (ALL, or one without people: for everybody).

    `exact`: planned on the scores without noise, else on one sample of each set. Where fewer than
    `min_profiles` people agree with the answers, the tree goes on with the best fixed path. `budget`: of
    fewer questions. `other_domains`: what each person of another domain counts.
    """
    domains = [s.domain for s in scores.scenarios]
    if domain not in domains:
        domain = ALL
    count = np.array([1.0 if domain in (ALL, d) else other_domains for d in domains])
    kept = np.flatnonzero(count).tolist()
    budget = scores.budget if budget is None else min(budget, scores.budget)
    weights = scores.weights[kept] * count[kept]
    people = (exact, budget, domain, *(scores.scenarios[k].id for k in kept), *weights.tolist())
    key = (*people, cost_weight, min_profiles)
    if key not in scores.memo:
        problem = PopulationProblem(
            scores.schema,
            budget,
            np.array([scores.scenarios[k].codes for k in kept]),
            # Smaller sets come first in a table.
            (scores.exact if exact else scores.seen)[kept, : len(sets_within(len(scores.schema), budget))],
            weights=weights,
            n_profiles=people_counted(count),
            cost_weight=cost_weight,
            group=domain,
        )
        if people not in scores.memo:
            scores.memo[people] = States(problem), problem
        free, of = scores.memo[people]
        states = _priced(free, of, problem)
        fallback = best_fixed_path(problem)
        found = Solution(problem, states=states, fallback=fallback, min_profiles=min_profiles)
        scores.memo[key] = found.tree()
    tree: PolicyTree = scores.memo[key]
    return tree


def _priced(states: States, of: PopulationProblem, problem: PopulationProblem) -> States:
    """Return the states of `problem`, which differs in its cost weight alone from that `states` are of.

    To find who answers alike is the greater part of the work, and costs have no say in it.
    """
    other = copy.copy(states)
    other.problem = problem
    other.layers = {
        mask: layer._replace(stop=layer.stop + (of.penalty(mask) - problem.penalty(mask)) * layer.weight)
        for mask, layer in states.layers.items()
    }
    return other


def seen_trees(
    scores: TrainScores, cost_weight: float, min_profiles: float, budget: int | None = None
) -> PolicyTrees:
    """Return the tree that `conditional` follows: for everybody, planned on one sample of each set."""
    tree = plan_tree(
        scores, ALL, exact=False, cost_weight=cost_weight, min_profiles=min_profiles, budget=budget
    )
    return PolicyTrees({ALL: tree}, {})


def cost_name(family: str, cost_weight: float) -> str:
    """Return the name of an operating point of a family of plans."""
    return f"{family}, cost {cost_weight:g}" if family.startswith(POPULATION) else f"{family} {cost_weight:g}"


def population_plans(
    setting: Setting,
    scores: TrainScores,
    costs: Sequence[float],
    own: Sequence[float],
    min_profiles: float,
    other_domains: float = 0.0,
) -> list[Method]:
    """Return the exact plans of the train people under the exact judge, and a policy that knows the domain.

    The plans know the judge without its noise, and POPULATION the domain of each query, which no policy does.
    TOLD makes its plan as `conditional` does, for each domain, people of others counting `other_domains`.
    `costs`, `own`: cost weights, one method each.
    """
    kinds = (
        (POPULATION, REFERENCE, costs, True, True),
        (POPULATION_ALL, REFERENCE, costs, True, False),
        (TOLD, POLICY, own, False, True),
    )
    methods = []
    for family, kind, weights, exact, domain_told in kinds:
        for cost in weights:

            def tree_of(
                domain: str, cost: float = cost, exact: bool = exact, domain_told: bool = domain_told
            ) -> PolicyTree:
                return plan_tree(
                    scores,
                    domain if domain_told else ALL,
                    exact=exact,
                    cost_weight=cost,
                    min_profiles=min_profiles,
                    other_domains=0.0 if exact else other_domains,
                )

            methods.append(Method(cost_name(family, cost), kind, _follow(setting, tree_of), family))
    return methods


def _follow(setting: Setting, tree_of: Callable[[str], PolicyTree]) -> Callable[[int], list[Trajectory]]:
    def converse(i: int) -> list[Trajectory]:
        scenario = setting.test[i]
        tree = tree_of(scenario.domain)
        asked: list[int] = []
        codes: dict[int | str, int] = {}
        while (a := tree.next_attribute(codes)) != STOP:
            asked.append(a)
            codes[a] = DECLINED
            for read, value in setting.answers.heard(i, a).values.items():
                codes[read] = scenario.schema.attributes[read].level_code(value.level)
        return [setting.answers.trajectory(i, asked)]

    return converse
