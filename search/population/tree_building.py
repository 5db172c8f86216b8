"""Build a `PolicyTree` from a function that chooses questions; value the tree for a population."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.population.policy_tree import STOP, PolicyNode, PolicyTree
from search.population.population_problem import TIE, Belief, PopulationProblem

Choose = Callable[[Mapping[int, int], Belief], int]
"""({attribute: code} in the order of asking, belief) -> attribute or STOP."""


def build_tree(
    problem: PopulationProblem,
    choose: Choose,
    fallback: Sequence[int] = (),
    *,
    min_profiles: float = 0,
    planner: str = "",
) -> PolicyTree:
    """Return the tree of what `choose` decides after every answer that can come.

    Answers that fewer than `min_profiles` profiles agree with (expected number) get no branch: there the tree
    goes on with `fallback`, which is what a plan with this limit does anyhow, and no node tells of a few.
    """
    nodes: list[PolicyNode] = []
    _Branches(problem, choose, fallback, min_profiles, nodes).add({}, problem.root())
    return PolicyTree(
        names=problem.schema.names,
        levels=tuple(tuple(level.name for level in a.levels) for a in problem.schema.attributes),
        budget=problem.budget,
        nodes=tuple(nodes),
        fallback=tuple(int(a) for a in fallback),
        group=problem.group,
        n_profiles=problem.n_profiles,
        planner=planner,
    )


@dataclass(frozen=True)
class _Branches:
    """What `build_tree` is given, and the nodes that are made of it."""

    problem: PopulationProblem
    choose: Choose
    fallback: Sequence[int]
    min_profiles: float
    nodes: list[PolicyNode]

    def add(self, answers: dict[int, int], belief: Belief) -> tuple[int, float]:
        """Append the node after `answers` and all below it; return (position, value)."""
        here = float(belief.weight.sum())
        stop = self.problem.stop_value(belief, sum(1 << a for a in answers))
        position = len(self.nodes)
        self.nodes.append(PolicyNode(STOP, here, stop, stop))
        alone = self._few(here)
        attribute = _next_of(self.problem, self.fallback, answers) if alone else self.choose(answers, belief)
        if attribute == STOP:
            return position, stop
        children: dict[int, int] = {}
        value = 0.0
        for code, after in self.problem.outcomes(belief, attribute):
            answered = {**answers, attribute: code}
            mass = float(after.weight.sum())
            if alone or self._few(mass):
                below = rest_value(self.problem, self.fallback, answered, after)
            else:
                children[code], below = self.add(answered, after)
            value += mass * below
        value = staying(self.problem, value / here, stop)
        self.nodes[position] = PolicyNode(attribute, here, value, stop, children)
        return position, value

    def _few(self, probability: float) -> bool:
        # A hair below, for sums of weights in another order differ by rounding.
        return probability * self.problem.n_profiles < self.min_profiles * (1 - 1e-9)


def _next_of(problem: PopulationProblem, fallback: Sequence[int], answers: Mapping[int, int]) -> int:
    if len(answers) >= problem.budget:
        return STOP
    return next((a for a in fallback if a not in answers), STOP)


def rest_value(
    problem: PopulationProblem, fallback: Sequence[int], answers: Mapping[int, int], belief: Belief
) -> float:
    """Return the expected objective of asking the rest of `fallback` after `answers`, then answering."""
    attribute = _next_of(problem, fallback, answers)
    stop = problem.stop_value(belief, sum(1 << a for a in answers))
    if attribute == STOP:
        return stop
    total = 0.0
    for code, after in problem.outcomes(belief, attribute):
        value = rest_value(problem, fallback, {**answers, attribute: code}, after)
        total += float(after.weight.sum()) * value
    return staying(problem, total / float(belief.weight.sum()), stop)


def staying(problem: PopulationProblem, value: float, stop: float) -> float:
    """Return the value of a question worth `value` to those who answer it, `stop` to those who leave."""
    d = problem.dropout
    return d * stop + (1 - d) * value if d > 0 else value  # 0 times -inf would be NaN


def look_ahead(problem: PopulationProblem, answers: Mapping[int, int], belief: Belief) -> int:
    """Return the question that pays most if one answers after it, STOP where none pays."""
    if len(answers) >= problem.budget:
        return STOP
    asked = sum(1 << a for a in answers)
    best, chosen = problem.stop_value(belief, asked), STOP
    for a in range(len(problem.schema)):
        if a in answers:
            continue
        after = [belief for _, belief in problem.outcomes(belief, a)]
        joint = Belief(*(np.concatenate(arrays) for arrays in zip(*after, strict=True)))
        value = problem.stop_value(joint, asked | 1 << a)
        if value > best + TIE:
            best, chosen = value, a
    return chosen


@dataclass(frozen=True)
class Worth:
    """What following a tree brings each profile of a problem, in expectation over who declines and leaves.

    `objective`, `score`, `questions`: float64[N]; NaN where a score is missing on the way.
    """

    objective: np.ndarray
    score: np.ndarray
    questions: np.ndarray


def worth(problem: PopulationProblem, tree: PolicyTree) -> Worth:
    """Return what `tree` is worth to the profiles of `problem`, who need not be those it was planned for.

    Raises
    ------
    ValueError
        the tree is about other attributes, or asks more than the problem allows.
    """
    if tree.names != problem.schema.names:
        raise ValueError("the tree and the problem have different attributes")
    if tree.budget > problem.budget:
        raise ValueError(f"the tree has a budget of {tree.budget}, the problem one of {problem.budget}")
    n = len(problem.weights)
    score, cost, questions = np.zeros(n), np.zeros(n), np.zeros(n)
    waiting: list[tuple[dict[int, int], Belief]] = [({}, problem.root()._replace(weight=np.ones(n)))]
    while waiting:
        answers, belief = waiting.pop()
        attribute = tree.next_attribute(answers)
        if attribute != STOP:
            on = belief._replace(weight=belief.weight * (1 - problem.dropout))
            waiting += [({**answers, attribute: code}, b) for code, b in problem.outcomes(on, attribute)]
            if problem.dropout == 0:
                continue
            belief = belief._replace(weight=belief.weight * problem.dropout)
        found = problem.scores_of(belief.profile, belief.answered)
        np.add.at(score, belief.profile, belief.weight * found)
        np.add.at(cost, belief.profile, belief.weight * problem.penalty(sum(1 << a for a in answers)))
        np.add.at(questions, belief.profile, belief.weight * len(answers))
    return Worth(score - cost, score, questions)


def expected(problem: PopulationProblem, values: np.ndarray) -> float:
    """Return the mean of `values` (float64[N]) over the population; NaN where one with weight is missing."""
    mean = float((problem.weights * values).sum())
    return mean if math.isfinite(mean) else math.nan
