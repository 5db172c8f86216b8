"""A plan that branches on answers. Data only: policies follow it without loading a search.

The answers are codes: the index of the level that an answer names, or `DECLINED` for a question that was
declined, left open, or answered in words that no level names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from envs.schema.attribute import UNKNOWN

DECLINED = UNKNOWN
"""Code of an answer that tells nothing: declined, unknown, or in words without a level."""
STOP = -1
"""In the place of an attribute: ask no more and answer now."""

Answers = Mapping[int, int] | Mapping[str, int] | Mapping[int | str, int]
"""{attribute, as index or name: code or `DECLINED`}."""


@dataclass(frozen=True)
class PolicyNode:
    """What to do after some answers.

    `attribute`: schema index of the next question, or `STOP`. `probability`: of coming here, over the
    profiles that the tree was planned for. `value`: expected objective from here on (score less weighted
    costs, those of the questions before included), `stop_value`: the same if one answered here and now; NaN
    where a score is missing. `children`: {code: position of the next node in the tree}; none where it stops.
    """

    attribute: int
    probability: float
    value: float
    stop_value: float
    children: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PolicyTree:
    """A policy over the answers so far: which question is next, or that it is time to answer.

    Attributes
    ----------
    names : tuple[str, ...] of the n attributes, in schema order
    levels : for each attribute the names of its levels; code i is level i
    budget : int, the most questions of one conversation
    nodes : tuple[PolicyNode, ...], the root first, every node before its children
    fallback : attributes to go on with, in this order, after an answer that the tree has no branch for
    group : the domain that the tree is for, `all` for any
    n_profiles : int, how many profiles it was planned for
    planner : str, what made it

    Raises
    ------
    ValueError
        something of this is inconsistent; the message names the node and no answer.
    """

    names: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    budget: int
    nodes: tuple[PolicyNode, ...]
    fallback: tuple[int, ...] = ()
    group: str = "all"
    n_profiles: int = 0
    planner: str = ""

    def __post_init__(self) -> None:
        n = len(self.names)
        if not n or len(set(self.names)) != n or len(self.levels) != n:
            raise ValueError(f"found {n} names and {len(self.levels)} lists of levels, expected one of each")
        if self.budget < 1:
            raise ValueError(f"found a budget of {self.budget}, expected at least 1")
        if len(set(self.fallback)) != len(self.fallback) or not set(self.fallback) <= set(range(n)):
            raise ValueError(f"the fallback is not a list of distinct attributes below {n}")
        if not self.nodes:
            raise ValueError("found no nodes, expected at least the root")
        parents = [0] * len(self.nodes)
        asked: list[tuple[int, ...]] = [()] * len(self.nodes)
        for position, node in enumerate(self.nodes):
            if position and parents[position] != 1:
                raise ValueError(f"node {position} has {parents[position]} parents, expected 1")
            self._check(position, node, asked[position])
            for child in node.children.values():
                parents[child] += 1
                asked[child] = (*asked[position], node.attribute)

    def next_attribute(self, answers: Answers) -> int:
        """Return the schema index of the next question, or `STOP`.

        `answers`: of all that was asked or is known so far. Attributes that the tree does not come across are
        left aside: what a person tells unasked uses no budget. After an answer without a branch the rest of
        `fallback` is asked, as far as the budget reaches.

        Raises
        ------
        KeyError
            a name that is no attribute of this tree.
        """
        codes = {self.index(key): int(code) for key, code in answers.items()}
        node, asked = self._walk(codes)
        if node is not None:
            return node.attribute
        used = len(asked)
        for attribute in self.fallback:
            if attribute in asked:
                continue
            if used >= self.budget:
                return STOP
            if attribute not in codes:
                return attribute
            used += 1
        return STOP

    def node(self, answers: Answers) -> PolicyNode | None:
        """Return the node that `answers` lead to, None where the tree has no branch for one of them."""
        return self._walk({self.index(key): int(code) for key, code in answers.items()})[0]

    def index(self, attribute: int | str) -> int:
        """Return the schema index of `attribute`; KeyError names what was looked for."""
        if isinstance(attribute, str):
            if attribute not in self.names:
                raise KeyError(attribute)
            return self.names.index(attribute)
        if not 0 <= attribute < len(self.names):
            raise KeyError(attribute)
        return int(attribute)

    @property
    def value(self) -> float:
        """Expected objective of following the tree from the start."""
        return self.nodes[0].value

    @property
    def depth(self) -> int:
        """The most questions that the tree asks without its fallback."""
        depths = [0] * len(self.nodes)
        for position, node in enumerate(self.nodes):
            for child in node.children.values():
                depths[child] = depths[position] + 1
        return max(d + (node.attribute != STOP) for d, node in zip(depths, self.nodes, strict=True))

    def _walk(self, codes: Mapping[int, int]) -> tuple[PolicyNode | None, set[int]]:
        """Return (the node reached, or None where there is no branch; the attributes asked on the way)."""
        node, asked = self.nodes[0], set[int]()
        while node.attribute != STOP and node.attribute in codes:
            asked.add(node.attribute)
            child = node.children.get(codes[node.attribute])
            if child is None:
                return None, asked
            node = self.nodes[child]
        return node, asked

    def _check(self, position: int, node: PolicyNode, asked: tuple[int, ...]) -> None:
        where = f"node {position}"
        if not (node.attribute == STOP or 0 <= node.attribute < len(self.names)):
            raise ValueError(f"{where} asks attribute {node.attribute}, expected one below {len(self.names)}")
        if node.attribute == STOP and node.children:
            raise ValueError(f"{where} stops and has children")
        if node.attribute in asked:
            raise ValueError(f"{where} asks attribute {node.attribute} a second time")
        if node.attribute != STOP and len(asked) >= self.budget:
            raise ValueError(f"{where} asks beyond the budget of {self.budget}")
        if not (math.isfinite(node.probability) and -1e-9 <= node.probability <= 1 + 1e-9):
            raise ValueError(f"{where}: the probability is none")
        for code, child in node.children.items():
            if not DECLINED <= code < len(self.levels[node.attribute]):
                raise ValueError(f"{where} has a branch for a code that is no level of its attribute")
            if not position < child < len(self.nodes):
                raise ValueError(f"{where} leads to node {child}, expected a later one that exists")
