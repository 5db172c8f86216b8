"""The journal of a run that is long: segments, kills in between, damage."""

import json

import pytest

from envs import UserError
from envs.loading.seen_ids import key_of
from experiments.runs.plan_journal import Journal, find_plan, read_plans, segments
from experiments.viewer.line_index import LineIndex
from search.plan_lines import batch_of, plain_plan
from tests.search.test_plan_lines import plan_of

PLANS = [plan_of(n) for n in range(40)]


class Small(Journal):
    """Makes a segment of a few plans."""

    segment_bytes = 3000


def write(folder, plans=PLANS, kind=Small):
    with kind(folder, "f", False) as journal:
        for plan in plans:
            journal.add(batch_of([plan]))
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "run")


def test_segments_and_the_rest_hold_each_plan_once_in_order(folder):
    assert len(segments(folder)) > 3
    assert (folder / "plans.jsonl").stat().st_size < Small.segment_bytes
    assert list(read_plans(folder).values()) == PLANS
    with Small(folder, "f", True) as journal:
        ids = [json.loads(line)["scenario_id"] for block in journal.blocks() for line in block.splitlines()]
        assert ids == [plan.scenario_id for plan in PLANS]
        assert journal.done_keys.tolist() == [key_of(name) for name in ids]
        assert journal.totals == batch_of(PLANS).totals
    assert [find_plan(folder, plan.scenario_id) for plan in PLANS] == PLANS
    assert find_plan(folder, "s4000") is None


def test_a_resumed_journal_goes_on_behind_its_segments(tmp_path):
    folder = write(tmp_path / "run", PLANS[:25])
    before = {path.name: path.read_bytes() for path in segments(folder)}
    with Small(folder, "f", True) as journal:
        for plan in PLANS[25:]:
            journal.add(batch_of([plan]))
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert list(read_plans(folder).values()) == PLANS


def test_killed_between_making_a_segment_and_emptying_the_file(folder, tmp_path):
    """The lines are in both then."""
    whole = write(tmp_path / "whole", PLANS, Journal)
    lines = (whole / "plans.jsonl").read_bytes().splitlines(keepends=True)
    n = len(LineIndex(segments(folder)[0]))
    for path in segments(folder)[1:]:
        path.unlink()
    (folder / "plans.jsonl").write_bytes(b"".join(lines[: n + 1]))
    with Small(folder, "f", True) as journal:
        assert len(journal.done_keys) == n
        for plan in PLANS[n:]:
            journal.add(batch_of([plan]))
    assert list(read_plans(folder).values()) == PLANS
    with Small(folder, "f", True) as journal:
        assert len(journal.done_keys) == len(PLANS)


@pytest.mark.parametrize("name", ["plans.jsonl", "plans-00002.jsonl.zst"])
def test_damage_is_one_line_with_the_place(folder, name):
    path = folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))
    for read in (lambda: read_plans(folder), lambda: Small(folder, "f", True)):
        with pytest.raises(UserError) as error:
            read()
        assert str(error.value).startswith(f"{path}: ")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"requests": "1"}, {"score": None}, {"scenario_id": "\ud800"}, {"path": ["\ud800"]}),
        *({"path_scores": [2**70]}, {"n_samples": 2**63}, {"cache_hits": None}, {"stopped": 1}),
    ],
)
def test_a_line_without_a_sum_is_checked_value_by_value(tmp_path, wrong):
    """As earlier releases wrote them; rows are made of them at the end of a run."""
    path = write(tmp_path, PLANS[:2], Journal) / "plans.jsonl"
    row = {**plain_plan(PLANS[2]), **wrong}
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
    for read in (lambda: read_plans(tmp_path), lambda: Journal(tmp_path, "f", True)):
        with pytest.raises(UserError) as error:
            read()
        assert str(error.value).startswith(f"{path}: line 4 ")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", [{"crc32": "\ud800"}, {"alternatives": [[0, "\ud800", 1, 2.0]]}])
def test_a_line_without_a_sum_that_no_row_can_be_made_of_stops_no_run_at_its_end(tmp_path, wrong):
    path = write(tmp_path, PLANS[:2], Journal) / "plans.jsonl"
    with path.open("a") as file:
        file.write(json.dumps({**plain_plan(PLANS[2]), **wrong}) + "\n")
    with pytest.raises(UserError) as error:
        Journal(tmp_path, "f", True)
    assert str(error.value).startswith(f"{path}: line 4 ")
    assert "\n" not in str(error.value)


def test_a_folder_with_segments_alone_is_no_new_run(folder):
    (folder / "plans.jsonl").unlink()
    with pytest.raises(UserError, match="holds a run"):
        Small(folder, "f", False)
    with pytest.raises(UserError, match=r"plans.jsonl: line 1"):
        Small(folder, "f", True)


def test_the_viewer_finds_plans_in_segments(folder):
    index = LineIndex(folder / "plans.jsonl", segments(folder))
    assert (index.problem, len(index)) == ("", len(PLANS))
    for plan in PLANS:
        rows, problem = index.rows(plan.scenario_id)
        assert problem == ""
        assert [row["scenario_id"] for row in rows] == [plan.scenario_id]
