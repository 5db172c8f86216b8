"""Acquisition by the values given so far: through a policy tree, planned for people whose profile nobody knows."""

from __future__ import annotations

import math

from envs import UserError
from policies.acquisition import positive
from policies.situation import Choice, Situation
from search.policy_tree import DECLINED, STOP, PolicyNode, PolicyTree


class ConditionalAcquisition:
    """Follow the policy tree of the query's domain; its branches depend on what was answered.

    The domain is voted by the neighbours (weights: softmax of similarity / `temperature`). Values are read as
    the schema's levels; a declined answer, and one in words that no level names, takes the branch of an answer
    that tells nothing. A tree may stop by itself, before the abstention does.

    The gain it reports is the tree's own, one question ahead: the mean of the children's value of stopping less
    the node's. Where the tree was planned with costs, so is that gain.

    Raises
    ------
    UserError
        on the first question, when there is no tree for the domain beside the path table.
    """

    name = "conditional"

    def __init__(self, temperature: float = 0.1) -> None:
        self.temperature = positive(temperature)

    def choose(self, situation: Situation) -> Choice:
        """Return the question of the node that the answers lead to."""
        domain = situation.neighbours.domain(self.temperature)
        trees = situation.memory.trees
        tree = None if trees is None else trees.for_domain(domain)
        if tree is None:
            raise UserError(
                f"{situation.memory.source or 'paths'}: no policy tree for domain {domain!r} beside the table, "
                f"which acquisition `conditional` needs"
            )
        answers: dict[int | str, int] = {
            attribute.name: attribute.code(situation.context[attribute.name])
            for attribute in situation.schema.attributes
            if attribute.name in situation.context
        }
        answers.update(dict.fromkeys(situation.declined, DECLINED))
        attribute = tree.next_attribute(answers)
        if attribute == STOP:
            return Choice(None, reason=f"the tree of domain {domain} stops here")
        return Choice(attribute, _gain(tree, tree.node(answers)), math.nan, f"tree of domain {domain}")


def _gain(tree: PolicyTree, node: PolicyNode | None) -> float:
    """Return the expected gain of the node's question, NaN off the tree or where a value is missing."""
    if node is None or not node.children:
        return math.nan
    children = [tree.nodes[child] for child in node.children.values()]
    weight = sum(child.probability for child in children)
    if not weight > 0:
        return math.nan
    return sum(child.probability * child.stop_value for child in children) / weight - node.stop_value
