"""Progress outside a terminal (plain lines), in one (a bar), and what a tracker is told of it."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest

from envs.llm.engine import Spent
from experiments.runs.progress import Progress, usage
from tests.experiments.run_cases import SERIAL, environment, record, summary, write_scenarios

RUN = """
import sys
from experiments.runs import progress
progress.INTERVAL_S = 0.02
import importlib
importlib.import_module(sys.argv.pop(1)).main()
"""
"""A command whose lines come fifty times a second."""


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Told:
    """A tracker that keeps what it is told."""

    def __init__(self):
        self.steps = []

    def progress(self, figures, step):
        self.steps.append((step, figures))


def lines_of(total, done=0, seconds=(), **options):
    """Return the lines of a command that finishes one step before each of `seconds`."""
    clock, stream = Clock(), io.StringIO()
    progress = Progress("planned", "scenarios", total, done, stream=stream, clock=clock, **options)
    for second in seconds:
        clock.now = 100.0 + second
        progress.advance()
        progress.tick()
    return stream.getvalue().splitlines()


def test_before_the_first_step_the_requests_tell_the_time_left():
    clock, stream, sent = Clock(), io.StringIO(), [100]
    progress = Progress(
        "planned", "scenarios", 2, stream=stream, clock=clock, live=lambda: {"requests": sent[0]}, requests=50
    )
    for second, requests, done in ((11, 100, 0), (22, 110, 0), (33, 150, 0), (44, 160, 1)):
        clock.now, sent[0] = 100.0 + second, requests
        progress.advance(done)
        progress.tick()
    assert [line.partition(" s, about ")[2] for line in stream.getvalue().splitlines()] == [
        "",  # none was sent in this session
        "88 s left",
        "",  # as many as were expected, and not done yet
        "",  # one step tells no pace
    ]


def test_a_line_comes_every_ten_seconds_with_the_time_left():
    assert lines_of(10, seconds=(2, 9, 12, 15, 24)) == [
        "planned 3 of 10 scenarios, 12 s, about 35 s left",
        "planned 5 of 10 scenarios, 24 s, about 28 s left",
    ]


def test_what_only_the_first_step_takes_is_not_counted_for_the_others():
    """Compiling takes 60 s, each scenario 2 s."""
    (line,) = lines_of(10, seconds=(60,))
    assert line == "planned 1 of 10 scenarios, 60 s"
    assert (
        lines_of(10, seconds=(60, 62, 64, 66, 68, 70))[-1]
        == "planned 6 of 10 scenarios, 70 s, about 8 s left"
    )


def test_the_pace_is_that_of_late():
    """A second each, then ten seconds each from the 300th on."""
    seconds = [*range(1, 301), *range(310, 2310, 10)]
    assert lines_of(600, seconds=seconds)[-1].endswith(", 38 min, about 18 min left")


def test_lines_come_ever_more_rarely_but_each_minute():
    """From 100 s on a tenth of the time so far is waited, from 600 s on a minute."""
    seconds = [int(re.search(r", (\d+) s", line)[1]) for line in lines_of(10_000, seconds=range(119))]
    assert seconds == [*range(10, 101, 10), 110]
    late = lines_of(100_000, seconds=range(3600))
    assert 60 - 5 < len([line for line in late if ", 3" in line or " min" in line]) <= 80
    assert late[-1].startswith("planned 3,5")


def test_a_short_command_says_nothing():
    clock, stream = Clock(), io.StringIO()
    with Progress("planned", "scenarios", 3, stream=stream, clock=clock) as progress:
        for _ in range(3):
            clock.now += 3
            progress.advance()
    assert stream.getvalue() == ""


def test_the_last_line_is_the_end():
    clock, stream = Clock(), io.StringIO()
    with Progress("planned", "scenarios", 2, stream=stream, clock=clock) as progress:
        progress.advance(judge_calls=5)
        clock.now += 11
        progress.tick()
        progress.advance(judge_calls=1_200)
    assert stream.getvalue().splitlines()[-1] == "planned 2 of 2 scenarios, 1,200 judge calls, 11 s"


def test_a_resumed_run_estimates_from_its_own_steps():
    """90 were done before: from the first of this session to the second it takes 10 s."""
    line = lines_of(100, done=90, seconds=(10, 20))[-1]
    assert line == "planned 92 of 100 scenarios, 20 s, about 80 s left"


def test_nothing_finished_is_no_estimate():
    clock, stream = Clock(), io.StringIO()
    progress = Progress("planned", "scenarios", 2, stream=stream, clock=clock)
    clock.now += 7300
    progress.tick()
    assert stream.getvalue() == "planned 0 of 2 scenarios, 2.0 h\n"


def test_figures_within_a_step_move():
    clock, stream, requests = Clock(), io.StringIO(), iter((3, 1_500))
    live = {"live": lambda: {"requests": next(requests), "mean_score": 3.456}}
    progress = Progress("evaluated", "steps", 2, stream=stream, clock=clock, **live)
    progress.advance(0, "methods")
    for _ in range(2):
        clock.now += 20
        progress.tick()
    assert stream.getvalue().splitlines() == [
        "evaluated 0 of 2 steps (methods), 3 requests, mean score 3.46, 20 s",
        "evaluated 0 of 2 steps (methods), 1,500 requests, mean score 3.46, 40 s",
    ]


def test_a_closed_pipe_does_not_end_the_run():
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    clock = Clock()
    with Progress("planned", "scenarios", 2, stream=Closed(), clock=clock) as progress:
        clock.now += 20
        progress.advance()
        progress.tick()
    assert progress.line().startswith("planned 1 of 2")


@pytest.mark.parametrize(("total", "told"), [(4, [1, 2, 3, 4]), (400, list(range(4, 401, 4)))])
def test_a_tracker_is_told_at_each_per_cent(total, told):
    tracker = Told()
    progress = Progress("planned", "scenarios", total, tracker=tracker)
    for step in range(total):
        progress.advance(judge_calls=10 * (step + 1))
    assert [step for step, _ in tracker.steps] == told
    assert all(figures == {"judge_calls": 10 * step} for step, figures in tracker.steps)


def test_usage_is_the_sum_over_models_that_count():
    class Model:
        def __init__(self, **spent):
            self.spent = Spent(**spent)

    paid = Model(requests=2, input_tokens=30, output_tokens=4, cost=0.5)
    assert usage(paid, object(), None, Model(requests=1)) == {"requests": 3, "tokens": 34, "dollars": 0.5}
    assert usage(object()) == {}


def counts(text, verb):
    found = re.findall(rf"{verb} ([\d,]+) of ([\d,]+)", text)
    return [tuple(int(n.replace(",", "")) for n in pair) for pair in found]


def in_a_pipe(cwd, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr
    return done.stderr


LEARNS = """
import time
from search.algorithms.greedy import GreedySearch
class Learns(GreedySearch):
    def fit(self, history):
        return self
    def plan(self, problem, rng):
        time.sleep(0.03)
        return super().plan(problem, rng)
"""


def test_training_in_a_pipe_writes_rising_counts_and_ends_with_the_sum(tmp_path):
    (tmp_path / "learns.py").write_text(LEARNS)
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(24)])
    options = ("scenarios.path=s.jsonl", "search=custom", "search._target_=learns.Learns", "output_dir=out")
    err = in_a_pipe(tmp_path, "experiments.train_mcts", SERIAL, *options)
    seen = counts(err, "planned")
    assert seen == sorted(seen)
    assert len({done for done, _ in seen}) > 3  # it moves within a wave of 50
    assert seen[-1] == (24, 24)
    calls = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) judge calls", err)]
    assert calls == sorted(calls)
    assert calls[-1] == summary(tmp_path / "out")["judge_calls"]


def test_population_plans_in_a_pipe_write_rising_counts(tmp_path):
    err = in_a_pipe(
        tmp_path, "experiments.plan_population", "scenarios.limit=20", "pictures=none", "budget=2"
    )
    seen = counts(err, "planned")
    assert seen == sorted(seen)
    assert len(set(seen)) > 2
    assert seen[-1][0] == seen[-1][1] > 2


@pytest.mark.slow
def test_a_comparison_and_an_evaluation_in_a_pipe_write_rising_counts(tmp_path):
    few = ("preset=quick", "searches=[greedy,random]", "landscapes=[varied]", "problems=2", "bootstrap=10")
    few = (*few, "default_search=random", SERIAL, "output_dir=out")
    draws = ("model_seeds=2", "scenarios.limit=8", "search=greedy", "draws=50")
    for verb, arguments in (
        ("compared", ("experiments.compare_search", *few)),
        (
            "evaluated",
            ("experiments.evaluate", *draws),
        ),
    ):
        seen = counts(in_a_pipe(tmp_path, *arguments), verb)
        assert seen == sorted(seen), verb
        assert len({done for done, _ in seen}) > 2, verb
        assert seen[-1][0] == seen[-1][1], verb


def test_training_in_a_terminal_draws_a_bar(tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(6)])
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "experiments.train_mcts", SERIAL, "scenarios.path=s.jsonl"],
        cwd=tmp_path, env=environment() | {"TERM": "xterm", "COLUMNS": "120"}, stderr=slave,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(slave)
    drawn = b""
    while chunk := _read(master):
        drawn += chunk
    assert process.wait(120) == 0
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", drawn.decode())
    last = text.replace("\r", "\n").strip().splitlines()[-1]
    assert last.startswith("planned scenarios")
    assert "6/6" in last
    assert "judge calls" in last
    assert counts(text, "planned") == []  # no plain lines between


def _read(master):
    try:
        return os.read(master, 65536)
    except OSError:  # the other end is closed: how Linux says that it is over
        return b""
