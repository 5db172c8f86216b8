"""Methods in which a language model chooses the questions, or says when enough is known, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from envs.declared import Declared
from experiments.evaluation.methods.cached_chat import CachedChat
from experiments.evaluation.methods.conversations import Conversations
from experiments.evaluation.methods.trajectories import Method
from experiments.evaluation.setting import Setting
from policies.acquisition import ConditionalAcquisition, NearestAcquisition, VoteAcquisition
from policies.dialogue_state import Abstention, Policy
from policies.plan_index import PlanIndex


def model_methods(
    setting: Setting,
    plan_index: PlanIndex,
    chat: CachedChat,
    rules: Mapping[str, Abstention],
    n_neighbours: int,
    conditional: tuple[str, PlanIndex] | None = None,
) -> list[Method]:
    """Return random order and each acquisition stopped by the model, and `llm` under every rule.

    `rules`: stopping rules that need no model. `conditional`: the name of following trees, and a memory that
    has them.
    """
    rated = chat.abstentions()
    talks = Conversations(setting, plan_index, rated, n_neighbours)
    methods = talks.abstention_only()
    methods += talks.methods({"nearest": NearestAcquisition(), "vote": VoteAcquisition()})
    if conditional is not None:
        name, with_trees = conditional
        there = Conversations(setting, with_trees, rated, n_neighbours)
        methods += there.methods({name: ConditionalAcquisition()})
    chosen = Conversations(setting, plan_index, {**rules, **rated}, n_neighbours)
    methods += chosen.methods({"llm": chat.acquisition()})
    return [replace(method, asks_a_model=True) for method in methods]


def chats_of(policy: Policy) -> list[CachedChat]:
    """Return the models that the chosen policy asks."""
    parts = [Declared(policy, "policy").any(part) for part in ("acquisition", "abstention")]
    found = [Declared(part, "policy").any("chat") for part in parts]
    return [chat for chat in found if isinstance(chat, CachedChat)]
