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


def plan_trees(
    scores: TrainScores, table: np.ndarray, *, cost_weight: float, min_profiles: float
) -> PolicyTrees:
    """Return a tree for each domain of the train people, and one for all, by exact dynamic programming.

    `table`: float64[P, n_sets], `scores.seen` or `scores.exact`. Where fewer than `min_profiles` people agree
    with the answers, a tree goes on with the best fixed path.
    """
    domains = np.array([scenario.domain for scenario in scores.scenarios])
    codes = np.array([scenario.codes for scenario in scores.scenarios])
    trees: dict[str, PolicyTree] = {}
    for domain in (*dict.fromkeys(domains.tolist()), ALL):
        kept = np.ones(len(domains), dtype=bool) if domain == ALL else domains == domain
        problem = PopulationProblem(
            scores.scenarios[0].schema,
            scores.budget,
            codes[kept],
            table[kept],
            weights=scores.weights[kept],
            cost_weight=cost_weight,
            group=domain,
        )
        trees[domain] = Solution(problem, fallback=best_fixed_path(problem), min_profiles=min_profiles).tree()
    return PolicyTrees(trees, {})


def population_name(cost_weight: float) -> str:
    """Return the name of the plan for one cost weight, an operating point of its family."""
    return f"{POPULATION}, cost {cost_weight:g}"


def population_plans(
    setting: Setting, scores: TrainScores, costs: Sequence[float], min_profiles: float
) -> list[Method]:
    """Return the exact plans of the train people under the exact judge, one for each cost weight.

    They know the domain of each query and the judge without its noise, which no policy does.
    """
    methods = []
    for cost in costs:
        trees = plan_trees(scores, scores.exact, cost_weight=cost, min_profiles=min_profiles)
        methods.append(Method(population_name(cost), REFERENCE, _follow(setting, trees), POPULATION))
    return methods


def _follow(setting: Setting, trees: PolicyTrees) -> Callable[[int], list[Trajectory]]:
    def converse(i: int) -> list[Trajectory]:
        scenario = setting.test[i]
        tree = trees.for_domain(scenario.domain)
        assert tree is not None  # noqa: S101 - there is one for all
        asked: list[int] = []
        codes: dict[int | str, int] = {}
        while (a := tree.next_attribute(codes)) != STOP:
            said = setting.answers.text(i, a)
            asked.append(a)
            codes[a] = DECLINED if said is None else scenario.schema.attributes[a].code(said)
        return [Trajectory(tuple(asked), setting.answers.told(i, asked))]

    return converse
