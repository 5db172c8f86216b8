"""The same rows whatever the workers, and whatever was killed in between."""

import json
import os
import random
import shutil
import signal
import time

import pytest

from tests.experiments.run_cases import (
    SERIAL,
    assert_one_line,
    json_lines,
    planned_ids,
    record,
    rows,
    start,
    summary,
    wait_for_lines,
    write_scenarios,
)

N = 24
TORN = b'{"scenario_id": "s1", "dom'
PLUG_INS = '''
import hashlib, math, time
import numpy as np
from search.path_rule import best_plan
from search.algorithms.random_search import RandomSearch

def number(*parts):
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48

class Noisy:
    """Slow, stochastic, and unscored for some sets; notes each scenario that it is asked about."""
    stochastic = True
    def __init__(self, delay: float = 0.0, notes: str | None = None):
        self.delay, self.notes, self.last = delay, notes, None
    def score(self, scenario, contexts, samples):
        if self.notes and scenario.id != self.last:
            with open(self.notes, "a") as file:
                file.write(scenario.id + "\\n")
        self.last = scenario.id
        time.sleep(self.delay)
        out = []
        for names, sample in zip(contexts, samples):
            base = number("mean", scenario.id, names)
            unscored = names and number("nan", scenario.id, names) < 0.1
            out.append(math.nan if unscored else 2 + 2 * base + number("noise", scenario.id, names, sample))
        return out

class Learner:
    """Draws random sets, as many as the waves before it have told of; remembers all it was told."""
    def __init__(self, notes: str | None = None):
        self.notes, self.told = notes, ()
    def fit(self, observations):
        new = Learner(self.notes)
        new.told = tuple(observations)
        if self.notes:
            with open(self.notes, "a") as file:
                file.write(",".join(o.scenario_id for o in observations) + "\\n")
        return new
    def plan(self, problem, rng):
        assert all(len(o.masks) == len(o.scores) == len(o.samples) for o in self.told)
        # a fingerprint of all it was told, to the last bit, decides what it draws
        seen = number([(o.scenario_id, o.group, o.codes.tolist(), o.masks.tolist(), o.samples.tolist(),
                        o.scores.tolist()) for o in self.told])
        return RandomSearch(3 + int(seen * 20)).plan(problem, np.random.default_rng(int(seen * 2**40)))
'''
FIRST = ("scenarios.path=s.jsonl", "judge=custom", "judge._target_=plug_ins.Noisy", "+budget=3")
MCTS = (*FIRST, "search=mcts", "search.num_simulations=40", "report_samples=3")
LEARNER = (*FIRST, "search=custom", "search._target_=plug_ins.Learner", "search.wave=5", "report_samples=2")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the plug-ins and the scenarios."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "plug_ins.py").write_text(PLUG_INS)
    write_scenarios(folder / "s.jsonl", [record(i) for i in range(N)])
    return folder


@pytest.fixture(scope="module")
def run(commands, home):
    def run(*arguments):
        return commands.run(home, *arguments)

    return run


@pytest.fixture(scope="module")
def expected(run, home):
    """Rows of the undisturbed serial runs."""
    found = {}
    for name, options in (("mcts", MCTS), ("learner", LEARNER)):
        done = run(*options, SERIAL, f"output_dir=expected-{name}")
        assert (done.code, done.err) == (0, "")
        found[name] = rows(home / f"expected-{name}")
    assert [row["scenario_id"] for row in found["mcts"]] == [f"s{i}" for i in range(N)]
    # The cases are not trivial: paths differ, the stderr is not 0.
    assert len({tuple(row["path"]) for row in found["mcts"]}) > 10
    assert all(row["score_stderr"] > 0 for row in found["mcts"])
    return found


def test_twice_the_same(run, home, expected):
    assert run(*MCTS, SERIAL, "output_dir=twice").code == 0
    assert rows(home / "twice") == expected["mcts"]


def test_another_seed_changes_the_search(run, home, expected):
    options = [o.replace("search=mcts", "search=random") for o in MCTS]
    for seed in (0, 1):
        assert run(*options, SERIAL, f"seed={seed}", f"output_dir=seed-{seed}").code == 0
    first, second = ([row["path"] for row in rows(home / f"seed-{seed}")] for seed in (0, 1))
    assert first != second


def test_a_subset_is_planned_alike(run, home, expected):
    """No row depends on the rows around it."""
    assert run(*MCTS, SERIAL, "scenarios.limit=5", "output_dir=subset").code == 0
    assert rows(home / "subset") == expected["mcts"][:5]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mcts", "learner"])
@pytest.mark.parametrize("parallel", [("1", "8"), ("2", "8"), ("2", "1"), ("3", "100")])
def test_ray_gives_the_same_rows(run, home, expected, name, parallel):
    options = {"mcts": MCTS, "learner": LEARNER}[name]
    folder = f"ray-{name}-{'-'.join(parallel)}"
    workers, chunk = parallel
    given = ("parallel=ray", f"parallel.num_workers={workers}", f"parallel.chunk_size={chunk}")
    done = run(*options, *given, f"output_dir={folder}")
    assert (done.code, done.err) == (0, "")
    assert rows(home / folder) == expected[name]


def stopped_after(home, source, folder, plans, torn=b""):
    """Make `folder` what a run leaves that was killed after so many plans."""
    target = home / folder
    target.mkdir()
    lines = (home / source / "plans.jsonl").read_bytes().splitlines(keepends=True)
    (target / "plans.jsonl").write_bytes(b"".join(lines[: plans + 1]) + torn)
    return target


@pytest.mark.parametrize("name", ["mcts", "learner"])
@pytest.mark.parametrize(("plans", "torn"), [(0, TORN), (1, TORN), (7, b""), (N - 1, TORN), (N, b"")])
def test_a_stopped_run_goes_on(run, home, expected, name, plans, torn):
    options = {"mcts": MCTS, "learner": LEARNER}[name]
    folder = stopped_after(home, f"expected-{name}", f"stop-{name}-{plans}-{len(torn)}", plans, torn)
    done = run(*options, SERIAL, f"output_dir={folder}", "resume=true")
    assert (done.code, done.err) == (0, "")
    assert rows(folder) == expected[name]
    assert len(json_lines(folder / "plans.jsonl")) == N + 1
    same = ("judge_calls", "simulations", "mean_score_path", "mean_score_full", "mean_optimism", "requests")
    before, after = summary(home / f"expected-{name}"), summary(folder)
    assert {key: after[key] for key in same} == {key: before[key] for key in same}


def test_journaled_in_another_order(run, home, expected):
    """Workers finish in any order; a resumed learner still sees the file's order."""
    lines = (home / "expected-learner" / "plans.jsonl").read_bytes().splitlines(keepends=True)
    kept = lines[1:14]
    random.Random(0).shuffle(kept)
    folder = home / "shuffled"
    folder.mkdir()
    (folder / "plans.jsonl").write_bytes(b"".join([lines[0], *kept]))
    assert run(*LEARNER, SERIAL, f"output_dir={folder}", "resume=true").code == 0
    assert rows(folder) == expected["learner"]


def test_a_learner_is_fitted_in_waves_in_file_order(run, home):
    done = run(*LEARNER, SERIAL, "scenarios.limit=12", "+search.notes=fits", "output_dir=waves")
    assert (done.code, done.err) == (0, "")
    ids = [f"s{i}" for i in range(12)]
    assert (home / "fits").read_text().splitlines() == [",".join(ids[:5]), ",".join(ids[:10])]


def test_a_complete_run_resumes_to_itself(run, home, expected):
    shutil.copytree(home / "expected-mcts", home / "complete")
    before = (home / "complete" / "plans.jsonl").read_bytes()
    done = run(*MCTS, SERIAL, "output_dir=complete", "resume=true")
    assert (done.code, done.err) == (0, "")
    assert rows(home / "complete") == expected["mcts"]
    assert (home / "complete" / "plans.jsonl").read_bytes() == before


def test_a_folder_with_a_run_is_not_overwritten(run, home, expected):
    before = (home / "expected-mcts" / "plans.jsonl").read_bytes()
    done = run(*MCTS, SERIAL, "output_dir=expected-mcts")
    assert_one_line(done)
    assert "resume=true" in done.err
    assert (home / "expected-mcts" / "plans.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        "budget=2",
        "seed=1",
        "report_samples=4",
        "cost_weight=0.1",
        "judge=simulated",
        "+judge.delay=0.001",
        "search.num_simulations=41",
        "search=greedy",
        "scenarios.path=other.jsonl",
        "scenarios.limit=3",
        "scenarios.split=train",
    ],
)
def test_resuming_something_else_is_refused(run, home, expected, change):
    write_scenarios(home / "other.jsonl", [record(i) for i in range(N)][::-1])
    options = [o for o in MCTS if o.lstrip("+").split("=")[0] != change.split("=")[0]]
    if change == "judge=simulated":
        options = [o for o in options if not o.startswith("judge")]
    if change == "search=greedy":
        options = [o for o in options if not o.startswith("search")]
    before = (home / "expected-mcts" / "plans.jsonl").read_bytes()
    done = run(*options, SERIAL, "output_dir=expected-mcts", "resume=true", change)
    assert_one_line(done)
    assert "another configuration or scenario file" in done.err
    assert (home / "expected-mcts" / "plans.jsonl").read_bytes() == before


def test_an_edited_scenario_file_is_refused(run, home, expected):
    folder = stopped_after(home, "expected-mcts", "edited", 4)
    text = (home / "s.jsonl").read_text()
    try:
        (home / "s.jsonl").write_text(text.replace("Question 9", "Question nine"))
        assert_one_line(run(*MCTS, SERIAL, f"output_dir={folder}", "resume=true"))
    finally:
        (home / "s.jsonl").write_text(text)


def test_the_same_file_elsewhere_may_be_resumed(run, home, expected):
    folder = stopped_after(home, "expected-mcts", "moved", 4)
    shutil.copy(home / "s.jsonl", home / "copy.jsonl")
    options = [o.replace("s.jsonl", "copy.jsonl") for o in MCTS]
    assert run(*options, SERIAL, f"output_dir={folder}", "resume=true").code == 0
    assert rows(folder) == expected["mcts"]


@pytest.mark.parametrize(
    ("line", "text"),
    [(1, "nonsense\n"), (0, '{"journal": 99}\n'), (0, "[]\n"), (1, '{"a": 1}\n'), (1, "3\n")],
)
def test_a_damaged_journal_is_one_line(run, home, expected, tmp_path, line, text):
    folder = stopped_after(home, "expected-mcts", tmp_path / "damaged", 3)
    lines = (folder / "plans.jsonl").read_text().splitlines(keepends=True)
    lines[line] = text
    (folder / "plans.jsonl").write_text("".join(lines))
    done = run(*MCTS, SERIAL, f"output_dir={folder}", "resume=true")
    assert_one_line(done)
    assert f"line {line + 1}" in done.err


def test_two_runs_in_one_folder(run, home):
    process = start(home, *FIRST, SERIAL, "+judge.delay=0.1", "search=greedy", "output_dir=busy")
    try:
        wait_for_lines(home / "busy" / "plans.jsonl", 2, process)
        done = run(*FIRST, SERIAL, "+judge.delay=0.1", "search=greedy", "output_dir=busy", "resume=true")
        assert_one_line(done)
        assert "another run is writing" in done.err
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def kill_and_resume(home, parallel, name, folder, points):
    """Kill the whole group after so many journal lines (and a little later), resume, until it is done."""
    options = (*{"mcts": MCTS, "learner": LEARNER}[name], *parallel, f"output_dir={folder}", "resume=true")
    options += ("judge.notes=asked-" + folder, "judge.delay=0.02")
    options = tuple("+" + o if o.startswith("judge.") and o[6] != "_" else o for o in options)
    rng = random.Random(folder)
    journal = home / folder / "plans.jsonl"
    for lines in points:
        process = start(home, *options)
        wait_for_lines(journal, lines, process)
        time.sleep(rng.uniform(0, 0.3))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        data = journal.read_bytes()
        whole = data[: data.rfind(b"\n") + 1].decode().splitlines()[1:]
        saved = {json.loads(line)["scenario_id"] for line in whole}
        assert saved
        assert len(saved) == len(whole)
        # From here on the judge must not be asked about them again.
        with (home / f"asked-{folder}").open("a") as file:
            file.write(f"killed {','.join(sorted(saved))}\n")
    process = start(home, *options)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (out, err)
    journaled = set()
    for line in (home / f"asked-{folder}").read_text().splitlines():
        if line.startswith("killed "):
            journaled |= set(line.removeprefix("killed ").split(","))
        else:
            assert line not in journaled, f"{line} was planned again"
    assert len(journaled) >= points[-1] - 1
    assert sorted(planned_ids(home / folder)) == sorted(f"s{i}" for i in range(N))


def test_kill_9_and_resume(home, expected):
    kill_and_resume(home, (SERIAL,), "learner", "kill-serial", (3, 10))
    assert rows(home / "kill-serial") == expected["learner"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mcts", "learner"])
def test_kill_9_and_resume_with_ray(home, expected, name):
    parallel = ("parallel=ray", "parallel.num_workers=2", "parallel.chunk_size=3")
    kill_and_resume(home, parallel, name, f"kill-ray-{name}", (4, 12))
    assert rows(home / f"kill-ray-{name}") == expected[name]
