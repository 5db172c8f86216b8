"""The benchmark of a slow judge measures what it says."""

import json

import pytest

from tests.experiments.run_cases import assert_one_line

MODULE = "experiments.benchmark_llm"


def test_figures_fit_each_other(command, tmp_path):
    small = ("n_scenarios=4", "in_flight=5", "latency_s=0.05", "judge_calls=6", "report_samples=2")
    done = command(*small, "output_dir=out", module=MODULE)
    assert (done.code, done.err) == (0, "")
    row = json.loads((tmp_path / "out" / "benchmark_llm.json").read_text())
    assert row["planned"] == 4
    # one request a judge call: search, report of two looks at a path's contexts, two with all known
    assert 4 * (6 + 2 + 2) - 1 <= row["requests"] <= 4 * (6 + 5 * 2 + 2)
    assert row["ideal_s"] == pytest.approx(row["requests"] * 0.05 / 5)
    assert row["share"] == pytest.approx(row["ideal_s"] / row["wall_s"])
    assert 0 < row["share"] <= 1
    assert row["most_per_second"] == pytest.approx(1000 / row["cpu_ms"])
    assert "SIMULATED" in done.out


@pytest.mark.parametrize("key", ["n_scenarios", "in_flight", "judge_calls", "report_samples", "latency_s"])
def test_wrong_values_are_told(command, key):
    done = command(f"{key}=0", module=MODULE)
    assert_one_line(done)
    assert f"{key}: found 0" in done.err
