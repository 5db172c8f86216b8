"""Plans for an unknown person as methods: policy trees from exact dynamic programming over the train profiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from experiments.evaluation.pairs import POPULATION
from experiments.evaluation.setting import Setting, TrainScores
from experiments.evaluation.trajectories import REFERENCE, Method, Trajectory
from search.policy_tree import DECLINED, STOP, PolicyTree
from search.policy_tree_file import PolicyTrees
from search.population import PopulationProblem
from search.population_dp import Solution, best_fixed_path

ALL = "all"


def plan_tree(
    scores: TrainScores, domain: str, *, exact: bool, cost_weight: float, min_profiles: float
) -> PolicyTree:
    """Return the tree for `domain` (or ALL, or one without people, which takes them all).

    `exact`: planned on the scores without noise, else on one look at each set. Where fewer than `min_profiles`
    people agree with the answers, the tree goes on with the best fixed path.
    """
    kept = [k for k, s in enumerate(scores.scenarios) if domain in (ALL, s.domain)]
    if not kept:
        return plan_tree(scores, ALL, exact=exact, cost_weight=cost_weight, min_profiles=min_profiles)
    key = (exact, cost_weight, min_profiles, domain, *(scores.scenarios[k].id for k in kept))
    key = (*key, *scores.weights[kept].tolist())
    if key not in scores.memo:
        problem = PopulationProblem(
            scores.scenarios[0].schema,
            scores.budget,
            np.array([scores.scenarios[k].codes for k in kept]),
            (scores.exact if exact else scores.seen)[kept],
            weights=scores.weights[kept],
            cost_weight=cost_weight,
            group=domain,
        )
        fallback = best_fixed_path(problem)
        scores.memo[key] = Solution(problem, fallback=fallback, min_profiles=min_profiles).tree()
    tree: PolicyTree = scores.memo[key]
    return tree


def seen_trees(scores: TrainScores, min_profiles: float) -> PolicyTrees:
    """Return the trees that `conditional` follows: for each domain and for all, on one look at each set, no costs."""
    domains = dict.fromkeys(s.domain for s in scores.scenarios)
    plan = {
        d: plan_tree(scores, d, exact=False, cost_weight=0.0, min_profiles=min_profiles)
        for d in (*domains, ALL)
    }
    return PolicyTrees(plan, {})


def population_name(cost_weight: float) -> str:
    """Return the name of the plan for one cost weight, an operating point of its family."""
    return f"{POPULATION}, cost {cost_weight:g}"


def population_plans(
    setting: Setting, scores: TrainScores, costs: Sequence[float], min_profiles: float
) -> list[Method]:
    """Return the exact plans of the train people under the exact judge, one for each cost weight.

    They know the domain of each query and the judge without its noise, which no policy does.
    """

    def follow(cost: float) -> Method:
        def tree_of(domain: str) -> PolicyTree:
            return plan_tree(scores, domain, exact=True, cost_weight=cost, min_profiles=min_profiles)

        return Method(population_name(cost), REFERENCE, _follow(setting, tree_of), POPULATION)

    return [follow(cost) for cost in costs]


def _follow(setting: Setting, tree_of: Callable[[str], PolicyTree]) -> Callable[[int], list[Trajectory]]:
    def converse(i: int) -> list[Trajectory]:
        scenario = setting.test[i]
        tree = tree_of(scenario.domain)
        asked: list[int] = []
        codes: dict[int | str, int] = {}
        while (a := tree.next_attribute(codes)) != STOP:
            said = setting.answers.text(i, a)
            asked.append(a)
            codes[a] = DECLINED if said is None else scenario.schema.attributes[a].code(said)
        return [Trajectory(tuple(asked), setting.answers.told(i, asked))]

    return converse
