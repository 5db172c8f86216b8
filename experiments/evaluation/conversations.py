"""Conversations of policies with test persons: each acquisition is walked once, every stopping rule looks on.

Where a stopping rule ends a conversation does not change what an acquisition would have asked before, so all
rules read one walk to the end of the budget. It takes the same decisions as `policies.composed.ComposedPolicy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from experiments.evaluation.baselines import random_orders
from experiments.evaluation.setting import Setting
from experiments.evaluation.trajectories import BASELINE, POLICY, Method, Trajectory
from policies.acquisition import VoteAcquisition
from policies.memory import Memory, Neighbours
from policies.situation import Abstention, Acquisition, Choice, Policy, Situation


class Walk(NamedTuple):
    """A conversation to its end. `asked`: L schema indices; `told`: L + 1 bitmasks, before and after each question;
    `stops`: rule -> after how many questions it ends the conversation, at most L."""

    asked: tuple[int, ...]
    told: tuple[int, ...]
    stops: dict[str, int]

    def trajectory(self, rule: str) -> Trajectory:
        """Return what `rule` leaves of the conversation."""
        k = self.stops[rule]
        return Trajectory(self.asked[:k], self.told[k])


class Conversations:
    """Talks with the test persons of a setting, from one memory of planned paths.

    Parameters
    ----------
    memory : the paths planned for the train side
    rules : name -> stopping rule
    """

    def __init__(
        self, setting: Setting, memory: Memory, rules: Mapping[str, Abstention], n_neighbours: int = 5
    ) -> None:
        self.setting = setting
        self.memory = memory
        self.rules = dict(rules)
        self._neighbours = [memory.neighbours(s.query, n_neighbours) for s in setting.test]

    def methods(self, acquisitions: Mapping[str, Acquisition]) -> list[Method]:
        """Return a method for each acquisition and stopping rule."""
        return [m for name, acquisition in acquisitions.items() for m in self._methods(name, acquisition)]

    def _methods(self, name: str, acquisition: Acquisition) -> list[Method]:
        walks: dict[int, Walk] = {}

        def walk(i: int) -> Walk:
            if i not in walks:
                walks[i] = self.walk(i, lambda s: (c := acquisition.choose(s), c))
            return walks[i]

        return [
            Method(
                f"{name} + {rule}",
                POLICY,
                lambda i, rule=rule: [walk(i).trajectory(rule)],
                curve_of(name, rule),
            )
            for rule in self.rules
        ]

    def abstention_only(self) -> list[Method]:
        """Return stopping without a plan: random order, stopping by the best question that is left.

        What is asked is drawn; whether the context is enough is the rule's own judgement of the best question.
        """
        best = VoteAcquisition()
        walks: dict[int, list[Walk]] = {}

        def talk(i: int) -> list[Walk]:
            if i not in walks:
                orders = random_orders(self.setting, i).tolist()
                walks[i] = [
                    self.walk(i, lambda s, o=order: (_first_open(s, o), best.choose(s))) for order in orders
                ]
            return walks[i]

        return [
            Method(
                f"random order + {rule}",
                BASELINE,
                lambda i, rule=rule: [w.trajectory(rule) for w in talk(i)],
                curve_of("random order", rule),
            )
            for rule in self.rules
            if rule.startswith("value")
        ]

    def configured(self, name: str, policy: Policy) -> Method:
        """Return the method that follows `policy`, any object with `decide`."""

        def converse(i: int) -> list[Trajectory]:
            schema = self.setting.schema
            budget = self.setting.budget if policy.budget is None else min(policy.budget, self.setting.budget)
            neighbours = self.memory.neighbours(self.setting.test[i].query, policy.n_neighbours)
            state = _State(self.setting, i, self.memory, neighbours)
            for left in range(budget, 0, -1):
                decision = policy.decide(state.situation(left))
                if decision.attribute is None:
                    break
                state.ask(schema.index(decision.attribute))
            return [Trajectory(tuple(state.asked), state.told)]

        return Method(name, POLICY, converse)

    def walk(self, i: int, choose: Callable[[Situation], tuple[Choice, Choice]]) -> Walk:
        """Return the conversation with person `i`; `choose` gives (what to ask, what the rules weigh)."""
        state = _State(self.setting, i, self.memory, self._neighbours[i])
        told, stops = [state.told], {}
        for left in range(self.setting.budget, 0, -1):
            situation = state.situation(left)
            if not situation.open.any():
                break
            choice, weighed = choose(situation)
            for name, rule in self.rules.items():
                if name not in stops and (choice.attribute is None or rule.enough(situation, weighed)[0]):
                    stops[name] = len(state.asked)
            if choice.attribute is None or len(stops) == len(self.rules):
                break
            state.ask(choice.attribute)
            told.append(state.told)
        return Walk(tuple(state.asked), tuple(told), {r: stops.get(r, len(state.asked)) for r in self.rules})


class _State:
    """A conversation on the way."""

    def __init__(self, setting: Setting, i: int, memory: Memory, neighbours: Neighbours) -> None:
        self.answers = setting.answers
        self.i = i
        self.query = setting.test[i].query
        self.memory = memory
        self.neighbours = neighbours
        self.asked: list[int] = []
        self.told = 0
        self.context: dict[str, str] = {}
        self.declined: list[str] = []

    def ask(self, attribute: int) -> None:
        name = self.memory.schema.names[attribute]
        said = self.answers.text(self.i, attribute)
        self.asked.append(attribute)
        if said is None:
            self.declined.append(name)
        else:
            self.context[name] = said
            self.told |= 1 << attribute

    def situation(self, budget_left: int) -> Situation:
        names = self.memory.schema.names
        return Situation(
            self.memory,
            self.query,
            dict(self.context),
            tuple(names[a] for a in self.asked),
            tuple(self.declined),
            self.neighbours,
            budget_left,
        )


def _first_open(situation: Situation, order: Sequence[int]) -> Choice:
    return Choice(next(a for a in order if situation.open[a]), reason="random")


def curve_of(name: str, rule: str) -> str:
    """Return the family of operating points of an acquisition under a rule: all costs of `value`, all k."""
    return f"{name} + {rule.rpartition(' ')[0] or rule}"
