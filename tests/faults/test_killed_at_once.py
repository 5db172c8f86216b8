"""A run that is killed keeps every plan that was finished before, the last one too."""

import signal

from tests.experiments.run_cases import SERIAL, record, rows, run, start, write_scenarios

JUDGE = '''
import os, signal
from pathlib import Path

class Killing:
    """Notes whom it is asked about; the first time it is asked about s4 the process is killed."""
    name = "killing"
    def score(self, scenario, contexts):
        with open("asked", "a") as file:
            file.write(scenario.id + "\\n")
        if scenario.id == "s4" and not Path("killed").exists():
            Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return [2 + 0.25 * len(c) for c in contexts]
'''


def test_no_finished_plan_is_lost_to_a_kill(tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(6)])
    (tmp_path / "killing.py").write_text(JUDGE)
    judge = ("judge=custom", "judge._target_=killing.Killing", "search=greedy", "budget=1")
    keys = ("scenarios.path=s.jsonl", *judge, SERIAL)

    process = start(tmp_path, *keys, "output_dir=out")
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    asked = (tmp_path / "asked").read_text().split()
    assert set(asked) == {"s0", "s1", "s2", "s3", "s4"}  # in file order: four were finished

    (tmp_path / "asked").unlink()
    assert run(tmp_path, *keys, "output_dir=out", "resume=true").code == 0
    assert set((tmp_path / "asked").read_text().split()) == {"s4", "s5"}
    assert [row["scenario_id"] for row in rows(tmp_path / "out")] == [f"s{i}" for i in range(6)]
