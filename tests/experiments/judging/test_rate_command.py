"""`experiments.rate`: what is sent and written, what goes on after a kill, what is listed as unscored."""

import json
import os
import signal
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.llm.scripted.scripted_replies import Completion, default_completion
from tests.envs.llm_cases import server
from tests.experiments.judging.test_agreement import naive_alpha
from tests.experiments.run_cases import assert_one_line, json_lines, record, start, summary, write_scenarios

MODULE = "experiments.rate"
N_PEOPLE = 10


def answers_of(n):
    return [
        {"scenario_id": f"s{i % N_PEOPLE}", "answer": f"Answer {i}.", "system": "ab"[i % 2], "known": ["Age"]}
        for i in range(n)
    ]


@pytest.fixture
def home(tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [{**record(i), "id": f"s{i}"} for i in range(N_PEOPLE)])
    return tmp_path


def write(home, rows, name="a.jsonl"):
    (home / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def arguments(url, *more):
    keys = (f"judge.base_url={url}", "judge.cache=c.sqlite", "judge.model=m", "scenarios.path=s.jsonl")
    return ("a.jsonl", *keys, "output_dir=out", *more)


def table(home, folder="out"):
    return pq.read_table(home / folder / "ratings.parquet").to_pylist()


def test_requests_rows_and_what_no_file_holds(home, command):
    write(home, answers_of(40))
    with server(keep_bodies=True) as running:
        done = command(*arguments(running.url), module=MODULE)
        assert (done.code, running.seen.requests) == (0, 40)
        assert "spending: 40 answers to rate, expected 40 requests" in done.out
        bodies = [json.dumps(body) for body in running.seen.bodies]
        again = command(*arguments(running.url), "output_dir=again", module=MODULE)  # the same cache
        assert (again.code, running.seen.requests) == (0, 40)
    rows = table(home)
    assert table(home, "again") == rows
    assert [row["number"] for row in rows] == list(range(40))
    for row in rows:
        body = next(b for b in bodies if f"Answer {row['number']}." in b)
        said = json.loads(default_completion(json.loads(body)).text)
        assert row["score"] == pytest.approx(sum(said.values()) / 3)
        assert row["risk_sensitivity"] == said["risk_sensitivity"]
    assert {row["judge"] for row in rows} == {"openai:m"}
    found = summary(home / "out")
    assert (found["requests"], found["n_rated"], found["systems"]["a"]["n"]) == (40, 40, 20)
    for path in (home / "out").rglob("*"):
        assert path.is_dir() or b"Answer 3." not in path.read_bytes()


def test_without_the_profiles_rest(home, command):
    write(home, answers_of(2))
    with server(keep_bodies=True) as running:
        assert command(*arguments(running.url, "rest=false"), module=MODULE).code == 0
        texts = [json.dumps(body) for body in running.seen.bodies]
    profile = record(0)["profile"]
    assert all("Age:" in text and "Emotional State:" not in text for text in texts)
    assert len(profile) > 1


def test_unscored_and_bad_records_are_listed_with_reasons(home, command):
    rows = answers_of(4)
    rows += [{"scenario_id": "nobody", "answer": "x"}, {"scenario_id": "s1"}, {**rows[0], "answer": "  "}]
    write(home, rows)
    with (home / "a.jsonl").open("a") as file:
        file.write("not json\n")

    def rule(body):
        return Completion("429") if "Answer 2." in json.dumps(body) else default_completion(body)

    with server(rule=rule) as running:
        done = command(*arguments(running.url), module=MODULE)
    assert done.code == 0
    found = {(f["place"], f["stage"], f["reason"]) for f in json_lines(home / "out" / "failures.jsonl")}
    assert {(place, stage) for place, stage, _ in found} == {
        ("line 3", "judge"), ("line 5", "load"), ("line 6", "load"), ("line 7", "judge"), ("line 8", "load"),
    }  # fmt: skip
    assert ("line 3", "judge", "parse") in found
    assert ("line 7", "judge", "no_answer") in found
    told = summary(home / "out")
    assert (told["n_rated"], told["n_unscored"], told["n_bad_records"]) == (3, 2, 3)
    assert told["tokens"] == sum(row["input_tokens"] + row["output_tokens"] for row in told["spending"]) > 0
    replayed = ("a.jsonl", "scenarios.path=s.jsonl", "judge=replay", "judge.cache=c.sqlite")
    done = command(*replayed, "output_dir=again", module=MODULE)  # without a server, what cannot be read too
    assert done.code == 0, done.err
    assert table(home, "again") == [{**row, "judge": again["judge"]} for row, again in both(home)]


def both(home):
    return zip(table(home), table(home, "again"), strict=True)


def test_a_limit_holds_over_sessions(home, command):
    write(home, answers_of(8))
    with server() as running:
        for most in (3, 3, 5):
            limit = (f"judge.max_requests={most}", "judge.max_in_flight=1", "resume=true")
            done = command(*arguments(running.url, *limit), module=MODULE)
            assert_one_line(done, 3)
            assert running.seen.requests == most


def test_parquet_and_a_protocol_in_the_table(home, command):
    pq.write_table(pa.Table.from_pylist(answers_of(3)), home / "a.parquet")
    with server() as running:
        more = ("judge.protocol=paper", "samples=2")
        done = command("a.parquet", *arguments(running.url, *more)[1:], module=MODULE)
        assert (done.code, running.seen.requests) == (0, 6)
    rows = table(home)
    assert {row["judge"] for row in rows} == {"openai:m (paper)"}
    assert {row["n_samples"] for row in rows} == {2}
    about = json.loads(pq.read_schema(home / "out" / "ratings.parquet").metadata[b"provenance"])
    assert about["judge"]["protocol"] == "paper"


def test_a_panel_and_a_member_added_later(home, command):
    write(home, answers_of(6))
    with server() as running:
        shared = f"base_url: '{running.url}', cache: c.sqlite"
        members = [f"{{model: {m}, {shared}}}" for m in "ab"]
        keys = ("a.jsonl", "scenarios.path=s.jsonl", "judge=panel")
        two = command(*keys, f"judge.members=[{','.join(members)}]", "output_dir=two", module=MODULE)
        assert (two.code, running.seen.requests) == (0, 12)
        members.append(f"{{model: b, protocol: paper, {shared}}}")
        three = command(*keys, f"judge.members=[{','.join(members)}]", "output_dir=three", module=MODULE)
        assert (three.code, running.seen.requests) == (0, 18)
    for pair, trio in zip(table(home, "two"), table(home, "three"), strict=True):
        assert trio["members"][:2] == pair["members"]
        assert pair["score"] == pytest.approx(sum(pair["members"]) / 2)
        assert trio["score"] == pytest.approx(sum(trio["members"]) / 3)
    panel = summary(home / "three")["panel"]
    said = [row["members"] for row in table(home, "three")]
    assert panel["alpha"] == pytest.approx(naive_alpha(said))
    assert panel["spread"] == pytest.approx(np.mean([np.std(members, ddof=1) for members in said]))
    assert list(panel["members"]) == [f"simulated:openai:{m}" for m in ("a", "b", "b (paper)")]
    assert "Krippendorff's alpha" in three.out


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("judge=simulated",), "has no method rate"),
        (("samples=0",), "samples: found 0"),
        (("answers=none.jsonl", "judge.model=m"), "answers=none.jsonl: there is no such"),
        (("judge=panel", "judge.members=[openay,simulated]"), "no judge openay, the nearest is openai"),
        (("judge=panel", "judge.members=[{model: m, temprature: 1},local]"), "members.0.temprature: no such"),
        (("judge=panel",), "judge.members: found 0"),
        (("judge.mode=direct", "judge.model=m"), "judge.mode: found direct"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_write_nothing(more, told, home, command):
    write(home, answers_of(1))
    done = command("answers=a.jsonl", "scenarios.path=s.jsonl", "output_dir=out", *more, module=MODULE)
    assert_one_line(done)
    assert told in done.err
    assert not (home / "out" / "ratings.parquet").exists()


@pytest.mark.slow
def test_a_thousand_answers_killed_and_resumed_are_paid_for_once(home, command):
    write(home, answers_of(1000))
    with server(latency_s=0.02) as running:
        running_once = start(home, *arguments(running.url, "judge.max_in_flight=8"), module=MODULE)
        while running.seen.requests < 300 and running_once.poll() is None:
            time.sleep(0.02)
        os.killpg(running_once.pid, signal.SIGKILL)
        running_once.communicate()
        journal = (home / "out" / "ratings.jsonl").read_bytes().splitlines()
        assert 1 < len(journal) < 1001
        assert command(*arguments(running.url), module=MODULE).code == 2  # holds a run already
        done = command(*arguments(running.url, "resume=true"), module=MODULE)
        assert done.code == 0
        assert 1000 <= running.seen.requests <= 1000 + 8 + 32  # those in flight at the kill may be sent again
        resumed = table(home)
        command(*arguments(running.url), "output_dir=whole", module=MODULE)
    assert table(home, "whole") == resumed
    assert len(resumed) == 1000
