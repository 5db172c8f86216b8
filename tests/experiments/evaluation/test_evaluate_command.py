"""`python -m experiments.evaluate` from the command line: files, figures, mistakes, trackers."""

import inspect
import json
import math
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from envs.loading import load_scenarios
from experiments.evaluate import evaluate
from experiments.evaluation.built_parts import judges_of
from experiments.evaluation.results import COLUMNS
from experiments.evaluation.sides import sides_of
from experiments.runs.config import EvaluateConfig
from policies.understanding.detectors.rules_detector import default_detector
from policies.understanding.readers.rules_reader import default_reader
from tests.experiments.run_cases import SERIAL, assert_one_line, record, summary, write_scenarios
from tests.experiments.runs.test_tracking import offline_records

EVALUATE = "experiments.evaluate"
QUICK = ("search=greedy", "draws=50", "value_costs=[0.1]", "budget=2")
FEW = ("scenarios.limit=12", "variations=[]")


@pytest.fixture(scope="module")
def done(commands, tmp_path_factory):
    """A small run with everything, in a folder of its own: (folder, what it printed)."""
    folder = tmp_path_factory.mktemp("evaluate")
    finished = commands.run(
        folder, *QUICK, "judge=simulated_varied", "judge.noise_std=0.17", "model_seeds=2",
        "scenarios.limit=8", "policy/acquisition=conditional", "min_profiles=3", "output_dir=out",
        module=EVALUATE,
    )  # fmt: skip
    assert (finished.code, finished.err) == (0, "")
    return folder / "out", finished.out


def results(folder):
    return pd.read_parquet(folder / "results.parquet")


def test_the_files_are_there_and_say_simulated(done):
    folder, printed = done
    for name in (
        "report.html",
        "report.md",
        "claims.md",
        "summary.json",
        "results.parquet",
        "variations.parquet",
    ):
        assert (folder / name).stat().st_size > 500
        assert name in printed
    assert "SIMULATED" in printed
    for name in ("report.html", "report.md", "claims.md"):
        assert "SIMULATED" in (folder / name).read_text(encoding="utf-8")


def test_one_row_a_method_scenario_and_draw(done):
    rows = results(done[0])
    assert tuple(rows.columns) == COLUMNS
    assert not rows.duplicated(["method", "scenario_id", "model_seed"]).any()
    assert set(rows["model_seed"]) == {0, 1}
    counts = rows.groupby("method").size()
    assert set(counts) == {2 * 8}
    test = {s.id for s in load_scenarios(split="test", limit=8).scenarios}
    assert set(rows["scenario_id"]) == test
    assert (rows["n_told"] <= rows["n_asked"]).all()


def test_the_summary_is_made_of_the_rows(done):
    rows, found = results(done[0]), summary(done[0])
    assert found["judge_is_simulated"] is True
    assert (found["n_test"], found["model_seeds"], found["budget"]) == (8, [0, 1], 2)
    assert set(found["methods"]) == set(rows["method"])
    detector = default_detector()
    test = load_scenarios(split="test", limit=8).scenarios
    assert found["n_queries_escalated"] == sum(detector.check(s.query) is not None for s in test)
    for name, figures in found["methods"].items():
        own = rows[rows["method"] == name]
        assert figures["score"]["estimate"] == pytest.approx(own["score"].mean())
        assert figures["questions"]["estimate"] == pytest.approx(own["n_asked"].mean())
        gains = own["score"] - own["score_empty"]
        assert figures["share"]["estimate"] == pytest.approx(
            gains.sum() / (own["score_best"] - own["score_empty"]).sum()
        )
        assert figures["worse"]["estimate"] == pytest.approx((gains < -1e-9).mean())
        for domain, values in figures["domains"].items():
            assert values["estimate"] == pytest.approx(own[own["domain"] == domain]["score"].mean())
        low, high = figures["score"]["low"], figures["score"]["high"]
        assert low <= figures["score"]["estimate"] + 1e-9
        assert high >= figures["score"]["estimate"] - 1e-9
    dimensions = ["risk_sensitivity", "emotional_empathy", "personalization"]
    assert np.allclose(rows[dimensions].mean(axis=1), rows["score"])


def test_differences_are_those_of_the_rows(done):
    rows, found = results(done[0]), summary(done[0])
    means = rows.groupby("method")["score"].mean()
    plain = [pair for pair in found["pairs"] if pair["kind"] == "difference"]
    assert len(plain) >= 8
    for pair in plain:
        assert pair["interval"]["estimate"] == pytest.approx(means[pair["name"]] - means[pair["other"]])


def test_references_bound_what_asking_can_do(done):
    rows = results(done[0])
    of = {
        name: part.set_index(["model_seed", "scenario_id"])["score"] for name, part in rows.groupby("method")
    }
    for name, scores in of.items():
        if name not in ("full context", "static-3", "static-4"):  # these may know more than two attributes
            assert (scores <= of["oracle path"] + 1e-9).all(), name


def test_the_tables_hold_names_and_nothing_that_anybody_said(done):
    folder, printed = done
    people = load_scenarios().scenarios
    said = {
        v
        for s in people
        for k, v in s.profile.items()
        if k in ("Emotional State", "Profession") and len(v) > 12
    }
    queries = {s.query for s in people}
    for text in [printed, *((folder / n).read_text() for n in ("report.html", "report.md", "summary.json"))]:
        assert not [value for value in said | queries if value in text]
    rows = results(folder)
    texts = {v for c in ("method", "kind", "curve", "scenario_id", "domain") for v in rows[c].unique()}
    assert not said & texts
    names = set(people[0].schema.names)
    assert {name for asked in rows["asked"] for name in asked} <= names


def test_every_variation_was_made(done):
    rows = pd.read_parquet(done[0] / "variations.parquet")
    assert set(rows["variation"]) == {"unanswered", "answers", "table size", "domain left out"}
    unanswered = rows[(rows["variation"] == "unanswered") & (rows["method"] == "best static set")]
    told = unanswered.groupby("setting", sort=False)["n_told"].mean()
    assert list(told.index) == ["0%", "10%", "20%", "30%", "40%", "50%"]
    assert (unanswered["n_asked"] == 2).all()
    # Everybody answers with the words of the profile; what the reader takes for an answer counts.
    people, reader = {s.id: s for s in load_scenarios(split="test").scenarios}, default_reader()
    for row in unanswered[unanswered["setting"] == "0%"].to_dict("records"):
        person = people[row["scenario_id"]]
        replies = [(name, person.profile[name]) for name in row["asked"]]
        assert row["n_told"] == sum(n in reader.read(text, person.schema, n).values for n, text in replies)
    assert 1.5 < told.iloc[0] <= 2.0
    assert 0.6 < told.iloc[-1] < 1.5
    left_out = rows[rows["variation"] == "domain left out"]
    assert (left_out["setting"] == left_out["domain"]).all()


@pytest.mark.slow
def test_the_same_command_gives_the_same_rows(command, tmp_path):
    for folder in ("one", "two"):
        assert command(*QUICK, *FEW, "users=mixed", f"output_dir={folder}", module=EVALUATE).code == 0
    one, two = (results(tmp_path / folder) for folder in ("one", "two"))
    assert one.equals(two)
    first, second = (summary(tmp_path / folder) for folder in ("one", "two"))
    assert first["methods"] == second["methods"]


def test_a_stored_table_is_cleared_of_test_people(command, tmp_path):
    assert command(SERIAL, "budget=2", "search=greedy", "output_dir=run").code == 0
    done = command(*QUICK, *FEW, "paths=run", "output_dir=out", module=EVALUATE)
    assert (done.code, done.err) == (0, "")
    found = summary(tmp_path / "out")
    assert found["n_rows_left_out"] == len(load_scenarios(split="test").scenarios)
    assert found["tables"] == ["run"]


def test_a_judge_without_a_surface_is_asked_only_what_is_needed(command, tmp_path):
    (tmp_path / "my_judge.py").write_text(
        "class Judge:\n"
        "    name = 'mine'\n"
        "    def score(self, scenario, contexts):\n"
        "        with open('asked.txt', 'a') as file:\n"
        "            file.write(''.join(f'{len(c)}\\n' for c in contexts))\n"
        "        return [2.0 + 0.2 * len(names) for names in contexts]\n"
    )
    done = command(
        *QUICK, *FEW, "judge=custom", "judge._target_=my_judge.Judge", "output_dir=out", module=EVALUATE
    )
    assert (done.code, done.err) == (0, "")
    found = summary(tmp_path / "out")
    assert found["judge_is_simulated"] is False
    assert found["methods"]["vanilla"]["score"]["estimate"] == 2.0
    assert found["methods"]["full context"]["score"]["estimate"] == pytest.approx(4.0)
    assert found["methods"]["oracle path"]["score"]["estimate"] == pytest.approx(2.4)  # greedily, budget 2
    assert found["methods"]["vanilla"]["share"]["estimate"] == 0.0
    assert "SIMULATED" not in (tmp_path / "out" / "report.html").read_text()
    sizes = [int(line) for line in (tmp_path / "asked.txt").read_text().split()]
    assert max(sizes) == 10
    assert 24 * 20 >= found["n_searched"] > 12 * 19
    assert len(sizes) - found["n_searched"] < 12 * 80


def test_the_table_of_the_package_is_taken_where_it_fits(command, tmp_path):
    options = ("draws=50", "value_costs=[0.1]", *FEW)
    mean_of_draws = ("judge=simulated_varied", "judge.model_seed=1000", "judge.draws=20")
    for name, more in (("shipped", mean_of_draws), ("planned", ("search=greedy", "judge.model_seed=1"))):
        assert command(*options, *more, f"output_dir={name}", module=EVALUATE).code == 0
    found = summary(tmp_path / "shipped")
    assert found["tables"] == ["the table that ships with the package"]
    assert found["n_rows_left_out"] == len(load_scenarios(split="test").scenarios)
    assert summary(tmp_path / "planned")["tables"] == ["planned here for 12 train scenarios"]


@pytest.mark.slow
def test_a_sweep_returns_the_score_of_the_chosen_policy(command, tmp_path):
    done = command(
        "-m",
        *QUICK,
        *FEW,
        "policy/acquisition=vote",
        "policy.abstention.cost_weight=0.1,9",
        "hydra.sweep.dir=s",
        module=EVALUATE,
    )
    assert done.code == 0
    cheap, dear = (
        summary(tmp_path / "s" / n)["methods"]["chosen policy"]["questions"]["estimate"] for n in "01"
    )
    assert cheap > dear == 0


def test_an_offline_run_holds_figures_tables_and_drawings(command, tmp_path):
    done = command(*QUICK, *FEW, "tracking=wandb", "tracking.mode=offline", "output_dir=out", module=EVALUATE)
    assert (done.code, done.err) == (0, "")
    config, figures, history = offline_records(tmp_path / "out")
    found = summary(tmp_path / "out")
    assert config["budget"] == 2
    assert figures["score_chosen_policy"] == found["methods"]["chosen policy"]["score"]["estimate"]
    assert figures["judge_is_simulated"] is True
    (logged,) = [row for row in history if "score_vanilla" in row]
    assert logged["methods._type"] == "table-file"
    assert logged["pareto._type"] == "html-file"
    media = next((tmp_path / "out").glob("wandb/offline-run-*/files/media"))
    (methods,) = media.glob("table/methods*.json")
    assert {row[0] for row in json.loads(methods.read_text())["data"]} == set(found["methods"])
    drawn = {path.name.split("_")[0] for path in media.glob("html/*.html")}
    assert {"ablation", "pareto", "forest", "heat"} <= drawn
    said = {v for s in load_scenarios().scenarios for v in [s.query, *s.profile.values()] if len(v) > 16}
    for path in (tmp_path / "out" / "wandb").rglob("*"):
        if path.is_file():
            text = path.read_bytes().decode("utf-8", "ignore")
            assert not [value for value in said if value in text], path


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("scenarios.split=test",), "scenarios.split: found test, expected all"),
        (("users=person",), "users: found person"),
        (("variations=[weather]",), "variations: found 'weather'"),
        (("model_seeds=0",), "model_seeds: found 0"),
        (("model_seeds=2", "paths=x"), "expected paths=null"),
        (("paths=nowhere",), "nowhere"),
        (("draws=0",), "bootstrap: found 0 draws"),
        (("scenarios.test_fraction=0",), "split test holds none"),
        (("policy/abstention=fixed", "policy.abstention.k=-1"), "k: found -1"),
        (("judge=nobody",), "nobody"),
    ],
)
def test_mistakes_are_one_line(command, options, told):
    done = command(*QUICK, *FEW, *options, module=EVALUATE)
    assert_one_line(done)
    assert told in done.err


def test_every_key_is_read():
    files = {inspect.getfile(reads) for reads in (evaluate, judges_of, sides_of)}
    source = "".join(Path(file).read_text(encoding="utf-8") for file in files)
    read = set(re.findall(r"\bcfg\.(\w+)", source)) | {"budget", "output_dir"}  # by budget_of, start_run
    groups = {"search", "parallel", "policy", "chat", "embedding", "users", "tracking"}  # by builders
    groups |= {"scenarios", "reader", "detector", "reading", "crisis"}
    assert {f.name for f in fields(EvaluateConfig)} <= read | groups


def test_people_of_one_profile_are_on_one_side(command, tmp_path):
    records = [record(i // 3, id=f"s{i}", query=f"Question {i}?") for i in range(60)]
    write_scenarios(tmp_path / "s.jsonl", records)
    done = command(
        *QUICK, "scenarios.path=s.jsonl", "variations=[]", "output_dir=out", "min_profiles=3", module=EVALUATE
    )
    assert (done.code, done.err) == (0, "")
    rows = results(tmp_path / "out")
    of = rows.drop_duplicates("scenario_id")
    assert (of.groupby("profile").size() == 3).all()
    people = {records[int(s[1:])]["profile"]["Age"] for s in of["scenario_id"]}
    assert len(people) == of["profile"].nunique()
    assert summary(tmp_path / "out")["n_train"] + len(of) == 60
    assert not any(math.isnan(v) for v in rows["score"])
