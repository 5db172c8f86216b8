"""The figures of a run, computed again by hand from its rows."""

import json
import math
import re

import pytest
from rich.console import Console

from experiments.runs.summary import RunFigures, domain_table
from search.plan_lines import batch_of, rows_of
from search.planning import ScenarioPlan
from tests.experiments.run_cases import NAMES, SERIAL, json_lines, record, rows, summary, write_scenarios

CONTRACT = {
    "n_scenarios",
    "n_planned",
    "n_failed",
    "judge_calls",
    "requests",
    "cache_hits",
    "simulations",
    "wall_s",
    "mean_score_empty",
    "mean_score_path",
    "mean_score_full",
    "mean_path_length",
    "mean_optimism",
}


def made(number, domain, path, scores, **changes):
    return ScenarioPlan(
        **{
            "scenario_id": f"s{number}",
            "domain": domain,
            "query": "q",
            "path": tuple(path),
            "path_scores": tuple(scores),
            "score": scores[-1],
            "score_stderr": 0.0,
            "n_samples": 1,
            "search_score": scores[-1] + 0.5,
            "budget": 4,
            "num_simulations": 10,
            "judge_calls": 20,
            "search": "mcts",
            "judge": "simulated",
            "seed": 0,
            "score_full": 4.0,
            "search_calls": 18,
            "full_calls": 1,
            "requests": 3,
            "cache_hits": 2,
            **changes,
        }
    )


PLANS = [
    made(0, "health", ["Age", "Gender"], [2.0, 3.0, 4.0]),
    made(1, "career", ["Gender"], [None, 3.0], score_full=math.nan),
    made(2, "health", [], [3.0], judge_calls=1, search_score=3.0, requests=0, score_full=2.0),
    made(3, "health", ["Age"], [2.5, 3.5], num_simulations=4),
]


def figures(plans):
    """Figures of `plans`, which come in two parts."""
    found = RunFigures()
    for part in (plans[:3], plans[3:]):
        if part:
            found.add(rows_of(batch_of(part).lines))
    return found


def test_summary_by_hand():
    assert figures(PLANS).summary(2, 1.23456, simulated=True) == {
        "n_scenarios": 6,
        "n_planned": 4,
        "n_failed": 2,
        "judge_calls": 61,
        "search_judge_calls": 72,
        "full_context_calls": 4,
        "requests": 9,
        "cache_hits": 8,
        "invalid_rankings": 0,
        "simulations": 34,
        "wall_s": 1.235,
        "mean_score_empty": 2.5,  # of 2, 3, 2.5: the unscored one does not count
        "mean_score_path": 3.375,  # of 4, 3, 3, 3.5
        "mean_score_full": pytest.approx(10 / 3),
        "mean_path_length": 1.0,
        "mean_optimism": 0.375,
        "judge": "simulated",
        "judge_is_simulated": True,
    }


def test_summary_of_nothing():
    found = figures([]).summary(3, 0.0, simulated=False)
    assert set(found) >= CONTRACT
    assert (found["n_scenarios"], found["n_planned"], found["judge_calls"]) == (3, 0, 0)
    assert found["mean_score_path"] is found["mean_optimism"] is found["judge"] is None


def shown(table, width=80):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return console.export_text()


def cells(text, name):
    """The words of the row `name`."""
    (line,) = [line for line in text.splitlines() if line.split()[:1] == [name]]
    return re.split(r"\s{2,}|(?<=\d) (?=[\d-])", line.strip())


def test_domain_table_by_hand():
    text = shown(domain_table(figures(PLANS).by_domain(), "simulated", simulated=True))
    assert "SIMULATED" in text
    assert "judge: simulated" in text
    # n, nothing known, path, all, questions, first question: by hand from PLANS
    assert cells(text, "health") == ["health", "3", "2.50", "3.50", "3.33", "1.00", "Age 100%"]
    assert cells(text, "career") == ["career", "1", "-", "3.00", "-", "1.00", "Gender 100%"]
    assert cells(text, "all") == ["all", "4", "2.50", "3.38", "3.33", "1.00", "Age 67%"]
    assert "Gender 33%" in text
    assert [line.split()[0] for line in text.splitlines() if re.match(r" ?(career|health|all)", line)] == [
        "career",
        "health",
        "all",
    ]
    real = shown(domain_table(figures(PLANS).by_domain(), "gpt [x/y]", simulated=False))
    assert "SIMULATED" not in real
    assert "gpt [x/y]" in real


def test_domain_table_fits_into_80_columns_uncut():
    widest = [made(i, "relationship", ["Past Self-Harm History"], [1.0, 5.0]) for i in range(14_000)]
    text = shown(domain_table(figures(widest).by_domain(), "simulated_varied", simulated=True))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "Past Self-Harm History 100%" in text
    assert "14,000" in text


@pytest.mark.parametrize("noise", ["0.0", "0.2"])
def test_summary_of_a_run_follows_from_its_rows(command, tmp_path, noise):
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(6)])
    done = command(
        SERIAL, "scenarios.path=s.jsonl", f"judge.noise_std={noise}", "report_samples=4",
        "search.num_simulations=50", "output_dir=out",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    found, table = summary(tmp_path / "out"), rows(tmp_path / "out")
    assert set(found) >= CONTRACT
    assert (found["n_scenarios"], found["n_planned"], found["n_failed"]) == (6, 6, 0)
    assert found["judge_calls"] == sum(row["judge_calls"] for row in table)
    assert (found["requests"], found["cache_hits"]) == (0, 0)
    assert found["simulations"] == sum(row["num_simulations"] for row in table)
    # Without noise `mcts` takes them all; `bayes` stops where more looks change nothing.
    made = [row["num_simulations"] for row in table]
    assert made == [50] * 6 if noise == "0.0" else 0 < min(made) <= max(made) <= 50
    assert found["mean_score_path"] == pytest.approx(sum(row["score"] for row in table) / 6, abs=1e-12)
    assert found["mean_score_empty"] == pytest.approx(sum(r["path_scores"][0] for r in table) / 6, abs=1e-12)
    assert found["mean_path_length"] == sum(len(row["path"]) for row in table) / 6
    optimism = sum(row["search_score"] - row["score"] for row in table) / 6
    assert found["mean_optimism"] == pytest.approx(optimism, abs=1e-12)
    if noise == "0.0":
        # The search's scores are the judge's: no optimism, no further call for the report.
        assert found["mean_optimism"] == 0
        assert found["judge_calls"] == found["search_judge_calls"]
        assert {row["n_samples"] for row in table} == {1}
    else:
        assert abs(found["mean_optimism"]) < 0.2  # a belief: the luckiest of many noisy looks would be more
        fresh = sum(4 * len(row["path_scores"]) for row in table)
        assert found["judge_calls"] == found["search_judge_calls"] + fresh
    assert 0 < found["wall_s"] < 60
    # What the end of the run prints is the summary's.
    assert f"planned 6 of 6 scenarios, {found['judge_calls']:,} judge calls" in done.out
    overall = cells(done.out, "all")
    assert overall[1:6] == [
        "6",
        f"{found['mean_score_empty']:.2f}",
        f"{found['mean_score_path']:.2f}",
        f"{found['mean_score_full']:.2f}",
        f"{found['mean_path_length']:.2f}",
    ]
    assert max(map(len, (line for line in done.out.splitlines() if str(tmp_path) not in line))) <= 80


# No word of these is in a question or a schema: what holds one of them holds a value.
SECRETS = {name: f"zq{i}wolfram{i}" for i, name in enumerate(NAMES)}
ODD = """
import numpy as np
class Fails:
    def score(self, scenario, contexts):
        if scenario.id == "s2":
            return [float("nan")] * len(contexts)
        return [2 + len(c) / 10 for c in contexts]
class Text:
    def score(self, scenario, contexts):
        return [str(dict(scenario.profile))] * len(contexts)
"""


def texts_below(folder):
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "s.jsonl":
            yield path, path.read_bytes()


@pytest.mark.parametrize("case", ["good", "failing", "bad judge", "wandb", "dry run"])
def test_no_value_of_a_profile_in_any_output(command, tmp_path, case):
    (tmp_path / "odd.py").write_text(ODD)
    bad = {**record(8, profile=SECRETS), "domain": SECRETS["Age"]}
    misplaced = record(9, profile={**SECRETS, SECRETS["Gender"]: "Age"})
    good = [record(i, profile=SECRETS, query=f"query-{i}-wanted") for i in range(4)]
    write_scenarios(tmp_path / "s.jsonl", [*good, bad, misplaced])
    options = {
        "good": ["search.num_simulations=20"],
        "failing": ["judge=custom", "judge._target_=odd.Fails"],
        "bad judge": ["judge=custom", "judge._target_=odd.Text"],
        "wandb": ["tracking=wandb", "tracking.mode=offline", "search.num_simulations=20"],
        "dry run": ["dry_run=true"],
    }[case]
    done = command(SERIAL, "scenarios.path=s.jsonl", "output_dir=out", *options)
    assert done.code == (2 if case == "bad judge" else 0), done.err
    outputs = [("stdout", done.out.encode()), ("stderr", done.err.encode()), *texts_below(tmp_path)]
    assert case in ("bad judge", "dry run") or len(outputs) > 6
    for name, text in outputs:
        for secret in SECRETS.values():
            assert secret.encode() not in text, name
        if getattr(name, "name", "") not in ("paths.parquet", "plans.jsonl"):
            assert b"-wanted" not in text, name
    if case == "good":
        # The check could fail: a query is where it is allowed.
        assert {row["query"] for row in rows(tmp_path / "out")} == {f"query-{i}-wanted" for i in range(4)}
        assert len(json_lines(tmp_path / "out" / "failures.jsonl")) == 2


def test_provenance_of_a_table(command, tmp_path):
    import pyarrow.parquet as pq

    assert command(SERIAL, "scenarios.limit=2", "+budget=2", "seed=5", "output_dir=out").code == 0
    found = json.loads(pq.read_schema(tmp_path / "out" / "paths.parquet").metadata[b"raise_planner"])
    assert found["schema_version"] == 1
    assert (found["config"]["budget"], found["config"]["seed"]) == (2, 5)
    assert found["config"]["judge"]["seed"] == 5  # resolved
    assert found["config"]["search"]["_target_"] == "search.algorithms.mcts.MCTSSearch"
    assert found["scenarios"]["source"] == "bundled"
    assert re.fullmatch("[0-9a-f]{64}", found["scenarios"]["sha256"])
    assert found["packages"]["ray"]
    assert found["packages"]["numba"]
    assert re.fullmatch("[0-9a-f]{40}", found["git_commit"])
    assert isinstance(found["git_dirty"], bool)
