"""Commands of the tests, the files they read and the rows they write."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from envs.kernel_cache import COMPILING

REPO = Path(__file__).resolve().parents[2]
TRAIN = "experiments.train_mcts"
INSPECT = "experiments.show"
SERIAL = "parallel=serial"
NAMES = (
    "Age",
    "Gender",
    "Marital Status",
    "Profession",
    "Economic Status",
    "Health Status",
    "Education Level",
    "Mental Health Status",
    "Past Self-Harm History",
    "Emotional State",
)


class Done(NamedTuple):
    code: int
    out: str
    err: str


_PROGRESS = re.compile(rf"^(?:[a-z]+ [\d,]+ of [\d,]+ [^\n]*, [\d,]+ s|{re.escape(COMPILING)})\n", re.M)
"""A line of progress, which commands write from the tenth second on, or of a first compilation:
a slow machine is no finding."""


def environment():
    paths = [str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])]
    plain = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "HYDRA_FULL_ERROR", "RAY_ADDRESS")}
    return {**plain, "PYTHONPATH": os.pathsep.join(paths), "WANDB_SILENT": "true"}


class Commands:
    """Runs `python -m MODULE` quickly (see run_server.py)."""

    def __init__(self, folder):
        self.folder = folder
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.experiments.paid.run_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(),
        )

    def run(self, cwd, *arguments, module=TRAIN):
        files = {name: str(self.folder / name) for name in ("out", "err")}
        order = {"module": module, "arguments": [str(a) for a in arguments], "cwd": str(cwd), **files}
        self.server.stdin.write(json.dumps(order) + "\n")
        self.server.stdin.flush()
        code = int(self.server.stdout.readline())
        out, err = (Path(files[name]).read_text(encoding="utf-8") for name in ("out", "err"))
        return Done(code, out, _PROGRESS.sub("", err))

    def stop(self):
        self.server.stdin.close()
        self.server.wait()


def start(cwd, *arguments, module=TRAIN, **options):
    """Start `python -m module` in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def run(cwd, *arguments, module=TRAIN):
    process = start(cwd, *arguments, module=module)
    out, err = process.communicate(timeout=300)
    return Done(process.returncode, out, _PROGRESS.sub("", err))


def until(is_so, process):
    """Wait for `is_so()` while `process` runs; the limit is against hanging."""
    limit = time.monotonic() + 300
    while not is_so():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.01)


def wait_for_lines(path, count, process):
    """Wait until a file that `process` writes has so many lines."""
    until(lambda: path.exists() and path.read_bytes().count(b"\n") >= count, process)


def assert_one_line(done, code=2):
    assert done.err.startswith("error: "), done.err
    assert done.err.count("\n") == 1, done.err
    assert done.err.endswith("\n")
    assert "Traceback" not in done.err
    assert "search path" not in done.err.lower()
    for words in ("HYDRA_FULL_ERROR", "hydra.cc", "full_key", "object_type", "Error loading", "viable"):
        assert words not in done.err  # Hydra's own, which say neither the place nor what was expected
    assert done.code == code


def rows(folder):
    """All columns of a run's table, exactly as stored; NaN as text, so that equal means equal."""
    table = pq.read_table(Path(folder) / "paths.parquet").to_pylist()
    return [{key: "nan" if value != value else value for key, value in row.items()} for row in table]


def summary(folder):
    return json.loads((Path(folder) / "summary.json").read_text())


def json_lines(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def planned_ids(folder):
    """Ids in the journal, in order of completion."""
    return [row["scenario_id"] for row in json_lines(Path(folder) / "plans.jsonl")[1:]]


def record(number, **changes):
    domain = ("health", "career", "social")[number % 3]
    # Values that no level names, others that one does: both kinds occur in files.
    profile = {name: f"value {number} of {name}" for name in NAMES}
    profile.update({"Age": str(20 + number), "Gender": ("Male", "Female")[number % 2]})
    return {
        "id": f"s{number}",
        "domain": domain,
        "query": f"Question {number}?",
        "profile": profile,
        **changes,
    }


def write_scenarios(path, records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return path
