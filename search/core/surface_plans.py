"""Compiled plans of many scenarios, each on its own surface: search, path rule and what was weighed.

The path rule is that of `search.path_rule`, which is its naive twin, for what it says of exact scores without
costs. The few plans that it does not decide here are left to it: sets that tie, and paths of many attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit, typeof, types

from envs.bit_scan import count_bits, lowest_bit
from search.core.kernels import (
    FAST,
    FLOATS,
    ONE,
    RULES,
    SURFACE,
    TREE,
    child_of,
    clear,
    find_or_add,
    place_of,
    run_on_surface,
)
from search.core.tree import NODES, SCORED, SCORED_SETS, VISITS_SHIFT, SelectionRules, Variant

MOST_ASKED = 12
"""Attributes of a path that are ordered here: all 2^k sets of them, its prefixes among them, are scored."""


class SurfacePlans(NamedTuple):
    """The plans of K scenarios with up to B questions and up to R questions weighed by all paths together.

    Attributes
    ----------
    decided : bool[K], whether the row is a plan; else nothing is said of the scenario
    path : int64[K, B], attributes in the order of asking
    length : int64[K], how many of them
    scores : float64[K, B + 1], of the prefixes of the path, the first with nothing asked
    simulations, scored : int64[K], simulations that ran, sets that were scored
    weighed_to : int64[K], where the scenario's part of the rows below ends; the next one's begins there
    step, attribute, visits : int64[R], a question at a step of the path and its visit count
    value : float64[R], what it leads to; NaN where the search never looked
    """

    decided: np.ndarray
    path: np.ndarray
    length: np.ndarray
    scores: np.ndarray
    simulations: np.ndarray
    scored: np.ndarray
    weighed_to: np.ndarray
    step: np.ndarray
    attribute: np.ndarray
    visits: np.ndarray
    value: np.ndarray


def no_plans(n_scenarios: int, budget: int, n_attributes: int) -> SurfacePlans:
    """Return room for the plans of `n_scenarios`."""
    length, simulations, scored, weighed_to = np.zeros((4, n_scenarios), np.int64)
    step, attribute, visits = np.zeros((3, n_scenarios * budget * n_attributes), np.int64)
    return SurfacePlans(
        decided=np.zeros(n_scenarios, np.bool_),
        path=np.zeros((n_scenarios, budget), np.int64),
        length=length,
        scores=np.zeros((n_scenarios, budget + 1)),
        simulations=simulations,
        scored=scored,
        weighed_to=weighed_to,
        step=step,
        attribute=attribute,
        visits=visits,
        value=np.zeros(len(step)),
    )


class Room(NamedTuple):
    """Room to work in; bit i of an index of 2^A stands for the i-th attribute of a target of up to A.

    `nodes`: int64[B + 1] and `edges`: int64[B], a way down the tree. `members`: int64[A], the attributes of
    the target. `sets`: uint64[2^A] and `values`: float64[2^A], its subsets and their scores. `to_go`:
    float64[2^A], the least (-discounted sum of scores) of the ways on to the target.
    """

    nodes: np.ndarray
    edges: np.ndarray
    members: np.ndarray
    sets: np.ndarray
    values: np.ndarray
    to_go: np.ndarray


def new_room(budget: int) -> Room:
    """Return room for up to `budget` questions."""
    n = min(budget, MOST_ASKED)
    return Room(
        np.zeros(budget + 1, np.int64),
        np.zeros(budget, np.int64),
        np.zeros(n, np.int64),
        np.zeros(1 << n, np.uint64),
        np.zeros(1 << n),
        np.zeros(1 << n),
    )


_PLANS, _ROOM = typeof(no_plans(1, 1, 1)), typeof(new_room(1))
_FLOAT_PAIR = (types.float64, types.float64)
_INTEGERS = types.Array(types.int64, 1, "C")
NO_LIMIT = 1 << 62
_MASKS = types.Array(types.uint64, 1, "C")


@njit(**FAST)
def _best_set(tree, tie):
    """Return the row of the best scored set, fewer attributes first; -1 where others tie with it."""
    best = -np.inf
    for row in range(tree.totals[NODES]):
        if tree.node[row]["status"] == SCORED:
            best = max(best, tree.node[row]["score"])
    chosen, size, tied = -1, 65, False
    for row in range(tree.totals[NODES]):
        if tree.node[row]["status"] != SCORED or not tree.node[row]["score"] >= best - tie:
            continue
        asked = count_bits(tree.node[row]["mask"])
        if asked < size:
            chosen, size, tied = row, asked, False
        elif asked == size:
            tied = True
    return -1 if tied else chosen


@njit(**FAST)
def _values(tree, target, function, params, room):
    """Score all sets on the ways to `target`; return how many attributes it has, -1 where there is no room.

    Sets that the search has not scored join the tree.
    """
    members, sets, values = room.members, room.sets, room.values
    n, left = 0, target
    while left:
        if n == members.size:
            return -1
        members[n] = lowest_bit(left)
        left &= left - ONE
        n += 1
    sets[0] = 0
    for code in range(1 << n):
        if code:
            lowest = lowest_bit(np.uint64(code))
            sets[code] = sets[code & (code - 1)] | ONE << np.uint64(members[lowest])
        row = find_or_add(tree, sets[code])
        if row < 0:
            return -1
        if tree.node[row]["status"] != SCORED:
            tree.node[row]["status"] = SCORED
            tree.node[row]["score"] = function(sets[code], params)
            tree.totals[SCORED_SETS] += 1
        values[code] = tree.node[row]["score"]
    return n


@njit(**FAST)
def _scored_target(tree, function, params, tie, room):
    """Return how many attributes the best scored set has, once all sets on the ways to it are scored.

    -1 where it is not decided here. One of those sets may be better, and takes its place.
    """
    best = _best_set(tree, tie)
    while best >= 0:
        scored, target = tree.totals[SCORED_SETS], tree.node[best]["mask"]
        n = _values(tree, target, function, params, room)
        if n < 0 or tree.totals[SCORED_SETS] == scored:
            return n
        best = _best_set(tree, tie)
        if best >= 0 and tree.node[best]["mask"] == target:
            return n
    return -1


@njit(**FAST)
def _order(n, stays, tie, room, path, scores):
    """Write the attributes of the target in the order of asking, and the scores on the way."""
    members, values, to_go = room.members, room.values, room.to_go
    last = (1 << n) - 1
    to_go[last] = 0.0
    for code in range(last - 1, -1, -1):
        least = np.inf
        for i in range(n):
            if not code >> i & 1:
                after = code | 1 << i
                least = min(least, to_go[after] * stays - values[after])
        to_go[code] = least
    code = 0
    scores[0] = values[0]
    for step in range(n):
        for i in range(n):
            if not code >> i & 1:
                after = code | 1 << i
                if to_go[after] * stays - values[after] <= to_go[code] + tie:
                    path[step] = members[i]
                    code = after
                    break
        scores[step + 1] = values[code]


@njit(**FAST)
def _weighed(tree, askable, path, length, plans, at):
    """Write visits and values of every question weighed along `path` from row `at` on; return their end."""
    mask = np.uint64(0)
    for step in range(length):
        row = find_or_add(tree, mask)  # it is there: all prefixes are
        left = askable & ~mask
        while left:
            a = lowest_bit(left)
            left &= left - ONE
            plans.step[at] = step
            plans.attribute[at] = a
            plans.visits[at], plans.value[at] = 0, np.nan
            place = place_of(tree, row, a)
            if place >= 0:
                edge = tree.edge[place]
                plans.visits[at] = edge >> np.uint64(VISITS_SHIFT)
                plans.value[at] = tree.node[child_of(edge)]["value"]
            at += 1
        mask |= ONE << np.uint64(path[step])
    return at


@njit(**FAST, forceinline=True)
def plan_on_surfaces(
    tree, rules, variant, function, params, starts, askable, num_simulations, stays, tie, room, plans
):
    """Plan K scenarios one after the other in the room of `tree`, whatever was in it.

    Parameters
    ----------
    tree : Tree, with a row for each simulation and for each set on the ways to a plan
    rules : SelectionRules, of which what is known and can be asked is nobody's
    variant : Variant, without prior and batches
    function, params, starts : as of `envs.judges.protocol.ManySurfaces`; they know no NaN
    askable : uint64[K], of each at least one
    num_simulations : int64
    stays : float64, chance that a person goes on answering
    tie : float64, scores closer than this are equal
    room, plans : written
    """
    at = 0
    for k in range(askable.size):
        n = count_bits(askable[k])
        own = SelectionRules(min(rules.budget, n), n, np.uint64(0), askable[k], rules.exploration, False)
        surface = params[starts[k] : starts[k + 1]]
        clear(tree)
        plans.simulations[k] = run_on_surface(
            tree, own, variant, room.nodes, room.edges, function, surface, num_simulations, NO_LIMIT
        )
        n = _scored_target(tree, function, surface, tie, room)
        if n >= 0:
            _order(n, stays, tie, room, plans.path[k], plans.scores[k])
            plans.decided[k] = True
            plans.length[k] = n
            plans.scored[k] = tree.totals[SCORED_SETS]
            at = _weighed(tree, askable[k], plans.path[k], n, plans, at)
        plans.weighed_to[k] = at


_SURFACES = (SURFACE, FLOATS, _INTEGERS, _MASKS)


@cache
def surface_planner(uct: bool, mean: bool) -> Callable[..., None]:
    """Return `plan_on_surfaces` compiled for a variant, which it does not take."""

    @njit(types.void(TREE, RULES, *_SURFACES, types.int64, *_FLOAT_PAIR, _ROOM, _PLANS), **FAST)
    def plan_surfaces(
        tree, rules, function, params, starts, askable, num_simulations, stays, tie, room, plans
    ):
        variant = Variant(uct, mean, False, False)
        plan_on_surfaces(
            tree, rules, variant, function, params, starts, askable, num_simulations, stays, tie, room, plans
        )

    return plan_surfaces
