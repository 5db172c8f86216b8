"""Published claims from the files of a benchmark or of a sensitivity run."""

import json

import pandas as pd
import pytest

from envs import UserError
from experiments.penguin.run_claims import run_claims


def cell(condition, score, low, questions=0.0, model="a"):
    return {
        "model": model,
        "protocol": "-",
        "condition": condition,
        "domain": "all",
        "score": score,
        "gain_low": low,
        "questions": questions,
        "n_scenarios": 9,
        "n_people": 3,
    }


def board(*cells):
    return {"simulated": True, "judge": "J", "protocols": ["-"], "cells": list(cells)}


def test_a_benchmark(tmp_path):
    cells = [cell("context-free", 2.0, 0.0), cell("context-free", 3.0, 0.0, model="b")]
    cells += [cell("RAISE, budget 4", 3.0, 0.5, 2.5), cell("RAISE, budget 4", 3.1, -0.1, 3.1, "b")]
    cells += [cell("context-rich", 4.0, 0.1), cell("context-rich", 4.0, 0.2, model="b")]
    (tmp_path / "leaderboard.json").write_text(json.dumps(board(*cells)))
    full, planner, questions = run_claims(tmp_path)
    assert (full.measured, full.verdict) == ("2.50 to 4.00; surely higher for 2 of 2", "reproduced")
    assert (planner.measured, planner.verdict) == ("2.50 to 3.05; surely higher for 1 of 2", "partly")
    assert (questions.measured, questions.verdict) == ("2.8", "reproduced")
    assert full.on == "SIMULATED, judge J, protocol -, 2 target models, 9 scenarios of 3 people"


def test_models_without_scores_claim_nothing(tmp_path):
    cells = [cell("context-free", None, None), cell("context-rich", None, None)]
    (tmp_path / "leaderboard.json").write_text(json.dumps(board(*cells)))
    assert run_claims(tmp_path) == []


@pytest.mark.parametrize(
    ("order", "verdict"),
    [
        (["Emotional State", "Past Self-Harm History", "Mental Health Status", "Age"], "reproduced"),
        (["Age", "Emotional State", "Gender", "Mental Health Status"], "partly"),
        (["Age", "Gender", "Profession", "Emotional State"], "not reproduced"),
    ],
)
def test_a_sensitivity_run(tmp_path, order, verdict):
    rows = [
        {"kind": "single", "domain": "all", "attribute": a, "worth": 1.0 - i / 10}
        for i, a in enumerate(order)
    ]
    rows.append({"kind": "shapley", "domain": "all", "attribute": "Gender", "worth": 9.0})
    pd.DataFrame(rows).to_parquet(tmp_path / "sensitivity.parquet")
    about = {"judge": "J", "judge_is_simulated": False, "n_scenarios": 5}
    (tmp_path / "summary.json").write_text(json.dumps(about))
    (claim,) = run_claims(tmp_path)
    assert (claim.verdict, claim.on) == (verdict, "judge J, 5 scenarios")


def test_other_folders_and_damaged_runs(tmp_path):
    assert run_claims(tmp_path) is None
    (tmp_path / "leaderboard.json").write_text("{")
    with pytest.raises(UserError, match="found a damaged run"):
        run_claims(tmp_path)
