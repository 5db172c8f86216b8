"""Acquisition: which question next (METHOD: "Online agent")."""

from __future__ import annotations

import math

import numpy as np

from envs import DOMAINS, UserError
from policies.dialogue_state import Choice, DialogueState
from policies.plan_index import NO_ATTRIBUTE, Neighbours
from policies.understanding.domain import domain_posterior
from search.population.history_values import HistoryPlan, HistoryValues
from search.population.policy_tree import STOP


class NearestAcquisition:
    """Follow the path of the nearest stored query, leaving out what is known or declined.

    When that path is used up the next nearest one goes on. The gain it reports is the nearest path's own
    (`policies.acquisition`), without a standard error: one path has no spread.
    """

    name = "nearest"

    def choose(self, dialogue: DialogueState) -> Choice:
        """Return the first open attribute of the nearest path that has one."""
        for rank, path in enumerate(dialogue.neighbours.paths):
            for attribute in path[path != NO_ATTRIBUTE].tolist():
                if dialogue.open[attribute]:
                    gains = path_gains(dialogue.neighbours, dialogue.known, len(dialogue.schema))
                    return Choice(
                        attribute, float(gains[rank, attribute]), 0.0, reason=f"neighbour {rank + 1}"
                    )
        return beyond(dialogue)


class VoteAcquisition:
    """Ask what the neighbours would gain most from, given what is known.

    `temperature`: neighbours weigh exp(cosine similarity / temperature). Ties: schema order.
    """

    name = "vote"

    def __init__(self, temperature: float = 0.1) -> None:
        self.temperature = positive(temperature)

    def choose(self, dialogue: DialogueState) -> Choice:
        """Return the open attribute of the highest expected gain."""
        mean, stderr = expected_gains(
            dialogue.neighbours, dialogue.known, len(dialogue.schema), self.temperature
        )
        mean = np.where(dialogue.open, mean, -np.inf)
        best = int(np.argmax(mean))
        if not mean[best] > 0:
            return beyond(dialogue)
        return Choice(best, float(mean[best]), float(stderr[best]), reason="vote of the neighbours")


def beyond(dialogue: DialogueState) -> Choice:
    """Return what to ask when no neighbour says anything: what adds most over the whole table; gain 0."""
    left = [a for a in dialogue.plan_index.ranking if dialogue.open[a]]
    return Choice(left[0] if left else None, 0.0, 0.0, reason="beyond the neighbours' paths")


def positive(temperature: float) -> float:
    """Return `temperature`; `UserError` unless it is > 0."""
    if not temperature > 0:
        raise UserError(f"temperature: found {temperature}, expected a number > 0")
    return float(temperature)


class ConditionalAcquisition:
    """Ask by the plan for people who answer as this one did, whatever the order of their answers.

    With histories beside the table (`search.population.history_values`) the plan weighs people by how
    probable their domain is: the one that the caller named, else the posterior given the query
    (`domain_posterior`), or, in a schema with other domains than PENGUIN's, the neighbours' votes (softmax of
    similarity / `temperature`). A person of a domain of probability p counts p + `other_domains` (1 - p).
    Without histories it follows the policy tree of the domain that the caller named, else the one for all.

    Values are read as the schema's levels. The gain it reports is the value of going on by the plan less the
    value of stopping, net where costs were weighed in the plan; where too few people gave these answers the
    best fixed path goes on, and the gain is what the question adds there; beyond it, 0 and what adds most
    over the whole table. Off a tree, where its fallback is asked in order, it is NaN; where a tree stops, 0.

    Raises
    ------
    UserError
        on the first question, when no plan lies beside the path table.
    """

    name = "conditional"
    reason = "the plan for these answers"

    def __init__(self, temperature: float = 0.1, other_domains: float = 0.1) -> None:
        self.temperature = positive(temperature)
        if not 0 <= other_domains <= 1:
            raise UserError(f"other_domains: found {other_domains}, expected a weight, 0 to 1")
        self.other_domains = float(other_domains)

    def choose(self, dialogue: DialogueState) -> Choice:
        """Return the question of the plan after these answers."""
        if dialogue.plan_index.histories is None:
            return self._by_tree(dialogue)
        plan = self.plan(dialogue, dialogue.plan_index.histories)
        place = plan.find(dialogue.answers)
        if place is None:
            return _on_path(dialogue, plan)
        return self.question(dialogue, plan, place)

    def plan(self, dialogue: DialogueState, histories: HistoryValues) -> HistoryPlan:
        """Return the plan for this query."""
        return histories.plan(self.shares(dialogue, histories), self.other_domains)

    def question(self, dialogue: DialogueState, plan: HistoryPlan, place: int) -> Choice:
        """Return the question of `plan` after the history at `place`."""
        worth = self.worth(plan, place)
        attribute = plan.best(worth, dialogue.open)
        if attribute is None:
            return _on_path(dialogue, plan)
        gain = float(worth[attribute] - plan.stop[place])
        return Choice(attribute, gain, 0.0, plan.values.cost_weight > 0, self.reason)

    def worth(self, plan: HistoryPlan, place: int) -> np.ndarray:
        """Return float64[n], what each question is worth after the history at `place`."""
        return plan.q[place]

    def shares(self, dialogue: DialogueState, histories: HistoryValues) -> dict[str, float]:
        """Return {domain: probability} of this query."""
        if dialogue.domain is not None:
            return {dialogue.domain: 1.0}
        if set(histories.domains) <= set(DOMAINS):
            return domain_posterior(dialogue.query)
        return dialogue.neighbours.domain_shares(self.temperature)

    def _by_tree(self, dialogue: DialogueState) -> Choice:
        trees = dialogue.plan_index.trees
        domain = dialogue.domain or "all"
        tree = None if trees is None else trees.for_domain(domain)
        if tree is None:
            raise UserError(
                f"{dialogue.plan_index.source or 'paths'}: no histories, nor a policy tree for {domain!r}, "
                f"beside the table, expected what experiments.plan_population writes"
            )
        attribute = tree.next_attribute(dialogue.answers)
        if attribute == STOP:
            left = (a for a in (*tree.fallback, *dialogue.plan_index.ranking) if dialogue.open[a])
            return Choice(next(left, None), 0.0, 0.0, True, f"the plan for {tree.group} stops here")
        node = tree.node(dialogue.answers)
        gain = math.nan if node is None else node.value - node.stop_value
        return Choice(attribute, gain, net=True, reason=f"plan for {tree.group}")


def _on_path(dialogue: DialogueState, plan: HistoryPlan) -> Choice:
    """Return the next question of the fixed path of `plan`; beyond it what adds most over the whole table."""
    left = next((a for a in plan.path if dialogue.open[a]), None)
    if left is None:
        return beyond(dialogue)
    return Choice(left, plan.path[left], 0.0, plan.values.cost_weight > 0, "the fixed path goes on")


class InformationAcquisition(ConditionalAcquisition):
    """Value of information, one question ahead: the rule of arXiv 2601.06407 (eq. 4), a baseline.

    With b the belief after the answers so far, V(b) the value of answering now and c the cost of a question,

        VoI(q) = E[V(b after the answer to q)] - V(b),

    and the q of greatest VoI(q) - c(q) is asked while that is positive.

    The belief is the posterior over the people of the table, V the mean score of their answers less what was
    spent, both of the histories; c is what they were planned with. Two questions that help only together are
    not seen. There are no guesses of a language model here, as in the paper: the people are given.
    """

    name = "information"
    reason = "value of information"

    def choose(self, dialogue: DialogueState) -> Choice:
        """Return the question of greatest net value; `UserError` without histories."""
        if dialogue.plan_index.histories is None:
            raise UserError(
                f"{dialogue.plan_index.source or 'paths'}: no histories beside the table, expected what "
                f"experiments.plan_population writes"
            )
        return super().choose(dialogue)

    def worth(self, plan: HistoryPlan, place: int) -> np.ndarray:
        """Return float64[n], what answering right after each question is worth."""
        return plan.after[place]


class AutoAcquisition:
    """`conditional` where histories or policy trees lie beside the table, else `vote`: the default.

    `temperature`, `other_domains`: as theirs.
    """

    name = "auto"

    def __init__(self, temperature: float = 0.1, other_domains: float = 0.1) -> None:
        self._with_plan = ConditionalAcquisition(temperature, other_domains)
        self._without = VoteAcquisition(temperature)

    def choose(self, dialogue: DialogueState) -> Choice:
        """Return the question of the one or the other."""
        there = dialogue.plan_index
        chosen = self._without if there.trees is None and there.histories is None else self._with_plan
        return chosen.choose(dialogue)


SLACK = 0.05
"""Share of the possible gain that a planned path leaves; H would be reached exactly without it."""


def path_gains(neighbours: Neighbours, known: int, n_attributes: int) -> np.ndarray:
    """Return float64[K, n], g of each attribute for each neighbour; known attributes gain nothing."""
    paths = neighbours.paths
    weights, heights = _weights(neighbours)
    used = paths != NO_ATTRIBUTE
    is_known = used & np.array([bool(known >> a & 1) for a in range(n_attributes)])[paths]
    left = heights * np.exp(-np.where(is_known, weights, 0.0).sum(axis=1))
    gained = np.where(used & ~is_known, left[:, None] * -np.expm1(-weights), 0.0)
    gains = np.zeros((len(paths), n_attributes))
    row, place = np.nonzero(used)
    gains[row, paths[row, place]] = gained[row, place]
    return gains


def _weights(neighbours: Neighbours) -> tuple[np.ndarray, np.ndarray]:
    """Return (z float64[K, B], H float64[K]) of the paths; an unscored prefix shares with the next."""
    used = neighbours.paths != NO_ATTRIBUTE
    gained = neighbours.scores - neighbours.scores[:, :1]
    reached = np.column_stack([np.ones(len(used), dtype=bool), used])
    scored = reached & ~np.isnan(gained)
    heights = np.where(scored, gained, 0.0).max(axis=1, initial=0.0) / (1 - SLACK)
    rises = heights > 0
    level = -np.log(np.where(rises[:, None] & scored, heights[:, None] - gained, 1.0))
    # Between scored prefixes -log(H - gained) grows evenly: the step is shared among its attributes.
    for row in np.flatnonzero(rises & (scored != reached).any(axis=1)):
        there = np.flatnonzero(scored[row])
        level[row] = np.interp(np.arange(level.shape[1]), there, level[row, there])
    return np.where(used & rises[:, None], np.diff(level, axis=1), 0.0), heights


def expected_gains(
    neighbours: Neighbours, known: int, n_attributes: int, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (mean float64[n], stderr float64[n]) of the gain of each attribute."""
    gains = path_gains(neighbours, known, n_attributes)
    weights = neighbours.weights(temperature)
    mean = (weights[:, None] * gains).sum(axis=0)
    effective = 1.0 / float((weights**2).sum()) if len(weights) else 0.0
    if effective <= 1.0 + 1e-9:
        return mean, np.zeros(n_attributes)
    return mean, np.sqrt((weights[:, None] * (gains - mean) ** 2).sum(axis=0) / (effective - 1.0))
