"""`map` of the ways to run: the same results serial and over Ray, none lost, mistakes in one line."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from search.rollouts import Serial

TASKS = """
import os, signal
from pathlib import Path

from envs import UserError


def squared(number):
    return number * number


def refuses_three(number):
    if number == 3:
        raise UserError("task 3: found a three, expected anything else")
    return number


def divides(number):
    return 1 // number


def dies(_):
    os.kill(os.getpid(), signal.SIGKILL)


def touch(path):
    Path(path).touch()
"""

SCRIPT = """
import json, sys
from pathlib import Path
from envs import UserError
from search.rollouts import Ray, Serial
from tasks import dies, divides, refuses_three, squared, touch

told = {}
ray = Ray(num_workers=2)
told["ray"] = sorted(ray.map(squared, range(40)))
told["serial"] = list(Serial().map(squared, range(40)))
try:
    list(ray.map(refuses_three, range(6)))
except UserError as error:
    told["mistake"] = str(error)
try:
    list(ray.map(divides, [1, 0]))
except ZeroDivisionError as error:
    told["error"] = str(error).splitlines()[-1]
try:
    list(ray.map(dies, [0]))
except UserError as error:
    told["dead"] = str(error)
told["afterwards"] = list(ray.map(squared, [4]))
marks = [Path("marks") / str(i) for i in range(60)]
Path("marks").mkdir()
running = ray.map(touch, [str(mark) for mark in marks])
next(running)
running.close()
told["none"] = list(ray.map(squared, []))
told["last"] = list(ray.map(squared, [2]))
told["touched"] = sum(mark.exists() for mark in marks)
print(json.dumps(told))
"""


def test_serial_keeps_the_order_and_is_lazy():
    seen = []

    def noted(task):
        seen.append(task)
        return task

    assert list(itertools.islice(Serial().map(noted, [5, 6, 7]), 2)) == [(0, 5), (1, 6)]
    assert seen == [5, 6]


@pytest.mark.slow
def test_ray(tmp_path):
    """In a process of its own: functions of a module beside the script are found by the workers."""
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "script.py").write_text(SCRIPT)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("{"))  # Ray prints, too
    told = json.loads(line)
    assert told["ray"] == told["serial"] == [[i, i * i] for i in range(40)]
    assert told["mistake"] == "task 3: found a three, expected anything else"
    assert "division" in told["error"] or "modulo" in told["error"]
    assert told["afterwards"] == [[0, 16]]  # an error ends no worker
    assert "died" in told["dead"]
    assert told["none"] == []
    assert told["last"] == [[0, 4]]
    assert told["touched"] <= 10  # who stops listening stops the work
