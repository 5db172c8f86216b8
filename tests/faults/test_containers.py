"""As in a container: nothing of the installation can be written, no home, a long TMPDIR, a small /dev/shm."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.experiments.run_cases import (
    REPO,
    SERIAL,
    Done,
    assert_one_line,
    environment,
    record,
    rows,
    run,
    write_scenarios,
)

POWERLESS = ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
"""Root may write everywhere else: its rights over files of any mode are left out."""
SMALL = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=16m tmpfs /dev/shm && exec "$@"', "sh"]


def _possible(*command):
    found = shutil.which(command[0])
    return found and subprocess.run([*command, "true"], capture_output=True).returncode == 0


IS_ROOT = os.geteuid() == 0
needs_setpriv = pytest.mark.skipif(IS_ROOT and not _possible(*POWERLESS), reason="root, and no setpriv")


@pytest.fixture
def installed(tmp_path):
    """A copy of the packages that cannot be written, and a home that cannot."""
    place = tmp_path / "installed"
    for name in ("envs", "search", "policies", "experiments", "conf"):
        shutil.copytree(REPO / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "home").mkdir()
    locked = [tmp_path / "home", place, *(path for path in place.rglob("*") if path.is_dir())]
    for folder in locked:
        folder.chmod(0o555)
    yield place
    for folder in locked:
        folder.chmod(0o755)


def _train(tmp_path, installed, *keys, prefix=(), **variables):
    ours = {**environment(), "PYTHONPATH": str(installed), "HOME": str(tmp_path / "home"), **variables}
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "RAY_AUTH_TOKEN", "RAY_AUTH_MODE", "RAY_TMPDIR"):
        ours.pop(name, None)
    command = [*prefix, *(POWERLESS if IS_ROOT else []), sys.executable, "-P", "-m", "experiments.train_mcts"]
    done = subprocess.run(
        [*command, *keys],
        cwd=tmp_path,
        env=ours,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@needs_setpriv
@pytest.mark.slow
def test_a_read_only_installation_plans_over_ray(tmp_path, installed):
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(4)])
    temporary = tmp_path / ("t" * 60)
    temporary.mkdir()
    keys = ("scenarios.path=s.jsonl", "budget=2", "search=greedy")
    assert run(tmp_path, *keys, SERIAL, "output_dir=here").code == 0
    small = SMALL if _possible(*SMALL) else []
    ray = ("parallel=ray", "parallel.num_workers=2", "output_dir=ray")
    there = _train(tmp_path, installed, *keys, *ray, prefix=small, TMPDIR=str(temporary))
    assert there.code == 0, there.err
    assert rows(tmp_path / "here") == rows(tmp_path / "ray")
    assert not list(installed.rglob("__pycache__"))
    assert not list((tmp_path / "home").iterdir())
    assert not list(temporary.iterdir())  # compiled code that was kept there is gone


@needs_setpriv
def test_a_run_that_can_write_nothing_for_compiled_code_says_so(tmp_path, installed):
    write_scenarios(tmp_path / "s.jsonl", [record(0)])
    code = (
        "import tempfile; tempfile.tempdir = '/proc/nothing'; "
        "from envs import UserError\ntry: import envs.bit_scan\nexcept UserError as error: print(error)"
    )
    ours = {**environment(), "PYTHONPATH": str(installed), "HOME": str(tmp_path / "home")}
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        ours.pop(name, None)
    command = [*(POWERLESS if IS_ROOT else []), sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=ours, capture_output=True, text=True, check=True)
    assert "NUMBA_CACHE_DIR" in done.stdout
    assert done.stdout.count("\n") == 1


RAY = """
import json, os, subprocess, sys, threading
from envs import UserError
from envs.loading import load_scenarios
from search.algorithms.greedy import GreedySearch
from search.planning import PlanOptions
from search.rollouts import Ray
import ray

class Judge:
    name = "mine"
    def score(self, scenario, contexts):
        return [2.0 for _ in contexts]

told = {}
for name, held in (("lock", threading.Lock()), ("file", open(os.devnull, "w"))):
    judge = Judge()
    judge.mine = held
    try:
        Ray(num_workers=1).start(judge, GreedySearch(), PlanOptions(budget=1), 1)
    except UserError as error:
        told[name] = str(error)
address = ray.get_runtime_context().gcs_address
told["address"] = address
strangers = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")}
join = f"import ray; ray.init(address={address!r}, logging_level=50); print('joined')"
told["stranger"] = subprocess.run(
    [sys.executable, "-c", join], env=strangers | {"HOME": "/nonexistent"}, capture_output=True, text=True
).stdout
told["friend"] = subprocess.run([sys.executable, "-c", join], capture_output=True, text=True).stdout
print(json.dumps(told))
"""


@pytest.mark.slow
def test_what_cannot_be_sent_is_named_and_nobody_else_is_let_in(tmp_path):
    (tmp_path / "script.py").write_text(RAY)
    ours = {k: v for k, v in environment().items() if not k.startswith("RAY_AUTH")}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=ours, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    for name, kind in (("lock", "_thread.lock"), ("file", "_io.TextIOWrapper")):
        assert "attribute mine" in told[name]
        assert kind in told[name]
        assert "parallel=serial" in told[name]
        assert "\n" not in told[name]
    assert told["stranger"] == ""
    assert told["friend"] == "joined\n"


def test_without_a_short_folder_for_sockets_ray_says_what_to_name(tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [record(0)])
    code = (
        "import os; os.access = lambda *_: False\n"
        "import sys; sys.argv[0] = 'train'\n"
        "from experiments.train_mcts import main; main()"
    )
    keys = ("scenarios.path=s.jsonl", "budget=1", "search=greedy", "parallel=ray", "output_dir=out")
    done = subprocess.run(
        [sys.executable, "-c", code, *keys], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert_one_line(Done(done.returncode, done.stdout, done.stderr))
    assert "RAY_TMPDIR" in done.stderr
