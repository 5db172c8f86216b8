"""Compiled steps of Monte Carlo graph search over sets: select, expand, back up.

Sound in a graph. Several parents share a node, so a node's visit count says how often the *set* was
reached, not how much one parent knows of it; a parent that used it would over- or under-weigh the child.
Hence (after D. Wu, "Monte-Carlo Graph Search from First Principles", the KataGo notes, 2023):

- visit counts of decisions live on edges, N(n, a), and only an edge's own count steers selection;
- a value lives on the node and is shared: V(child) is read, never copied to an edge;
- a value is recomputed from the children, which is idempotent: backing up twice counts nothing twice:

      max:   V(n) = max( s(n), max_a V(n + a) )                                     (deterministic sets)
      mean:  V(n) = ( s(n) + sum_a N(n, a) V(n + a) ) / ( 1 + sum_a N(n, a) )       (METHOD: Q = W / N)

Selection, with Q and s scaled to [0, 1] by the lowest and highest score seen so far:

      puct:  Q(n, a) + c * pi0(a | n) * sqrt(N(n)) / (1 + N(n, a))                  (METHOD eq. 3)
      uct:   Q(n, a) + c * sqrt(log N(n) / N(n, a)); untried edges first

N(n) = 1 + sum_a N(n, a). An edge not looked at yet has, under `max`, Q = s(n) + the mean gain that a brought
wherever it was added before (all moves as first, Gelly & Silver 2011), and Q = V(n) under `mean`. Leaves in
flight count as visits that scored the lowest score seen (virtual loss). Ties go to the lowest index.

Under `max` a set is scored once and never selected again when nothing below it is left to score
(`exhausted`), so that every simulation scores a new set until all are scored.
"""

from __future__ import annotations

import numpy as np
from numba import njit, typeof, types

from search.tree import NEW, NO_CHILD, PENDING, SCORED, UNSCORED, Rules, new_tree

COLLISION = -1
"""Selection ran into a leaf that is in flight."""
FINISHED = -2
"""Nothing is left to score."""

_ONE = np.uint64(1)
_TREE = typeof(new_tree(1, 1, False))
_RULES = typeof(Rules(1, 1, np.uint64(0), np.uint64(1), 1.0, False, False, False))
_ROWS = types.Array(types.int64, 1, "C")
_PATHS = types.Array(types.int64, 2, "C")
_MASKS = types.Array(types.uint64, 1, "C")
_FLOATS = types.Array(types.float64, 1, "C")
SURFACE = types.FunctionType(types.float64(types.uint64, _FLOATS))
"""Type of a surface's function: (mask, params) -> score."""


@njit(cache=True, error_model="numpy")
def _hash(mask):
    # Both halves times an odd 30-bit constant: no product overflows 64 bits, compiled or not.
    low = (mask & np.uint64(0xFFFFFFFF)) * np.uint64(0x2545F491)
    high = (mask >> np.uint64(32)) * np.uint64(0x27D4EB2F)
    mixed = low ^ high
    return mixed ^ (mixed >> np.uint64(29))


@njit(cache=True, error_model="numpy")
def find_or_add(tree, mask):
    """Return the row of the set `mask`, adding it when new; -1 when the tree is full."""
    last = np.uint64(tree.slots.size - 1)
    slot = _hash(mask) & last
    while tree.slots[slot] != NO_CHILD:
        node = tree.slots[slot]
        if tree.mask[node] == mask:
            return node
        slot = (slot + _ONE) & last
    node = tree.size[0]
    if node == tree.mask.size:
        return -1
    tree.size[0] += 1
    tree.mask[node] = mask
    tree.slots[slot] = node
    return node


@njit(cache=True, error_model="numpy", inline="always")
def best_action(tree, rules, node, depth):
    """Return the edge to follow from `node`, the lowest index among equals; -1 when none is left.

    `depth`: questions asked so far, so that `rules.n_askable - depth` remain.
    """
    legal = rules.askable & ~tree.mask[node]
    low, high = tree.bounds[0], tree.bounds[1]
    scale = 1.0 / (high - low) if high > low else 0.0
    visits = max(1, tree.visits[node])
    own = tree.value[node]
    base = own if rules.mean or np.isnan(tree.score[node]) else tree.score[node]
    base = 0.0 if np.isnan(base) else (base - low) * scale
    if rules.uct:
        bonus = np.log(visits)
        untried = np.inf
    else:
        bonus = rules.exploration * np.sqrt(visits)
        untried = bonus / (rules.n_askable - depth)
    chosen, best = -1, -np.inf
    for a in range(tree.child.shape[1]):
        if not (legal >> np.uint64(a)) & _ONE:
            continue
        child = tree.child[node, a]
        if child == NO_CHILD:
            score = base if rules.mean else base + tree.gain[a] * scale
            score += bonus * tree.prior[node, a] if rules.has_prior else untried
        else:
            if tree.exhausted[child]:
                continue
            score = _edge_score(tree, rules, node, a, child, base, bonus, untried, low, scale)
        if chosen < 0 or score > best:
            chosen, best = a, score
    return chosen


@njit(cache=True, error_model="numpy", inline="always")
def _edge_score(tree, rules, node, a, child, base, bonus, untried, low, scale):
    """Return the selection score of an edge that has been looked at."""
    value = tree.value[child]
    value = base if np.isnan(value) else (value - low) * scale
    n = tree.edge_visits[node, a]
    flying = tree.virtual[node, a]
    if flying > 0:  # in flight: visits that scored the lowest score seen, which is 0 on this scale
        value *= n / (n + flying)
        n += flying
    if rules.uct:
        return np.inf if n == 0 else value + rules.exploration * np.sqrt(bonus / n)
    weight = bonus * tree.prior[node, a] if rules.has_prior else untried
    return value + weight / (1 + n)


@njit(cache=True, error_model="numpy")
def select(tree, rules, nodes, edges):
    """Descend from the root to a leaf.

    `nodes`: int64[budget + 1], `edges`: int64[budget], written along the way. Returns the leaf's
    depth (the leaf is `nodes[depth]`), or COLLISION, or FINISHED.
    """
    while not tree.exhausted[0]:
        node = 0
        depth = 0
        nodes[0] = 0
        while True:
            if tree.status[node] == NEW or (depth == rules.budget and tree.status[node] == SCORED):
                return depth
            if tree.status[node] == PENDING:
                return COLLISION
            action = best_action(tree, rules, node, depth) if depth < rules.budget else -1
            if action < 0:
                tree.exhausted[node] = True
                break
            child = tree.child[node, action]
            if child == NO_CHILD:
                child = find_or_add(tree, tree.mask[node] | (_ONE << np.uint64(action)))
                if child < 0:
                    return FINISHED
                tree.child[node, action] = child
                value = tree.value[child]  # a set first met on another way may be worth something already
                if not rules.mean and not np.isnan(value) and not value <= tree.value[node]:
                    tree.value[node] = value
                if tree.exhausted[child]:
                    continue
            edges[depth] = action
            depth += 1
            nodes[depth] = child
            node = child
    return FINISHED


@njit(cache=True, error_model="numpy")
def _mean_value(tree, node):
    total = 0.0
    weight = 0.0
    if tree.status[node] == SCORED:
        total, weight = tree.score[node], 1.0
    for a in range(tree.child.shape[1]):
        n = tree.edge_visits[node, a]
        if n > 0:
            total += n * tree.value[tree.child[node, a]]
            weight += n
    return total / weight


@njit(cache=True, error_model="numpy")
def backup(tree, rules, nodes, edges, depth, score):
    """Give the leaf `nodes[depth]` its score and update the values and visit counts above it.

    NaN marks the set as unscored: no visit is counted and nothing is backed up.
    """
    leaf = nodes[depth]
    if tree.status[leaf] != SCORED:
        if np.isnan(score):
            tree.status[leaf] = UNSCORED
            tree.exhausted[leaf] = depth == rules.budget
            return
        tree.status[leaf] = SCORED
        tree.score[leaf] = score
        tree.value[leaf] = score
        tree.exhausted[leaf] = depth == rules.budget and not rules.mean
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
            tree.value[node] = _mean_value(tree, node)
        else:
            value = tree.value[nodes[d + 1]]
            if not value <= tree.value[node]:  # also when the node's own value is NaN
                tree.value[node] = value


@njit(types.int64(_TREE, _RULES, _PATHS, _PATHS, _ROWS), cache=True, error_model="numpy")
def select_batch(tree, rules, nodes, edges, depths):
    """Select up to `len(depths)` different leaves; return how many (0 = nothing is left to score).

    `nodes`: int64[B, budget + 1], `edges`: int64[B, budget], `depths`: int64[B] are filled row by row.
    Each way is kept apart from the next by virtual loss until `backup_batch`.
    """
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
        depths[count] = depth
        count += 1
    return count


@njit(types.void(_TREE, _RULES, _PATHS, _PATHS, _ROWS, _FLOATS), cache=True, error_model="numpy")
def backup_batch(tree, rules, nodes, edges, depths, scores):
    """Release the virtual loss of a batch of `len(scores)` leaves and back their scores up, in order."""
    for i in range(scores.size):
        for d in range(depths[i]):
            tree.virtual[nodes[i, d], edges[i, d]] -= 1
    for i in range(scores.size):
        backup(tree, rules, nodes[i], edges[i], depths[i], scores[i])


@njit(types.int64(_TREE, _RULES, SURFACE, _FLOATS, types.int64, types.int64), cache=True, error_model="numpy")
def search_surface(tree, rules, function, params, num_simulations, max_scored):
    """Run a whole search on a surface; return the simulations that ran.

    Ends early when nothing is left to score or `max_scored` sets are scored. Surfaces have no NaN.
    """
    nodes = np.empty(rules.budget + 1, np.int64)
    edges = np.empty(rules.budget, np.int64)
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
        backup(tree, rules, nodes, edges, depth, score)
    return num_simulations
