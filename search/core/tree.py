"""The search tree as arrays, one record a *set* of known attributes.

Two orders of asking that lead to the same set share a record (a transposition), so the tree is a graph.
What belongs to a way of getting there (visit counts) is kept on edges, what belongs to the set (its
score, the best value below it) on nodes; see `kernels` for why that stays sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

ROOT = 0
NEW, PENDING, SCORED, UNSCORED = 0, 1, 2, 3
"""Status of a node: not yet asked, in the batch under way, scored, asked and found unscored (NaN)."""
NODES, SCORED_SETS, EDGE_ROOM, FREED = 0, 1, 2, 3
"""Slots of `Tree.totals`: nodes in use, nodes scored, places of `Tree.edge` given away.

From `FREED` on, for each size of a block of edges, 1 + the place of the last one that was left for a larger
one (0 = none); that holds where the one before is, and so on.
"""
LOWEST, HIGHEST = 0, 1
"""Slots of `Tree.bounds`, the objectives seen."""
LANES = 64
"""Length of `Tree.gain`: one number for each bit of a mask."""
FEW = 16
"""Up to so many attributes a node's edges get their room at once, in search for maxima; else as they come."""
DIRECT = 1 << 10
"""Up to so many slots the hash table is half empty: sets of few attributes are found in it without a hash."""
ATTRIBUTE_SHIFT, VISITS_SHIFT = 32, 38
MOST_VISITS = 1 << (64 - VISITS_SHIFT)
"""An edge counts fewer visits than this."""

NODE = np.dtype(
    [
        ("mask", np.uint64),
        ("linked", np.uint64),
        ("score", np.float64),
        ("value", np.float64),
        ("visits", np.int32),
        ("edges", np.uint32),
        ("n_edges", np.uint8),
        ("n_open", np.uint8),
        ("status", np.uint8),
        ("exhausted", np.bool_),
    ],
    align=True,
)
"""A node, 48 bytes.

mask: the set of known attributes. linked: attributes whose edge has been looked at. score: objective of the
set (with rollouts: of its completion), NaN = none. value: what the set is worth with the questions left, NaN
= nothing scored below. visits: 1 (if scored) + sum of edge visits. edges: place of the first edge in
`Tree.edge`. n_edges: how many. n_open: how many of them selection looks at, which come
first, in the order of attributes. exhausted: nothing below is left to score.
"""


class Tree(NamedTuple):
    """Arrays of a tree with room for N nodes over A attributes.

    Attributes
    ----------
    node : NODE[N]
    selection_value : float64[N], a node's value as selection sees it: -inf where nothing is left to score,
        and at the root; apart from the node, for a selection reads it of many children
    edge : uint64[E], from the low bits on: 32 of the child's row, 6 of the attribute, 26 of the visit count
    virtual : int32[N, A], leaves in flight below an edge (virtual loss); [1, A] where none ever are
    prior : float64[N, A], a distribution over the attributes that can be asked; [1, A] where there is none
    gain : float64[LANES], gain_count : int64[LANES], mean gain seen where a was added, and how often (AMAF)
    penalty : float64[A], cost_weight times the cost of asking
    unit : float64[A], by depth, what a bonus of selection is a multiple of
    slots : uint32[H], open-addressing hash table mask -> 1 + row, 0 = empty; H a power of two >= 4/3 N
    totals : int64[10], see `NODES`
    bounds : float64[2], see `LOWEST`
    """

    node: np.ndarray
    selection_value: np.ndarray
    edge: np.ndarray
    virtual: np.ndarray
    prior: np.ndarray
    gain: np.ndarray
    gain_count: np.ndarray
    penalty: np.ndarray
    unit: np.ndarray
    slots: np.ndarray
    totals: np.ndarray
    bounds: np.ndarray

    def column(self, name: str) -> np.ndarray:
        """Return the field `name` of all nodes in use, a view."""
        found: np.ndarray = self.node[name][: self.totals[NODES]]
        return found

    def edges_of(self, row: int) -> Iterator[tuple[int, int, int]]:
        """Yield (attribute, row of the child, visits) of each edge of the node `row` that was looked at."""
        first = int(self.node["edges"][row])
        for edge in self.edge[first : first + int(self.node["n_edges"][row])].tolist():
            yield edge >> ATTRIBUTE_SHIFT & 63, edge & 0xFFFFFFFF, edge >> VISITS_SHIFT

    def bytes_in_use(self) -> int:
        """Return what nodes, edges and hash table take, without room that was never touched."""
        a_node = self.node.itemsize + self.selection_value.itemsize
        edges = int(self.totals[EDGE_ROOM]) * self.edge.itemsize
        return int(self.totals[NODES]) * a_node + edges + self.slots.nbytes


class SelectionRules(NamedTuple):
    """What a search must respect; scalars, so that compiled code takes them whole."""

    budget: int
    n_askable: int
    known: np.uint64
    askable: np.uint64
    exploration: float
    """c of METHOD eq. 3, in units of the range of objectives seen."""
    costly: bool
    """Asking costs: the tree holds `score - cost_weight * cost`."""


class Variant(NamedTuple):
    """What a kernel is compiled for; constants of it, so that what is off costs nothing."""

    uct: bool
    """UCB1 for trees (Kocsis & Szepesvari 2006) instead of PUCT."""
    mean: bool
    """Back up visit-weighted means (METHOD) instead of maxima."""
    has_prior: bool
    in_batches: bool
    """A judge scores batches: leaves are in flight, and some of them stay unscored (NaN)."""


def new_tree(
    n_nodes: int,
    n_attributes: int,
    *,
    has_prior: bool = False,
    in_batches: bool = True,
    penalty: np.ndarray | None = None,
) -> Tree:
    """Return an empty tree for `n_nodes` sets over `n_attributes` attributes.

    Records are filled when a set joins. Edges have room for the worst case, of which the system gives memory
    to what is used.
    """
    n_slots = 1 << max(4, (2 * n_nodes - 1).bit_length())
    if n_slots > DIRECT and 4 * n_nodes <= 3 * (n_slots // 2):
        n_slots //= 2
    per_edge: Any = (n_nodes, n_attributes), (1, n_attributes)
    return Tree(
        node=np.zeros(n_nodes, NODE),
        selection_value=np.zeros(n_nodes),
        edge=np.empty(3 * n_nodes * n_attributes, np.uint64),
        virtual=np.zeros(per_edge[not in_batches], np.int32),
        prior=np.zeros(per_edge[not has_prior]),
        gain=np.zeros(LANES),
        gain_count=np.zeros(LANES, np.int64),
        penalty=np.zeros(n_attributes) if penalty is None else penalty,
        unit=np.zeros(n_attributes),
        slots=np.zeros(n_slots, np.uint32),
        totals=np.zeros(10, np.int64),
        bounds=np.array([np.inf, -np.inf]),
    )
