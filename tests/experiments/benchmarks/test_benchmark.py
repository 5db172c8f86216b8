"""The benchmark of the search measures what it says, with the other engines where they are installed."""

import io

import pytest
from rich.console import Console

from experiments import benchmark
from experiments.benchmarks import peers
from search.algorithms.mcts import MCTSSearch


@pytest.fixture(scope="module")
def problems():
    return [benchmark.synthetic_problem(10, 4, seed) for seed in range(3)]


def test_a_call_for_all_and_one_by_one_run_the_same_simulations(problems):
    together, alone = benchmark.compiled_rates(problems, "puct, max", 50, 2)
    assert together.ran == alone.ran == 3 * 50
    assert 0 < together.slowest <= together.per_second
    assert 30 < together.bytes_an_edge < 120
    assert alone.bytes_an_edge is None


def test_whole_plans_run_their_simulations_with_a_new_judge_and_a_used_one():
    new, used = benchmark.whole_plan_rates(4, 5, 1, 0)
    assert new.ran == used.ran == 140 * 5


@pytest.mark.slow
@pytest.mark.skipif(len(peers.missing()) == len(peers.NAMES), reason="no other engine is installed")
def test_other_engines_are_compared_in_pairs(problems):
    ours = benchmark.plans_in_one_call(problems, MCTSSearch(20))
    for rate in peers.compare_peers(ours, problems[0], 20, 2):
        assert rate.name.startswith(tuple(peers.NAMES.values()))
        assert len(rate.ratios) == 2
        assert min(rate.per_second, *rate.ratios) > 0


def test_the_widest_row_is_shown_whole_in_80_columns():
    hows = (benchmark.IN_ONE_CALL, benchmark.NEW_JUDGE, "whole search")
    rates = [
        benchmark.Rate(60, 10, 1_000_000, search, how, 1, 12_340_000, 11_000_000, 123.4)
        for search in benchmark.SEARCHES
        for how in hows
    ]
    console = Console(width=80, file=io.StringIO())
    console.print(benchmark.table(rates))
    shown = console.file.getvalue()
    assert "…" not in shown
    assert shown.count("12.34") == len(rates)
