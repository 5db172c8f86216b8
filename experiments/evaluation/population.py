"""Plans for an unknown person as methods: policy trees from exact dynamic programming over the train profiles."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np

from envs import Judge, Scenario
from envs.judges.simulated import SimulatedJudge
from experiments.evaluation.conversations import Answer
from experiments.evaluation.pairs import POPULATION
from experiments.evaluation.setting import Setting, people
from experiments.evaluation.trajectories import REFERENCE, Method, Trajectory
from search.policy_tree import DECLINED, STOP, PolicyTree
from search.policy_tree_file import PolicyTrees
from search.population_dp import Solution, best_fixed_path
from search.population_scenarios import population_problem

ALL = "all"


def exact(judge: Judge) -> Judge:
    """Return a simulated judge without its noise; any other judge is returned as it is."""
    if not isinstance(judge, SimulatedJudge) or not judge.stochastic:
        return judge
    twin = copy.copy(judge)
    twin.noise_std = 0.0
    return twin


def plan_trees(
    train: Sequence[Scenario], judge: Judge, budget: int, *, cost_weight: float, min_profiles: float
) -> PolicyTrees:
    """Return a tree for each domain of `train`, and one for all, by exact dynamic programming.

    Each person counts as often as they have scenarios, and is scored once. Where fewer than `min_profiles`
    people agree with the answers, the tree goes on with the best fixed path.
    """
    first, of = people(train)
    counts = np.bincount(of).astype(np.float64)
    domains = dict.fromkeys(train[i].domain for i in first.tolist())
    trees: dict[str, PolicyTree] = {}
    for domain in (*domains, ALL):
        kept = [(train[i], c) for i, c in zip(first.tolist(), counts, strict=True) if domain in (ALL, train[i].domain)]
        problem = population_problem(
            [s for s, _ in kept], judge, budget, weights=[c for _, c in kept], cost_weight=cost_weight, group=domain
        )
        fallback = best_fixed_path(problem)
        trees[domain] = Solution(problem, fallback=fallback, min_profiles=min_profiles).tree()
    return PolicyTrees(trees, {})


def population_name(cost_weight: float) -> str:
    """Return the name of the plan for one cost weight, an operating point of its family."""
    return f"{POPULATION}, cost {cost_weight:g}"


def population_plans(
    setting: Setting, answer: Answer, costs: Sequence[float], min_profiles: float
) -> list[Method]:
    """Return the exact plans of the train people under the exact judge, one for each cost weight.

    They know the domain of each query and the judge without its noise, which no policy does.
    """
    methods = []
    for cost in costs:
        trees = plan_trees(
            setting.train, exact(setting.judge), setting.budget, cost_weight=cost, min_profiles=min_profiles
        )
        methods.append(Method(population_name(cost), REFERENCE, _follow(setting, trees, answer), POPULATION))
    return methods


def _follow(setting: Setting, trees: PolicyTrees, answer: Answer) -> Callable[[int], list[Trajectory]]:
    def converse(i: int) -> list[Trajectory]:
        scenario = setting.test[i]
        tree = trees.for_domain(scenario.domain)
        assert tree is not None  # noqa: S101 - there is one for all
        asked: list[int] = []
        codes: dict[int | str, int] = {}
        told = 0
        while (a := tree.next_attribute(codes)) != STOP:
            attribute = scenario.schema.attributes[a]
            said = answer(scenario, attribute.name)
            asked.append(a)
            codes[a] = DECLINED if said is None else attribute.code(said)
            told |= 0 if said is None else 1 << a
        return [Trajectory(tuple(asked), told)]

    return converse
