"""A Ray worker that is killed, or a node that goes, costs neither the run nor a row."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.experiments.run_cases import (
    SERIAL,
    environment,
    planned_ids,
    record,
    rows,
    run,
    start,
    until,
    wait_for_lines,
    write_scenarios,
)

N = 60
JUDGE = '''
import os, signal, sys, time

class Confined:
    """Works in processes that may not open what lies in `folder`; dies at the scenario `deadly`.

    It waits there until the file `after` has over 20 lines: which worker is the faster is nobody's to say.
    """
    def __init__(
        self, driver: str, folder: str, deadly: str = "", after: str = "", delay: float = 0.02,
        at_once: int = 1,
    ):
        self.driver, self.folder, self.deadly, self.delay = driver, folder, deadly, delay
        self.after, self.concurrent_plans = after, at_once
        self.confined = False
    def score(self, scenario, contexts):
        here = os.environ.get(self.driver) is None
        if here and not self.confined:
            def refuse(event, arguments):
                if event == "open" and str(arguments[0]).startswith(self.folder):
                    raise PermissionError(13, "Permission denied", str(arguments[0]))
            sys.addaudithook(refuse)
            self.confined = True
            with open(os.path.join(os.path.dirname(__file__), "pids"), "a") as file:
                file.write(f"{os.getpid()}\\n")
        if here and scenario.id == self.deadly:
            while open(self.after, "rb").read().count(b"\\n") <= 20:
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.delay)
        weight = sum(map(ord, scenario.id))
        return [2 + len(names) * (weight % 7 + 1) / 20 for names in contexts]
'''
NODES = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
other = cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.remove_node(other, allow_graceful=False)
print("removed", flush=True)
sys.stdin.readline()
cluster.shutdown()
"""
KEYS = ("scenarios.path=input/s.jsonl", "search=greedy", "budget=2", "judge=custom")
JUDGED = ("judge._target_=confined.Confined", "+judge.driver=NOWHERE", "+judge.folder=/nowhere")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    (folder / "confined.py").write_text(JUDGE)
    (folder / "input").mkdir()
    write_scenarios(folder / "input" / "s.jsonl", [record(i) for i in range(N)])
    return folder


@pytest.fixture(scope="module")
def expected(home):
    """Rows of the undisturbed serial run."""
    done = run(home, *KEYS, *JUDGED, SERIAL, "+judge.delay=0", "output_dir=expected")
    assert (done.code, done.err) == (0, "")
    return rows(home / "expected")


def pids(home):
    file = home / "pids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


@pytest.fixture
def nodes():
    """A cluster of two nodes in a process of its own; a line to it removes one."""
    process = subprocess.Popen(
        [sys.executable, "-c", NODES],
        env={**environment(), "RAY_USAGE_STATS_ENABLED": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    yield process
    process.communicate("\n\n", timeout=120)


@pytest.mark.slow
def test_a_killed_worker_costs_no_row(home, expected):
    (home / "pids").unlink(missing_ok=True)
    keys = ("parallel=ray", "parallel.num_workers=2", "output_dir=killed")
    process = start(home, *KEYS, *JUDGED, *keys)
    wait_for_lines(home / "killed" / "plans.jsonl", 4, process)
    os.kill(pids(home)[-1], signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, (out, err)
    assert rows(home / "killed") == expected
    assert sorted(planned_ids(home / "killed")) == sorted(f"s{i}" for i in range(N))
    assert len(set(pids(home))) == 3


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 4])
def test_a_scenario_that_kills_each_worker_is_named_and_the_rest_is_kept(home, expected, at_once):
    """Also where each time others are at work in the same worker, or wait at its door."""
    out = f"deadly-{at_once}"
    killing = ("+judge.deadly=s20", f"+judge.after={home / out / 'plans.jsonl'}", f"+judge.at_once={at_once}")
    done = run(home, *KEYS, *JUDGED, *killing, "parallel=ray", "parallel.num_workers=2", f"output_dir={out}")
    assert done.code == 4, done
    assert "scenario s20: 3 Ray workers died at it" in done.err
    kept = planned_ids(home / out)
    assert len(kept) == len(set(kept)) >= 20
    assert "s20" not in kept


@pytest.mark.slow
def test_a_node_that_goes_and_workers_that_may_not_read_the_folders(home, expected, nodes):
    (home / "pids").unlink(missing_ok=True)
    address = nodes.stdout.readline().strip()
    confined = ("judge._target_=confined.Confined", "+judge.driver=NOWHERE", f"+judge.folder={home}/input")
    keys = ("parallel=ray", f"parallel.address={address}", "parallel.num_workers=2", "output_dir=input/out")
    process = start(home, *KEYS, *confined, *keys)
    # Both nodes are at work before one goes.
    until(lambda: len(set(pids(home))) == 2, process)
    wait_for_lines(home / "input" / "out" / "plans.jsonl", 4, process)
    nodes.stdin.write("\n")
    nodes.stdin.flush()
    assert nodes.stdout.readline() == "removed\n"
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, (out, err)
    made = json.loads((home / "input" / "out" / "summary.json").read_text())
    assert (made["n_planned"], made["n_failed"]) == (N, 0)
    assert rows(home / "input" / "out") == expected
