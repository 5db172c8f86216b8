"""`python -m experiments.show`: one plan, with what was weighed."""

import shutil

import pytest

from tests.experiments.run_cases import (
    INSPECT,
    SERIAL,
    assert_one_line,
    json_lines,
    record,
    rows,
    write_scenarios,
)

QUERY = "Is [bold]this[/red] a [link=x]question[/link] \\[or] not, and long enough for several lines?"


@pytest.fixture
def out(command, tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [record(0), record(1, id="a [b] ä", query=QUERY)])
    options = ("scenarios.path=s.jsonl", "search.num_simulations=60", "+budget=3", "output_dir=out")
    assert command(SERIAL, *options).code == 0
    return tmp_path / "out"


def test_shows_path_scores_and_alternatives(command, out):
    done = command(out, "s0", module=INSPECT)
    assert (done.code, done.err) == (0, "")
    text = " ".join(done.out.replace("│", " ").split())
    row = rows(out)[0]
    assert f"nothing known: score {row['path_scores'][0]:.2f}" in text
    for step, name in enumerate(row["path"]):
        before, after = row["path_scores"][step : step + 2]
        assert f"ask {name}: score {after:.2f} ({after - before:+.2f})" in text
    plan = json_lines(out / "plans.jsonl")[1]
    assert plan["alternatives"]
    for step, name, visits, value in plan["alternatives"]:
        shown = "unscored" if value is None else f"{value:.2f}"
        mark = "* " if row["path"][step] == name else ""
        assert f"{mark}{name}: value {shown}, {visits} visits" in text
    assert f"everything known: score {plan['score_full']:.2f}" in text
    assert "SIMULATED" in text
    assert "Question 0?" in text
    assert max(map(len, done.out.splitlines())) <= 80


def test_a_query_with_brackets_is_shown_as_it_is(command, out):
    done = command(out, "a [b] ä", module=INSPECT)
    assert (done.code, done.err) == (0, "")
    text = " ".join(done.out.replace("│", " ").split())
    assert QUERY in text
    assert "a [b] ä" in text
    assert max(map(len, done.out.splitlines())) <= 80


def test_a_bare_parquet_file(command, out, tmp_path):
    (tmp_path / "bare").mkdir()
    shutil.copy(out / "paths.parquet", tmp_path / "bare" / "table.parquet")
    done = command(tmp_path / "bare" / "table.parquet", "s0", module=INSPECT)
    assert (done.code, done.err) == (0, "")
    assert rows(out)[0]["path"][0] in done.out
    assert "weighed" not in done.out


@pytest.mark.parametrize("arguments", [("out", "nobody"), ("none", "s0"), ("out/summary.json", "s0")])
def test_a_mistake_is_one_line(command, out, arguments):
    assert_one_line(command(*arguments, module=INSPECT))


def test_a_damaged_journal_is_one_line(command, out):
    (out / "plans.jsonl").write_text("header\nnonsense\n")
    assert_one_line(command(out, "s0", module=INSPECT))
