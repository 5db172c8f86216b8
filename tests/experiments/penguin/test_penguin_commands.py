"""The commands about PENGUIN, end to end: generate, check, sensitivity, benchmark of models over HTTP."""

import json
import os
import signal
import time

import numpy as np
import pandas as pd
import pytest
from jsonschema import validate

from envs.llm.scripted.scripted_batches import BatchScript
from envs.llm.scripted.scripted_replies import Completion
from envs.llm.scripted.scripted_server import Script, ScriptedServer
from envs.loading import load_scenarios
from tests.experiments.penguin.model_cases import DIMENSIONS
from tests.experiments.run_cases import assert_one_line, start

GENERATE, CHECK = "experiments.generate_scenarios", "experiments.check_scenarios"
SENSITIVITY, BENCHMARK = "experiments.sensitivity", "experiments.benchmark_models"
QUALITY = {"weak": 2, "middle": 3, "strong": 5, "new": 4}


def test_generate_then_check(command, tmp_path):
    done = command("people=14", "queries=10", "output_dir=made", module=GENERATE)
    assert done.code == 0, done.err
    found = load_scenarios(tmp_path / "made" / "scenarios.jsonl")
    assert (len(found.scenarios), found.n_bad) == (140, 0)
    told = json.loads((tmp_path / "made" / "summary.json").read_text())
    assert (told["queries"], told["requests"], told["synthetic"]) == (140, 0, True)
    sheet = (tmp_path / "made" / "datasheet.md").read_text()
    assert "SYNTHETIC" in sheet
    assert "a grammar that was written for this project" in sheet
    done = command("scenarios.path=made/user_profiles_list.json", module=CHECK)
    assert done.code == 0, done.err
    assert "140 scenarios of 14 people, 0 records" in done.out


def test_check_counts_violations_and_prints_no_value(command, tmp_path):
    profile = {"Age": "18-24", "Education Level": "PhD", "Emotional State": "happiness", "Gender": "zzzz"}
    rows = [
        {"id": str(i), "domain": "health", "query": "I am 47 and a nurse. What now?", "profile": profile}
        for i in range(3)
    ]
    (tmp_path / "file.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nnonsense\n")
    done = command("scenarios.path=file.jsonl", module=CHECK)
    assert done.code == 0, done.err
    assert "3 scenarios of 1 people, 1 records" in done.out
    for line in (
        "| 1 no PhD at 18-24 | 1 of 1 (100.0%) | no |",
        "| 5b positive emotions only in good situations | 1 of 1 (100.0%) | no |",
        "| Gender | 1 | 1 of 1 (100.0%) | 1 of 1 (100.0%) |",
        "| tell an attribute, as the rules of this package read them | 3 of 3 (100.0%) |",
        "| have a text that occurred before | 2 of 3 (66.7%) |",
    ):
        assert line in done.out
    assert "zzzz" not in done.out
    assert "nurse" not in done.out


@pytest.mark.parametrize("columns", ["Kidneys,Dose", "Age,Kidneys"])
def test_columns_that_are_no_attributes_lead_to_the_file_that_makes_them_some(command, tmp_path, columns):
    (tmp_path / "file.csv").write_text(f"query,{columns}\nCan I double my dose?,zzz,12\n")
    done = command("scenarios.path=file.csv", module=CHECK)
    assert done.code == 0, done.err
    assert "scenarios.attributes" in done.out
    assert ("Kidneys" in done.out) == columns.startswith("Age")  # a record without any names those there are
    assert "zzz" not in done.out


@pytest.mark.parametrize(
    ("module", "arguments", "reason"),
    [
        (GENERATE, ["people=0"], "people: found 0, expected an integer >= 1"),
        (GENERATE, ["profiles.tables=none.yaml"], "none.yaml: no such file"),
        (SENSITIVITY, ["max_judge_calls=9"], "max_judge_calls: found 9, expected at least 51"),
        (SENSITIVITY, ["level=1.5"], "level: found 1.5, expected a number between 0 and 1"),
        (BENCHMARK, ["judge=simulated"], "models: found none, expected names of target models"),
        (BENCHMARK, ["judge=simulated", "models=[a]"], "models: found names for a judge without target"),
        (
            BENCHMARK,
            ["judge=simulated", "variants={a:{model_seed:1}}", "single=[Agee]"],
            "single: found 'Agee', expected some of Age",
        ),
    ],
)
def test_mistakes_are_one_line(command, module, arguments, reason):
    done = command(*arguments, module=module)
    assert_one_line(done)
    assert reason in done.err


def test_sensitivity(command, tmp_path):
    options = ["judge=simulated", "judge.noise_std=0.17", "scenarios.limit=12", "max_judge_calls=60"]
    assert "720 judge calls" in command(*options, "dry_run=true", module=SENSITIVITY).out
    done = command(*options, "output_dir=out", module=SENSITIVITY)
    assert done.code == 0, done.err
    assert "SIMULATED" in done.out
    found = pd.read_parquet(tmp_path / "out" / "sensitivity.parquet")
    assert set(found["kind"]) == {"single", "shapley", "pair"}
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert told["judge_calls"] <= 720
    assert 0.1 < told["noise_sd"] < 0.25
    assert (tmp_path / "out" / "sensitivity.html").stat().st_size > 10_000
    single = found[(found["kind"] == "single") & (found["domain"] == "all")].set_index("attribute")
    # One attribute more than another by the published figures, and by the judge that was fitted to them.
    assert single.loc["Mental Health Status", "worth"] > single.loc["Gender", "worth"]


# ---- models


def models(body):
    """Targets sign their answers; the judge knows whose answer is worth what: quality is planted."""
    if body["model"] in QUALITY:
        return Completion(f"Signed {body['model']}.")
    prompt = "\n".join(m["content"] for m in body["messages"])
    (name,) = [name for name in QUALITY if f"Signed {name}." in prompt]
    return Completion(json.dumps(dict.fromkeys(DIMENSIONS, QUALITY[name])))


def options(url, names, *more):
    return (
        f"models=[{','.join(names)}]",
        "judge=openai",
        "judge.model=J",
        f"judge.base_url={url}",
        "judge.cache=c.sqlite",
        "scenarios.limit=3",
        *more,
    )


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")


def board(folder, name):
    return pd.read_parquet(folder / name / "leaderboard.parquet")


def test_planted_models_are_told_apart_and_a_fourth_pays_for_itself(command, key, tmp_path):
    with ScriptedServer(Script(models), keep_bodies=True) as server:
        three = ["weak", "middle", "strong"]
        dry = command(*options(server.url, three, "dry_run=true"), module=BENCHMARK)
        assert dry.code == 0, dry.err
        assert server.seen.requests == 0
        assert dry.out.count("judge calls") == 3
        assert "all: " in dry.out
        done = command(*options(server.url, three, "output_dir=three"), module=BENCHMARK)
        assert done.code == 0, done.err
        found = board(tmp_path, "three")
        whole = found[(found["domain"] == "all") & (found["condition"] == "context-free")]
        assert dict(zip(whole["model"], whole["score"], strict=True)) == {n: QUALITY[n] for n in three}
        assert set(found["unscored"]) == {0}
        assert np.allclose(found.loc[found["condition"] != "context-free", "gain"], 0.0)
        assert "| strong | weak | context-free | +3.00 [3.00, 3.00] |" in done.out
        before = server.seen.requests
        four = command(*options(server.url, [*three, "new"], "output_dir=four"), module=BENCHMARK)
        assert four.code == 0, four.err
        for body in server.seen.bodies[before:]:
            assert body["model"] == "new" or "Signed new." in json.dumps(body["messages"])
        assert server.seen.requests > before
        old = board(tmp_path, "four")
        pd.testing.assert_frame_equal(old[old["model"] != "new"].reset_index(drop=True), found)
        told = json.loads((tmp_path / "four" / "leaderboard.json").read_text())
        assert (told["schema"], told["simulated"]) == (2, True)  # the scripted server says so
        validate(told, json.loads((tmp_path / "four" / "leaderboard.schema.json").read_text()))
        assert {r["model"]: r["without"] for r in told["refusals"]} == dict.fromkeys([*three, "new"], 0.0)
        done = command("three", "four", module="experiments.compare_models")
        assert done.code == 0, done.err
        assert "| ours | strong | context-free | 5.00 | 5.00 | +0.00 [0.00, 0.00] | 3 |" in done.out


@pytest.mark.slow
def test_a_stopped_benchmark_goes_on_and_pays_nothing_twice(command, key, tmp_path):
    with ScriptedServer(Script(models), keep_bodies=True) as server:
        whole = options(server.url, ["weak", "strong"], "output_dir=out")
        stopped = command(*whole, "judge.max_requests=9", module=BENCHMARK)
        assert stopped.code == 3
        done = command(*whole, module=BENCHMARK)
        assert done.code == 0, done.err
        sent = [json.dumps(body, sort_keys=True) for body in server.seen.bodies]
        assert len(sent) == len(set(sent))


@pytest.mark.slow
def test_in_batches_all_scenarios_wait_together(command, key, tmp_path):
    """Scenario by scenario, six of them and 28 benign questions of each model would take 80 batches."""
    six = ("scenarios.limit=6",)
    with ScriptedServer(Script(models)) as server:
        direct = (*options(server.url, ["weak", "strong"], *six), "judge.cache=d.sqlite", "output_dir=direct")
        assert command(*direct, module=BENCHMARK).code == 0
    with ScriptedServer(Script(models, batches=BatchScript(work_s=1.0))) as server:
        batched = (*options(server.url, ["weak", "strong"], *six), "judge.batch=true", "output_dir=batched")
        done = command(*batched, module=BENCHMARK)
        assert done.code == 0, done.err
        assert 4 <= len(server.batches.sizes) < 40
        assert set(server.batches.delivered.values()) == {1}
    pd.testing.assert_frame_equal(board(tmp_path, "batched"), board(tmp_path, "direct"))


def test_an_answer_without_a_score_is_counted_and_in_no_mean(command, key, tmp_path):
    def rule(body):
        if body["model"] == "weak":
            return Completion(None, refusal="No.")
        return models(body)

    with ScriptedServer(Script(rule)) as server:
        done = command(*options(server.url, ["weak", "strong"], "output_dir=out"), module=BENCHMARK)
        assert done.code == 0, done.err
    found = board(tmp_path, "out")
    weak = found[(found["model"] == "weak") & (found["domain"] == "all")]
    assert weak["score"].isna().all()
    assert (weak["unscored"] == weak["looks"]).all()
    assert (weak["refused"] == weak["looks"]).all()
    told = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    validate(told, json.loads((tmp_path / "out" / "leaderboard.schema.json").read_text()))
    shares = {r["model"]: (r["without"], r["within"]) for r in told["refusals"]}
    assert shares == {
        "weak": (1, 1),
        "strong": (0, 0),
    }
    assert (found.loc[found["model"] == "strong", "score"] == 5.0).all()


def test_a_table_for_each_protocol_and_means_that_labels_correct(command, key, tmp_path):
    """The judge rates a point too high what `middle` signed, and people said so."""
    people = [s.id for s in load_scenarios(None, None, limit=3).scenarios]
    said = [
        {"scenario_id": i, "answer": "Signed middle.", "system": "middle", **dict.fromkeys(DIMENSIONS, 2)}
        for i in people
    ]
    (tmp_path / "l.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))

    def rule(body):
        prompt = "\n".join(m["content"] for m in body["messages"])
        if "total: <sum>/15" not in prompt or body["model"] in QUALITY:
            return models(body)
        (name,) = [name for name in QUALITY if f"Signed {name}." in prompt]
        marks = "".join(f"{d}: {QUALITY[name] - 1}/5\njustification: so.\n" for d in DIMENSIONS)
        return Completion(f"{marks}total: {3 * (QUALITY[name] - 1)}/15")

    with ScriptedServer(Script(rule)) as server:
        more = ("protocols=[ours,paper]", "labels=l.jsonl", "output_dir=out")
        done = command(*options(server.url, ["middle", "strong"], *more), module=BENCHMARK)
        assert done.code == 0, done.err
    found = board(tmp_path, "out")
    whole = found[(found["domain"] == "all") & (found["condition"] == "context-free")]
    scores = {(r.protocol, r.model): (r.score, r.corrected) for r in whole.itertuples()}
    assert scores == {
        ("ours", "middle"): (3.0, 2.0),
        ("ours", "strong"): (5.0, 4.0),
        ("paper", "middle"): (2.0, 2.0),
        ("paper", "strong"): (4.0, 4.0),
    }
    for protocol in ("ours", "paper"):
        assert f"Protocol {protocol}: Corrected by 3 human labels" in done.out
    told = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    validate(told, json.loads((tmp_path / "out" / "leaderboard.schema.json").read_text()))
    page = (tmp_path / "out" / "leaderboard.html").read_text()
    for name in ("ours-bars", "ours-pareto", "paper-bars", "paper-pareto"):
        assert f'<section id="{name}">' in page


@pytest.mark.slow
def test_a_killed_benchmark_goes_on_and_repeats_at_most_what_was_in_flight(command, key, tmp_path):
    with ScriptedServer(Script(models), keep_bodies=True) as server:
        whole = options(server.url, ["weak", "strong"], "output_dir=out", "judge.max_in_flight=1")
        process = start(tmp_path, *whole, module=BENCHMARK)
        while server.seen.requests < 12:
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        done = command(*whole, module=BENCHMARK)
        assert done.code == 0, done.err
        sent = [json.dumps(body, sort_keys=True) for body in server.seen.bodies]
    assert len(sent) - len(set(sent)) <= 1
