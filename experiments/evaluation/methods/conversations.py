"""Simulated conversations with test people; each acquisition runs once for all stopping rules.

Where a stopping rule ends a conversation does not change what an acquisition would have asked before, so all
rules read one walk to the end of the budget. It takes the same decisions as
`policies.composed.ComposedPolicy`.

Two things of the agent are left out, and counted in the summary instead: it would escalate some queries at
once, and knows from the start what a query reveals.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from envs.checking.declared import Declared
from experiments.evaluation.methods.baselines import random_orders
from experiments.evaluation.methods.cached_chat import CachedChat
from experiments.evaluation.methods.trajectories import BASELINE, POLICY, Method, Trajectory
from experiments.evaluation.setting import Setting
from policies.acquisition import ConditionalAcquisition, NearestAcquisition, VoteAcquisition
from policies.dialogue_state import Abstention, Acquisition, Choice, DialogueState, Policy
from policies.plan_index import Neighbours, PlanIndex
from policies.understanding import Value


class Walk(NamedTuple):
    """A conversation to its end.

    `asked`: L schema indices; `stops`: rule -> after how many questions it ends the conversation, at most L.
    """

    asked: tuple[int, ...]
    stops: dict[str, int]


class Conversations:
    """Talks with the test persons of a setting, by one index of planned paths.

    Parameters
    ----------
    plan_index : the paths planned for the train side
    rules : name -> stopping rule
    """

    def __init__(
        self, setting: Setting, plan_index: PlanIndex, rules: Mapping[str, Abstention], n_neighbours: int
    ) -> None:
        self.setting = setting
        self.plan_index = plan_index
        self.rules = dict(rules)
        self._neighbours = [plan_index.neighbours(s.query, n_neighbours) for s in setting.test]

    def methods(self, acquisitions: Mapping[str, Acquisition]) -> list[Method]:
        """Return a method for each acquisition and stopping rule."""
        return [m for name, acquisition in acquisitions.items() for m in self._methods(name, acquisition)]

    def _methods(self, name: str, acquisition: Acquisition) -> list[Method]:
        @functools.cache
        def walk(i: int) -> list[Walk]:
            def choose(dialogue: DialogueState) -> tuple[Choice, Choice]:
                choice = acquisition.choose(dialogue)
                return choice, choice

            return [self.walk(i, choose)]

        return [self._method(name, POLICY, rule, walk) for rule in self.rules]

    def abstention_only(self) -> list[Method]:
        """Return stopping without a plan: random order, stopping by the best question that is left.

        What is asked is drawn; whether that is enough is the rule's own judgement of the best question.
        """
        best = VoteAcquisition()

        @functools.cache
        def walks(i: int) -> list[Walk]:
            def in_order(order: Sequence[int]) -> Walk:
                return self.walk(i, lambda s: (_first_open(s, order), best.choose(s)))

            return [in_order(order) for order in random_orders(self.setting, i).tolist()]

        stopping = [rule for rule in self.rules if rule.startswith(("value", "scale", "binary"))]
        return [self._method("random order", BASELINE, rule, walks) for rule in stopping]

    def configured(self, name: str, policy: Policy) -> Method:
        """Return the method that follows `policy`, any object with `decide`."""

        def converse(i: int) -> list[Trajectory]:
            schema = self.setting.schema
            budget = self.setting.budget if policy.budget is None else min(policy.budget, self.setting.budget)
            neighbours = self.plan_index.neighbours(self.setting.test[i].query, policy.n_neighbours)
            state = _WalkState(self.setting, i, self.plan_index, neighbours)
            for left in range(budget, 0, -1):
                decision = policy.decide(state.dialogue(left))
                if decision.attribute is None:
                    break
                state.ask(schema.index(decision.attribute))
            return [self.setting.answers.trajectory(i, state.asked)]

        return Method(name, POLICY, converse)

    def walk(self, i: int, choose: Callable[[DialogueState], tuple[Choice, Choice]]) -> Walk:
        """Return the conversation with person `i`; `choose` gives (what to ask, what the rules weigh)."""
        state = _WalkState(self.setting, i, self.plan_index, self._neighbours[i])
        stops: dict[str, int] = {}
        for left in range(self.setting.budget, 0, -1):
            dialogue = state.dialogue(left)
            if not dialogue.open.any():
                break
            choice, weighed = choose(dialogue)
            for name, rule in self.rules.items():
                if name not in stops and (choice.attribute is None or rule.should_stop(dialogue, weighed)[0]):
                    stops[name] = len(state.asked)
            if choice.attribute is None or len(stops) == len(self.rules):
                break
            state.ask(choice.attribute)
        return Walk(tuple(state.asked), {r: stops.get(r, len(state.asked)) for r in self.rules})

    def _method(self, name: str, kind: str, rule: str, walks: Callable[[int], list[Walk]]) -> Method:
        def converse(i: int) -> list[Trajectory]:
            return [self.setting.answers.trajectory(i, w.asked[: w.stops[rule]]) for w in walks(i)]

        return Method(f"{name} + {rule}", kind, converse, curve_of(name, rule))


class _WalkState:
    """A conversation on the way."""

    def __init__(self, setting: Setting, i: int, plan_index: PlanIndex, neighbours: Neighbours) -> None:
        self.answers = setting.answers
        self.i = i
        self.query = setting.test[i].query
        self.plan_index = plan_index
        self.neighbours = neighbours
        self.asked: list[int] = []
        self.values: dict[str, Value] = {}
        self.declined: list[str] = []

    def ask(self, attribute: int) -> None:
        name = self.plan_index.schema.names[attribute]
        read = self.answers.heard(self.i, attribute).values
        self.asked.append(attribute)
        self.values.update((self.plan_index.schema.names[a], value) for a, value in read.items())
        if attribute not in read:
            self.declined.append(name)

    def dialogue(self, budget_left: int) -> DialogueState:
        names = self.plan_index.schema.names
        return DialogueState(
            self.plan_index,
            self.query,
            {name: self.values[name].words for name in names if name in self.values},
            tuple(names[a] for a in self.asked),
            tuple(self.declined),
            self.neighbours,
            budget_left,
            levels={name: value.level for name, value in self.values.items()},
        )


def _first_open(dialogue: DialogueState, order: Sequence[int]) -> Choice:
    return Choice(next(a for a in order if dialogue.open[a]), reason="random")


def curve_of(name: str, rule: str) -> str:
    """Return the family of operating points of an acquisition under a rule: all costs of `value`, all k."""
    return f"{name} + {rule.rpartition(' ')[0] or rule}"


def model_methods(
    setting: Setting,
    plan_index: PlanIndex,
    chat: CachedChat,
    rules: Mapping[str, Abstention],
    n_neighbours: int,
    conditional: tuple[str, PlanIndex] | None = None,
) -> list[Method]:
    """Return random order and each acquisition stopped by the model, and `llm` under every rule.

    `rules`: stopping rules that need no model. `conditional`: the name of following trees, and an index that
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
