"""Acquisition by the values given so far, through a policy tree planned for people nobody knows."""

from __future__ import annotations

import math

from envs import UserError
from policies.acquisition import VoteAcquisition, positive
from policies.dialogue_state import Choice, Situation
from search.population.policy_tree import DECLINED, STOP, PolicyTree


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

    def choose(self, situation: Situation) -> Choice:
        """Return the question of the node that the answers lead to."""
        tree = self._tree(situation)
        answers: dict[int | str, int] = {
            attribute.name: attribute.code(situation.context[attribute.name])
            for attribute in situation.schema.attributes
            if attribute.name in situation.context
        }
        answers.update(dict.fromkeys(situation.declined, DECLINED))
        attribute = tree.next_attribute(answers)
        if attribute == STOP:
            left = (a for a in (*tree.fallback, *situation.memory.ranking) if situation.open[a])
            return Choice(
                next(left, None), 0.0, 0.0, net=True, reason=f"the plan for {tree.group} stops here"
            )
        node = tree.node(answers)
        gain = math.nan if node is None else node.value - node.stop_value
        return Choice(attribute, gain, net=True, reason=f"plan for {tree.group}")

    def _tree(self, situation: Situation) -> PolicyTree:
        trees = situation.memory.trees
        domain = situation.domain
        if domain is None:
            domain, share = situation.neighbours.domain(self.temperature)
            domain = domain if share >= self.agreement else "all"
        tree = None if trees is None else trees.for_domain(domain)
        if tree is None:
            raise UserError(
                f"{situation.memory.source or 'paths'}: no policy tree for {domain!r} beside the table, "
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

    def choose(self, situation: Situation) -> Choice:
        """Return the question of the one or the other."""
        chosen = self._without if situation.memory.trees is None else self._with_trees
        return chosen.choose(situation)
