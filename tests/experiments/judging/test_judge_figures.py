"""The command that prints a judge's figures, run as a user runs it."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from experiments.comparison.enumeration import figures
from experiments.judge_figures import report

ROOT = Path(__file__).parents[3]

CUSTOM = """
class Counting:
    def __init__(self, step):
        self.step = step

    def score(self, scenario, contexts):
        return [2.0 + self.step * len(names) for names in contexts]
"""


def run(folder, *overrides):
    env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    command = [sys.executable, "-m", "experiments.judge_figures", *overrides]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def printed(renderable):
    console = Console(file=io.StringIO(), width=80)
    console.print(renderable)
    return console.file.getvalue()


@pytest.mark.parametrize("preset", ["published", "varied"])
def test_report_says_simulated_and_every_figure(preset):
    judge = SimulatedJudge(preset, 0)
    text = printed(report(judge, load_bundled()))
    found = figures(judge, load_bundled())
    assert text.splitlines()[0] == f"Judge {judge.name} (model seed 0) over 140 scenarios: SIMULATED scores"
    assert max(map(len, text.splitlines())) <= 80
    assert "\u2026" not in text  # nothing is cut off
    for words in ("risk sensitivity", "personalization", "published", found.first, *found.singles):
        assert words in text
    for by_budget in found.regret.values():
        for regret in by_budget.values():
            assert f"{regret:.1%}" in text
    for number in (f"{found.empty:.2f}", f"{found.full:.2f}", f"{found.harmful:.1%}", f"{found.gain_sd:.2f}"):
        assert number in text


def test_command_prints_simulated_figures_and_leaves_nothing(tmp_path):
    done = run(tmp_path, "judge=simulated_varied", "judge.model_seed=3", "scenarios.limit=30")
    assert done.returncode == 0, done.stderr
    assert "Judge simulated_varied (model seed 3) over 30 scenarios: SIMULATED scores" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == []


def test_command_takes_a_judge_and_attributes_of_ones_own(tmp_path):
    (tmp_path / "mine.py").write_text(CUSTOM)
    (tmp_path / "attributes.yaml").write_text("- name: Housing\n- name: Pets\n")
    row = {"id": "a", "domain": "life", "query": "?", "profile": {"Housing": "rents", "Pets": "a dog"}}
    (tmp_path / "own.jsonl").write_text(json.dumps(row) + "\n")
    files = ["scenarios.path=own.jsonl", "scenarios.attributes=attributes.yaml"]
    done = run(tmp_path, "judge=custom", "judge._target_=mine.Counting", "+judge.step=0.5", *files)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Judge Counting over 1 scenarios\n")
    assert "SIMULATED" not in done.stdout
    assert "Housing" in done.stdout
    assert "rents" not in done.stdout
    assert "a dog" not in done.stdout


def test_mistakes_are_one_line(tmp_path):
    (tmp_path / "attributes.yaml").write_text("".join(f"- name: thing {i}\n" for i in range(13)))
    row = {"id": "a", "domain": "life", "query": "?", "profile": {"thing 1": "x"}}
    (tmp_path / "own.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "mine.py").write_text(CUSTOM)
    for overrides, message in (
        (
            ["scenarios.path=own.jsonl", "scenarios.attributes=attributes.yaml"],
            "error: scenarios: found 13 attributes, expected at most 12 to score all sets\n",
        ),
    ):
        done = run(tmp_path, *overrides)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.endswith(message)
        assert "Traceback" not in done.stderr
