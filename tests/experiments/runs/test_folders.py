"""The folder of a run: whose files are left alone, what a resume adds, where paths lead, and exit codes."""

import json

import pytest
import yaml

from tests.experiments.run_cases import (
    SERIAL,
    assert_one_line,
    json_lines,
    record,
    rows,
    write_scenarios,
)

QUICK = (SERIAL, "scenarios.path=s.jsonl", "search=greedy", "budget=1")
JUDGES = """
import errno
from envs import OutsideError, UserError

class Judge:
    def __init__(self, ends="well"):
        self.ends = ends
    def score(self, scenario, contexts):
        if scenario.id == "s1":
            match self.ends:
                case "disk":
                    raise OSError(errno.ENOSPC, "No space left on device", "plans.jsonl")
                case "endpoint":
                    raise OutsideError("the endpoint is gone; resume=true goes on from there")
                case "file":
                    raise UserError("prices.yaml: no such file")
                case "interrupt":
                    raise KeyboardInterrupt
        return [float("nan") if self.ends == "unscored" else 2.0 + len(known) for known in contexts]
"""
MINE = ("judge=custom", "judge._target_=my_judges.Judge")


@pytest.fixture
def home(tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(3)])
    (tmp_path / "my_judges.py").write_text(JUDGES)
    return tmp_path


@pytest.mark.parametrize("resume", ["true", "false"])
@pytest.mark.parametrize("content", ["my plans", "my plans\n", '{"plan": 1}\n{"plan": 2}\n'])
def test_a_file_that_no_run_has_written_is_left_alone(command, home, content, resume):
    (home / "out").mkdir()
    (home / "out" / "plans.jsonl").write_text(content)
    done = command(*QUICK, "output_dir=out", f"resume={resume}")
    assert_one_line(done)
    assert "out/plans.jsonl: line 1: found what no run has written" in done.err
    assert [path.name for path in (home / "out").iterdir()] == ["plans.jsonl"]
    assert (home / "out" / "plans.jsonl").read_text() == content


def test_a_resume_appends_its_overrides_to_the_history(command, home):
    first = [*QUICK, *MINE, "+judge.ends=disk", "output_dir=out"]
    assert command(*first).code == 4
    assert [row["scenario_id"] for row in json_lines(home / "out" / "plans.jsonl")[1:]] == ["s0"]
    saved = {
        name: (home / "out" / ".hydra" / name).read_bytes() for name in ("config.yaml", "overrides.yaml")
    }
    (home / "my_judges.py").write_text(JUDGES.replace('case "disk"', 'case "never"'))  # there is space again
    done = command(*first, "resume=true")
    assert (done.code, done.err) == (0, "")
    assert [row["scenario_id"] for row in rows(home / "out")] == ["s0", "s1", "s2"]
    history = json_lines(home / "out" / ".hydra" / "history.jsonl")
    assert [line["overrides"] for line in history] == [first, [*first, "resume=true"]]
    assert {name: (home / "out" / ".hydra" / name).read_bytes() for name in saved} == saved
    assert yaml.safe_load(saved["overrides.yaml"]) == first
    log = (home / "out" / "train_mcts.log").read_text()
    assert log.count("started in") == 2
    assert log.count("finished") == 1


def test_relative_paths_mean_the_folder_that_the_command_was_typed_in(command, home):
    attributes = [{"name": "Age"}, {"name": "Gender"}]
    (home / "attributes.yaml").write_text(yaml.safe_dump(attributes))
    given = (*QUICK, *MINE, "scenarios.attributes=attributes.yaml", "hydra.job.chdir=true")
    done = command(*given, "output_dir=runs/one")
    assert (done.code, done.err) == (0, "")
    assert {name for row in rows(home / "runs" / "one") for name in row["path"]} <= {"Age", "Gender"}
    done = command("-m", *given, "seed=0,1", "output_dir=runs/two")
    assert (done.code, done.err) == (0, "")
    assert {p.name for p in (home / "runs" / "two").iterdir()} == {"0", "1", "multirun.yaml"}
    assert rows(home / "runs" / "two" / "0") == rows(home / "runs" / "one")
    assert {p.name for p in home.iterdir() if p.is_dir()} - {"__pycache__"} == {"runs"}


@pytest.mark.parametrize(
    ("ends", "code", "told"),
    [
        ("well", 0, ""),
        ("unscored", 1, "none of 3 scenarios was planned, see out/failures.jsonl"),
        ("file", 2, "prices.yaml: no such file"),
        ("disk", 4, "plans.jsonl: No space left on device; what was finished is saved, resume=true goes on"),
        ("endpoint", 4, "the endpoint is gone; resume=true goes on from there"),
        ("interrupt", 130, "interrupted; what was finished is saved, resume=true goes on"),
    ],
)
def test_the_exit_code_says_how_a_run_ended(command, home, ends, code, told):
    done = command(*QUICK, *MINE, f"+judge.ends={ends}", "output_dir=out")
    if code:
        assert_one_line(done, code)
    assert done.code == code
    assert told in done.err
    log = (home / "out" / "train_mcts.log").read_text().splitlines()[-1]
    assert log.endswith("finished") if not code else " - stopped: " in log
    if code in (4, 130):
        assert len(json_lines(home / "out" / "plans.jsonl")) == 2  # the header, and what was finished


def test_an_endpoint_that_nobody_answers_at_is_exit_4(command, home):
    done = command(
        *QUICK, "judge=openai", "judge.model=m", "judge.base_url=http://127.0.0.1:9", "judge.max_retries=0",
        "judge.cache=replies.sqlite", "output_dir=out",
    )  # fmt: skip
    assert_one_line(done, code=4)
    assert "127.0.0.1:9" in done.err


def test_a_command_that_cannot_resume_does_not_say_that_it_can(command, home):
    done = command(
        "scenarios.path=s.jsonl", *MINE, "+judge.ends=endpoint", "output_dir=out",
        module="experiments.sensitivity",
    )  # fmt: skip
    assert_one_line(done, code=4)
    assert done.err == "error: the endpoint is gone\n"
    assert json.loads((home / "out" / ".hydra" / "history.jsonl").read_text())["command"] == "sensitivity"
