"""Acquisition: which question next (METHOD: "Online agent")."""

from __future__ import annotations

import math

import numpy as np

from envs import UserError
from policies.dialogue_state import Choice, DialogueState
from policies.plan_index import NO_ATTRIBUTE, Neighbours
from search.population.policy_tree import DECLINED, STOP, PolicyTree


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
    """Follow a policy tree, whose branches depend on what was answered.

    The tree is that of the query's domain: the one the caller named, or the one the neighbours vote for
    (weights: softmax of similarity / `temperature`) if its share is at least `agreement`. Else, and where a
    domain has no tree, it is the tree for all.

    Values are read as the schema's levels; a declined answer, and one in words that no level names, takes the
    branch of an answer that tells nothing. The gain it reports is net: the value of going on by the tree less
    the value of stopping, with the costs that the tree was planned with; NaN off the tree, where its fallback
    is asked in order; 0 where the tree stops, with a question for those who ask on all the same: the next of
    the fallback, then what adds most over the whole table.

    Raises
    ------
    UserError
        on the first question, when there is no such tree beside the path table.
    """

    name = "conditional"

    def __init__(self, temperature: float = 0.1, agreement: float = 0.8) -> None:
        self.temperature = positive(temperature)
        if not 0 <= agreement <= 1:
            raise UserError(f"agreement: found {agreement}, expected a share, 0 to 1")
        self.agreement = float(agreement)

    def choose(self, dialogue: DialogueState) -> Choice:
        """Return the question of the node that the answers lead to."""
        tree = self._tree(dialogue)
        answers: dict[int | str, int] = {
            attribute.name: attribute.code(dialogue.context[attribute.name])
            for attribute in dialogue.schema.attributes
            if attribute.name in dialogue.context
        }
        answers.update(dict.fromkeys(dialogue.declined, DECLINED))
        attribute = tree.next_attribute(answers)
        if attribute == STOP:
            left = (a for a in (*tree.fallback, *dialogue.plan_index.ranking) if dialogue.open[a])
            return Choice(
                next(left, None), 0.0, 0.0, net=True, reason=f"the plan for {tree.group} stops here"
            )
        node = tree.node(answers)
        gain = math.nan if node is None else node.value - node.stop_value
        return Choice(attribute, gain, net=True, reason=f"plan for {tree.group}")

    def _tree(self, dialogue: DialogueState) -> PolicyTree:
        trees = dialogue.plan_index.trees
        domain = dialogue.domain
        if domain is None:
            domain, share = dialogue.neighbours.domain(self.temperature)
            domain = domain if share >= self.agreement else "all"
        tree = None if trees is None else trees.for_domain(domain)
        if tree is None:
            raise UserError(
                f"{dialogue.plan_index.source or 'paths'}: no policy tree for {domain!r} beside the table, "
                f"expected one for acquisition `conditional`"
            )
        return tree


class AutoAcquisition:
    """`conditional` where policy trees lie beside the table, else `vote`: the default.

    `temperature`, `agreement`: as theirs.
    """

    name = "auto"

    def __init__(self, temperature: float = 0.1, agreement: float = 0.8) -> None:
        self._with_trees = ConditionalAcquisition(temperature, agreement)
        self._without = VoteAcquisition(temperature)

    def choose(self, dialogue: DialogueState) -> Choice:
        """Return the question of the one or the other."""
        chosen = self._without if dialogue.plan_index.trees is None else self._with_trees
        return chosen.choose(dialogue)


SLACK = 0.05
"""Share of the possible gain that a planned path leaves; H would be reached exactly without it."""


def path_gains(neighbours: Neighbours, known: int, n_attributes: int) -> np.ndarray:
    """Return float64[K, n], g of each attribute for each neighbour; known attributes gain nothing."""
    gains = np.zeros((len(neighbours.rows), n_attributes))
    for row, (path, scores) in enumerate(zip(neighbours.paths, neighbours.scores, strict=True)):
        attributes, weights, height = _weights(path, scores)
        if height <= 0:
            continue
        is_known = np.array([bool(known >> a & 1) for a in attributes.tolist()])
        left = height * np.exp(-weights[is_known].sum())
        gains[row, attributes[~is_known]] = left * -np.expm1(-weights[~is_known])
    return gains


def _weights(path: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return (attributes int64[L], z float64[L], H) of one path; an unscored prefix shares with the next."""
    attributes = path[path != NO_ATTRIBUTE]
    length = len(attributes)
    gained = scores[: length + 1] - scores[0]
    if not length or np.isnan(scores[0]) or np.isnan(gained[1:]).all():
        return attributes, np.zeros(length), 0.0
    height = float(np.nanmax(gained)) / (1 - SLACK)
    if height <= 0:
        return attributes, np.zeros(length), 0.0
    scored = np.flatnonzero(~np.isnan(gained))
    # Between scored prefixes -log(H - gained) grows evenly: the step is shared among its attributes.
    level = np.interp(np.arange(length + 1), scored, -np.log(height - gained[scored]))
    return attributes, np.diff(level), height


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
