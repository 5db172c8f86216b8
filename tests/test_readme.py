"""The README does what it says: its files, commands and Python examples run as written, in its order.

The first two bash blocks are run by `.ci/run`, which starts from a fresh clone.
"""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from envs import DOMAINS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
READER = runpy.run_path(str(ROOT / ".ci" / "readme_blocks.py"))
blocks, one_liners = READER["blocks"], READER["one_liners"]

SKIPPED = set(one_liners(README, 2))


def _steps():
    """Return (name, argv) of each command and example in document order; an example is a command too."""
    steps = []
    for block in blocks(README):
        if block.language == "python":
            if block.file:
                steps.append((f"line {block.line}: {block.file}", ["python", block.file]))
            else:
                steps.append((f"line {block.line}: python", ["python", "-c", block.text]))
        elif block.language == "bash":
            lines = [line for line in block.text.splitlines() if line not in SKIPPED]
            steps += [(f"line {block.line}: {line}", ["bash", "-c", line]) for line in lines]
    return steps


STEPS = _steps()


def _run(argv, folder, columns=80):
    """Run `argv` in `folder` with this interpreter as `python` and this checkout as the package."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "COLUMNS": str(columns),
        "WANDB_SILENT": "true",
    }
    return subprocess.run(
        argv, cwd=folder, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600
    )


def _write_files(folder):
    for block in blocks(README):
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Return (folder, name -> finished process); the steps run in order, for later ones need earlier ones."""
    folder = tmp_path_factory.mktemp("readme")
    _write_files(folder)
    return folder, {name: _run(argv, folder) for name, argv in STEPS}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, _ in STEPS])
def test_step_runs_as_written(name, workspace):
    done = workspace[1][name]
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_failures_are_those_shown(workspace):
    shown = [b.text for b in blocks(README, "text") if b.text.startswith('{"scenario_id"')]
    assert [(workspace[0] / "runs" / "people" / "failures.jsonl").read_text(encoding="utf-8")] == shown


@pytest.mark.slow
def test_the_tree_has_the_shape_shown(workspace):
    shown = next(b.text for b in blocks(README, "text") if "── ask " in b.text).splitlines()
    real = next(d for name, d in workspace[1].items() if "experiments.show" in name).stdout.splitlines()
    assert len(shown) < len(real)
    assert real[0].split() == shown[0].split()
    first = [next(line for line in lines if "weighed" in line) for lines in (shown, real)]
    assert first[0] == first[1]


def _lines(text):
    """Return the lines that are not blank: an empty one is the table's edge."""
    return [line for line in text.splitlines() if line.strip()]


def test_first_output_has_the_shape_of_real_output(tmp_path):
    """Title, headings, domains and files are what the command prints; the figures may be of another day."""
    shown = _lines(next(b.text for b in blocks(README, "text")))
    command = ["experiments.train_mcts", "+budget=4", "scenarios.split=test"]
    done = _run(["python", "-m", *command], tmp_path, columns=100)  # wide: nothing is cut
    assert done.returncode == 0, done.stderr
    real = _lines(done.stdout)
    taken = [lines.pop(0).partition(":")[0] for lines in (real, shown)]
    assert taken == ["parallel=auto takes this process"] * 2
    assert real[0].split() == shown[0].split()
    assert "SIMULATED" in shown[0]
    assert [line.split() for line in real[1:3]] == [line.split() for line in shown[1:3]]
    assert [line.split()[0] for line in real[-4:]] == [line.split()[0] for line in shown[-4:]]  # the files
    domains = {line.split()[0] for line in real[4:-5]} & {*DOMAINS, "all"}
    assert "all" in domains
    assert domains <= {line.split()[0] for line in shown[4:-5]}


def test_first_two_blocks_are_the_commands_of_a_fresh_clone():
    first, second = one_liners(README, 2)
    for line in (first, second):
        assert line.startswith("python3 -m venv .venv && . .venv/bin/activate && pip install -q -e ")
    assert first.endswith("python -m experiments.train_mcts budget=4")
    assert second.endswith("python -m pytest")


def test_everything_shown_is_run():
    """A step for each command and example; no block of an unknown kind that nobody checks."""
    assert {block.language for block in blocks(README)} == {"bash", "python", "text", "json", "yaml"}
    assert len(STEPS) >= 14
    assert all(block.file for block in blocks(README) if block.language in ("json", "yaml"))


def test_links_lead_somewhere():
    names = [part.split(")")[0] for part in README.split("](")[1:]]
    local = [name for name in names if "://" not in name]
    assert local
    assert [name for name in local if not (ROOT / name).exists()] == []


def test_blocks_finds_language_text_line_and_file():
    text = "a\n\n```bash\nls\n```\n<!-- data.jsonl -->\n```json\n{}\n```\n```python\n# my_x.py\ny\n```\n"
    assert blocks(text) == [
        ("bash", "ls\n", 4, ""),
        ("json", "{}\n", 8, "data.jsonl"),
        ("python", "# my_x.py\ny\n", 11, "my_x.py"),
    ]
    assert [b.line for b in blocks(text, "json")] == [8]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```bash\na\n```\n", "found 1 bash blocks"),
        ("```bash\na\n```\n```bash\nb\nc\n```\n", "line 5: a bash block of 2 lines"),
        ("```bash\na\n```\n```bash\n```\n", "a bash block of 0 lines"),
        ("```bash\na\n```\n```bash\nb\n", "line 4: a block that is never closed"),
    ],
)
def test_one_liners_refuses(text, message):
    with pytest.raises(ValueError, match=message):
        one_liners(text, 2)
