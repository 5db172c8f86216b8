"""`experiments.calibrate`: agreement and bias by hand, corrected means, raters, and what is refused."""

import json

import numpy as np
import pytest

from envs.llm.scripted.scripted_replies import Completion
from tests.envs.llm_cases import server
from tests.experiments.run_cases import assert_one_line, json_lines, record, write_scenarios

MODULE = "experiments.calibrate"
N_PEOPLE, EACH = 40, 4
DIMENSIONS = ("risk_sensitivity", "emotional_empathy", "personalization")


@pytest.fixture
def home(tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [{**record(i), "id": f"s{i}"} for i in range(N_PEOPLE)])
    return tmp_path


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def answer(i, j):
    return {"scenario_id": f"s{i}", "answer": f"Answer {i} {j}.", "system": "ab"[j % 2]}


def truth(i, j):
    """Return the level that people give: 2 to 4; b is better by half a point on average."""
    return 2 + (i + j) % 2 + (j % 2) * (i % 2)


def say(level):
    return json.dumps(dict.fromkeys(DIMENSIONS, level))


def rule(body):
    """Rate a point too high for people in health (every third person)."""
    text = body["messages"][-1]["content"]
    i, j = map(int, text.split("Answer ")[1].split(".")[0].split())
    return Completion(say(min(5, truth(i, j) + (i % 3 == 0))))


def arguments(url, *more):
    keys = ("labels=l.jsonl", "scenarios.path=s.jsonl", "output_dir=out", "judge.cache=c.sqlite")
    return (*keys, "judge.model=m", f"judge.base_url={url}", *more)


def test_agreement_bias_and_corrected_means(home, command):
    everything = [(i, j) for i in range(N_PEOPLE) for j in range(EACH)]
    write(home / "a.jsonl", [answer(i, j) for i, j in everything])
    labelled = [(i, j) for i, j in everything if i % 2 == 0 or i % 4 == 1]
    rows = []
    for i, j in labelled:
        for k, rater in enumerate("xy"):  # y says a level more of every tenth answer's empathy
            levels = dict.fromkeys(DIMENSIONS, truth(i, j))
            levels["emotional_empathy"] += k * (i % 10 == 0)
            rows.append({**answer(i, j), "rater": rater, **levels})
    write(home / "l.jsonl", [*rows, {**answer(1, 1), "answer": "x"}])
    with server(rule=rule) as running:
        done = command(*arguments(running.url, "answers=a.jsonl"), module=MODULE)
        assert (done.code, running.seen.requests) == (0, N_PEOPLE * EACH), done.err
    found = json.loads((home / "out" / "calibration.json").read_text())
    shown = (home / "out" / "calibration.html").read_text()
    worst = max(found["bias"], key=lambda row: abs(row["bias"]["estimate"]))
    assert f"domain {worst['group']}: {worst['bias']['estimate']:+.2f}" in shown
    by_dimension = {row["dimension"]: row for row in found["agreement"]}
    people = np.array([truth(i, j) for i, j in labelled])
    judge = np.array([truth(i, j) + (i % 3 == 0) for i, j in labelled])
    risk = by_dimension["risk_sensitivity"]
    assert risk["n"] == len(labelled)
    assert risk["r"]["estimate"] == pytest.approx(np.corrcoef(people, judge)[0, 1])
    assert risk["bias"]["estimate"] == pytest.approx((judge - people).mean())
    bias = {row["group"]: row["bias"]["estimate"] for row in found["bias"] if row["by"] == "domain"}
    assert bias["career"] == pytest.approx(
        -0.5 / 3 * np.mean([i % 10 == 0 for i, _ in labelled if i % 3 == 1])
    )
    assert bias["health"] > 0.9
    means = {row["group"]: row for row in found["means"]}
    whole = np.mean([truth(i, j) for i, j in everything])
    assert means["all"]["corrected"]["low"] <= whole <= means["all"]["corrected"]["high"]
    assert means["all"]["judge"]["low"] > whole
    assert means["all"]["n_labels"] == len(labelled)
    (difference,) = found["differences"]
    assert difference["corrected"]["low"] <= -0.5 <= difference["corrected"]["high"]
    raters = {row["dimension"]: row for row in found["raters"]}
    assert raters["risk_sensitivity"]["alpha"] == 1.0
    assert raters["emotional_empathy"]["alpha"] < 1.0
    assert [row["place"] for row in json_lines(home / "out" / "failures.jsonl")] == [f"line {len(rows) + 1}"]
    for name in ("calibration.md", "calibration.html", "calibration.json"):
        assert "Answer 1 1." not in (home / "out" / name).read_text()


def test_few_labels_are_said_and_unscored_answers_left_out(home, command):
    write(home / "l.jsonl", [{**answer(i, 0), "score": truth(i, 0)} for i in range(12)])

    def odd(body):
        return Completion("429") if "Answer 3 0" in json.dumps(body) else rule(body)

    with server(rule=odd) as running:
        done = command(*arguments(running.url), module=MODULE)
    assert done.code == 0, done.err
    assert "fewer than 50 labels" in done.out
    found = json.loads((home / "out" / "calibration.json").read_text())
    assert (found["n_unscored"], found["agreement"][-1]["n"]) == (1, 11)
    assert found["agreement"][0]["n"] == 0  # no dimensions were labelled


@pytest.mark.parametrize(
    ("rows", "more", "told"),
    [
        ([], ("labels=none",), "labels=none: there is no such file"),
        ([answer(0, 0)], (), "labels=l.jsonl: found no label"),
        ([{**answer(0, 0), "score": 3, "probability": 0.0}], (), "field probability"),
        ([{**answer(0, 0), "score": 9}], (), "line 1: field score: expected levels 1 to 5"),
        ([{**answer(0, 0), "score": 3, "personalization": "good"}], (), "line 1: field personalization"),
        ([{**answer(0, 0), "score": 3}], ("level=2",), "level: found 2"),
        ([{**answer(0, 0), "score": 3}], ("judge=simulated",), "has no method rate"),
    ],
)
def test_mistakes_are_one_line(rows, more, told, home, command):
    write(home / "l.jsonl", rows)
    if "judge=simulated" in more:
        done = command("labels=l.jsonl", "scenarios.path=s.jsonl", *more, module=MODULE)
    else:
        done = command(*arguments("http://127.0.0.1:9/v1", *more), module=MODULE)
    assert_one_line(done)
    assert told in done.err


def test_labels_of_other_answers_are_no_sample(home, command):
    write(home / "l.jsonl", [{**answer(0, 0), "score": 3}])
    write(home / "a.jsonl", [answer(1, 0)])
    with server(rule=rule) as running:
        done = command(*arguments(running.url, "answers=a.jsonl"), module=MODULE)
    assert_one_line(done)
    assert "its answer is not in the file of answers" in done.err
