"""A disk that is full, and a folder that goes: one line when it happens, exit 4, what there is is kept."""

import os
import resource
import shutil
import time

import pytest

from envs.durable import append_line
from envs.errors import OutsideError
from tests.experiments.run_cases import SERIAL, assert_one_line, record, rows, run, start, write_scenarios
from tests.experiments.run_cases import Done as Ended


def _wait_for_plans(journal):
    until = time.monotonic() + 100
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 2) and time.monotonic() < until:
        time.sleep(0.01)


def test_a_line_that_does_not_fit_leaves_nothing(tmp_path):
    path = tmp_path / "lines"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        append_line(file, path, "a" * 9)
        resource.setrlimit(resource.RLIMIT_FSIZE, (25, before[1]))
        with pytest.raises(OutsideError, match=r"lines: .*; what was finished is saved"):
            append_line(file, path, "b" * 50)
        assert path.read_bytes() == b"a" * 9 + b"\n"
        append_line(file, path, "c" * 9)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        os.close(file)
    assert path.read_bytes() == b"a" * 9 + b"\n" + b"c" * 9 + b"\n"


def test_a_file_that_was_deleted_is_told_at_the_next_line(tmp_path):
    path = tmp_path / "lines"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    append_line(file, path, "a")
    path.unlink()
    with pytest.raises(OutsideError, match="lines: was deleted under the run"):
        append_line(file, path, "b")
    os.close(file)


@pytest.mark.slow
def test_a_full_disk_ends_a_run_that_goes_on_later(tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(1000)])
    (tmp_path / "a.yaml").write_text("- {name: Age}\n- {name: Gender}\n- {name: Profession}\n")
    keys = ("scenarios.path=s.jsonl", "scenarios.attributes=a.yaml", "search=greedy", "budget=2", SERIAL)

    process = start(tmp_path, *keys, "output_dir=out")
    journal = tmp_path / "out" / "plans.jsonl"
    _wait_for_plans(journal)
    limit = journal.stat().st_size + 5_000
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    out, err = process.communicate(timeout=120)
    assert_one_line(Ended(process.returncode, out, err.splitlines(keepends=True)[-1]), code=4)
    kept = journal.read_bytes()
    assert kept.endswith(b"\n")
    assert len(kept) <= limit
    for more in (("output_dir=out", "resume=true"), ("output_dir=whole",)):
        assert run(tmp_path, *keys, *more).code == 0
    assert (tmp_path / "out" / "plans.jsonl").read_bytes().startswith(kept)
    assert rows(tmp_path / "out") == rows(tmp_path / "whole")


@pytest.mark.slow
def test_a_folder_deleted_under_a_run_is_told_when_it_happens(tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(200)])
    process = start(tmp_path, "scenarios.path=s.jsonl", "budget=2", "output_dir=out", SERIAL)
    _wait_for_plans(tmp_path / "out" / "plans.jsonl")
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 4, err
    assert "was deleted under the run" in err.splitlines()[-1]
