"""The compiled graph search against its naive twin: the same sets in the same order, visits and values."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from envs import UserError
from search.algorithms.mcts import MCTSSearch
from search.core import kernels
from search.core.tree import FREED, new_tree
from tests.search.naive import Ambiguous, NaiveSearch
from tests.search.search_cases import bits, edges_of, mask_of, rows_of, searched, subsets, table_problem

TIED_IN_FLIGHT = [
    (67, 6, 4, None, 0.3, 3.0, 45, 4),
    (210, 5, 4, None, 0.3, 3.0, 52, 3),
    (280, 5, 3, None, 0.3, 1.0, 37, 6),
]
"""Searches in which an edge whose value is that of its parent is chosen by index among its equals."""
VARIANTS = [(selection, backup) for selection in ("puct", "uct") for backup in ("max", "mean")]
LIMITS = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def cases(draw, *, gaps=False, prior=False):
    """Draw (table, known, askable, budget): plateaus with ties, or generic scores, some NaN when `gaps`."""
    n = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([1, 2, 3, 5, None]))  # None: no two sets score the same
    table = rng.uniform(1, 5, 1 << n) if levels is None else rng.integers(0, levels, 1 << n) * 0.5 + 2.0
    known = draw(st.sampled_from([0, 0, int(rng.integers(1 << n))]))
    askable = draw(st.sampled_from([(1 << n) - 1, int(rng.integers(1 << n))])) & ~known
    if gaps:
        table[rng.random(1 << n) < draw(st.sampled_from([0.1, 0.5, 0.9]))] = np.nan
    weights = rng.integers(0, 4, (1 << n, n)).astype(float) if prior else None
    return table, known, askable, draw(st.integers(1, 6)), weights


def twin(case, selection, backup, exploration):
    _, known, askable, budget, weights = case

    def prior(here):
        legal = bits(askable) - here
        total = sum(weights[mask_of(here)][a] for a in sorted(legal))
        return {a: weights[mask_of(here)][a] / total if total else 1 / len(legal) for a in legal}

    return NaiveSearch(
        bits(known),
        bits(askable),
        budget,
        exploration,
        uct=selection == "uct",
        mean=backup == "mean",
        prior=None if weights is None else prior,
    )


def problem(case, **options):
    table, known, askable, budget, weights = case
    prior = None if weights is None else lambda mask: weights[mask]
    return table_problem(table, budget, known=known, askable=askable, prior=prior, **options)


def assert_same(tree, order, naive):
    """Compare every set of both trees, and the order in which they were taken."""
    rows = rows_of(tree)
    assert list(rows) == [mask_of(s) for s in naive.nodes]
    assert order == [m for m in rows if naive.nodes[bits(m)].status in ("scored", "unscored")]
    for here, node in naive.nodes.items():
        row = rows[mask_of(here)]
        assert tree.node["visits"][row] == node.visits
        assert edges_of(tree, row) == {a: n for a, n in node.edge_visits.items() if n}
        np.testing.assert_allclose(tree.node["score"][row], node.score)
        np.testing.assert_allclose(tree.node["value"][row], node.value)
        children = {a: int(tree.node["mask"][child]) for a, child, _ in tree.edges_of(row)}
        assert children == {a: mask_of(here | {a}) for a in node.linked}
    assert not tree.virtual.any()


def assert_equal_to_the_last_bit(one, two):
    for name in ("mask", "score", "value", "visits"):
        np.testing.assert_array_equal(one.column(name), two.column(name))
    for row in rows_of(one).values():
        assert sorted(one.edges_of(row)) == sorted(two.edges_of(row))


def compare(case, selection, backup, exploration, simulations, batch_size, *, compiled=False):
    naive = twin(case, selection, backup, exploration)
    table = case[0]
    try:
        expected = naive.run(lambda s: table[mask_of(s)], simulations, batch_size)
    except Ambiguous:
        event("ambiguous")
        return
    tree, ran, order = searched(
        problem(case, compiled=compiled),
        num_simulations=simulations,
        selection=selection,
        backup=backup,
        exploration=exploration,
        batch_size=batch_size,
    )
    assert ran == expected
    assert_same(tree, order, naive)


@pytest.mark.parametrize(("selection", "backup"), VARIANTS)
@LIMITS
@given(case=cases(), exploration=st.sampled_from([0.0, 0.3, 1.0, 3.0]), simulations=st.integers(1, 150))
def test_a_compiled_search_is_the_naive_one(selection, backup, case, exploration, simulations):
    compare(case, selection, backup, exploration, simulations, 1, compiled=True)


@pytest.mark.parametrize(("selection", "backup"), VARIANTS)
@LIMITS
@given(
    case=cases(gaps=True),
    exploration=st.sampled_from([0.0, 0.3, 1.0, 3.0]),
    simulations=st.integers(1, 150),
    batch_size=st.integers(1, 12),
)
def test_a_search_in_batches_with_gaps_is_the_naive_one(
    selection, backup, case, exploration, simulations, batch_size
):
    compare(case, selection, backup, exploration, simulations, batch_size)


@pytest.mark.parametrize(("selection", "backup"), VARIANTS)
@LIMITS
@given(
    case=cases(gaps=True, prior=True),
    exploration=st.sampled_from([0.3, 1.0, 3.0]),
    simulations=st.integers(1, 150),
    batch_size=st.integers(1, 12),
)
def test_a_search_with_a_prior_is_the_naive_one(
    selection, backup, case, exploration, simulations, batch_size
):
    compare(case, selection, backup, exploration, simulations, batch_size)


@pytest.mark.parametrize(
    ("seed", "n", "budget", "levels", "gaps", "exploration", "simulations", "batch_size"),
    TIED_IN_FLIGHT,
)
def test_leaves_in_flight_elsewhere_break_no_tie(
    seed, n, budget, levels, gaps, exploration, simulations, batch_size
):
    """An edge without a leaf in flight keeps its value to the last bit, though others have some."""
    table, *rest, _ = fixed_case(seed, n=n, budget=budget, levels=levels, gaps=gaps)
    weights = np.random.default_rng(seed).integers(0, 4, (1 << n, n)).astype(float)
    compare((table, *rest, weights), "puct", "mean", exploration, simulations, batch_size)


def fixed_case(seed, *, n=10, budget=4, levels=None, gaps=0.0):
    rng = np.random.default_rng(seed)
    table = rng.uniform(1, 5, 1 << n) if levels is None else rng.integers(0, levels, 1 << n) * 0.5 + 2.0
    table[rng.random(1 << n) < gaps] = np.nan
    table[0] = 2.0
    return table, 0, (1 << n) - 1, budget, None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("selection", "backup"), VARIANTS)
def test_300_simulations_at_the_size_of_the_paper(selection, backup, seed):
    case = fixed_case(seed)
    naive = twin(case, selection, backup, 1.0)
    ran = naive.run(lambda s: case[0][mask_of(s)], 300)  # generic scores: `Ambiguous` would fail the test
    for compiled in (True, False):
        options = {"selection": selection, "backup": backup, "exploration": 1.0, "batch_size": 1}
        tree, found, order = searched(problem(case, compiled=compiled), num_simulations=300, **options)
        assert found == ran == 300
        assert_same(tree, order, naive)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("selection", "backup"), VARIANTS)
def test_edges_of_many_attributes_move_as_they_grow(selection, backup, compiled):
    """Beyond 16 attributes a node's edges get room as they come, and are copied to it."""
    case = fixed_case(4, n=18, budget=3)
    naive = twin(case, selection, backup, 3.0)
    ran = naive.run(lambda s: case[0][mask_of(s)], 400)
    options = {"selection": selection, "backup": backup, "exploration": 3.0, "batch_size": 1}
    tree, found, order = searched(problem(case, compiled=compiled), num_simulations=400, **options)
    assert found == ran == 400
    assert_same(tree, order, naive)
    assert max(len(node.linked) for node in naive.nodes.values()) == 18
    blocks = [
        (first, next(room for room in (1, 2, 4, 8, 16, 18) if n <= room))
        for first, n in zip(tree.column("edges").tolist(), tree.column("n_edges").tolist(), strict=True)
        if n
    ]
    given = (tree.bytes_in_use() - 56 * len(naive.nodes) - 4 * tree.slots.size) // 8
    assert sorted(at for block in blocks + free_blocks(tree) for at in places(block)) == list(range(given))


def test_a_search_makes_no_more_visits_than_an_edge_can_count():
    """Of an edge's 64 bits the row takes 32 and the attribute 6."""
    assert MCTSSearch(2**26 - 1).num_simulations == 2**26 - 1
    with pytest.raises(UserError):
        MCTSSearch(2**26)


def places(block):
    return range(block[0], sum(block))


def free_blocks(tree):
    """Return (first place, places) of each block of edges that no node has any more."""
    found = []
    for power, following in enumerate(tree.totals[FREED:].tolist()):
        while following:
            found.append((following - 1, 1 << power))
            following = int(tree.edge[following - 1])
    return found


@pytest.mark.parametrize(("selection", "backup"), VARIANTS)
def test_a_cleared_tree_grows_as_a_new_one(selection, backup):
    first, second = (table_problem(fixed_case(seed, n=7)[0], 3, compiled=True) for seed in (5, 6))
    searcher = MCTSSearch(200, selection=selection, backup=backup)
    used, new = (searcher.new_tree(first, in_batches=False) for _ in range(2))
    searcher.run_surface(first, used)
    kernels.clear(used)
    assert searcher.run_surface(second, used) == searcher.run_surface(second, new)
    assert_equal_to_the_last_bit(used, new)
    assert used.bytes_in_use() == new.bytes_in_use()


@LIMITS
@given(
    case=cases(),
    variant=st.sampled_from(VARIANTS),
    simulations=st.integers(1, 400),
    limit=st.none() | st.integers(1, 60),
)
def test_the_compiled_loop_and_batches_of_one_grow_the_same_tree(case, variant, simulations, limit):
    selection, backup = variant
    trees = []
    for compiled in (True, False):
        tree, ran, order = searched(
            problem(case, compiled=compiled, max_judge_calls=limit),
            num_simulations=simulations,
            selection=selection,
            backup=backup,
            batch_size=1,
        )
        trees.append((tree, ran, order))
    (one, ran_one, order_one), (two, ran_two, order_two) = trees
    assert order_one == order_two
    if limit is None:
        assert ran_one == ran_two
        assert_equal_to_the_last_bit(one, two)


@pytest.mark.parametrize("batch_size", [2, 7, 64])
@pytest.mark.parametrize(("selection", "backup"), VARIANTS)
def test_batches_score_no_set_twice_and_leave_consistent_visits(selection, backup, batch_size):
    asked = []
    case = fixed_case(3, gaps=0.2)
    one = problem(case)
    scores = one.scores
    one = replace(one, scores=lambda masks, samples: asked.extend(masks.tolist()) or scores(masks, samples))
    tree, ran, order = searched(
        one, num_simulations=250, selection=selection, backup=backup, batch_size=batch_size
    )
    assert len(set(asked)) == len(asked)
    assert asked == order
    assert ran == 250
    if backup == "max":
        assert len(asked) == 250  # each simulation scores a new set
    assert not tree.virtual.any()
    rows = rows_of(tree)
    counted = 0
    for mask, row in rows.items():
        below = sum(edges_of(tree, row).values())
        scored = not math.isnan(tree.node["score"][row])
        if mask.bit_count() < case[3]:
            assert tree.node["visits"][row] == scored + below
        else:
            assert below == 0
            assert tree.node["visits"][row] >= scored
            counted += int(tree.node["visits"][row])
    unscored = sum(math.isnan(tree.node["score"][row]) for row in rows.values())
    assert tree.node["visits"][0] == 250 - unscored


def test_values_under_max_are_the_best_score_below_when_all_is_scored():
    case = fixed_case(8, n=6, budget=3)
    tree, ran, order = searched(problem(case, compiled=True), num_simulations=10_000)
    sets = subsets(range(6), 3)
    assert ran == len(sets) == len(order)
    for mask, row in rows_of(tree).items():
        assert tree.node["value"][row] == max(case[0][m] for m in sets if m & mask == mask)


def test_the_mean_value_is_recomputed_from_the_children_that_are_shared():
    case = fixed_case(9, n=5, budget=3)
    tree, _, _ = searched(problem(case, compiled=True), num_simulations=200, backup="mean")
    edges = edges_of(tree, 0)
    below = sum(n * tree.node["value"][child] for _, child, n in tree.edges_of(0))
    assert tree.node["value"][0] == pytest.approx((tree.node["score"][0] + below) / (1 + sum(edges.values())))


def test_find_or_add_gives_one_row_a_set_until_the_tree_is_full():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2**64, 500, dtype=np.uint64)
    masks[:3] = [0, 2**64 - 1, 2**63]
    tree = new_tree(500, 64)
    rows = [kernels.find_or_add(tree, m) for m in masks]
    assert rows == list(range(500))
    assert [kernels.find_or_add(tree, m) for m in masks] == rows
    assert tree.column("mask").tolist() == masks.tolist()
    assert kernels.find_or_add(tree, np.uint64(12345)) == -1


def test_backing_up_a_batch_twice_as_slowly_changes_nothing():
    """`select_batch` and `backup_batch` by hand: a batch of one each time is the search itself."""
    case = fixed_case(11, n=5, budget=2)
    searcher = MCTSSearch(num_simulations=40, batch_size=1)
    expected, ran, _ = searched(problem(case), num_simulations=40, batch_size=1)
    one = problem(case)
    rules = searcher.rules(one)
    tree = new_tree(64, 5)
    nodes, edges = np.zeros((1, 3), np.int64), np.zeros((1, 2), np.int64)
    depths = np.zeros(1, np.int64)
    select_batch = kernels.batch_selection(False, False, False)
    backup_batch = kernels.batch_backup(False, False, False)
    for step in range(ran):
        assert select_batch(tree, rules, nodes, edges, depths) == 1, step
        leaf = tree.node["mask"][nodes[0, depths[0]]]
        backup_batch(tree, rules, nodes, edges, depths, case[0][[int(leaf)]])
    assert select_batch(tree, rules, nodes, edges, depths) == 0
    assert_equal_to_the_last_bit(tree, expected)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("selection", "backup"), VARIANTS)
def test_the_tree_holds_objectives_when_asking_costs(selection, backup, compiled):
    case = fixed_case(12, n=7, budget=3)
    costs = np.random.default_rng(0).uniform(0, 2, 7)
    naive = twin(case, selection, backup, 1.0)
    ran = naive.run(lambda s: case[0][mask_of(s)] - 0.5 * sum(costs[sorted(s)]), 60)
    one = problem(case, compiled=compiled, costs=costs, cost_weight=0.5)
    options = {"selection": selection, "backup": backup, "exploration": 1.0, "batch_size": 1}
    tree, found, order = searched(one, num_simulations=60, **options)
    assert found == ran
    assert_same(tree, order, naive)


def test_an_unscored_child_takes_no_part_in_a_mean():
    """{0} is unscored, {1} scores 3: V = (2 + 3) / 2 after three simulations, of which two count a visit."""
    problem = table_problem(np.array([2.0, np.nan, 3.0, 4.0]), 1)
    tree, ran, order = searched(problem, num_simulations=3, backup="mean", batch_size=1)
    assert (ran, order) == (3, [0, 1, 2])
    assert (tree.node["value"][0], tree.node["visits"][0]) == (2.5, 2)
