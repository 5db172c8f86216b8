"""`python -m experiments.collect DIR`, and sweeps: Hydra's own and Optuna's."""

import importlib.util
import json
import math

import pyarrow.parquet as pq
import pytest
import yaml

from tests.experiments.run_cases import NAMES, SERIAL, assert_one_line, record, run, summary, write_scenarios

COLLECT = "experiments.collect"


def make_job(folder, overrides, **figures):
    """Write a job as Hydra and a run leave it; `summary=None`: no summary, text: that text."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    text = figures.pop("summary", json.dumps(figures))
    if text is not None:
        (folder / "summary.json").write_text(text)


def table_of(folder):
    return pq.read_table(folder / "sweep.parquet").to_pylist()


@pytest.fixture
def home(tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(2)])
    return tmp_path


@pytest.mark.slow
def test_a_sweep_over_searches_budgets_and_seeds(command, home):
    done = command(
        "-m", SERIAL, "scenarios.path=s.jsonl", "search=mcts,greedy,halving", "+budget=2,3", "seed=range(2)",
        "judge.noise_std=0.2", "report_samples=2", "search.max_judge_calls=40", "hydra.sweep.dir=sweep",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    done = command("sweep", module=COLLECT)
    assert (done.code, done.err) == (0, "")
    rows = table_of(home / "sweep")
    assert len(rows) == 12
    assert {(r["search"], r["budget"], r["seed"]) for r in rows} == {
        (search, budget, seed)
        for search in ("mcts", "greedy", "halving")
        for budget in (2, 3)
        for seed in (0, 1)
    }
    assert "scenarios.path" not in rows[0]  # the same in all jobs
    objectives = [row["objective"] for row in rows]
    assert objectives == sorted(objectives, reverse=True)
    assert len(set(objectives)) > 1
    for row in rows:
        found = summary(home / "sweep" / row["job"])
        assert row["objective"] == row["mean_score_path"] == found["mean_score_path"]
        assert (row["judge_calls"], row["wall_s"], row["reason"]) == (
            found["judge_calls"],
            found["wall_s"],
            "",
        )
    assert "SIMULATED" in done.out
    assert "12 of 12 jobs, in sweep/sweep.parquet" in done.out
    lines = [line.split() for line in done.out.splitlines()]
    pairs = next(i for i, line in enumerate(lines) if line[:3] == ["score", "of", "job"])
    shown = [line[:5] for line in lines[:pairs] if line and line[0].isdecimal() and line[1:2] != ["of"]]
    assert [line[0] for line in shown] == [row["job"] for row in rows]
    assert shown[0][1:4] == [rows[0]["search"], str(rows[0]["budget"]), str(rows[0]["seed"])]
    assert shown[0][4] == f"{rows[0]['objective']:.4f}"


def test_unfinished_and_failed_jobs_are_listed(command, home):
    make_job(home / "m" / "0", ["search=mcts", "+budget=2"], mean_score_path=3.5, judge_calls=1200)
    make_job(home / "m" / "1", ["search=mcts", "+budget=3"], summary=None)
    make_job(home / "m" / "2", ["search=greedy", "+budget=2"], mean_score_path=None, n_planned=0)
    make_job(home / "m" / "10", ["search=greedy", "+budget=3"], mean_score_path=3.75)
    make_job(home / "m" / "3", ["search=x", "+budget=3"], summary='{"mean_score')
    make_job(home / "m" / "4", ["search=y", "+budget=3"], summary="[]")
    (home / "m" / "5" / ".hydra").mkdir(parents=True)
    (home / "m" / "5" / ".hydra" / "overrides.yaml").write_bytes(b"\xff: [")
    done = command("m", module=COLLECT)
    assert (done.code, done.err) == (0, "")
    rows = table_of(home / "m")
    assert [row["job"] for row in rows] == ["10", "0", "1", "2", "3", "4", "5"]
    assert [row["objective"] for row in rows] == [3.75, 3.5, None, None, None, None, None]
    reasons = {row["job"]: row["reason"] for row in rows}
    assert reasons["0"] == reasons["10"] == ""
    assert "no summary.json" in reasons["1"]
    assert "nothing was planned" in reasons["2"]
    assert "no JSON" in reasons["3"]
    assert "no number mean_score_path" in reasons["4"]
    assert "cannot be read" in reasons["5"]
    for job in "12345":
        assert f"job {job}" in done.out
    assert "job 1 (search=mcts, budget=3): no summary.json" in done.out
    assert "2 of 7 jobs" in done.out
    assert "SIMULATED" not in done.out


def test_columns_have_one_type_and_an_override_keeps_its_name(command, home):
    options = [
        ["judge=a", "x=1", "y=1", "~z=3"],
        ["judge=b", "x=2.5", "y=text", "++w=[1,2]"],
        ["judge=b", "w=true"],
    ]
    for i, overrides in enumerate(options):
        make_job(home / "m" / str(i), overrides, mean_score_path=float(i), judge="name")
    assert command("m", module=COLLECT).code == 0
    first, second, third = table_of(home / "m")
    assert [row["objective"] for row in (first, second, third)] == [2.0, 1.0, 0.0]
    assert (third["judge"], third["summary.judge"]) == ("a", "name")
    assert [row["x"] for row in (third, second, first)] == [1.0, 2.5, None]
    assert [row["y"] for row in (third, second, first)] == ["1", "text", None]
    assert [row["w"] for row in (third, second, first)] == [None, "[1, 2]", "True"]
    assert third["z"] == 3


def test_another_objective(command, home):
    for i in range(3):
        make_job(home / "m" / str(i), [f"seed={i}"], mean_score_path=1.0, minus_regret=-0.5 * i)
    done = command("m", "--objective", "minus_regret", module=COLLECT)
    assert (done.code, done.err) == (0, "")
    assert [row["seed"] for row in table_of(home / "m")] == [0, 1, 2]
    assert pq.read_schema(home / "m" / "sweep.parquet").metadata[b"objective"] == b"minus_regret"


def test_an_objective_that_no_job_has_is_refused_with_the_nearest(command, home):
    make_job(home / "m" / "0", ["seed=1"], mean_score_path=2.0, mean_score_full=3.0, judge="name")
    make_job(home / "m" / "1", ["seed=2"], summary=None)
    done = command("m", "--objective", "mean_scor_full", module=COLLECT)
    assert_one_line(done)
    assert "no job has such a figure, the nearest is mean_score_full" in done.err
    done = command("m", "--objective", "nope", module=COLLECT)
    assert_one_line(done)
    assert done.err.endswith("expected one of mean_score_full, mean_score_path\n")
    assert sorted(path.name for path in (home / "m").iterdir()) == ["0", "1"]


def test_sweeps_below_a_folder_are_one_table(command, home):
    make_job(home / "m" / "2026-01-01" / "0", ["seed=1"], mean_score_path=2.0)
    make_job(home / "m" / "2026-01-02" / "0", ["seed=2"], mean_score_path=3.0)
    assert command("m", module=COLLECT).code == 0
    assert [row["job"] for row in table_of(home / "m")] == ["2026-01-02/0", "2026-01-01/0"]
    assert command("m", module=COLLECT).code == 0  # its own file does not disturb
    assert len(table_of(home / "m")) == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "required: folder"),
        (["none"], "none: no such folder"),
        (["s.jsonl"], "s.jsonl: no such folder"),
        (["."], "found no job of a sweep"),
        ([".", "--nope"], "--nope"),
    ],
)
def test_a_mistake_is_one_line(command, home, arguments, expected):
    done = command(*arguments, module=COLLECT)
    assert_one_line(done)
    assert expected in done.err


def test_no_job_that_finished_is_exit_1(command, home):
    make_job(home / "m" / "0", ["seed=1"], summary=None)
    done = command("m", module=COLLECT)
    assert_one_line(done, code=1)
    assert "none of 1 jobs" in done.err


def test_help(command):
    done = command("--help", module=COLLECT)
    assert (done.code, done.err) == (0, "")
    assert "multirun/DATE/TIME" in done.out
    assert "--objective" in done.out


JUDGE = """
class Level:
    def __init__(self, level: float):
        self.level = level
    def score(self, scenario, contexts):
        return [2.0 + self.level * (1.0 - self.level) * len(c) for c in contexts]
"""
NO_OPTUNA = importlib.util.find_spec("hydra_plugins.hydra_optuna_sweeper") is None


@pytest.mark.skipif(NO_OPTUNA, reason="the extra `sweep` (Optuna) is not installed")
class TestOptuna:
    def test_the_exploration_is_tuned(self, command, home):
        """What the command returns is what Optuna maximises, and its trials are jobs to collect."""
        done = command(
            "-m", "+sweep=exploration", SERIAL, "scenarios.path=s.jsonl", "search.num_simulations=15",
            "hydra.sweeper.n_trials=3", "hydra.sweep.dir=sweep",
        )  # fmt: skip
        assert done.code == 0, done.err
        results = yaml.safe_load((home / "sweep" / "optimization_results.yaml").read_text())
        assert command("sweep", module=COLLECT).code == 0
        rows = table_of(home / "sweep")
        assert len(rows) == 3
        assert results["best_value"] == rows[0]["objective"]
        assert set(results["best_params"]) == {"search.exploration", "search.selection"}
        assert all(0.1 <= row["search.exploration"] <= 10 for row in rows)

    @pytest.mark.slow
    def test_other_keys_are_tuned_from_the_command_line(self, command, home):
        """2 + level (1 - level) * 1 is highest at .5; TPE comes near it, and a seed repeats its trials."""
        (home / "judges.py").write_text(JUDGE)
        best = []
        for folder in ("first", "second"):
            done = command(
                "-m", "hydra/sweeper=optuna", "hydra.sweeper.direction=maximize", "hydra.sweeper.n_trials=6",
                "hydra.sweeper.n_jobs=1", "hydra.sweeper.sampler.seed=3", SERIAL, "scenarios.path=s.jsonl",
                "judge=custom", "judge._target_=judges.Level", "+judge.level=interval(0,1)", "search=greedy",
                "+budget=1", f"hydra.sweep.dir={folder}",
            )  # fmt: skip
            assert done.code == 0, done.err
            best.append(yaml.safe_load((home / folder / "optimization_results.yaml").read_text()))
        level = best[0]["best_params"]["+judge.level"]
        assert level == pytest.approx(0.5, abs=0.25)
        assert best[0]["best_value"] == pytest.approx(2 + level * (1 - level))
        assert best[0] == best[1]


def test_a_sweep_as_users_type_it(home):
    done = run(home, "-m", SERIAL, "scenarios.path=s.jsonl", "search=greedy,static", "hydra.sweep.dir=m")
    assert (done.code, done.err) == (0, "")
    done = run(home, "m", module=COLLECT)
    assert (done.code, done.err) == (0, "")
    rows = {row["search"]: row for row in table_of(home / "m")}
    assert set(rows) == {"greedy", "static"}
    assert rows["static"]["mean_path_length"] <= 3 <= len(NAMES)
    assert not math.isnan(rows["greedy"]["objective"])
