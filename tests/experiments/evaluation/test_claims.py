"""The table of published claims: each verdict from figures made by hand, and from a run's folder."""

import json
import math

import pandas as pd
import pytest

from envs import UserError
from experiments.claims import main
from experiments.evaluation.report.findings import findings, verdict
from experiments.evaluation.report.grids import number, with_interval
from experiments.evaluation.report.method_figures import Comparison
from experiments.evaluation.report.pairs import Pair, compare, curves
from experiments.evaluation.report.published_claims import (
    NOT,
    OPEN,
    PARTLY,
    REPRODUCED,
    claims,
    claims_grid,
    read_summary,
)
from experiments.evaluation.results import COLUMNS, DIMENSIONS
from experiments.stats import Interval


def figure(score, half=0.05, asked=0.0):
    return {"score": interval(score, half), "questions": interval(asked, 0.1)}


def interval(value, half):
    return {"estimate": value, "low": value - half, "high": value + half}


def pair(name, other, value, kind="difference", half=0.05):
    return {"name": name, "other": other, "kind": kind, "interval": interval(value, half)}


def made(**changes):
    summary = {
        "judge": "simulated",
        "judge_is_simulated": True,
        "scenarios": "bundled",
        "n_test": 28,
        "n_profiles": 27,
        "model_seeds": [0, 1],
        "value_cost": 0.1,
        "chosen": "mine",
        "abstention_only": "random order + value 0.1",
        "methods": {
            "vanilla": figure(2.8),
            "random order + value 0.1": figure(3.5, asked=3),
            "mine": figure(3.8, asked=2.6),
            "full context": figure(4.0, asked=10),
            "best static set": figure(3.7, asked=4),
            "best static set per domain": figure(3.8, asked=4),
            "best static 1 per domain": figure(3.55, asked=1),
        },
        "pairs": [
            pair("random order + value 0.1", "vanilla", 0.7),
            pair("mine", "random order + value 0.1", 0.3),
            pair("mine", "random order + value", 0.35, "equal questions"),
            pair("mine", "best static set", 0.1, "equal questions"),
        ],
    }
    return {**summary, **changes}


def verdicts(summary):
    return {row.claim.split(",")[0]: row.verdict for row in claims(summary)}


def test_a_run_in_which_everything_is_as_published():
    rows = claims(made())
    assert [row.verdict for row in rows] == [REPRODUCED] * 6 + [OPEN]
    assert all("SIMULATED" in row.on for row in rows[:-1])
    assert rows[0].measured.startswith("2.80 to 4.00 (+42.9%)")
    assert "fitted" in rows[0].measured
    assert rows[4].measured.startswith("75% of")  # 0.75 of 1.00
    assert claims_grid(rows).title == "6 of 7 published claims are reproduced here"


@pytest.mark.parametrize(
    ("changed", "claim", "expected"),
    [
        (pair("mine", "random order + value 0.1", 0.0), "vanilla 2.86", PARTLY),
        (pair("mine", "random order + value", -0.2, "equal questions"), "planning what to ask", NOT),
        (pair("mine", "best static set", -0.1, "equal questions"), "planned paths beat", NOT),
        (pair("mine", "best static set", 0.01, "equal questions"), "planned paths beat", "not told apart"),
    ],
)
def test_verdicts_follow_the_intervals(changed, claim, expected):
    summary = made()
    same = ("name", "other", "kind")
    summary["pairs"] = [changed if all(p[k] == changed[k] for k in same) else p for p in summary["pairs"]]
    (found,) = [row.verdict for row in claims(summary) if row.claim.startswith(claim)]
    assert found == expected


def test_a_real_judge_is_not_called_simulated():
    rows = claims(made(judge_is_simulated=False))
    assert not any("SIMULATED" in row.on or "fitted" in row.measured for row in rows)
    assert OPEN not in {row.verdict for row in rows}


def test_what_was_not_measured_is_left_out():
    summary = made(pairs=[])
    del summary["methods"]["best static 1 per domain"]
    assert len(claims(summary)) == 3  # context, questions, and what needs the models


def test_users_who_tell_nothing_leave_no_gain_to_share():
    summary = made()
    for name in summary["methods"]:
        summary["methods"][name] = figure(2.8)
    assert not [row for row in claims(summary) if row.claim.startswith("the first question")]


def test_the_command_reads_runs_and_prints_one_table(tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(json.dumps(made(judge=name)))
    main([str(tmp_path / "a"), str(tmp_path / "b")])
    out = capsys.readouterr().out
    assert out.startswith("| published claim |")
    table, _, paper = out.partition("\n\n")
    assert table.count("\n") + 1 == 2 + 6 + 6 + 1
    assert paper.startswith("The paper's Tables 2, 7, 8 and 9")
    assert "judge a (2 draws)" in out
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "nowhere")])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("text", ["{}", "[1]", "no json"])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(UserError, match="summary"):
        read_summary(tmp_path)


def test_numbers_as_text():
    assert number(math.nan) == "-"
    assert number(math.inf) == "not reached"
    assert with_interval(Interval(0.5, 0.25, 1.0), 2, signed=True) == "+0.50 [0.25, 1.00]"
    assert with_interval(Interval(math.inf, 1.0, math.inf)) == "not reached [1.00, not reached]"
    assert with_interval(Interval(math.nan, math.nan, math.nan)) == "-"


@pytest.mark.parametrize(
    ("interval", "word"),
    [((0.2, 0.1, 0.3), "higher"), ((-0.2, -0.3, -0.1), "lower"), ((0.1, -0.1, 0.3), "not told apart")],
)
def test_verdict_of_a_difference(interval, word):
    assert verdict(Interval(*interval)) == word


def rows_of(method, curve, scores, asked):
    """Two people under one judge; empty 2.0, best 4.0."""
    return [
        {
            **dict.fromkeys(COLUMNS, 0), "method": method, "kind": "policy", "curve": curve, "model_seed": 0,
            "scenario_id": f"s{i}", "profile": i, "domain": "health", "score": score, "n_asked": asked,
            **dict.fromkeys(DIMENSIONS, score), "score_empty": 2.0, "score_best": 4.0, "score_full": 3.5,
            "asked": [],
        }
        for i, score in enumerate(scores)
    ]  # fmt: skip


@pytest.fixture
def comparison():
    rows = [
        *rows_of("vanilla", "", (2.0, 2.0), 0),
        *rows_of("vote + fixed 1", "vote + fixed", (2.5, 3.5), 1),
        *rows_of("vote + value 0.1", "vote + value", (3.0, 4.0), 2),
        *rows_of("vote + value 0.9", "vote + value", (2.5, 2.5), 0.5),
        *rows_of("conditional + fixed 1", "conditional + fixed", (2.6, 3.6), 1),
        *rows_of("nearest + fixed 1", "nearest + fixed", (1.5, 3.5), 1),
    ]
    return Comparison(pd.DataFrame(rows)[list(COLUMNS)], n_draws=200)


def test_figures_of_a_method_by_hand(comparison):
    found = comparison.figures("nearest + fixed 1")
    assert found.score.estimate == 2.5
    assert found.share.estimate == 0.25  # gains -.5 and 1.5 of 2 and 2
    assert found.worse.estimate == 0.5
    assert found.domains["health"].estimate == 2.5
    assert comparison.figures("vote + value 0.1").share.estimate == 0.75


def test_comparisons_by_hand(comparison):
    pairs = {
        (p.name, p.other, p.kind): p.interval.estimate for p in compare(comparison, "vote + value 0.1", 0.1)
    }
    assert pairs["vote + value 0.1", "vanilla", "difference"] == 1.5
    assert pairs["conditional + fixed 1", "nearest + fixed 1", "difference"] == pytest.approx(0.6)
    # The curve of `vote + value`: (0, 2.0), (.5, 2.5), (2, 3.5); at one question 2.83, at 3.0 1.25 questions.
    held = pairs["vote + fixed 1", "vote + value", "equal questions"]
    assert held == pytest.approx(3.0 - (2.5 + 1.0 / 3))
    assert pairs["vote + fixed 1", "vote + value", "questions saved"] == pytest.approx(0.25)
    assert curves(comparison)["vote + value"] == ["vanilla", "vote + value 0.1", "vote + value 0.9"]


def test_sentences_say_what_the_pairs_say(comparison):
    pairs = compare(comparison, "vote + value 0.1", 0.1)
    figures = {name: comparison.figures(name) for name in comparison.names}
    lines = findings(figures, pairs, "vote + value 0.1", 0.1)
    assert lines[0] == "Mean score: vanilla 2.00 at 0.0 questions, vote + value 0.1 3.50 at 2.0 questions."
    assert any("Questions of vote + value against a fixed number k" in line for line in lines)
    assert any("+0.60" in line and "nearest stored path" in line for line in lines)


@pytest.mark.parametrize(
    ("share", "words"), [(0.98, "nearly enough here"), (0.9, "not enough here: the best pair")]
)
def test_whether_a_static_set_is_enough_is_said(comparison, share, words):
    figures = {name: comparison.figures(name) for name in comparison.names}
    pair = Pair(
        "best static 2 per domain", "population plan", "share", Interval(share, share - 0.02, share + 0.02)
    )
    (line,) = [line for line in findings(figures, [pair], "vote + value 0.1", 0.1) if "static" in line]
    assert words in line
    assert f"{100 * share:.1f} % [{100 * share - 2:.1f}, {100 * share + 2:.1f}]" in line


def test_methods_with_other_rows_are_refused():
    rows = pd.DataFrame([*rows_of("a", "", (2, 2), 0), *rows_of("b", "", (2,), 0)])[list(COLUMNS)]
    with pytest.raises(UserError, match="method b has other rows than a"):
        Comparison(rows)
