"""`Auto`: which way it takes, from a clock that the test holds; the rows are Ray's and Serial's alike."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from envs import UserError
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from search.algorithms.greedy import GreedySearch
from search.parallel import auto as module
from search.parallel.ray_workers import NotSendable
from search.parallel.workers import plan_or_failure
from search.path_table import row_of
from search.rollouts import Auto, plan

REPO = Path(__file__).resolve().parents[3]
SCENARIOS = load_bundled()[:40]


class Clock:
    """What `time.perf_counter` says: the judge moves it on."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


class Timed:
    """A judge that takes `seconds` for each scenario by the test's clock, and more for the first."""

    def __init__(self, clock, seconds, first=0.0):
        self.clock, self.seconds, self.extra = clock, seconds, first
        self.last = None

    def score(self, scenario, contexts):
        if scenario.id != self.last:
            self.clock.now += self.seconds + self.extra
            self.extra, self.last = 0.0, scenario.id
        return [2 + len(c) / 10 for c in contexts]


class FakeRay:
    """Stands for Ray: plans in this process, and notes what it was given."""

    def __init__(self, address=None):
        self.address, self.given, self.starts = address, [], 0

    def start(self, judge, searcher, options, n_scenarios):
        self.starts += 1
        self.judge, self.options = judge, options
        return self

    def plan(self, scenarios, searcher):
        self.given += [s.id for s in scenarios]
        for scenario in scenarios:
            yield plan_or_failure(scenario, self.judge, searcher, self.options)

    def map(self, function, tasks):
        self.given += list(tasks)
        return reversed([(place, function(task)) for place, task in enumerate(tasks)])

    def stop(self):
        pass


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def ways():
    """Make an `Auto` with a fake Ray, and the list of what it says."""

    def make(num_workers=4, address=None):
        said = []
        auto = Auto(num_workers, address)
        auto.say = said.append
        auto.ray = FakeRay(address)
        return auto, said

    return make


def planned(auto, judge, scenarios=SCENARIOS, **options):
    return [p.scenario_id for p in plan(scenarios, judge, GreedySearch(), budget=1, parallel=auto, **options)]


def test_little_work_stays_here(clock, ways):
    auto, said = ways()
    assert planned(auto, Timed(clock, 0.01, first=5.0)) == [s.id for s in SCENARIOS]
    assert auto.ray.starts == 0
    assert len(said) == 1
    assert "takes this process" in said[0]


def test_much_work_goes_to_ray_in_file_order_and_once(clock, ways):
    auto, said = ways()
    assert planned(auto, Timed(clock, 2.0)) == [s.id for s in SCENARIOS]
    # 40 plans of 2 s: the first is no evidence, the second is enough
    assert auto.ray.given == [s.id for s in SCENARIOS[2:]]
    assert said == ["parallel=auto takes Ray: 4 workers for about 76 s of work"]


def test_a_slow_first_plan_is_evidence_by_itself(clock, ways):
    auto, _ = ways()
    planned(auto, Timed(clock, 60.0))
    assert auto.ray.given == [s.id for s in SCENARIOS[1:]]


@pytest.mark.parametrize(
    ("workers", "seconds", "n", "taken"),
    [
        (4, 1.0, 12, False),  # 10 s left for four: saves 7.5, less than a start
        (4, 1.0, 40, True),  # 38 s: saves 28
        (2, 0.6, 40, False),  # 23 s: saves 11
        (64, 30.0, 2, False),  # one scenario is left: nobody to share it with
        (1, 60.0, 40, False),
    ],
)
def test_the_start_has_to_be_saved(clock, ways, workers, seconds, n, taken):
    auto, said = ways(workers)
    planned(auto, Timed(clock, seconds), SCENARIOS[:n])
    assert bool(auto.ray.given) == taken
    assert len(said) == 1


def test_a_learner_counts_the_waves_to_come(clock, ways):
    class Learner(GreedySearch):
        def fit(self, observations):
            return self

    auto, _ = ways()
    # A wave of 4 has 4 s of work, which no start is worth; all have 40.
    list(plan(SCENARIOS, Timed(clock, 1.0), Learner(), budget=1, parallel=auto, wave=4, report_samples=1))
    assert auto.ray.given == [s.id for s in SCENARIOS[2:]]
    assert auto.ray.starts == 1


def test_what_is_done_is_no_work(clock, ways):
    auto, _ = ways()
    planned(auto, Timed(clock, 2.0), done={s.id: None for s in SCENARIOS[6:]})
    assert auto.ray.starts == 0


def test_a_judge_that_waits_makes_many_plans_here(clock, ways):
    class Waiting(Timed):
        concurrent_plans = 8

        def __deepcopy__(self, memo):
            return self

    auto, said = ways()
    assert planned(auto, Waiting(clock, 60.0)) == [s.id for s in SCENARIOS]
    assert auto.ray.starts == 0
    assert "8 plans at once" in said[0]


def test_limits_on_spending_stay_with_one_process(clock, ways):
    class Limited(Timed):
        def shard(self, workers):
            raise UserError("3 requests, which 4 workers cannot share")

    auto, _ = ways()
    planned(auto, Limited(clock, 60.0))
    assert auto.ray.starts == 0


def test_an_address_means_ray(clock, ways):
    auto, said = ways(address="auto")
    planned(auto, Timed(clock, 0.01))
    assert auto.ray.given == [s.id for s in SCENARIOS]
    assert said == ["parallel=auto takes Ray: parallel.address=auto"]


def test_a_judge_that_cannot_be_sent_stays_here(clock, ways):
    auto, said = ways()

    def start(judge, searcher, options, n_scenarios):
        auto.ray.starts += 1
        raise NotSendable("judge Timed cannot be sent")

    auto.ray.start = start
    assert planned(auto, Timed(clock, 2.0)) == [s.id for s in SCENARIOS]
    assert auto.ray.starts == 1
    assert said[-1] == "parallel=auto takes this process: judge Timed cannot be sent"


@pytest.mark.parametrize(("seconds", "taken"), [(0.01, False), (3.0, True)])
def test_map(clock, ways, seconds, taken):
    def square(task):
        clock.now += seconds
        return task * task

    auto, said = ways()
    tasks = list(range(5, 25))
    assert sorted(auto.map(square, tasks)) == [(i, t * t) for i, t in enumerate(tasks)]
    assert auto.ray.given == (tasks[2:] if taken else [])
    assert len(said) == 1


def test_runs_that_follow_one_another_say_it_once(clock, ways):
    auto, said = ways()
    planned(auto, Timed(clock, 0.01))
    planned(auto, Timed(clock, 0.01))
    assert len(said) == 1


@pytest.mark.parametrize("options", [{"num_workers": 0}, {"chunk_size": 0}])
def test_bad_workers_are_refused(options):
    with pytest.raises(UserError, match=rf"parallel.{next(iter(options))}"):
        Auto(**options)


RAY_SCRIPT = """
import os, sys, threading
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from search.algorithms.greedy import GreedySearch
from search.parallel import auto
from search.path_table import row_of
from search.rollouts import Auto, Ray, plan

auto.RAY_START_S = auto._MEASURED_S = 1e-9  # any work is worth it


class Nice(SimulatedJudge):
    def score(self, scenario, contexts, samples=None):
        with open("told", "a") as file:
            file.write(f"{os.getpid()} {os.nice(0)}\\n")
        return super().score(scenario, contexts, samples)
    def surface(self, scenario):
        return None


class Here(SimulatedJudge):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


own = os.nice(3)
made = plan(load_bundled()[:12], Nice(), GreedySearch(), budget=2, parallel=Auto(num_workers=2))
print(sorted(str(row_of(p)) for p in made))
told = [line.split() for line in open("told")]
print(len({pid for pid, _ in told}), {int(nice) for _, nice in told} == {own})
made = list(plan(load_bundled()[:12], Here(), GreedySearch(), budget=2, parallel=Auto(num_workers=2)))
print(len(made))
"""


@pytest.mark.slow
def test_with_ray_itself(tmp_path):
    """Rows as in one process; workers as nice as the run; a judge with a lock stays here."""
    done = subprocess.run(
        [sys.executable, "-c", RAY_SCRIPT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("parallel=auto")]
    expected = plan(SCENARIOS[:12], SimulatedJudge(), GreedySearch(), budget=2)
    assert lines[0] == str(sorted(str(row_of(p)) for p in expected))
    processes, nice = lines[1].split()
    assert int(processes) == 3  # this one, and two workers
    assert nice == "True"
    assert lines[-1] == "12"
    assert "takes this process: judge Here" in done.stdout


@pytest.mark.slow
def test_no_plan_is_timed_while_something_compiles(tmp_path):
    """`parallel=auto` judges by the first plans whether Ray is worth its start."""
    script = """
        from numba.core import event
        from envs.judges.simulated import SimulatedJudge
        from envs.loading import load_bundled
        from search.mcts import MCTSSearch
        from search.parallel.ray_workers import warm_up
        from search.rollouts import plan

        class Compiled(event.Listener):
            def on_start(self, told):
                print("started", told.data["dispatcher"])

            def on_end(self, told):
                pass

        judge, search = SimulatedJudge(), MCTSSearch(20)
        warm_up(judge, search)
        with event.install_listener("numba:compile", Compiled()):
            assert len(list(plan(load_bundled()[:1], judge, search))) == 1
    """
    home = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
