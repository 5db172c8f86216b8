"""Which methods are held against each other, built for one setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.evaluation.baselines import baselines
from experiments.evaluation.conversations import Conversations
from experiments.evaluation.population import population_plans, seen_trees
from experiments.evaluation.setting import Setting, TrainScores
from experiments.evaluation.trajectories import Method
from policies.abstention import FixedAbstention, NeverAbstention, ValueAbstention
from policies.acquisition import NearestAcquisition, VoteAcquisition
from policies.conditional import ConditionalAcquisition
from policies.embeddings import Embedding
from policies.memory import Memory
from policies.retrieval import Index
from policies.situation import Abstention, Policy
from search.path_table import PathTable
from search.policy_tree_file import PolicyTrees

CHOSEN = "chosen policy"
POPULATION_COSTS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.9)
"""Cost weights of the exact plan, from every question it likes to none at all."""


@dataclass(frozen=True)
class Options:
    """What holds for every setting of an evaluation.

    `policy`: the chosen one. `value_costs`: cost weights of the `value` rule, its operating points, and
    `value_cost` the one that stands for it. `costs`: those of the exact plan. `min_profiles`: where fewer
    people agree with the answers, trees go on with the fixed path. `other_domains`: what a person of another
    domain counts in a domain's tree. `unit_costs`: every question costs the same. `seed`: of what is random
    in methods. `report_samples`: fresh looks under a judge that is stochastic and not simulated.
    `variations`, `variation_seeds`: which robustness checks, under how many draws of the judge.
    """

    policy: Policy
    embedding: Embedding
    value_costs: tuple[float, ...] = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.9)
    value_cost: float = 0.1
    costs: tuple[float, ...] = POPULATION_COSTS
    min_profiles: float = 10.0
    other_domains: float = 0.3
    unit_costs: bool = True
    seed: int = 0
    report_samples: int = 8
    variations: tuple[str, ...] = ()
    variation_seeds: int = 1


def rules(value_costs: Sequence[float], budget: int) -> dict[str, Abstention]:
    """Return the stopping rules that need no language model, by name."""
    found: dict[str, Abstention] = {f"value {cost:g}": ValueAbstention(cost) for cost in value_costs}
    found |= {f"fixed {k}": FixedAbstention(k) for k in range(1, budget + 1)}
    return {**found, "never": NeverAbstention()}


def remember(
    setting: Setting,
    scores: TrainScores,
    table: PathTable,
    options: Options,
    trees: PolicyTrees | None,
    source: str,
) -> Memory:
    """Return the memory of `table` and `trees`, its queries embedded, questions priced as in `scores`."""
    index = Index.build(options.embedding, table.table["query"].to_pylist())
    return Memory(table, index, scores.schema, source, trees)


def with_trees(memory: Memory, trees: PolicyTrees | None) -> Memory:
    """Return `memory` with other trees."""
    return Memory(memory.table, memory.index, memory.schema, memory.source, trees)


def lineup(setting: Setting, scores: TrainScores, memory: Memory, options: Options) -> list[Method]:
    """Return every method that the setting allows."""
    costs = sorted({*options.value_costs, options.value_cost})
    talks = Conversations(setting, memory, rules(costs, setting.budget), options.policy.n_neighbours)
    methods = baselines(setting, scores)
    methods += talks.abstention_only()
    methods += talks.methods({"nearest": NearestAcquisition(), "vote": VoteAcquisition()})
    if memory.trees is not None:
        methods += _conditional(setting, scores, memory, options, costs)
        methods += population_plans(
            setting, scores, options.costs, costs, options.min_profiles, options.other_domains
        )
    return [*methods, talks.configured(CHOSEN, options.policy)]


def _conditional(
    setting: Setting, scores: TrainScores, memory: Memory, options: Options, costs: Sequence[float]
) -> list[Method]:
    """Return `conditional` at its operating points: trees that weigh costs and stop by themselves, or ask k.

    A tree that was planned with costs says when to stop; no other rule is put on top of it.
    """
    points = [(f"own stop {cost:g}", cost, setting.budget) for cost in costs]
    points += [(f"fixed {k}", 0.0, k) for k in range(1, setting.budget + 1)]
    methods = []
    for rule, cost, budget in points:
        trees = seen_trees(scores, cost, options.min_profiles, budget)
        talks = Conversations(
            setting, with_trees(memory, trees), {rule: NeverAbstention()}, options.policy.n_neighbours
        )
        methods += talks.methods({"conditional": ConditionalAcquisition()})
    return methods


def few(methods: Sequence[Method], wanted: Sequence[str]) -> list[Method]:
    """Return the methods of the names `wanted`, in the order of `methods`."""
    return [method for method in methods if method.name in wanted]
