"""`raise-planner ... | head -1`: who reads the output may leave; the command comes to its end."""

import os
import subprocess
import sys

import pytest

from tests.experiments.run_cases import SERIAL, environment, summary


def left_after(cwd, line, *arguments):
    """Run `raise-planner` with a reader that leaves after `line` lines; return (exit code, stderr)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.cli", *arguments],
        cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for _ in range(line):
        process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    return process.wait(timeout=120), err


TRAIN = ("train", "budget=1", "scenarios.limit=2", SERIAL, "output_dir=out")


@pytest.mark.slow
def test_a_run_that_nobody_reads_keeps_everything(tmp_path):
    assert left_after(tmp_path, 0, *TRAIN) == (0, "")
    assert summary(tmp_path / "out")["n_planned"] == 2
    assert (tmp_path / "out" / "paths.parquet").exists()
    assert "finished" in (tmp_path / "out" / "train_mcts.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("train", "--help"),
        ("train", "--cfg", "job"),
        ("show", "--help"),
        ("population", "budget=1", "scenarios.limit=2", "folds=0", "pictures=none", "output_dir=out"),
    ],
)
def test_every_command_ends_quietly(tmp_path, arguments):
    assert left_after(tmp_path, 0, *arguments) == (0, "")
    assert left_after(tmp_path, 1, *arguments[:2]) == (0, "") if "--help" in arguments else True


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_stream_without_a_reader_writes_to_nowhere(tmp_path, unbuffered):
    script = (
        "import sys; from experiments.console.lost_readers import readers_may_leave\n"
        "readers_may_leave(); readers_may_leave()\n"
        "print('one', flush=True); sys.stdin.readline()\n"
        "print('two', flush=True); print('three'); open('end', 'w').close()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment() | {"PYTHONUNBUFFERED": unbuffered},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "one\n"
    process.stdout.close()
    process.stdin.write("\n")
    process.stdin.close()
    err = process.stderr.read()
    assert (process.wait(timeout=60), err) == (0, "")
    assert os.path.exists(tmp_path / "end")
