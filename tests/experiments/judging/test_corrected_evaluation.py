"""An evaluation with a file of labels: its means and gains less the judge's mean error."""

import json

import numpy as np
import pandas as pd
import pytest

from envs import Score
from envs.loading import load_scenarios
from experiments.judging.method_corrections import corrected_grid, corrected_methods, labels_for

N = 90


class Generous:
    """Says a point more than people do, and rates by the last word of an answer."""

    name = "generous"

    def score(self, scenario, contexts):
        return [Score(4, 4, 4) for _ in contexts]

    def rate(self, scenario, answers):
        return [float(answer.split()[-1]) + 1.0 for answer in answers]


@pytest.fixture
def given(tmp_path):
    scenarios = load_scenarios(None, None).scenarios[:N]
    rng = np.random.default_rng(0)
    levels = rng.uniform(1.5, 3.5, N)
    rows = [
        {
            "scenario_id": s.id,
            "answer": f"Says {x:.3f}",
            "score": float(np.clip(x + 0.2 * rng.normal(), 1, 5)),
        }
        for s, x in zip(scenarios, levels, strict=True)
    ]
    (tmp_path / "l.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return scenarios, labels_for(str(tmp_path / "l.jsonl"), Generous(), scenarios)


def test_means_lose_the_judges_bias_and_gains_keep_theirs(given):
    scenarios, labels = given
    rng = np.random.default_rng(1)
    judged = rng.uniform(2.5, 4.5, N)
    rows = pd.DataFrame(
        {
            "method": ["vanilla"] * N + ["asked"] * N,
            "scenario_id": [s.id for s in scenarios] * 2,
            "score": [*judged, *(judged + 0.3)],
        }
    )
    rows.loc[0, "score"] = np.nan
    found = corrected_methods(Generous(), labels, rows, "vanilla", 1, 0.95)
    vanilla, asked = (found["methods"][name] for name in ("vanilla", "asked"))
    assert vanilla["score"].low <= judged[1:].mean() - 1.0 <= vanilla["score"].high
    assert vanilla["score"].high < judged.mean() - 0.5
    assert asked["gain"].estimate == pytest.approx(0.3, abs=0.02)
    assert asked["gain"].high - asked["gain"].low < 0.2  # paired by person
    grid = corrected_grid(found, "vanilla")
    assert [row[0] for row in grid.rows] == ["vanilla", "asked"]
    assert grid.rows[0][2] == "-"


def test_without_labels_nothing(given):
    assert labels_for(None, Generous(), given[0]) is None
    assert corrected_methods(Generous(), None, pd.DataFrame(), "vanilla", 1, 0.95) is None
