"""Compiled steps of Monte Carlo graph search over sets: select, expand, back up.

Sound in a graph. Several parents share a node, so a node's visit count says how often the *set* was
reached, not how much one parent knows of it; a parent that used it would over- or under-weigh the child.
Hence (after D. Wu, "Monte-Carlo Graph Search from First Principles", the KataGo notes, 2023):

- visit counts of decisions live on edges, N(n, a), and only an edge's own count steers selection;
- a value lives on the node and is shared: V(child) is read, never copied to an edge;
- a value is recomputed from the children, which is idempotent: backing up twice counts nothing twice:

      max:   V(n) = max( s(n), max_a V(n + a) )                                     (deterministic sets)
      mean:  V(n) = ( s(n) + sum_a N(n, a) V(n + a) ) / ( 1 + sum_a N(n, a) )       (METHOD: Q = W / N)

Selection, with c in units of the range of objectives seen so far (METHOD prints c = 1 on raw scores):

      puct:  Q(n, a) + c * pi0(a | n) * sqrt(N(n)) / (1 + N(n, a))                  (METHOD eq. 3)
      uct:   Q(n, a) + c * sqrt(log N(n) / N(n, a)); untried edges first

N(n) = 1 + sum_a N(n, a). An edge not looked at yet has, under `max`, Q = s(n) + the mean gain that a brought
wherever it was added before (all moves as first, Gelly & Silver 2011), and Q = V(n) under `mean`. Leaves in
flight count as visits that scored the lowest objective seen (virtual loss, after one visit that did not).
Ties go to the lowest index. s is the objective: the score less the cost of asking.

Under `max` a set is scored once and never selected again when nothing below it is left to score
(`exhausted`), so that every simulation scores a new set until all are scored. On a surface an edge to such a
set is closed: it keeps its count, behind the open ones, and selection never looks at it again.

Each `Variant` is compiled when it is first asked for (`surface_search`, `batch_selection`, `batch_backup`).
All steps are inlined into one function, in which the variant is constant: what it leaves out is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit, typeof, types

from envs.bit_scan import lowest_bit
from search.core.gain_scan import best_gain
from search.core.tree import (
    ATTRIBUTE_SHIFT,
    EDGE_ROOM,
    FEW,
    FREED,
    HIGHEST,
    LOWEST,
    NEW,
    NODES,
    PENDING,
    ROOT,
    SCORED,
    SCORED_SETS,
    UNSCORED,
    VISITS_SHIFT,
    SelectionRules,
    Variant,
    new_tree,
)

COLLISION = -1
"""Selection ran into a leaf that is in flight."""
FINISHED = -2
"""Nothing is left to score, or the tree is full."""
NONE_LEFT = -1

ONE = np.uint64(1)
_ONE_VISIT = np.uint64(1 << VISITS_SHIFT)
FAST: Any = {"cache": True, "error_model": "numpy", "_nrt": False}
"""Without `_nrt` each access to an array of the tree counts references atomically, which takes five times
as long as the search itself; kernels may not allocate then."""
TREE = typeof(new_tree(1, 1))
RULES = typeof(SelectionRules(1, 1, np.uint64(0), np.uint64(1), 1.0, False))
_ROWS = types.Array(types.int64, 1, "C")
_PATHS = types.Array(types.int64, 2, "C")
FLOATS = types.Array(types.float64, 1, "C")
SURFACE = types.FunctionType(types.float64(types.uint64, FLOATS))
"""Type of a surface's function: (mask, params) -> score."""


@njit(**FAST, forceinline=True)
def child_of(edge):
    """Return the row (uint64) of the node that `edge` leads to."""
    return edge & np.uint64(0xFFFFFFFF)


@njit(**FAST, forceinline=True)
def _attribute_of(edge):
    return np.int64(edge >> np.uint64(ATTRIBUTE_SHIFT) & np.uint64(63))


@njit(**FAST, forceinline=True)
def _hash(mask):
    # Both halves times an odd 30-bit constant: no product overflows 64 bits, compiled or not.
    low = (mask & np.uint64(0xFFFFFFFF)) * np.uint64(0x2545F491)
    high = (mask >> np.uint64(32)) * np.uint64(0x27D4EB2F)
    mixed = low ^ high
    return mixed ^ (mixed >> np.uint64(29))


@njit(**FAST, forceinline=True)
def find_or_add(tree, mask):
    """Return the row of the set `mask`, adding it when new; -1 when the tree is full."""
    last = np.uint64(tree.slots.size - 1)
    slot = mask if mask <= last else _hash(mask) & last
    while tree.slots[slot] != 0:
        row = np.int64(tree.slots[slot]) - 1
        if tree.node[row]["mask"] == mask:
            return row
        slot = (slot + ONE) & last
    row = tree.totals[NODES]
    if row == tree.node.size:
        return -1
    tree.totals[NODES] = row + 1
    tree.slots[slot] = row + 1
    tree.selection_value[row] = -np.inf if row == ROOT else np.nan
    node = tree.node[row]
    node["mask"] = mask
    node["linked"] = 0
    node["score"] = np.nan
    node["value"] = np.nan
    node["visits"] = 0
    node["edges"] = 0
    node["n_edges"] = 0
    node["n_open"] = 0
    node["status"] = NEW
    node["exhausted"] = False
    return row


@njit(**FAST)
def clear(tree):
    """Make `tree` an empty one again, in time of its hash table alone."""
    tree.totals[:] = 0
    tree.slots[:] = 0
    tree.gain[:] = 0.0
    tree.gain_count[:] = 0
    tree.bounds[LOWEST], tree.bounds[HIGHEST] = np.inf, -np.inf


@njit(**FAST, forceinline=True)
def _start(tree, rules, variant):
    """Give an empty tree its root."""
    if tree.totals[NODES] == 0:
        find_or_add(tree, rules.known)
        _set_units(tree, rules, variant)


@njit(**FAST, forceinline=True)
def _set_units(tree, rules, variant):
    """Write what the bonus of an edge is a multiple of, for the range of objectives seen."""
    low, high = tree.bounds[LOWEST], tree.bounds[HIGHEST]
    unit = rules.exploration * (high - low if high > low else 1.0)
    for depth in range(rules.budget):
        if variant.uct:
            tree.unit[depth] = unit**2
        elif variant.has_prior:
            tree.unit[depth] = unit
        else:
            tree.unit[depth] = unit / (rules.n_askable - depth)


_WEIGHTS = 1.0 / (1.0 + np.arange(1024))
_ROOTS = np.sqrt(np.maximum(1.0, np.arange(1024)))
"""1 / (1 + n) and the root of n, at least 1, of small n: looked up because divisions and roots are slow."""


@njit(**FAST, forceinline=True)
def _best_open(tree, variant, row, base, low, bonus):
    """Return (the highest score of an open edge, its place, the lowest attribute among equals)."""
    best, place = -np.inf, -1
    node = tree.node[row]
    first = np.int64(node["edges"])
    for at in range(first, first + np.int64(node["n_open"])):
        edge = tree.edge[at]
        value = tree.selection_value[child_of(edge)]
        n = np.int64(edge >> np.uint64(VISITS_SHIFT))
        a = _attribute_of(edge)
        if variant.in_batches:
            if np.isnan(value):
                value = base
            flying = tree.virtual[row, a]
            if flying > 0:  # v (1 + n) / (1 + n) is not always v, and an edge would lose its tie
                value = (value * (1 + n) + low * flying) / (1 + n + flying)
                n += flying
        if not variant.uct:
            weight = bonus * tree.prior[row, a] if variant.has_prior else bonus
            score = value + weight * (_WEIGHTS[np.uint64(n)] if n < 1024 else 1.0 / (1 + n))
        elif n > 0:
            score = value + np.sqrt(bonus / n)
        else:
            score = value if value == -np.inf else np.inf
        if score > best:
            best, place = score, at
    return best, place


@njit(**FAST, forceinline=True)
def _best_fresh(tree, variant, row, fresh, base, bonus):
    """Return (the highest score of an edge not looked at, the lowest attribute that has it)."""
    if variant.uct:
        return np.inf, lowest_bit(fresh)
    if variant.has_prior:
        best, chosen = -np.inf, np.int64(-1)
        while fresh:
            a = lowest_bit(fresh)
            fresh &= fresh - ONE
            score = base + bonus * tree.prior[row, a]
            if not variant.mean:
                score += tree.gain[a]
            if score > best:
                best, chosen = score, a
        return best, chosen
    if variant.mean:
        return base + bonus, lowest_bit(fresh)
    return best_gain(tree.gain, base + bonus, fresh)


@njit(**FAST, forceinline=True)
def _next_edge(tree, rules, variant, row, depth):
    """Return the place of the edge to follow from the node `row`; NONE_LEFT or FINISHED instead.

    `depth`: questions asked so far, so that `rules.n_askable - depth` remain.
    """
    node = tree.node[row]
    while True:
        low = tree.bounds[LOWEST]
        base = node["value"] if variant.mean else node["score"]
        if variant.in_batches:
            if low > tree.bounds[HIGHEST]:
                low = 0.0  # nothing is scored yet
            base = node["value"] if np.isnan(base) else base
            base = low if np.isnan(base) else base
        if variant.uct:
            bonus = tree.unit[depth] * np.log(max(1, node["visits"]))
        else:
            n = np.int64(node["visits"])
            bonus = tree.unit[depth] * (_ROOTS[np.uint64(n)] if n < 1024 else np.sqrt(n))
        best, place = _best_open(tree, variant, row, base, low, bonus)
        fresh = rules.askable & ~(node["mask"] | node["linked"])
        again = False
        while fresh and not again:
            score, a = _best_fresh(tree, variant, row, fresh, base, bonus)
            if score < best or (score == best and place >= 0 and a > _attribute_of(tree.edge[place])):
                break
            bit = ONE << np.uint64(a)
            child = find_or_add(tree, node["mask"] | bit)
            if child < 0:
                return FINISHED
            before = np.int64(node["edges"])
            linked = _link(tree, rules, variant, row, a, child)
            value = tree.node[child]["value"]  # a set first met on another way may be worth something already
            if not variant.mean and not np.isnan(value) and not value <= node["value"]:
                _set_value(tree, row, value)
            if not tree.node[child]["exhausted"]:
                return linked
            if _closes(variant):  # what was found of the open ones still holds
                place += np.int64(node["edges"]) - before if place >= 0 else 0
                fresh &= ~bit
            else:
                again = True
        if not again:
            return place if best > -np.inf else NONE_LEFT


@njit(**FAST, forceinline=True)
def _closes(variant):
    """Tell whether edges to exhausted sets are closed; means are added in the order of attributes."""
    return not variant.mean and not variant.in_batches


@njit(**FAST)
def _moved(tree, first, n, n_askable):
    """Return where the `n` edges of a full block, which began at `first`, stand in a larger one."""
    own = FREED + (lowest_bit(np.uint64(n)) if n else 0)
    size = wanted = own + (n > 0)
    while size < tree.totals.size - 1 and not tree.totals[size]:
        size += 1
    if tree.totals[size]:
        new = tree.totals[size] - 1
        tree.totals[size] = tree.edge[new]
        while size > wanted:  # the upper half of what is too large is left over
            size -= 1
            _leave(tree, size, new + (1 << (size - FREED)))
    else:
        new = tree.totals[EDGE_ROOM]
        tree.totals[EDGE_ROOM] = new + (min(2 * n, n_askable) if n else 1)
    for i in range(n):
        tree.edge[new + i] = tree.edge[first + i]
    if n:
        _leave(tree, own, first)
    return new


@njit(**FAST, forceinline=True)
def _leave(tree, size, first):
    """Keep the block of edges that begins at `first` for another node."""
    tree.edge[first] = tree.totals[size]
    tree.totals[size] = first + 1


@njit(**FAST, forceinline=True)
def _link(tree, rules, variant, row, a, child):
    """Add the edge a from the node `row` to `child`; return its place."""
    node = tree.node[row]
    n, first = np.int64(node["n_edges"]), np.int64(node["edges"])
    if rules.n_askable <= FEW and not variant.mean:
        if n == 0:
            node["edges"] = first = tree.totals[EDGE_ROOM]
            tree.totals[EDGE_ROOM] += rules.n_askable
    elif n & (n - 1) == 0:  # as many as a block has room for
        node["edges"] = first = _moved(tree, first, n, rules.n_askable)
    edge = np.uint64(child) | np.uint64(a) << np.uint64(ATTRIBUTE_SHIFT)
    node["linked"] |= ONE << np.uint64(a)
    node["n_edges"] = n + 1
    if _closes(variant) and tree.node[child]["exhausted"]:
        tree.edge[first + n] = edge
        return first + n
    at = first + np.int64(node["n_open"])
    node["n_open"] += 1
    tree.edge[first + n] = tree.edge[at]  # the first closed one goes behind the others
    while at > first and _attribute_of(tree.edge[at - 1]) > a:
        tree.edge[at] = tree.edge[at - 1]
        at -= 1
    tree.edge[at] = edge
    return at


@njit(**FAST, forceinline=True)
def _close(tree, row, at):
    """Move the edge at the place `at` of the node `row` behind the open ones, which keep their order."""
    node = tree.node[row]
    last = np.int64(node["edges"]) + np.int64(node["n_open"]) - 1
    edge = tree.edge[at]
    while at < last:
        tree.edge[at] = tree.edge[at + 1]
        at += 1
    tree.edge[last] = edge
    node["n_open"] -= 1


@njit(**FAST, forceinline=True)
def select(tree, rules, variant, nodes, edges):
    """Descend from the root to a leaf.

    `nodes`: int64[budget + 1], rows, and `edges`: int64[budget], places in `tree.edge`, are written along the
    way. Returns the leaf's depth (the leaf is `nodes[depth]`), or COLLISION, or FINISHED.
    """
    row = np.int64(ROOT)
    depth = 0
    changed = False
    nodes[0] = ROOT
    while not tree.node[ROOT]["exhausted"]:
        node = tree.node[row]
        status = node["status"]
        if status == NEW or (variant.mean and depth == rules.budget and status == SCORED):
            return depth
        if variant.in_batches and status == PENDING:
            return COLLISION
        before = node["n_edges"]
        place = _next_edge(tree, rules, variant, row, depth) if depth < rules.budget else NONE_LEFT
        if place == FINISHED:
            return FINISHED
        changed |= node["n_edges"] != before
        if place == NONE_LEFT:
            _exhaust(tree, row)
            if depth > 0 and _closes(variant):
                _close(tree, nodes[depth - 1], edges[depth - 1])
            # An edge that was new on the way has its child's value by now, and may not be the best. Where
            # none was, all is as it was above the node that led here.
            depth = 0 if changed or depth == 0 else depth - 1
            changed = False
            row = nodes[depth]
            continue
        edges[depth] = place
        depth += 1
        row = np.int64(child_of(tree.edge[place]))
        nodes[depth] = row
    return FINISHED


@njit(**FAST, forceinline=True)
def _mean_value(tree, row):
    node = tree.node[row]
    total = node["score"] if node["status"] == SCORED else 0.0
    first = np.int64(node["edges"])
    for at in range(first, first + np.int64(node["n_edges"])):
        n = np.int64(tree.edge[at] >> np.uint64(VISITS_SHIFT))
        if n > 0:  # the value of a child without visits may be NaN, and 0 * NaN is NaN
            total += n * tree.node[child_of(tree.edge[at])]["value"]
    return total / node["visits"]


@njit(**FAST, forceinline=True)
def _set_value(tree, row, value):
    tree.node[row]["value"] = value
    if row != ROOT and not tree.node[row]["exhausted"]:
        tree.selection_value[row] = value


@njit(**FAST, forceinline=True)
def _exhaust(tree, row):
    tree.node[row]["exhausted"] = True
    tree.selection_value[row] = -np.inf


@njit(**FAST, forceinline=True)
def backup(tree, rules, variant, nodes, edges, depth, score):
    """Give the leaf `nodes[depth]` its objective and update the values and visit counts above it.

    NaN marks the set as unscored: no visit is counted and nothing is backed up.
    """
    leaf = nodes[depth]
    node = tree.node[leaf]
    first = node["status"] != SCORED
    if first:
        if variant.in_batches and np.isnan(score):
            node["status"] = UNSCORED
            if depth == rules.budget:
                _exhaust(tree, leaf)
            return
        node["status"] = SCORED
        node["score"] = score
        _set_value(tree, leaf, score)
        if depth == rules.budget and not variant.mean:
            _exhaust(tree, leaf)
        tree.totals[SCORED_SETS] += 1
        if score < tree.bounds[LOWEST] or score > tree.bounds[HIGHEST]:
            tree.bounds[LOWEST] = min(tree.bounds[LOWEST], score)
            tree.bounds[HIGHEST] = max(tree.bounds[HIGHEST], score)
            _set_units(tree, rules, variant)
        if depth > 0 and tree.node[nodes[depth - 1]]["status"] == SCORED:
            a = _attribute_of(tree.edge[edges[depth - 1]])
            tree.gain_count[a] += 1
            gain = score - tree.node[nodes[depth - 1]]["score"]
            tree.gain[a] += (gain - tree.gain[a]) / tree.gain_count[a]
    _count_visit(tree, leaf)
    for d in range(depth - 1, -1, -1):
        row = nodes[d]
        _count_visit(tree, row)
        tree.edge[edges[d]] += _ONE_VISIT
        if variant.mean:
            _set_value(tree, row, _mean_value(tree, row))
        else:
            value = tree.node[nodes[d + 1]]["value"]
            if not value <= tree.node[row]["value"]:  # also when the node's own value is NaN
                _set_value(tree, row, value)
    if first and 0 < depth == rules.budget and _closes(variant):
        _close(tree, nodes[depth - 1], edges[depth - 1])


@njit(**FAST, forceinline=True)
def _count_visit(tree, row):
    tree.node[row]["visits"] += 1


@njit(**FAST, forceinline=True)
def _penalty(penalty, asked):
    total = 0.0
    while asked:
        total += penalty[lowest_bit(asked)]
        asked &= asked - ONE
    return total


@njit(**FAST, forceinline=True)
def run_on_surface(tree, rules, variant, nodes, edges, function, params, num_simulations, max_scored):
    """Run a whole search on a surface; return the simulations that ran.

    `nodes`: int64[budget + 1] and `edges`: int64[budget] are room to work in. The tree holds objectives.
    Ends early when nothing is left to score or `max_scored` sets are scored. Surfaces have no NaN.
    """
    _start(tree, rules, variant)
    for simulation in range(num_simulations):
        depth = select(tree, rules, variant, nodes, edges)
        if depth < 0:
            return simulation
        leaf = tree.node[nodes[depth]]
        score = leaf["score"]
        if leaf["status"] == NEW:
            if tree.totals[SCORED_SETS] >= max_scored:
                return simulation
            score = function(leaf["mask"], params)
            if rules.costly:
                score -= _penalty(tree.penalty, leaf["mask"] & ~rules.known)
        backup(tree, rules, variant, nodes, edges, depth, score)
    return num_simulations


@cache
def surface_search(uct: bool, mean: bool) -> Callable[..., int]:
    """Return `run_on_surface` compiled for a variant, whose argument it does not take."""

    @njit(types.int64(TREE, RULES, _ROWS, _ROWS, SURFACE, FLOATS, types.int64, types.int64), **FAST)
    def search_surface(tree, rules, nodes, edges, function, params, num_simulations, max_scored):
        variant = Variant(uct, mean, False, False)
        return run_on_surface(
            tree, rules, variant, nodes, edges, function, params, num_simulations, max_scored
        )

    return search_surface


@njit(**FAST, forceinline=True)
def place_of(tree, row, a):
    """Return the place of the edge a of the node `row`; -1 where it was not looked at."""
    node = tree.node[row]
    first = np.int64(node["edges"])
    for at in range(first, first + np.int64(node["n_edges"])):
        if _attribute_of(tree.edge[at]) == a:
            return at
    return -1


@cache
def batch_selection(uct: bool, mean: bool, has_prior: bool) -> Callable[..., int]:
    """Return `select_batch` compiled for a variant."""

    @njit(types.int64(TREE, RULES, _PATHS, _PATHS, _ROWS), **FAST)
    def select_batch(tree, rules, nodes, edges, depths):
        """Select up to `len(depths)` different leaves; return how many (0 = nothing is left to score).

        `nodes`: int64[B, budget + 1], rows, `edges`: int64[B, budget], attributes, `depths`: int64[B] are
        filled row by row. Each way is kept apart from the next by virtual loss until `backup_batch`.
        """
        variant = Variant(uct, mean, has_prior, True)
        _start(tree, rules, variant)
        count = 0
        while count < depths.size:
            depth = select(tree, rules, variant, nodes[count], edges[count])
            if depth < 0:
                break
            leaf = tree.node[nodes[count, depth]]
            if leaf["status"] == NEW:
                leaf["status"] = PENDING
            for d in range(depth):  # the next selection may move edges
                edges[count, d] = _attribute_of(tree.edge[edges[count, d]])
                tree.virtual[nodes[count, d], edges[count, d]] += 1
            depths[count] = depth
            count += 1
        return count

    return select_batch


@cache
def batch_backup(uct: bool, mean: bool, has_prior: bool) -> Callable[..., None]:
    """Return `backup_batch` compiled for a variant."""

    @njit(types.void(TREE, RULES, _PATHS, _PATHS, _ROWS, FLOATS), **FAST)
    def backup_batch(tree, rules, nodes, edges, depths, scores):
        """Release the virtual loss of a batch of `len(scores)` leaves and back their scores up, in order."""
        variant = Variant(uct, mean, has_prior, True)
        for i in range(scores.size):
            for d in range(depths[i]):
                tree.virtual[nodes[i, d], edges[i, d]] -= 1
        for i in range(scores.size):
            for d in range(depths[i]):
                edges[i, d] = place_of(tree, nodes[i, d], edges[i, d])
            backup(tree, rules, variant, nodes[i], edges[i], depths[i], scores[i])

    return backup_batch
