"""Builds the methods that are compared in one setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from envs.checking.declared import Declared
from experiments.evaluation.methods.baselines import baselines
from experiments.evaluation.methods.cached_chat import CachedChat
from experiments.evaluation.methods.conversations import Conversations, chats_of, model_methods
from experiments.evaluation.methods.population_plans import population_plans, seen_trees
from experiments.evaluation.methods.trajectories import Method
from experiments.evaluation.setting import MAX_ENUMERABLE, Setting, TrainScores
from policies.abstention import FixedAbstention, NeverAbstention, ValueAbstention
from policies.acquisition import ConditionalAcquisition, NearestAcquisition, VoteAcquisition
from policies.dialogue_state import Abstention, Policy
from policies.embeddings import Embedding
from policies.plan_index import PlanIndex
from policies.retrieval import Index
from search.path_table import PathTable
from search.population.policy_tree_file import PolicyTrees
from search.population.set_table import sets_within

CHOSEN = "chosen policy"
STORED = "conditional, stored trees"
POPULATION_COSTS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.9)
"""Cost weights of the exact plan, from every question it likes to none at all."""


@dataclass(frozen=True)
class MethodOptions:
    """What holds for every setting of an evaluation.

    `policy`: the chosen one. `value_costs`: cost weights of the `value` rule, its operating points, and
    `value_cost` the one that stands for it. `costs`: those of the exact plan. `min_profiles`: where fewer
    people agree with the answers, trees go on with the fixed path. `other_domains`: what a person of another
    domain counts in a domain's tree. `unit_costs`: every question costs the same. `seed`: of what is random
    in methods. `report_samples`: fresh samples under a judge that is stochastic and not simulated.
    `variations`, `variation_seeds`: which robustness checks, under how many draws of the judge. `chat`: the
    model of the methods that ask one.
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
    chat: CachedChat | None = None

    @property
    def chats(self) -> list[CachedChat]:
        """All models that choose or rate: those of the line-up and of the chosen policy."""
        return [*([] if self.chat is None else [self.chat]), *chats_of(self.policy)]

    @property
    def n_at_once(self) -> int:
        """People that are talked with at one time, in methods that ask a model."""
        return max((chat.limits.max_in_flight for chat in self.chats), default=1)


def rules(value_costs: Sequence[float], budget: int) -> dict[str, Abstention]:
    """Return the stopping rules that need no language model, by name."""
    found: dict[str, Abstention] = {f"value {cost:g}": ValueAbstention(cost) for cost in value_costs}
    found |= {f"fixed {k}": FixedAbstention(k) for k in range(1, budget + 1)}
    return {**found, "never": NeverAbstention()}


def remember(
    setting: Setting,
    scores: TrainScores,
    table: PathTable,
    options: MethodOptions,
    trees: PolicyTrees | None,
    source: str,
) -> PlanIndex:
    """Return the index of `table` and `trees`, its queries embedded, questions priced as in `scores`."""
    index = Index.build(options.embedding, table.table["query"].to_pylist())
    return PlanIndex(table, index, scores.schema, source, trees)


def with_trees(plan_index: PlanIndex, trees: PolicyTrees | None) -> PlanIndex:
    """Return `plan_index` with other trees."""
    return PlanIndex(plan_index.table, plan_index.index, plan_index.schema, plan_index.source, trees)


def compared_methods(
    setting: Setting,
    scores: TrainScores,
    plan_index: PlanIndex,
    options: MethodOptions,
    stored_trees: bool = False,
) -> list[Method]:
    """Return every method that the setting allows; `stored_trees`: its trees are those beside a table."""
    costs = sorted({*options.value_costs, options.value_cost})
    free = rules(costs, setting.budget)
    talks = Conversations(setting, plan_index, free, options.policy.n_neighbours)
    methods = baselines(setting, scores)
    methods += talks.abstention_only()
    methods += talks.methods({"nearest": NearestAcquisition(), "vote": VoteAcquisition()})
    branching = None
    if setting.enumerable:
        methods += _conditional(setting, scores, plan_index, options, costs)
        methods += population_plans(
            setting, scores, options.costs, costs, options.min_profiles, options.other_domains
        )
        whole = seen_trees(scores, 0.0, options.min_profiles, setting.budget)
        branching = ("conditional", with_trees(plan_index, whole))
    if stored_trees:
        methods += _stored_trees(setting, plan_index, options)
        branching = (STORED, plan_index)
    if options.chat is not None:
        k = options.policy.n_neighbours
        methods += model_methods(setting, plan_index, options.chat, free, k, branching)
    chosen = talks.configured(CHOSEN, options.policy)
    return [*methods, replace(chosen, asks_a_model=bool(chats_of(options.policy)))]


def _stored_trees(setting: Setting, plan_index: PlanIndex, options: MethodOptions) -> list[Method]:
    """Return what follows the trees beside the table: until they stop by themselves, or k questions."""
    stops: dict[str, Abstention] = {f"fixed {k}": FixedAbstention(k) for k in range(1, setting.budget + 1)}
    talks = Conversations(
        setting, plan_index, {"value": ValueAbstention(0.0), **stops}, options.policy.n_neighbours
    )
    return talks.methods({STORED: ConditionalAcquisition()})


def _conditional(
    setting: Setting,
    scores: TrainScores,
    plan_index: PlanIndex,
    options: MethodOptions,
    costs: Sequence[float],
) -> list[Method]:
    """Return `conditional` at its operating points, each with its trees.

    `value`: planned with that cost weight, by which the trees say when to stop; `fixed`: without costs, for a
    budget of k.
    """
    points: list[tuple[str, Abstention, float, int]] = [
        (f"value {cost:g}", ValueAbstention(cost), cost, setting.budget) for cost in costs
    ]
    points += [(f"fixed {k}", FixedAbstention(k), 0.0, k) for k in range(1, setting.budget + 1)]
    methods = []
    for name, rule, cost, budget in points:
        trees = seen_trees(scores, cost, options.min_profiles, budget)
        talks = Conversations(
            setting, with_trees(plan_index, trees), {name: rule}, options.policy.n_neighbours
        )
        methods += talks.methods({"conditional": ConditionalAcquisition()})
    return methods


def absent(setting: Setting, options: MethodOptions, stored_trees: bool) -> list[str]:
    """Return a line for each kind of methods that are not in the line-up, with the reason."""
    lines = []
    if not setting.enumerable:
        n_sets = len(sets_within(len(setting.schema), min(setting.budget, len(setting.schema))))
        lines.append(
            f"Absent: the exact population plans want the score of every set within the budget ({n_sets:,} a "
            f"person), which only a simulated judge of at most {MAX_ENUMERABLE} attributes gives for nothing."
            f" Static sets and the oracle path were searched greedily, on the judge's first sample."
        )
    if not setting.enumerable and not stored_trees:
        lines.append(
            "Absent: conditional, for there are no policy trees that it may follow "
            "(paths=RUN with trees of plan_population scenarios.split=train beside=RUN)."
        )
    if options.chat is None:
        lines.append(
            "Absent: llm, scale and binary, for no model is given that chooses or rates (chat=openai)."
        )
    return lines


def needs_trees(policy: Policy) -> bool:
    """Tell whether `policy` follows policy trees."""
    return isinstance(Declared(policy, "policy").any("acquisition"), ConditionalAcquisition)


def few(methods: Sequence[Method], wanted: Sequence[str]) -> list[Method]:
    """Return the methods of the names `wanted`, in the order of `methods`."""
    return [method for method in methods if method.name in wanted]


def policy_in_words(policy: Policy) -> str:
    """Return `conditional + value`, or the class of a policy that is not composed of two parts."""
    made_of = [Declared(policy, "policy").any(name) for name in ("acquisition", "abstention")]
    if None in made_of:
        return type(policy).__name__
    return " + ".join(Declared(part, "part of a policy").name() for part in made_of)
