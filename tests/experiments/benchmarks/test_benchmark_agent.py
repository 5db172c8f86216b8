"""`python -m experiments.benchmark_agent` measures whole decisions, and says what it found."""

import json

import numpy as np
import pytest
from hydra import compose, initialize_config_module

from envs import UserError
from experiments.benchmark_agent import benchmark, synthetic_plan_index, timings
from experiments.runs.config import register
from policies import Agent
from policies.embeddings import StaticEmbedding


@pytest.fixture(scope="module")
def embedding():
    return StaticEmbedding()


def test_the_made_up_memory_is_one_to_search(embedding):
    plan_index = synthetic_plan_index(300, embedding, seed=1)
    assert plan_index.index.matrix.shape == (300, 256)
    np.testing.assert_allclose(np.linalg.norm(plan_index.index.matrix, axis=1), 1, rtol=1e-5)
    again = synthetic_plan_index(300, embedding, seed=1)
    np.testing.assert_array_equal(plan_index.index.matrix, again.index.matrix)
    assert plan_index.table.table.equals(again.table.table)


def test_first_and_later_decisions_are_timed_apart(embedding):
    found = timings(Agent(synthetic_plan_index(50, embedding, 0)), 50, 5, 0)
    assert [t.kind for t in found] == ["start", "reply"]
    assert found[0].decisions == 5
    assert all(0 < t.p50_ms <= t.p99_ms for t in found)


def test_command(tmp_path, capsys):
    assert "p99" in run(tmp_path, capsys, "rows=[60]", "decisions=4")
    rows = json.loads((tmp_path / "benchmark_agent.json").read_text(encoding="utf-8"))["timings"]
    assert [row["rows"] for row in rows] == [60, 60]


@pytest.mark.parametrize("overrides", [("rows=[]",), ("rows=[0]",), ("decisions=0",)])
def test_nonsense_is_refused(tmp_path, capsys, overrides):
    with pytest.raises(UserError, match="rows, decisions"):
        run(tmp_path, capsys, *overrides)


def run(folder, capsys, *overrides):
    register()
    with initialize_config_module("conf", version_base="1.3"):
        benchmark(compose("benchmark_agent", overrides=[f"output_dir={folder}", *overrides]))
    return capsys.readouterr().out
