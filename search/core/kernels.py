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
(`exhausted`), so that every simulation scores a new set until all are scored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, typeof, types

from envs.bit_scan import lowest_bit
from search.core.tree import NEW, PENDING, ROOT, SCORED, UNSCORED, SelectionRules, new_tree

COLLISION = -1
"""Selection ran into a leaf that is in flight."""
FINISHED = -2
"""Nothing is left to score."""

ONE = np.uint64(1)
FAST: Any = {"cache": True, "error_model": "numpy", "_nrt": False}
"""Without `_nrt` each access to an array of the tree counts references atomically, which takes five times
as long as the search itself; kernels may not allocate then."""
TREE = typeof(new_tree(1, 1, False))
RULES = typeof(SelectionRules(1, 1, np.uint64(0), np.uint64(1), 1.0, False, False, False, False))
_ROWS = types.Array(types.int64, 1, "C")
_PATHS = types.Array(types.int64, 2, "C")
FLOATS = types.Array(types.float64, 1, "C")
SURFACE = types.FunctionType(types.float64(types.uint64, FLOATS))
"""Type of a surface's function: (mask, params) -> score."""


@njit(**FAST)
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
    slot = _hash(mask) & last
    while tree.slots[slot] != 0:
        node = np.int64(tree.slots[slot]) - 1
        if tree.mask[node] == mask:
            return node
        slot = (slot + ONE) & last
    node = tree.size[0]
    if node == tree.mask.size:
        return -1
    tree.size[0] += 1
    tree.slots[slot] = node + 1
    tree.mask[node] = mask
    tree.score[node] = np.nan
    tree.value[node] = np.nan
    tree.selection_value[node] = -np.inf if node == ROOT else np.nan
    tree.status[node] = NEW
    tree.exhausted[node] = False
    tree.visits[node] = 0
    tree.linked[node] = 0
    return node


@njit(**FAST)
def clear(tree):
    """Make `tree` an empty one again, in time of its hash table alone."""
    tree.size[:] = 0
    tree.slots[:] = 0
    tree.gain[:] = 0.0
    tree.gain_count[:] = 0
    tree.bounds[0], tree.bounds[1] = np.inf, -np.inf


_WEIGHTS = 1.0 / (1.0 + np.arange(1024))
"""1 / (1 + n) of small n, looked up because divisions are slow."""


@njit(**FAST, forceinline=True)
def _best_linked(selection_value, child, visits, linked, node, base, bonus):
    """Return (the highest score of an edge that has been looked at, the lowest index that has it)."""
    best, chosen = -np.inf, -1
    while linked:
        a = lowest_bit(linked)
        linked &= linked - ONE
        value = selection_value[child[node, a]]
        if np.isnan(value):
            value = base
        n = visits[node, a]
        score = value + bonus * (_WEIGHTS[n] if n < 1024 else 1.0 / (1 + n))
        if score > best:
            best, chosen = score, a
    return best, chosen


@njit(**FAST)
def _best_of_all_kinds(tree, rules, node, row, base, low, bonus):
    """Return what `_best_linked` does, by UCB1, with a prior or with leaves in flight as well."""
    best, chosen = -np.inf, -1
    linked = tree.linked[node]
    while linked:
        a = lowest_bit(linked)
        linked &= linked - ONE
        value = tree.selection_value[tree.child[node, a]]
        if np.isnan(value):
            value = base
        n = tree.edge_visits[node, a]
        flying = tree.virtual[node, a]
        if flying > 0:  # v (1 + n) / (1 + n) is not always v, and an edge would lose its tie
            value = (value * (1 + n) + low * flying) / (1 + n + flying)
            n += flying
        if not rules.uct:
            score = value + bonus * tree.prior[row, a] * (1.0 / (1 + n))
        elif n > 0:
            score = value + np.sqrt(bonus / n)
        else:
            score = value if value == -np.inf else np.inf
        if score > best:
            best, chosen = score, a
    return best, chosen


@njit(**FAST, inline="always")
def best_action(tree, rules, node, depth):
    """Return the edge to follow from `node`, the lowest index among equals; -1 when none is left.

    `depth`: questions asked so far, so that `rules.n_askable - depth` remain.
    """
    low, high = tree.bounds[0], tree.bounds[1]
    spread = high - low if high > low else 1.0
    if low > high:
        low = 0.0  # nothing is scored yet
    base = tree.value[node] if rules.mean or np.isnan(tree.score[node]) else tree.score[node]
    base = low if np.isnan(base) else base
    visits = max(1, tree.visits[node])
    row = node if rules.has_prior else 0
    if rules.uct:
        bonus = (rules.exploration * spread) ** 2 * np.log(visits)
    else:
        bonus = rules.exploration * spread * np.sqrt(visits)
        if not rules.has_prior:
            bonus /= rules.n_askable - depth
    if rules.uct or rules.has_prior or tree.size[2] > 0:
        best, chosen = _best_of_all_kinds(tree, rules, node, row, base, low, bonus)
    else:
        best, chosen = _best_linked(
            tree.selection_value, tree.child, tree.edge_visits, tree.linked[node], node, base, bonus
        )
    fresh = rules.askable & ~(tree.mask[node] | tree.linked[node])
    if rules.uct or rules.mean or rules.has_prior:
        by_gain = not rules.uct and not rules.mean
        while fresh:
            a = lowest_bit(fresh)
            fresh &= fresh - ONE
            score = np.inf if rules.uct else base + bonus * tree.prior[row, a]
            if by_gain:
                score += tree.gain[a]
            if score > best or (score == best and a < chosen):
                best, chosen = score, a
            if not by_gain and not rules.has_prior:
                break  # the others score the same
    else:
        base += bonus
        while fresh:
            a = lowest_bit(fresh)
            fresh &= fresh - ONE
            score = base + tree.gain[a]
            if score > best or (score == best and a < chosen):
                best, chosen = score, a
    return chosen if best > -np.inf else -1


@njit(**FAST, forceinline=True)
def select(tree, rules, nodes, edges):
    """Descend from the root to a leaf.

    `nodes`: int64[budget + 1], `edges`: int64[budget], written along the way. Returns the leaf's
    depth (the leaf is `nodes[depth]`), or COLLISION, or FINISHED.
    """
    node = np.int64(ROOT)
    depth = 0
    changed = False
    nodes[0] = ROOT
    while not tree.exhausted[ROOT]:
        if tree.status[node] == NEW or (depth == rules.budget and tree.status[node] == SCORED):
            return depth
        if tree.status[node] == PENDING:
            return COLLISION
        action = best_action(tree, rules, node, depth) if depth < rules.budget else -1
        if action < 0:
            _exhaust(tree, node)
            # An edge that was new on the way has its child's value by now, and may not be the best. Where
            # none was, all is as it was above the node that led here.
            depth = 0 if changed or depth == 0 else depth - 1
            changed = False
            node = nodes[depth]
            continue
        bit = ONE << np.uint64(action)
        if tree.linked[node] & bit:
            child = np.int64(tree.child[node, action])
        else:
            child = find_or_add(tree, tree.mask[node] | bit)
            if child < 0:
                return FINISHED
            tree.child[node, action] = child
            tree.edge_visits[node, action] = 0
            changed = True
            tree.linked[node] |= bit
            value = tree.value[child]  # a set first met on another way may be worth something already
            if not rules.mean and not np.isnan(value) and not value <= tree.value[node]:
                _set_value(tree, node, value)
            if tree.exhausted[child]:
                continue
        edges[depth] = action
        depth += 1
        nodes[depth] = child
        node = child
    return FINISHED


@njit(**FAST, inline="always")
def _mean_value(tree, node):
    total = tree.score[node] if tree.status[node] == SCORED else 0.0
    linked = tree.linked[node]
    while linked:
        a = lowest_bit(linked)
        linked &= linked - ONE
        n = tree.edge_visits[node, a]
        if n > 0:  # the value of a child without visits may be NaN, and 0 * NaN is NaN
            total += n * tree.value[tree.child[node, a]]
    return total / tree.visits[node]


@njit(**FAST, inline="always")
def _set_value(tree, node, value):
    tree.value[node] = value
    if node != ROOT and not tree.exhausted[node]:
        tree.selection_value[node] = value


@njit(**FAST, inline="always")
def _exhaust(tree, node):
    tree.exhausted[node] = True
    tree.selection_value[node] = -np.inf


@njit(**FAST, forceinline=True)
def backup(tree, rules, nodes, edges, depth, score):
    """Give the leaf `nodes[depth]` its objective and update the values and visit counts above it.

    NaN marks the set as unscored: no visit is counted and nothing is backed up.
    """
    leaf = nodes[depth]
    if tree.status[leaf] != SCORED:
        if np.isnan(score):
            tree.status[leaf] = UNSCORED
            if depth == rules.budget:
                _exhaust(tree, leaf)
            return
        tree.status[leaf] = SCORED
        tree.score[leaf] = score
        _set_value(tree, leaf, score)
        if depth == rules.budget and not rules.mean:
            _exhaust(tree, leaf)
        tree.size[1] += 1
        tree.bounds[0] = min(tree.bounds[0], score)
        tree.bounds[1] = max(tree.bounds[1], score)
        if depth > 0 and tree.status[nodes[depth - 1]] == SCORED:
            a = edges[depth - 1]
            tree.gain_count[a] += 1
            tree.gain[a] += (score - tree.score[nodes[depth - 1]] - tree.gain[a]) / tree.gain_count[a]
    tree.visits[leaf] += 1
    for d in range(depth - 1, -1, -1):
        node = nodes[d]
        tree.visits[node] += 1
        tree.edge_visits[node, edges[d]] += 1
        if rules.mean:
            _set_value(tree, node, _mean_value(tree, node))
        else:
            value = tree.value[nodes[d + 1]]
            if not value <= tree.value[node]:  # also when the node's own value is NaN
                _set_value(tree, node, value)


@njit(types.int64(TREE, RULES, _PATHS, _PATHS, _ROWS), **FAST)
def select_batch(tree, rules, nodes, edges, depths):
    """Select up to `len(depths)` different leaves; return how many (0 = nothing is left to score).

    `nodes`: int64[B, budget + 1], `edges`: int64[B, budget], `depths`: int64[B] are filled row by row.
    Each way is kept apart from the next by virtual loss until `backup_batch`.
    """
    if tree.size[0] == 0:
        find_or_add(tree, rules.known)
    count = 0
    while count < depths.size:
        depth = select(tree, rules, nodes[count], edges[count])
        if depth < 0:
            break
        leaf = nodes[count, depth]
        if tree.status[leaf] == NEW:
            tree.status[leaf] = PENDING
        for d in range(depth):
            tree.virtual[nodes[count, d], edges[count, d]] += 1
        tree.size[2] += 1
        depths[count] = depth
        count += 1
    return count


@njit(types.void(TREE, RULES, _PATHS, _PATHS, _ROWS, FLOATS), **FAST)
def backup_batch(tree, rules, nodes, edges, depths, scores):
    """Release the virtual loss of a batch of `len(scores)` leaves and back their scores up, in order."""
    for i in range(scores.size):
        for d in range(depths[i]):
            tree.virtual[nodes[i, d], edges[i, d]] -= 1
        tree.size[2] -= 1
    for i in range(scores.size):
        backup(tree, rules, nodes[i], edges[i], depths[i], scores[i])


@njit(**FAST)
def _penalty(penalty, asked):
    total = 0.0
    while asked:
        total += penalty[lowest_bit(asked)]
        asked &= asked - ONE
    return total


@njit(types.int64(TREE, RULES, _ROWS, _ROWS, SURFACE, FLOATS, types.int64, types.int64), **FAST)
def search_surface(tree, rules, nodes, edges, function, params, num_simulations, max_scored):
    """Run a whole search on a surface; return the simulations that ran.

    `nodes`: int64[budget + 1] and `edges`: int64[budget] are room to work in. The tree holds objectives.
    Ends early when nothing is left to score or `max_scored` sets are scored. Surfaces have no NaN.
    """
    if tree.size[0] == 0:
        find_or_add(tree, rules.known)
    for simulation in range(num_simulations):
        depth = select(tree, rules, nodes, edges)
        if depth < 0:
            return simulation
        leaf = nodes[depth]
        score = tree.score[leaf]
        if tree.status[leaf] == NEW:
            if tree.size[1] >= max_scored:
                return simulation
            score = function(tree.mask[leaf], params)
            if rules.costly:
                score -= _penalty(tree.penalty, tree.mask[leaf] & ~rules.known)
        backup(tree, rules, nodes, edges, depth, score)
    return num_simulations
