"""`python -m experiments.plan_population`: what it writes, and what it refuses."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from search.population.policy_tree_file import load_trees
from search.population.scenario_population import Population
from search.population.tree_building import worth
from tests.experiments.run_cases import assert_one_line, json_lines, record, run, write_scenarios

MODULE = "experiments.plan_population"
QUICK = ("pictures=none", "folds=2", "scenarios.limit=12", "output_dir=out")


@pytest.fixture
def planned(command):
    return lambda *arguments: command(*arguments, module=MODULE)


def test_a_run_writes_trees_figures_and_pictures_that_say_simulated(planned, tmp_path):
    done = planned(
        "+budget=2", "judge=simulated_varied", "cost_weight=0.1", "min_profiles=3", "output_dir=out",
        "scenarios.limit=25", "folds=2", "pictures=svg",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert "SIMULATED" in done.out
    out = tmp_path / "out"
    trees = load_trees(out).trees
    assert list(trees) == ["relationship", "career", "all"]
    assert {p.name for p in out.iterdir()} == {
        "policy_trees.jsonl", "histories.npz", "schema.yaml", "summary.json", "gains.parquet", "gains.md",
        "failures.jsonl", "units.jsonl",
        *(f"policy_tree_{domain}.svg" for domain in trees), ".hydra", "plan_population.log",
    }  # fmt: skip
    assert "SIMULATED" in (out / "policy_tree_all.svg").read_text(encoding="utf-8")
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["n_scenarios"], summary["n_failed"], summary["judge_is_simulated"]) == (25, 0, True)
    assert load_trees(out).provenance["simulated"] is True
    # The stored trees are worth what the summary says, to the scenarios that they were planned for.
    scenarios = load_bundled()[:25]
    problem = Population(scenarios, SimulatedJudge("varied"), 2)
    values = []
    for rows, domain in ((np.arange(20), "relationship"), (np.arange(20, 25), "career")):
        own = problem.problem(rows, cost_weight=0.1, dropout=0.1, merge=False)
        values += worth(own, trees[domain]).objective.tolist()
    assert summary["mean_objective_careful"] == pytest.approx(np.mean(values))


def test_as_users_type_it(tmp_path):
    done = run(tmp_path, "+budget=1", *QUICK, module=MODULE)
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "out" / "policy_trees.jsonl").exists()


def test_same_seed_same_trees_and_gains(planned, tmp_path):
    for folder in ("one", "two"):
        assert planned("+budget=2", *QUICK[:3], f"output_dir={folder}").code == 0
    tables = [pq.read_table(tmp_path / folder / "gains.parquet") for folder in ("one", "two")]
    assert tables[0].to_pandas().equals(tables[1].to_pandas())
    trees = [json_lines(tmp_path / folder / "policy_trees.jsonl")[1:] for folder in ("one", "two")]
    assert trees[0] == trees[1]


def test_trees_are_stored_beside_a_path_table(planned, tmp_path):
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    assert_one_line(missing := planned("+budget=1", *QUICK, "beside=run"))
    assert "beside=run: found no paths.parquet there" in missing.err
    (run_folder / "paths.parquet").touch()
    assert planned("+budget=1", *QUICK, "beside=run").code == 0
    assert (run_folder / "policy_trees.jsonl").read_bytes() == (
        tmp_path / "out/policy_trees.jsonl"
    ).read_bytes()
    assert {p.name for p in run_folder.iterdir()} == {  # the summary of that run is left alone
        "paths.parquet", "policy_trees.jsonl", "histories.npz", "schema.yaml",
    }  # fmt: skip
    assert load_trees(run_folder).for_domain("health").group == "all"


def test_model_seeds_are_rows_of_their_own(planned, tmp_path):
    assert planned("+budget=1", *QUICK, "seeds=3", "judge.model_seed=4").code == 0
    rows = pq.read_table(tmp_path / "out" / "gains.parquet").to_pylist()
    assert {row["model_seed"] for row in rows} == {4, 5, 6}


def test_tree_search_and_declines(planned, tmp_path):
    done = planned("+budget=2", *QUICK, "solver=mcts", "num_simulations=500", "decline_rate=0.2")
    assert (done.code, done.err) == (0, "")
    (row, *_) = json_lines(tmp_path / "out" / "policy_trees.jsonl")[1:]
    assert row["planner"] == "population_mcts"


def test_a_noisy_judge_is_told_of_and_asked_as_often_as_wanted(planned):
    noisy = ("+budget=1", *QUICK, "judge.noise_std=0.3", "samples=2")
    done = planned(*noisy)
    assert (done.code, done.err) == (0, "")
    assert "The judge is noisy" in done.out
    dry = planned(*noisy, "dry_run=true")
    assert "132 scores, 264 judge calls" in " ".join(dry.out.split())  # 12 x 11, twice


def test_dry_run_writes_nothing(planned, tmp_path):
    done = planned("+budget=2", "scenarios.limit=2", "dry_run=true", "output_dir=out")
    assert done.code == 0
    assert "2 scenarios, 2 profiles" in done.out
    assert "112 scores, 0 judge calls" in " ".join(done.out.split())  # 2 x (1 + 10 + 45)
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine.py").write_text(CUSTOM)
    done = planned(
        "+budget=1", "scenarios.limit=2", "dry_run=true", "judge=custom", "judge._target_=mine.Mine"
    )
    assert "22 scores, 22 judge calls" in " ".join(done.out.split())


CUSTOM = """
import math
class Mine:
    def __init__(self, unscored=False):
        self.unscored = unscored
    def score(self, scenario, contexts):
        if self.unscored or scenario.id == "s1":
            return [math.nan] * len(contexts)
        return [2.0 + 0.2 * len(names) for names in contexts]
"""


def test_unscored_scenarios_are_listed_and_values_stay_out_of_every_file(planned, tmp_path):
    (tmp_path / "mine.py").write_text(CUSTOM)
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(6)])
    arguments = ("scenarios.path=s.jsonl", "judge=custom", "judge._target_=mine.Mine", "output_dir=out")
    done = planned("+budget=1", *arguments, "folds=2", "pictures=svg", "min_profiles=1")
    assert (done.code, done.err) == (0, "")
    assert "SIMULATED" not in done.out
    out = tmp_path / "out"
    (failure,) = json_lines(out / "failures.jsonl")
    assert (failure["scenario_id"], failure["stage"]) == ("s1", "judge")
    assert json.loads((out / "summary.json").read_text())["n_failed"] == 1
    for path in (path for path in out.rglob("*") if path.is_file()):
        text = path.read_bytes()
        assert b"value 2 of" not in text, path.name
        assert b"SIMULATED" not in text, path.name


def test_nothing_scored_is_exit_one(planned, tmp_path):
    (tmp_path / "mine.py").write_text(CUSTOM)
    done = planned("+budget=1", *QUICK, "judge=custom", "judge._target_=mine.Mine", "+judge.unscored=true")
    assert_one_line(done, code=1)
    assert "every one of 12 scenarios" in done.err


BAD = [
    ("+budget=0", "budget: found 0"),
    ("cost_weight=-1", "cost_weight: found -1"),
    ("decline_rate=2", "decline_rate: found 2"),
    ("min_profiles=-1", "min_profiles: found -1"),
    ("solver=x", "solver: found 'x'"),
    ("num_simulations=0", "num_simulations: found 0"),
    ("folds=1", "folds: found 1"),
    ("seeds=0", "seeds: found 0"),
    ("samples=0", "samples: found 0"),
    ("pictures=gif", "pictures: found 'gif'"),
    ("seed=-1", "seed: found -1"),
    ("scenarios.path=none.jsonl", "none.jsonl: no such file"),
    ("judge=nope", "simulated_varied"),
    ("nope=1", "nope"),
    ("output_dir=file/below", "output_dir=file/below"),
]


@pytest.mark.parametrize(("override", "expected"), BAD, ids=[bad for bad, _ in BAD])
def test_a_mistake_is_one_line(planned, tmp_path, override, expected):
    (tmp_path / "file").touch()
    done = planned("scenarios.limit=2", override)
    assert_one_line(done)
    assert expected in done.err
    assert not list(tmp_path.rglob("policy_trees.jsonl"))


def test_many_attributes_take_the_tree_search(planned, tmp_path):
    names = [f"Thing {i}" for i in range(40)]
    (tmp_path / "attributes.yaml").write_text("".join(f"- name: {n}\n  levels: [k0, k1]\n" for n in names))
    profiles = [{name: f"k{(i >> a % 5) & 1}" for a, name in enumerate(names)} for i in range(12)]
    write_scenarios(tmp_path / "s.jsonl", [record(i, profile=profile) for i, profile in enumerate(profiles)])
    files = ("scenarios.path=s.jsonl", "scenarios.attributes=attributes.yaml", "judge=simulated_varied")
    options = (*files, "folds=0", "pictures=none", "min_profiles=1")
    done = planned(*options, "budget=6")
    assert_one_line(done)
    assert "solver=mcts" in done.err
    done = planned(*options, "budget=3", "solver=mcts", "num_simulations=100", "output_dir=out")
    assert (done.code, done.err) == (0, "")
    assert max(tree.depth for tree in load_trees(tmp_path / "out").trees.values()) > 0


def test_seeds_need_a_judge_with_model_seeds(planned, tmp_path):
    (tmp_path / "mine.py").write_text(CUSTOM)
    done = planned("seeds=2", "judge=custom", "judge._target_=mine.Mine")
    assert_one_line(done)
    assert "seeds: found 2 for a judge without judge.model_seed" in done.err
