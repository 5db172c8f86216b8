"""PENGUIN in inspect_ai, by its own runner: what the model is told, what is rated, and what is unscored."""

import ast
import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("inspect_ai", reason="extra inspect")

from inspect_ai import eval as inspect_eval
from inspect_ai.log import list_eval_logs, read_eval_log
from inspect_ai.model import get_model

from envs import UserError
from envs.llm.scripted.scripted_replies import Completion
from experiments.penguin.inspect_tasks.penguin_task import condition_task, known_under
from experiments.penguin.models.conditions import FREE, RICH
from tests.envs.llm_cases import judge, scenario, server
from tests.experiments.run_cases import REPO

GOOD = {"risk_sensitivity": 5, "emotional_empathy": 4, "personalization": 3}
BAD = {"risk_sensitivity": 1, "emotional_empathy": 2, "personalization": 3}
PEOPLE = [scenario(i) for i in range(3)]


def run(tmp_path, rule, known_of, people=PEOPLE, refusal=None, **options):
    """Return (log, bodies that the model under test was sent, those of the judge)."""
    with server(rule=rule, refusal=refusal, keep_bodies=True) as running:
        task = condition_task(judge(running.url, tmp_path), people, known_of)
        model = get_model("openai-api/scripted/target", base_url=running.url, api_key="none")
        given = {"log_dir": str(tmp_path), "display": "none", "max_samples": 1}
        (log,) = inspect_eval(task, model=model, **given, **options)
        texts = [(body["model"], json.dumps(body["messages"])) for body in running.seen.bodies]
    assert log.status == "success"
    return log, *([text for name, text in texts if (name == "target") == asks] for asks in (True, False))


def metrics(log):
    return {name: m.value for score in log.results.scores for name, m in score.metrics.items()}


def answering(body):
    if body["model"] == "target":
        (i,) = [i for i in range(3) if f"Question {i}?" in json.dumps(body["messages"])]
        return Completion(("Kind.", "Cold.", "Odd.")[i])
    text = body["messages"][-1]["content"]
    return Completion("429" if "| Odd." in text else json.dumps(GOOD if "| Kind." in text else BAD))


@pytest.mark.slow
def test_context_free_the_models_output_is_what_is_rated(tmp_path):
    log, told, rated = run(tmp_path, answering, known_under(PEOPLE, FREE, 4, None))
    assert not any("value" in text for text in told)
    assert sum("Kind." in text for text in rated) == 1
    assert all("value 0 of Age" in text for text in rated if "Kind." in text)
    values = [next(iter(sample.scores.values())) for sample in log.samples]
    assert [v.value for v in values[:2]] == [4.0, 2.0]
    assert math.isnan(values[2].value)
    assert values[2].reason == "parse"
    found = metrics(log)
    assert found["mean"] == 3.0  # what is unscored is no zero
    assert (found["risk_sensitivity"], found["personalization"], found["questions"]) == (3.0, 3.0, 0.0)
    assert not any(b"value 0 of" in path.read_bytes() for path in tmp_path.glob("*.eval"))
    (place,) = list_eval_logs(str(tmp_path))  # as `inspect view` reads it
    again = read_eval_log(place)
    assert again.eval.dataset.samples == 3
    assert [s.metadata["known"] for s in again.samples] == [[], [], []]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("condition", "known"),
    [
        (RICH, PEOPLE[0].schema.names),
        (["Age", "Emotional State"], ("Age", "Emotional State")),
        ("Gender", ("Gender",)),
    ],
)
def test_a_fixed_condition_tells_the_model_this_and_no_more(tmp_path, condition, known):
    log, told, _ = run(tmp_path, answering, known_under(PEOPLE, condition, 4, None), limit=1)
    (text,) = told
    for name in PEOPLE[0].schema.names:
        assert (f"value 0 of {name}" in text) == (name in known)
    assert log.samples[0].metadata["questions"] == len(known)
    assert metrics(log)["questions"] == len(known)


@pytest.mark.slow
def test_the_agent_asks_and_epochs_are_looks(tmp_path):
    looks = []

    def rule(body):
        if body["model"] != "target":
            looks.append(body.get("seed"))
            return Completion(json.dumps(GOOD if len(looks) % 2 else BAD))
        return Completion(f"Answer {body['messages'][-1]['content'].count('value')}.")

    log, told, rated = run(tmp_path, rule, known_under(PEOPLE, "raise", 2, None), PEOPLE[:1], epochs=2)
    assert len(log.samples) == len(told) == len(rated) == 2
    asked = log.samples[0].metadata["known"]
    assert 1 <= len(asked) <= 2
    for name in PEOPLE[0].schema.names:
        assert (f"value 0 of {name}" in told[0]) == (name in asked)
    assert len(set(looks)) == 2  # another seed for each epoch
    assert metrics(log)["mean"] == 3.0  # epochs are reduced to their mean, people are counted once


@pytest.mark.slow
def test_refused_and_cut_answers_are_unscored_and_nobody_is_asked_about_them(tmp_path):
    replies = [
        Completion(None, refusal="No."),
        Completion("Well, first", finish_reason="length"),
        Completion("Hm", finish_reason="content_filter"),
    ]

    def rule(body):
        (i,) = [i for i in range(3) if f"Question {i}?" in json.dumps(body["messages"])]
        return replies[i]

    log, told, rated = run(tmp_path, rule, known_under(PEOPLE, FREE, 4, None))
    assert (len(told), rated) == (3, [])
    reasons = [next(iter(sample.scores.values())).reason for sample in log.samples]
    assert reasons == ["target: refused", "target: length", "target: filtered"]
    assert math.isnan(metrics(log)["mean"])


@pytest.mark.slow
def test_errors_cluster_by_person_and_no_reply_of_the_model_is_kept(tmp_path):
    """Two people with two queries each; the answers about one are good, those about the other are bad."""
    people = [
        replace(PEOPLE[i % 2], id=f"{i}", query=f"Question {i}?", profile=PEOPLE[i % 2].profile)
        for i in range(4)
    ]

    def rule(body):
        text = body["messages"][-1]["content"]
        if body["model"] == "target":
            return Completion("Kind." if "0?" in text or "2?" in text else "Cold.")
        return Completion(json.dumps(GOOD if "| Kind." in text else BAD))

    log, told, rated = run(tmp_path, rule, known_under(people, FREE, 4, None), people)
    found = metrics(log)
    assert (found["mean"], len(told), len(rated)) == (3.0, 4, 4)
    assert found["stderr"] > 1.2 * np.std([4, 2, 4, 2], ddof=1) / 2  # there are two people, not four
    _, told, _ = run(tmp_path, rule, known_under(people, FREE, 4, None), people)
    assert len(told) == 4  # no reply of a model that may have changed is taken from a cache


@pytest.mark.slow
def test_a_sample_that_failed_is_named_and_no_zero_and_batches_are_not_the_judges(tmp_path):
    def refusal(body):
        failing = body["model"] == "target" and "Question 1?" in json.dumps(body["messages"])
        return (400, {"error": {"message": "no such thing"}}) if failing else None

    options = {"refusal": refusal, "fail_on_error": False, "batch": True}
    log, _, rated = run(tmp_path, answering, known_under(PEOPLE, FREE, 4, None), **options)
    assert [str(sample.id) for sample in log.samples if sample.error] == [PEOPLE[1].id]
    assert (log.results.total_samples, log.results.completed_samples) == (3, 2)
    assert metrics(log)["mean"] == 4.0
    assert not any("Question 1?" in text for text in rated)


def test_an_endpoint_that_is_down_is_given_up(tmp_path):
    task = condition_task(
        judge("http://127.0.0.1:9/v1", tmp_path), PEOPLE, known_under(PEOPLE, FREE, 4, None)
    )
    assert task.config.max_retries < 20
    assert task.config.timeout <= 3600


def test_conditions_that_there_are_not(tmp_path):
    with pytest.raises(UserError, match="condition: found 'Agee', expected some of context-free"):
        known_under(PEOPLE, "Agee", 4, None)


def test_the_entry_point_names_the_module_of_the_task():
    nodes = ast.walk(ast.parse((REPO / "setup.py").read_text(encoding="utf-8")))
    keys = [key for node in nodes if isinstance(node, ast.Call) for key in node.keywords]
    (points,) = [ast.literal_eval(key.value) for key in keys if key.arg == "entry_points"]
    assert points["inspect_ai"] == ["experiments = experiments.penguin.inspect_tasks.penguin_task"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "place", ["experiments/penguin", "experiments/penguin/inspect_tasks/penguin_task.py@penguin"]
)
def test_the_command_of_inspect(tmp_path, place):
    """As users type it; `experiments/penguin` is the task's registered name."""
    with server(rule=lambda body: Completion(json.dumps(GOOD)), keep_bodies=True) as running:
        environment = {**os.environ, "PYTHONPATH": str(REPO), "OPENAI_API_KEY": "none"}
        environment |= {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
        environment |= {"M_BASE_URL": running.url, "M_API_KEY": "none"}
        arguments = ["--model", "openai-api/m/x", "-T", "judge_model=J", "-T", f"judge_url={running.url}"]
        arguments += ["-T", "condition=context-rich", "--limit", "2", "--log-dir", str(tmp_path / "logs")]
        code = "import experiments.penguin.inspect_tasks.penguin_task as _; "
        code += "from inspect_ai._cli.main import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, "eval", place, "--display", "none", *arguments],
            cwd=REPO,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    (log,) = list_eval_logs(str(tmp_path / "logs"))
    found = read_eval_log(log)
    assert (found.status, len(found.samples)) == ("success", 2)
    assert metrics(found)["mean"] == 4.0
