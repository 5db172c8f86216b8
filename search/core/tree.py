"""The search tree as a struct of arrays, one row a *set* of known attributes.

Two orders of asking that lead to the same set share a row (a transposition), so the tree is a graph.
What belongs to a way of getting there (visit counts) is kept on edges, what belongs to the set (its
score, the best value below it) on nodes; see `kernels` for why that stays sound.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ROOT = 0
NO_CHILD = 0
"""The root is nobody's child, so its row can say that there is none."""
NEW, PENDING, SCORED, UNSCORED = 0, 1, 2, 3
"""Status of a node: not yet asked, in the batch under way, scored, asked and found unscored (NaN)."""


class Tree(NamedTuple):
    """Arrays of a tree with room for N nodes over A attributes.

    Attributes
    ----------
    mask : uint64[N], the set of known attributes
    score : float64[N], objective of the set (with rollouts: of its completion); NaN = none
    value : float64[N], what the set is worth with the questions left; NaN = nothing scored below
    appeal : float64[N], `value` as selection sees it: -inf where nothing is left to score, and at the root
    status : int8[N], NEW, PENDING, SCORED or UNSCORED
    exhausted : bool[N], nothing below is left to score
    visits : int64[N], 1 (if scored) + sum of edge visits
    linked : uint64[N], attributes whose edge has been looked at
    child : uint32[N, A], row of the set with one attribute more, NO_CHILD = not looked at from here
    edge_visits : int32[N, A]
    virtual : int32[N, A], leaves in flight below the edge (virtual loss)
    prior : float64[N, A], a distribution over the attributes that can be asked; ones[1, A] when uniform
    gain, gain_count : float64[A], int64[A], mean gain seen where a was added, and how often (AMAF)
    penalty : float64[A], cost_weight times the cost of asking
    slots : uint32[H], open-addressing hash table mask -> 1 + row, 0 = empty; H a power of two >= 2 N
    size : int64[3], nodes in use, nodes scored, leaves in flight
    bounds : float64[2], lowest and highest objective seen
    """

    mask: np.ndarray
    score: np.ndarray
    value: np.ndarray
    selection_value: np.ndarray
    status: np.ndarray
    exhausted: np.ndarray
    visits: np.ndarray
    linked: np.ndarray
    child: np.ndarray
    edge_visits: np.ndarray
    virtual: np.ndarray
    prior: np.ndarray
    gain: np.ndarray
    gain_count: np.ndarray
    penalty: np.ndarray
    slots: np.ndarray
    size: np.ndarray
    bounds: np.ndarray


class SelectionRules(NamedTuple):
    """What a search must respect and how it selects; scalars, so that compiled code takes them whole."""

    budget: int
    n_askable: int
    known: np.uint64
    askable: np.uint64
    exploration: float
    """c of METHOD eq. 3, in units of the range of objectives seen."""
    uct: bool
    """UCB1 for trees (Kocsis & Szepesvari 2006) instead of PUCT."""
    mean: bool
    """Back up visit-weighted means (METHOD) instead of maxima."""
    has_prior: bool
    costly: bool
    """Asking costs: the tree holds `score - cost_weight * cost`."""


def new_tree(n_nodes: int, n_attributes: int, has_prior: bool, penalty: np.ndarray | None = None) -> Tree:
    """Return an empty tree for `n_nodes` sets over `n_attributes` attributes.

    Rows are filled when a set joins, and what belongs to an edge when it is looked at first.
    """
    n_slots = 1 << max(4, (2 * n_nodes - 1).bit_length())
    edges = (n_nodes, n_attributes)
    return Tree(
        mask=np.zeros(n_nodes, np.uint64),
        score=np.zeros(n_nodes),
        value=np.zeros(n_nodes),
        selection_value=np.zeros(n_nodes),
        status=np.zeros(n_nodes, np.int8),
        exhausted=np.zeros(n_nodes, np.bool_),
        visits=np.zeros(n_nodes, np.int64),
        linked=np.zeros(n_nodes, np.uint64),
        child=np.zeros(edges, np.uint32),
        edge_visits=np.zeros(edges, np.int32),
        virtual=np.zeros(edges, np.int32),
        prior=np.zeros(edges) if has_prior else np.ones((1, n_attributes)),
        gain=np.zeros(n_attributes),
        gain_count=np.zeros(n_attributes, np.int64),
        penalty=np.zeros(n_attributes) if penalty is None else penalty,
        slots=np.zeros(n_slots, np.uint32),
        size=np.zeros(3, np.int64),
        bounds=np.array([np.inf, -np.inf]),
    )
