"""The comparison with pomdp-py: its model states our problem, and it is skipped where it is missing."""

import importlib.util
import json

import numpy as np
import pytest
from omegaconf import OmegaConf

from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from experiments import benchmark
from experiments.benchmarks import pomcp
from search.population.exact import Solution
from search.population.scenario_population import Population
from search.population.tree_building import worth

needed = pytest.mark.skipif(
    importlib.util.find_spec("pomdp_py") is None, reason="needs pomdp-py (the extra `benchmark`)"
)


def small(budget=2, profiles=6):
    population = Population(load_bundled()[:profiles], SimulatedJudge("varied"), budget)
    return population.problem(cost_weight=0.1)


@needed
@pytest.mark.parametrize(
    ("budget", "lost"), [(1, 0.01), (2, 0.25)]
)  # mean backups are slow with two questions
def test_pomcp_comes_near_the_optimum_and_never_above(budget, lost):
    from experiments.benchmarks.pomdp_py_model import pomcp_search, pomcp_tree

    problem = small(budget)
    best = Solution(problem).value
    nothing = problem.stop_value(problem.root(), 0)
    tree = pomcp_tree(problem, pomcp_search(problem, 10_000, 1.0, np.random.default_rng(0)))
    assert best - lost * (best - nothing) <= tree.value <= best + 1e-9
    assert float(problem.weights @ worth(problem, tree).objective) == pytest.approx(tree.value)


@needed
def test_pomcp_values_of_single_questions_are_ours():
    """With one question to ask, the mean return of an action is its exact value."""
    from experiments.benchmarks.pomdp_py_model import pomcp_search

    problem = small(budget=1, profiles=1)
    root = pomcp_search(problem, 2000, 10.0, np.random.default_rng(0))
    values = {action.number: root[action].value for action in root.children}
    assert values[-1] == pytest.approx(problem.stop_value(problem.root(), 0))
    best = max(values, key=values.get)
    assert Solution(problem).tree().nodes[0].attribute == best


@needed
def test_pomcp_depends_on_its_seed_alone():
    from experiments.benchmarks.pomdp_py_model import pomcp_search, pomcp_tree

    problem = small(budget=3, profiles=20)
    one, two, other = (
        pomcp_tree(problem, pomcp_search(problem, 300, 0.1, np.random.default_rng(seed)))
        for seed in (0, 0, 1)
    )
    assert one == two
    assert one != other


@needed
@pytest.mark.slow
def test_comparison_has_a_row_for_each_number_of_simulations():
    rows = pomcp.compare_pomcp(2, 0, (50, 200))
    assert [row.simulations for row in rows] == [50, 200]
    for row in rows:
        assert -1e-9 <= row.ours_lost <= 1
        assert -1e-9 <= row.pomdp_py_lost <= 1
        assert min(row.pomdp_py_seconds, row.ours_seconds) > 0
    assert len(pomcp.pomcp_table(rows).rows) == 2


def test_skipped_in_one_clear_line_where_pomdp_py_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pomcp, "available", lambda: False)
    monkeypatch.setattr(benchmark, "measure", lambda *_: [])
    monkeypatch.setattr(benchmark, "environment_rates", lambda *_: [])
    monkeypatch.setattr(benchmark, "peer_rates", lambda *_: [])
    cfg = OmegaConf.create(
        {"simulations": 1000, "repeats": 1, "seed": 0, "output_dir": str(tmp_path / "out")}
    )
    benchmark.benchmark(cfg)
    assert "pip install 'raise-planner[benchmark]'" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "out" / "benchmark.json").read_text())["pomcp"] == []
