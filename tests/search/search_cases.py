"""Problems, judges and scenarios for the tests of the search."""

import math

import numpy as np

from envs import Attribute, Scenario, Schema
from envs.judges.protocol import Surface
from search.algorithms.mcts import MCTSSearch
from search.problem import Problem
from tests.search.surrogate.surfaces import lookup

TELLTALE = "zebra"  # the value of every attribute of every profile here, so that a leak is seen


def bits(mask):
    return frozenset(i for i in range(64) if int(mask) >> i & 1)


def mask_of(attributes):
    return sum(1 << a for a in attributes)


def subsets(attributes, budget):
    """Return every set of at most `budget` of `attributes`, as bitmasks."""
    masks = [0]
    for a in attributes:
        masks += [m | 1 << a for m in masks if m.bit_count() < budget]
    return masks


def table_problem(table, budget, *, compiled=False, **options):
    """Return the problem whose scores are `table[mask]`, with the same as a surface when `compiled`."""
    table = np.ascontiguousarray(table, dtype=np.float64)
    n = int(table.size).bit_length() - 1
    return Problem(
        n,
        budget,
        lambda masks, samples: table[masks.astype(np.int64)],
        surface=Surface(lookup, table) if compiled else None,
        **options,
    )


def surface_problem(surface, n, budget, *, compiled=True, **options):
    """Return the problem of a surface; without `compiled` the search sees only `evaluate`."""

    def scores(masks, samples):
        return np.array([surface.function(m, surface.params) for m in masks])

    return Problem(n, budget, scores, surface=surface if compiled else None, **options)


def rows_of(tree):
    """Return {mask: row} of every set in the tree, in the order in which rows were taken.

    Found by following edges from the root, so that rows without a way to them would be missed.
    """
    rows, todo = {0}, [0]
    while todo:
        for _, child, _ in tree.edges_of(todo.pop()):
            if child not in rows:
                rows.add(child)
                todo.append(child)
    return {int(tree.node["mask"][row]): row for row in sorted(rows)}


def edges_of(tree, row):
    """Return {attribute: visits} of the edges of `row` that were visited."""
    return {a: n for a, _, n in tree.edges_of(row) if n}


def searched(problem, seed=0, **options):
    """Run MCTSSearch(**options); return its tree, how many simulations ran, and the sets scored in order."""
    searcher, rng = MCTSSearch(**options), np.random.default_rng(seed)
    tree = searcher.new_tree(problem)
    ran = searcher.runner(problem)(problem, tree, searcher.rules(problem), rng, searcher.num_simulations)
    return tree, ran, problem.observations()[0].tolist()


def best_by_enumeration(table, askable, budget, known=0):
    """Return the highest table value of a set of at most `budget` askable attributes beyond `known`."""
    return max(table[known | m] for m in subsets(askable, budget) if not math.isnan(table[known | m]))


def schema_of(n):
    return Schema(Attribute(f"a{i:02d}", "?", cost=1.0 + i % 3) for i in range(n))


def scenario_of(n, known_values=None):
    """Return a scenario of n attributes; `known_values`: indices of those whose value exists (None: all)."""
    schema = schema_of(n)
    there = range(n) if known_values is None else known_values
    return Scenario("case", "other", "query", {schema.names[i]: TELLTALE for i in there}, schema)


class TableJudge:
    """A judge that evaluations scores up by mask and remembers what it was asked."""

    def __init__(self, values, default=2.0):
        self.values = dict(values)
        self.default = default
        self.asked = []

    def score(self, scenario, contexts):
        masks = [scenario.schema.mask(names) for names in contexts]
        self.asked += masks
        return [self.values.get(m, self.default) for m in masks]
