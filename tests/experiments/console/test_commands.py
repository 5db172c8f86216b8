"""`python -m experiments.train_mcts`: what it takes, what it refuses, and how it says so."""

import os
import signal

import pytest

from experiments.console.entry_point import mistakes_in_one_line
from search.path_table import PathTable
from tests.experiments.run_cases import (
    SERIAL,
    assert_one_line,
    json_lines,
    planned_ids,
    record,
    rows,
    run,
    start,
    summary,
    wait_for_lines,
    write_scenarios,
)

QUICK = (SERIAL, "scenarios.limit=2", "search=greedy")


def made(folder):
    """Output folders of runs below `folder`, in order of name."""
    return sorted(path.parent for path in folder.rglob("paths.parquet"))


@pytest.mark.parametrize(("override", "budget"), [(["+budget=3"], 3), (["budget=3"], 3), ([], 4)])
def test_budget_is_given_either_way_and_defaults_to_four(command, tmp_path, override, budget):
    done = command(*QUICK, *override)
    assert (done.code, done.err) == (0, "")
    (folder,) = made(tmp_path)
    assert [row["budget"] for row in rows(folder)] == [budget, budget]
    assert all(len(row["path"]) <= budget for row in rows(folder))
    assert str(folder) in done.out
    assert {"paths.parquet", "summary.json", "plans.jsonl", "failures.jsonl"} <= set(os.listdir(folder))


def test_the_command_as_users_type_it(tmp_path):
    done = run(tmp_path, *QUICK, "+budget=4")
    assert (done.code, done.err) == (0, "")
    assert len(rows(made(tmp_path)[0])) == 2


def test_a_sweep_makes_a_folder_for_each_value(command, tmp_path):
    done = command("--multirun", *QUICK, "+budget=2,3,4")
    assert (done.code, done.err) == (0, "")
    folders = made(tmp_path)
    assert [folder.name for folder in folders] == ["0", "1", "2"]
    assert [{row["budget"] for row in rows(folder)} for folder in folders] == [{2}, {3}, {4}]


BAD = [
    ("+budget=0", "budget: found 0"),
    ("+budget=-1", "budget: found -1"),
    ("+budget=eleven", "budget"),
    ("+budget=3.5", "budget"),
    ("+budget=99999999999999999999", "budget"),
    ("seed=-1", "seed: found -1"),
    ("search=nope", "mcts_paper"),
    ("judge=nope", "simulated_varied"),
    ("search=custom", "search._target_"),
    ("+sweep=nope", "exploration"),
    ("prior=custom", "prior._target_"),
    ("search._target_=no.such.Class", "no.such.Class"),
    ("search._target_=search.algorithms.mcts", "callable"),
    ("judge._target_=envs.Score", "judge"),
    ("scenarios.path=none.jsonl", "none.jsonl: no such file"),
    ("scenarios.attributes=none.yaml", "none.yaml: no such file"),
    ("scenarios.limit=0", "scenarios.limit"),
    ("scenarios.split=half", "scenarios.split"),
    ("search.wrong=1", "search.wrong"),
    ("+search.wrong=1", "wrong"),
    ("nope=1", "nope"),
    ("a=[", "'['"),
    ("search.num_simulations=0", "search.num_simulations: found 0"),
    ("search.num_simulations=many", "search.num_simulations: found 'many', expected an integer"),
    ("search.num_simulations=1.5", "search.num_simulations: found 1.5"),
    ("search.num_simulations=true", "search.num_simulations: found True"),
    ("search.selection=x", "search.selection: found 'x', expected puct or uct"),
    ("search.exploration=x", "search.exploration: found 'x', expected a number or null"),
    ("search.wave=0", "search.wave"),
    ("search.wave=x", "search.wave"),
    ("search.max_judge_calls=1", "search.max_judge_calls"),
    ("search.max_judge_calls=x", "search.max_judge_calls"),
    ("report_samples=0", "report_samples"),
    ("cost_weight=-1", "cost_weight"),
    ("cost_weight=nan", "cost_weight"),
    ("judge.preset=x", "judge.preset"),
    ("judge.noise_std=-1", "judge.noise_std"),
    ("tracking.mode=x", "tracking.mode"),
    ("++budget=three", "budget: found 'three', expected an integer"),
    ("seed=null", "seed: found null, expected a value"),
    ("resume=maybe", "resume: found 'maybe', expected true or false"),
    ("cost_weight=much", "cost_weight: found 'much', expected a number"),
    ("output_dir=[a]", "output_dir: found 'list', expected text"),
    ("search=bayess", "search=bayess: no such member of the group, the nearest is bayes\n"),
    ("scenarios=3", "scenarios=3: found no name, expected one of bundled\n"),
    ("search=[1,2]", "search=[1,2]: found no name, expected one of auto"),
    ("output_dir=", "output_dir: found nothing, expected a folder"),
    ("output_dir=file", "output_dir=file: file is a file, expected a folder"),
    ("output_dir=file/below", "output_dir=file/below: file is a file, expected a folder"),
    ("output_dir=/proc/none", "output_dir=/proc/none"),
    ("hydra.run.dir=file/below", "hydra.run.dir"),
]


@pytest.mark.parametrize(("override", "expected"), BAD, ids=[bad for bad, _ in BAD])
def test_a_mistake_is_one_line(command, tmp_path, override, expected):
    (tmp_path / "file").touch()
    groups = {"tracking.": "tracking=wandb", "search.sel": "search=mcts", "search.exp": "search=mcts"}
    chosen = [member for start, member in groups.items() if override.startswith(start)]
    done = command(SERIAL, "scenarios.limit=2", *chosen, override)
    assert_one_line(done)
    assert expected in done.err
    assert not list(tmp_path.rglob("paths.parquet"))


def test_a_mistake_is_one_line_as_users_type_it(tmp_path):
    assert_one_line(run(tmp_path, SERIAL, "search=nope"))


@pytest.mark.parametrize(
    "override", ["parallel.num_workers=0", "parallel.num_workers=x", "parallel.chunk_size=0"]
)
def test_bad_workers_are_refused_before_ray_starts(command, override):
    assert_one_line(command(override))


def test_a_mistake_leaves_the_folder_free(command):
    assert_one_line(command(*QUICK, "output_dir=out", "search.wave=0"))
    assert command(*QUICK, "output_dir=out").code == 0


def test_the_benchmark_looks_at_its_folder_before_it_measures(command, tmp_path):
    (tmp_path / "file").touch()
    done = command("output_dir=file", module="experiments.benchmark")
    assert_one_line(done)
    assert "output_dir=file: file is a file, expected a folder" in done.err
    assert done.out == ""


@pytest.mark.parametrize("values", ["2,0", "2,eleven"])
def test_a_bad_value_in_a_sweep_is_one_line(command, values):
    assert_one_line(command("-m", *QUICK, f"+budget={values}"))


PLAIN = ("judge=custom", "judge._target_=judges.Plain")


@pytest.mark.parametrize(
    ("overrides", "search"),
    [
        ((), "mcts"),  # exact and compiled: simulations are free
        (("judge.noise_std=0.2",), "bayes"),
        (PLAIN, "bayes"),
        ((*PLAIN, "prior=custom", "prior._target_=judges.prior"), "mcts"),
        (("judge.noise_std=0.2", "search=greedy"), "greedy"),
    ],
)
def test_the_search_by_default_depends_on_the_judge(command, tmp_path, overrides, search):
    (tmp_path / "judges.py").write_text(
        "class Plain:\n    def score(self, scenario, contexts):\n"
        "        return [2.0 + 0.1 * len(names) for names in contexts]\n"
        "def prior(scenario, mask):\n    return None\n"
    )
    few = (SERIAL, "scenarios.limit=2", "+budget=2", "search.max_judge_calls=20")
    done = command(*few, *overrides, "output_dir=out")
    assert (done.code, done.err) == (0, "")
    assert {row["search"] for row in rows(tmp_path / "out")} == {search}
    config = PathTable.load(tmp_path / "out").provenance["config"]
    assert config["search"]["_target_"].rpartition(".")[0] == f"search.algorithms.{search}"


UNSCORED = """
import math
class Unscored:
    def score(self, scenario, contexts):
        return [math.nan] * len(contexts)
class Partly:
    def score(self, scenario, contexts):
        return [math.nan if scenario.id == "s1" else 3.0] * len(contexts)
"""


def test_exit_1_when_every_scenario_failed(command, tmp_path):
    (tmp_path / "judges.py").write_text(UNSCORED)
    done = command(*QUICK, "judge=custom", "judge._target_=judges.Unscored", "output_dir=out")
    assert_one_line(done, code=1)
    failures = json_lines(tmp_path / "out" / "failures.jsonl")
    assert [f["stage"] for f in failures] == ["judge", "judge"]
    assert all(f["scenario_id"] and f["reason"] for f in failures)
    assert rows(tmp_path / "out") == []
    found = summary(tmp_path / "out")
    assert (found["n_scenarios"], found["n_planned"], found["n_failed"]) == (2, 0, 2)
    assert found["mean_score_path"] is None


def test_bad_records_and_unscored_scenarios_are_listed_and_the_rest_is_planned(command, tmp_path):
    (tmp_path / "judges.py").write_text(UNSCORED)
    bad = [{**record(7), "domain": "war"}, {**record(8), "profile": {}}]
    path = write_scenarios(tmp_path / "s.jsonl", [record(0), bad[0], record(1), bad[1], record(2)])
    with path.open("a") as file:
        file.write("{torn\n")
    done = command(
        SERIAL, "search=greedy", "scenarios.path=s.jsonl", "judge=custom", "judge._target_=judges.Partly",
        "output_dir=out",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert [row["scenario_id"] for row in rows(tmp_path / "out")] == ["s0", "s2"]
    failures = json_lines(tmp_path / "out" / "failures.jsonl")
    assert [(f["scenario_id"], f["stage"]) for f in failures] == [
        ("s7", "load"),
        ("s8", "load"),
        ("line 6", "load"),
        ("s1", "judge"),
    ]
    assert failures[0]["reason"].startswith("line 2: field domain")
    found = summary(tmp_path / "out")
    assert (found["n_scenarios"], found["n_planned"], found["n_failed"]) == (6, 2, 4)


def test_help_tells_of_the_budget(command):
    done = command("--help")
    assert (done.code, done.err) == (0, "")
    assert "+budget=4" in done.out
    assert "num_simulations" in done.out


def test_dry_run_tells_the_most_calls_and_runs_nothing(command, tmp_path):
    # greedy's sets are bounded by all sets of at most 2 of 10 attributes: 1 + 10 + 45 = 56 a scenario
    done = command(*QUICK, "+budget=2", "dry_run=true", "output_dir=out")
    assert (done.code, done.err) == (0, "")
    assert "at most 112 judge calls to search, 0 to report and 2 with" in " ".join(done.out.split())
    noisy = command(*QUICK, "+budget=2", "dry_run=true", "judge.noise_std=0.1", "search.max_judge_calls=20")
    repeated = command(*QUICK, "search=random", "+budget=2", "dry_run=true", "judge.noise_std=0.1")
    assert "at most 712 judge calls to search" in " ".join(repeated.out.split())  # and 300 looks a scenario
    # 8 samples on each of 3 prefixes and on the full context
    assert "at most 40 judge calls to search, 48 to report and 16 with" in " ".join(noisy.out.split())
    assert not list(tmp_path.rglob("*.parquet"))
    assert not (tmp_path / "out").exists()


def test_no_terminal_no_control_characters(command):
    done = command(*QUICK)
    assert "\x1b" not in done.out + done.err
    assert "\r" not in done.out + done.err


HOLDING = """
import time
from pathlib import Path
GO = Path(__file__).with_name("go")
class Holding:
    def score(self, scenario, contexts):
        limit = time.monotonic() + 60
        while int(scenario.id[1:]) >= 6 and not GO.exists() and time.monotonic() < limit:
            time.sleep(0.02)
        return [3.0 + len(c) / 10 for c in contexts]
"""


def interrupt(tmp_path, *arguments, stop=lambda process: os.killpg(process.pid, signal.SIGINT)):
    """Interrupt a run whose judge answers for s0 to s5 and holds every other scenario until `go` exists."""
    (tmp_path / "judges.py").write_text(HOLDING)
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(12)])
    options = ("scenarios.path=s.jsonl", "judge=custom", "judge._target_=judges.Holding", "search=greedy")
    options += ("+budget=2", "output_dir=out", *arguments)
    process = start(tmp_path, *options)
    wait_for_lines(tmp_path / "out" / "plans.jsonl", 3, process)
    stop(process)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    *progress, last = err.splitlines()
    assert last.startswith("error: interrupted")
    assert all(line.startswith("planned ") for line in progress), err
    saved = planned_ids(tmp_path / "out")
    assert len(saved) >= 2
    assert set(saved) <= {f"s{i}" for i in range(6)}
    (tmp_path / "go").touch()
    return options, saved


def test_ctrl_c_saves_what_is_finished(command, tmp_path):
    options, saved = interrupt(tmp_path, SERIAL)
    done = command(*options, "resume=true")
    assert (done.code, done.err) == (0, "")
    assert len(rows(tmp_path / "out")) == 12
    assert planned_ids(tmp_path / "out")[: len(saved)] == saved


def test_sigterm_saves_what_is_finished(command, tmp_path):
    options, saved = interrupt(tmp_path, SERIAL, stop=lambda process: process.terminate())
    done = command(*options, "resume=true")
    assert (done.code, done.err) == (0, "")
    assert planned_ids(tmp_path / "out")[: len(saved)] == saved


def test_an_interrupt_in_a_compiled_call_ends_as_one_outside_does(capsys):
    with pytest.raises(SystemExit) as stopped, mistakes_in_one_line():
        raise SystemError("<compiled> returned a result with an exception set") from KeyboardInterrupt()
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_another_system_error_keeps_its_traceback():
    with pytest.raises(SystemError), mistakes_in_one_line():
        raise SystemError("a fault of a compiled module")


@pytest.mark.slow
@pytest.mark.parametrize(
    "stop",
    [
        lambda process: os.killpg(process.pid, signal.SIGINT),
        lambda process: process.terminate(),
        lambda process: os.killpg(process.pid, signal.SIGTERM),
    ],
    ids=["ctrl-c", "sigterm", "sigterm to the group"],
)
def test_an_interrupt_with_ray(command, tmp_path, stop):
    ray = ("parallel=ray", "parallel.num_workers=2")
    options, saved = interrupt(tmp_path, *ray, stop=stop)
    done = command(*options[:-2], SERIAL, "resume=true")  # another way to run it changes no row
    assert (done.code, done.err) == (0, "")
    assert planned_ids(tmp_path / "out")[: len(saved)] == saved
    assert len(rows(tmp_path / "out")) == 12
