"""Compiled steps of the tree search over histories of answers: open a node, expand a question, back up.

A node is a set of answers, whatever their order, so nodes are shared (transpositions). It knows its belief,
the profiles that agree with the answers, and so the exact probability of every outcome and the exact value
of stopping. With g(h) = the posterior mean score less the cost of what was asked,

    V(h) = max( g(h), max_a Q(h, a) )
    Q(h, a) = d g(h) + (1 - d) E[ g(h a o) ]                 while a is not expanded (known when h is opened)
    Q(h, a) = d g(h) + (1 - d) sum_o P(o | h, a) V(h a o)    afterwards

where d is the chance that the person stops answering (`dropout`).

Each V is the value of a policy, a lower bound of the optimum that grows with the search. As in POMCP
(Silver & Veness 2010) a simulation begins with a profile drawn from the belief at the root and sees its
answers. Selection (METHOD eq. 3 with a uniform prior, c in units of the range of stopping values seen):

    Q(h, a) + c * spread * sqrt(N(h)) / (1 + N(h, a)) / (questions that can be asked)

Ties go to the lowest index. What is solved (nothing below it is left to open) is not selected again; an
outcome drawn but solved gives way to the most probable one that is not, with a profile of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, typeof, types

from envs.bit_scan import count_bits
from search.core.kernels import SURFACE
from search.population.compiled.histories import NONE, ROOT, HistoryRules, People, new_histories
from search.population.policy_tree import DECLINED

_ONE = np.uint64(1)
_FAST: Any = {"cache": True, "error_model": "numpy", "_nrt": False}
"""See `search.core.kernels`: kernels may not allocate."""
_HISTORIES = typeof(new_histories(1, 1, 1, 1))
_RULES = typeof(HistoryRules(1, 1, 1.0, 0.0, 0.0, 0.0))
_INTS = types.Array(types.int64, 1, "C")
_MASKS = types.Array(types.uint64, 1, "C")
_FLOATS = types.Array(types.float64, 1, "C")
_PEOPLE = typeof(
    People(
        np.zeros((1, 1), np.int8),
        np.zeros(1),
        np.zeros(1, np.int64),
        np.zeros(1),
        np.zeros(1, np.int64),
        np.zeros(1, np.uint64),
    )
)


@njit(**_FAST)
def _score(function, people, profile, answered):
    params = people.params[people.starts[profile] : people.starts[profile + 1]]
    return function(answered & people.askable[profile], params)


@njit(**_FAST)
def _slot(h, asked, parent, a, code):
    """Return (slot, node or NONE) of the answers of `parent` (NONE: no answers) and `code` to `a`."""
    last = np.int64(h.slots.size - 1)
    mixed = np.int64(7)
    for i in range(h.codes.shape[1]):
        if (asked >> np.uint64(i)) & _ONE:
            own = code if i == a else np.int64(h.codes[parent, i])
            mixed = (mixed * 1000003 + (own + 2) * 8191 + i) & 0x3FFFFFFF  # below 2^63 at every step
    slot = (mixed ^ (mixed >> 15)) & last
    while h.slots[slot] != 0:
        node = h.slots[slot] - 1
        if h.asked[node] == asked:
            same = True
            for i in range(h.codes.shape[1]):
                if (asked >> np.uint64(i)) & _ONE:
                    own = code if i == a else np.int64(h.codes[parent, i])
                    same = same and h.codes[node, i] == own
            if same:
                return slot, node
        slot = (slot + 1) & last
    return slot, NONE


@njit(types.void(_HISTORIES), **_FAST)
def rebuild_slots(h):
    """Enter all nodes into empty `slots`, after the arrays have grown."""
    for node in range(h.size[0]):
        slot, _ = _slot(h, h.asked[node], node, NONE, 0)
        h.slots[slot] = node + 1


@njit(types.int64(_HISTORIES, types.uint64, types.int64, types.int64, types.int64), **_FAST)
def find(h, asked, parent, a, code):
    """Return the node after the answers of `parent` and `code` to `a` (`asked`: all of them), or NONE."""
    return _slot(h, asked, parent, a, code)[1]


@njit(**_FAST)
def _penalty(penalty, asked):
    total = 0.0
    for a in range(penalty.size):
        if (asked >> np.uint64(a)) & _ONE:
            total += penalty[a]
    return total


@njit(**_FAST)
def _rest_value(h, rules, function, people, node):
    """Return the expected objective of asking the rest of the fallback from `node` on, then stopping."""
    rest = np.uint64(0)
    n_rest = 0
    value, here = 0.0, 1.0
    for a in people.fallback:
        bit = _ONE << np.uint64(a)
        if n_rest + count_bits(h.asked[node]) < rules.budget and not h.asked[node] & bit:
            if rules.dropout > 0.0:
                value += here * rules.dropout * _asked_value(h, rules, function, people, node, rest, n_rest)
            here *= 1.0 - rules.dropout
            rest |= bit
            n_rest += 1
    value += here * _asked_value(h, rules, function, people, node, rest, n_rest)
    return -np.inf if np.isnan(value) else value


@njit(**_FAST)
def _asked_value(h, rules, function, people, node, rest, n_rest):
    """Return the expected objective of asking exactly `rest`, `n_rest` attributes, from `node` on."""
    d = rules.decline_rate
    total = 0.0
    for way in range(h.start[node], h.start[node] + h.length[node]):
        answered = rest
        while True:  # over all subsets of the rest
            n_told = count_bits(answered)
            chance = (1.0 - d) ** n_told * d ** (n_rest - n_told)
            if chance > 0.0:
                u = h.profile[way]
                score = _score(function, people, u, h.answered[way] | answered)
                total += h.mass[way] * chance * score
            if answered == 0:
                break
            answered = (answered - _ONE) & rest
    return total / h.weight[node] - _penalty(people.penalty, h.asked[node] | rest)


@njit(**_FAST)
def _finish(h, rules, function, people, node):
    """Value a new node, whose ways are in place, by stopping there."""
    total = 0.0
    weight = 0.0
    for way in range(h.start[node], h.start[node] + h.length[node]):
        u = h.profile[way]
        weight += h.mass[way]
        score = _score(function, people, u, h.answered[way])
        total += h.mass[way] * score
    h.weight[node] = weight
    value = total / weight - _penalty(people.penalty, h.asked[node])
    if np.isnan(value):
        value = -np.inf
    else:
        _widen(h, value)
    h.stop[node] = value
    h.value[node] = value
    if count_bits(h.asked[node]) == rules.budget:
        h.solved[node] = True
    elif weight < rules.few:
        h.value[node] = _rest_value(h, rules, function, people, node)
        h.solved[node] = True


@njit(**_FAST)
def _widen(h, value):
    h.bounds[0] = min(h.bounds[0], value)
    h.bounds[1] = max(h.bounds[1], value)


@njit(types.void(_HISTORIES, _RULES, SURFACE, _PEOPLE, _FLOATS), **_FAST)
def add_root(h, rules, function, people, weights):
    """Make the node without answers, of all profiles with their `weights` (float64[N])."""
    for u in range(weights.size):
        h.profile[u] = u
        h.mass[u] = weights[u]
    h.length[ROOT] = weights.size
    h.size[0] = 1
    h.size[3] = weights.size
    _finish(h, rules, function, people, ROOT)
    slot, _ = _slot(h, h.asked[ROOT], ROOT, NONE, 0)
    h.slots[slot] = ROOT + 1


@njit(**_FAST)
def _open(h, rules, function, people, node):
    """Value all questions that can be asked at `node`, as if one stopped after them; False: no room."""
    row = h.size[1]
    if row == h.q.shape[0]:
        return False
    h.size[1] += 1
    h.row[node] = row
    asked, d = h.asked[node], rules.decline_rate
    for a in range(rules.n_attributes):
        bit = _ONE << np.uint64(a)
        if asked & bit:
            h.done[row, a] = True
            continue
        total = 0.0
        for way in range(h.start[node], h.start[node] + h.length[node]):
            u, answered = h.profile[way], h.answered[way]
            if d < 1.0:
                score = _score(function, people, u, answered | bit)
                total += h.mass[way] * (1.0 - d) * score
            if d > 0.0:
                score = _score(function, people, u, answered)
                total += h.mass[way] * d * score
        value = total / h.weight[node] - _penalty(people.penalty, asked | bit)
        value = _staying(h, rules, node, value)
        if value > -np.inf:  # neither unscored nor left at an unscored set
            h.q[row, a] = value
            _widen(h, value)
    if count_bits(asked) + 1 == rules.budget:
        h.solved[node] = True
    _revalue(h, node)
    return True


@njit(**_FAST)
def _revalue(h, node):
    row = h.row[node]
    value = h.stop[node]
    solved = True
    for a in range(h.q.shape[1]):
        value = max(value, h.q[row, a])
        solved = solved and h.done[row, a]
    h.value[node] = value
    if solved:
        h.solved[node] = True


@njit(**_FAST)
def _count_outcomes(h, rules, people, node, a):
    """Fill `h.counts` with the ways of each code + 1; return (outcomes, ways of all)."""
    d = rules.decline_rate
    for way in range(h.start[node], h.start[node] + h.length[node]):
        if d < 1.0:
            h.counts[np.int64(people.codes[h.profile[way], a]) + 1] += 1
        if d > 0.0:
            h.counts[0] += 1
    outcomes, ways = 0, 0
    for code in range(h.counts.size):
        if h.counts[code] > 0:
            outcomes += 1
            ways += h.counts[code]
    return outcomes, ways


@njit(**_FAST)
def _fill(h, rules, people, node, a, code, child):
    """Copy the ways of `node` that answer `code` to `a` to the end of the ways, as those of `child`."""
    d = rules.decline_rate
    bit = _ONE << np.uint64(a)
    at = h.size[3]
    h.start[child] = at
    for way in range(h.start[node], h.start[node] + h.length[node]):
        for declined in range(2):
            chance = d if declined else 1.0 - d
            own = DECLINED if declined else np.int64(people.codes[h.profile[way], a])
            if chance > 0.0 and own == code:
                h.profile[at] = h.profile[way]
                h.answered[at] = h.answered[way] if declined else h.answered[way] | bit
                h.mass[at] = h.mass[way] * chance
                at += 1
    h.length[child] = at - h.size[3]
    h.size[3] = at


@njit(**_FAST)
def _expand(h, rules, function, people, node, a):
    """Make the outcomes of asking `a` at `node`; False: no room."""
    outcomes, ways = _count_outcomes(h, rules, people, node, a)
    room = h.size[0] + outcomes <= h.asked.size and h.size[2] + outcomes <= h.child.size
    room = room and h.size[3] + ways <= h.profile.size
    row = h.row[node]
    if room:
        h.first[row, a] = h.size[2]
        h.number[row, a] = outcomes
    for place in range(h.counts.size):
        if h.counts[place] > 0 and room:
            code = place - 1
            asked = h.asked[node] | (_ONE << np.uint64(a))
            slot, child = _slot(h, asked, node, a, code)
            if child == NONE:
                child = h.size[0]
                h.size[0] += 1
                h.slots[slot] = child + 1
                h.asked[child] = asked
                for i in range(h.codes.shape[1]):  # copying the row as a whole would allocate
                    h.codes[child, i] = code if i == a else np.int64(h.codes[node, i])
                _fill(h, rules, people, node, a, code, child)
                _finish(h, rules, function, people, child)
            h.child[h.size[2]] = child
            h.size[2] += 1
        h.counts[place] = 0
    if room:
        _requestion(h, rules, node, a)
    return room


@njit(**_FAST)
def _staying(h, rules, node, value):
    """Return the value of a question at `node` that is worth `value` to those who answer it."""
    if rules.dropout > 0.0:  # 0 times -inf would be NaN
        value = rules.dropout * h.stop[node] + (1.0 - rules.dropout) * value
    return value


@njit(**_FAST)
def _requestion(h, rules, node, a):
    """Value the expanded question `a` at `node` by its outcomes."""
    row = h.row[node]
    total, done = 0.0, True
    for i in range(h.first[row, a], h.first[row, a] + h.number[row, a]):
        child = h.child[i]
        total += h.weight[child] * h.value[child]
        done = done and h.solved[child]
    h.q[row, a] = _staying(h, rules, node, total / h.weight[node])
    h.done[row, a] = done


@njit(**_FAST)
def _best_question(h, rules, node):
    """Return the question to look into, the lowest index among equals; NONE when all are done."""
    row = h.row[node]
    low = h.bounds[0] if h.bounds[0] < np.inf else 0.0
    spread = h.bounds[1] - h.bounds[0] if h.bounds[1] > h.bounds[0] else 1.0
    left = 0
    for a in range(h.q.shape[1]):
        left += not h.done[row, a]
    best, chosen = -np.inf, NONE
    for a in range(h.q.shape[1]):
        if not h.done[row, a]:
            bonus = (
                rules.exploration * spread * np.sqrt(h.visits[node] + 1.0) / (1.0 + h.tries[row, a]) / left
            )
            score = max(h.q[row, a], low) + bonus
            if score > best:
                best, chosen = score, a
    return chosen


@njit(**_FAST)
def _outcome(h, node, a, code):
    """Return the node after answer `code` to `a`; if solved the most probable one that is not, or NONE."""
    row = h.row[node]
    chosen = NONE
    for i in range(h.first[row, a], h.first[row, a] + h.number[row, a]):
        child = h.child[i]
        if not h.solved[child]:
            if h.codes[child, a] == code:
                return child
            if chosen == NONE or h.weight[child] > h.weight[chosen]:
                chosen = child
    return chosen


@njit(**_FAST)
def _simulate(h, rules, function, people, nodes, edges, profile, declines):
    """Run one simulation with a profile drawn at the root; False: no room, nothing was backed up."""
    depth = 0
    node = np.int64(ROOT)
    while True:
        nodes[depth] = node
        if h.row[node] == NONE:
            if not _open(h, rules, function, people, node):
                return False
            break
        a = _best_question(h, rules, node)
        if h.solved[node] or a == NONE:
            break
        if h.first[h.row[node], a] == NONE and not _expand(h, rules, function, people, node, a):
            return False
        edges[depth] = a
        declined = (declines >> np.uint64(a)) & _ONE
        code = DECLINED if declined else np.int64(people.codes[profile, a])
        child = _outcome(h, node, a, code)
        depth += 1
        if child == NONE:
            break
        if h.codes[child, a] != code:  # the walk goes on with a profile that gave this answer
            profile = h.profile[h.start[child] + profile % h.length[child]]
        node = child
    _backup(h, rules, nodes, edges, depth)
    return True


@njit(**_FAST)
def _backup(h, rules, nodes, edges, depth):
    """Renew the values on the way of a simulation; `nodes` may end one before the last of `edges`."""
    for d in range(depth - 1, -1, -1):
        node = nodes[d]
        h.visits[node] += 1
        h.tries[h.row[node], edges[d]] += 1
        _requestion(h, rules, node, edges[d])
        _revalue(h, node)


@njit(types.int64(_HISTORIES, _RULES, SURFACE, _PEOPLE, _INTS, _INTS, _INTS, _MASKS, types.int64), **_FAST)
def run(h, rules, function, people, nodes, edges, profiles, declines, ran):
    """Go on after `ran` simulations; return how many have run when all are, all is solved or room ends.

    `profiles`: int64[T], `declines`: uint64[T], the profile of each simulation and the questions that it
    declines. `nodes`: int64[budget + 1] and `edges`: int64[budget] are room to work in.
    """
    while ran < profiles.size and not h.solved[ROOT]:
        if not _simulate(h, rules, function, people, nodes, edges, profiles[ran], declines[ran]):
            return ran
        ran += 1
    return ran
