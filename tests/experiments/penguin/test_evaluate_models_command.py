"""`python -m experiments.evaluate` under a language model: what it takes, what it keeps, what it says."""

import json
import os
import re
import shutil
import signal
import time

import numpy as np
import pandas as pd
import pytest

from envs.llm.local.local_server import LocalServer, missing
from envs.llm.scripted.scripted_replies import Completion
from envs.llm.scripted.scripted_server import Script, ScriptedServer
from experiments.by_model import main as by_model
from experiments.by_model import read_runs
from tests.experiments.penguin.model_cases import DIMENSIONS, says
from tests.experiments.run_cases import SERIAL, assert_one_line, start, summary

EVALUATE, POPULATION = "experiments.evaluate", "experiments.plan_population"
LOOKS = 2


@pytest.fixture(scope="module")
def home(commands, tmp_path_factory):
    """A folder with stored plans, `run`."""
    folder = tmp_path_factory.mktemp("stored")
    done = commands.run(folder, SERIAL, "budget=2", "search=greedy", "output_dir=run")
    assert (done.code, done.err) == (0, "")
    return folder


@pytest.fixture
def with_trees(commands, home, tmp_path):
    """A folder with the stored plans twice: `train` and `all` have trees of these people beside them."""
    for split in ("train", "all"):
        shutil.copytree(home / "run", tmp_path / split)
        done = commands.run(
            tmp_path, "budget=2", f"scenarios.split={split}", f"beside={split}", f"output_dir=trees_{split}",
            "folds=0", "pictures=none", "min_profiles=3", module=POPULATION,
        )  # fmt: skip
        assert (done.code, done.err) == (0, "")
    return tmp_path


def common(home, *more, plans="run"):
    return (
        f"paths={home / plans}", "variations=[]", "draws=50", "value_costs=[0.1]", "budget=2", "test_size=4",
        f"report_samples={LOOKS}", "output_dir=out", *more,
    )  # fmt: skip


def judged(url, *more, model="J"):
    return (
        "judge=openai", f"judge.model={model}", f"judge.base_url={url}", "judge.mode=direct",
        "judge.cache=c.sqlite", *more,
    )  # fmt: skip


def chatted(url, *more):
    return ("chat=openai", "chat.model=C", f"chat.base_url={url}", "chat.cache=c.sqlite", *more)


def results(folder, name="out"):
    return pd.read_parquet(folder / name / "results.parquet")


def test_scores_are_the_judge_s_and_each_set_is_paid_for_once(command, home, tmp_path):
    """The judge says 1 + what is known: the score of every row follows from what its method was told."""
    with ScriptedServer(Script(says()), keep_bodies=True) as server:
        done = command(*common(home), *judged(server.url), module=EVALUATE)
        assert (done.code, done.err) == (0, "")
        sent = server.seen.requests
        assert len({json.dumps(body, sort_keys=True) for body in server.seen.bodies}) == sent
        rows, found = results(tmp_path), summary(tmp_path / "out")
        calls = int(re.search(r"scoring: ([\d,]+) judge calls", done.out)[1].replace(",", ""))
        # The call that finds out whether the endpoint works is one of those of the search.
        assert sent == calls + found["n_searched"] == found["requests"]
        bound = int(re.search(r"judge calls to score: at most ([\d,]+)", done.out)[1].replace(",", ""))
        assert calls < bound <= 4 * LOOKS * (1 + 10 + 45 + 3) + 1
    assert np.allclose(rows["score"], np.minimum(1 + rows["n_told"], 5))
    for dimension in DIMENSIONS:
        assert np.allclose(rows[dimension], rows["score"])
    means = {name: row["score"]["estimate"] for name, row in found["methods"].items()}
    assert (means["vanilla"], means["full context"]) == (1.0, 5.0)
    told = rows.groupby("method")["n_told"].mean()  # at most what was asked: some values the reader misses
    assert 2.0 < told["static-3"] <= 3.0
    assert means["static-3"] == 1.0 + told["static-3"]
    assert 1.0 < means["nearest + fixed 1"] <= 2.0 < means["random order, 2 questions"] <= 3.0
    assert (
        found["methods"]["chosen policy"]["dimensions"]["personalization"]["estimate"]
        == means["chosen policy"]
    )
    assert (found["judge"], found["target"]) == ("simulated:openai:J", None)
    assert found["judge_is_simulated"] is True
    assert found["n_evaluations"] == calls
    assert found["unscored"] == {}
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "every set within the budget (56 a person)" in text
    assert "no policy trees that it may follow" in text
    assert "unscored" not in text.lower()
    assert "SIMULATED" in text  # the scripted server's replies say so for ever


@pytest.mark.slow
def test_nothing_depends_on_how_much_is_in_flight(command, home, tmp_path):
    sent = []
    for n in (1, 32):
        with ScriptedServer(Script(says(("Age", "Gender")), latency_s=0.002)) as server:
            flight = (f"judge.max_in_flight={n}", f"chat.max_in_flight={n}", f"judge.cache={n}.sqlite")
            policy = ("policy/acquisition=llm", "policy.acquisition.chat.model=C", "policy/abstention=never")
            flight += (*policy, f"policy.acquisition.chat.base_url={server.url}")
            keys = (*judged(server.url), *chatted(server.url, f"chat.cache={n}c.sqlite"), *flight)
            done = command(*common(home, f"output_dir=at{n}"), *keys, module=EVALUATE)
            assert (done.code, done.err) == (0, "")
            sent.append(server.seen.requests)
            assert (server.seen.most_at_once > 4) is (n > 1)
            assert server.seen.most_at_once <= n
    assert sent[0] == sent[1]
    one, many = results(tmp_path, "at1"), results(tmp_path, "at32")
    assert one.equals(many)
    asked = {name: list(map(tuple, part)) for name, part in one.groupby("method")["asked"]}
    assert set(asked["llm + fixed 2"]) == {("Age", "Gender")}
    assert set(asked["llm + scale 2"]) == {("Age",)}
    assert set(asked["chosen policy"]) == {("Age", "Gender")}  # its model's replies are cached too
    first, second = (summary(tmp_path / name) for name in ("at1", "at32"))
    assert first["methods"] == second["methods"]
    assert first["model_questions"] == second["model_questions"]
    kinds = {row["about"].rpartition("(")[2]: row for row in first["model_questions"]}
    assert set(kinds) == {"llm)", "scale)", "binary)", "chosen policy"}
    for kind in ("llm)", "chosen policy"):
        assert kinds[kind] == {**kinds[kind], "model": "C", "asked": 4 * 2, "invalid": 0}


def test_invalid_names_are_counted_in_the_report(command, home, tmp_path):
    with ScriptedServer(Script(says())) as server:
        keys = ("judge=simulated_varied", *chatted(server.url))
        done = command(*common(home), *keys, module=EVALUATE)
        assert (done.code, done.err) == (0, "")
        sent = server.seen.requests
        again = command(*common(home, "output_dir=again"), *keys, module=EVALUATE)
        assert (again.code, server.seen.requests) == (0, sent)
    found = summary(tmp_path / "out")
    (choosing,) = [row for row in found["model_questions"] if row["about"].endswith("(llm)")]
    assert choosing["asked"] == choosing["invalid"] == 4 * 2
    total = sum(row["asked"] for row in found["model_questions"])
    told = f"8 of {total:,} prompts without a usable reply"
    for text in (done.out, *((tmp_path / "out" / n).read_text() for n in ("report.html", "report.md"))):
        assert told in " ".join(text.split())
    # Under a simulated judge all methods are there, and trees may be stopped by the model.
    assert {"conditional + scale 4", "oracle path", "llm + value 0.1"} <= set(found["methods"])
    assert found["requests"] == sent


def test_unscored_is_no_number(command, home, tmp_path):
    """The model refuses whatever more than two attributes are known for: static-3, static-4, full context.

    The reader takes every reply for its answer, so that all three are known of everybody who was asked.
    """
    (tmp_path / "whole_words.py").write_text(
        "from policies.understanding import Reading, Value\n"
        "class Reader:\n"
        "    def read(self, text, schema, asked=None, dialogue=None):\n"
        "        return Reading({} if asked is None else {asked: Value(text)})\n"
    )
    reader = ("reader=custom", "reader._target_=whole_words.Reader")
    with ScriptedServer(Script(says(unscored_from=3))) as server:
        done = command(*common(home), *judged(server.url), *reader, module=EVALUATE)
    assert (done.code, done.err) == (0, "")
    rows, found = results(tmp_path), summary(tmp_path / "out")
    lost = rows["score"].isna()
    assert set(rows[lost]["method"]) == {"static-3", "static-4", "full context"}
    assert lost.sum() == 3 * 4
    assert rows["score_full"].isna().all()
    assert found["methods"]["static-3"]["score"] == {"estimate": None, "low": None, "high": None}
    assert found["methods"]["static-3"]["n_unscored"] == 4
    assert found["unscored"] == {"refused": 3 * 4 * LOOKS}
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    unscored = 3 * 4 * LOOKS
    assert f"Unscored: {unscored} of {found['n_evaluations']} evaluations (refused {unscored})" in text
    assert "12 of " in text
    row = next(line for line in text.splitlines() if line.startswith("| static-3 | baseline"))
    assert row.split(" | ")[2] == "-"
    assert row.endswith("| 4 of 4 |")
    assert "nan" not in text.lower().replace("finance", "").split()
    replayed = ("judge=replay", "judge.cache=c.sqlite", "judge.mode=direct", "output_dir=replayed")
    done = command(*common(home), *replayed, *reader, module=EVALUATE)  # without any server, refusals too
    assert (done.code, done.err) == (0, "")
    assert "spending" not in done.out
    assert results(tmp_path, "replayed").equals(rows)
    assert summary(tmp_path / "replayed")["unscored"] == found["unscored"]


def test_nothing_scored_is_no_report(command, home, tmp_path):
    with ScriptedServer(Script(says(unscored_from=0))) as server:
        done = command(*common(home, "test_size=1"), *judged(server.url), module=EVALUATE)
    assert_one_line(done, 1)
    assert re.search(r"none of \d+ evaluations has a score: refused \d+", done.err)
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_dry_run_says_it_all_and_sends_nothing(command, home, tmp_path):
    with ScriptedServer(Script(says())) as server:
        keys = (*judged(server.url, "judge.max_requests=7"), *chatted(server.url))
        done = command(*common(home, "dry_run=true"), *keys, module=EVALUATE)
        assert (done.code, done.err, server.seen.requests) == (0, "", 0)
        # Two ratings of 1 + 10 contexts, 2 choices, for each of four people.
        assert f"that chooses or rates: at most {4 * (2 * 11 + 2)}, that is" in done.out
        assert "judge.max_requests=7 will end the run early" in done.out
        assert not (tmp_path / "out").exists()
        planned = command(
            *common(home, "paths=null", "scenarios.limit=3", "search=greedy", "dry_run=true"),
            *judged(server.url), module=EVALUATE,
        )  # fmt: skip
        assert (planned.code, planned.err, server.seen.requests) == (0, "", 0)
        assert "judge calls to plan: at most " in planned.out
    free = command(*common(home, "dry_run=true"), module=EVALUATE)
    assert "Nothing would be spent." in free.out


def test_a_limit_keeps_what_was_paid_for(command, home, tmp_path):
    with ScriptedServer(Script(says())) as server:
        keys = judged(server.url, "judge.max_in_flight=4")
        done = command(*common(home), *keys, "judge.max_requests=40", module=EVALUATE)
        assert_one_line(done, 3)
        assert "judge.max_requests=40: reached" in done.err
        assert "resume=true" in done.err
        assert server.seen.requests == 40
        done = command(*common(home), *keys, "resume=true", module=EVALUATE)
        assert (done.code, done.err) == (0, "")
        found = summary(tmp_path / "out")
        assert server.seen.requests == found["n_evaluations"] + found["n_searched"]


@pytest.mark.parametrize("place", ["chat", "users"])
def test_a_limit_of_another_model_holds_over_sessions(place, command, home, tmp_path):
    with ScriptedServer(Script(says()), keep_bodies=True) as server:
        model = ("=openai", ".model=M", f".base_url={server.url}", ".cache=c.sqlite", ".max_in_flight=2")
        keys = (*common(home), *(f"{place}{key}" for key in model), "resume=true")
        for most in (5, 5, 8):
            done = command(*keys, f"{place}.max_requests={most}", module=EVALUATE)
            assert_one_line(done, 3)
            assert f"{place}.max_requests={most}: reached" in done.err
            assert sum(body["model"] == "M" for body in server.seen.bodies) == most
    assert sum(row["requests"] for row in json.loads((tmp_path / f"out/spent_{place}.json").read_text())) == 8


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_paid_for(command, home, tmp_path):
    with ScriptedServer(Script(says(), latency_s=0.2)) as slow:  # so that there is something to interrupt
        process = start(
            tmp_path,
            *common(home),
            *judged(slow.url, "judge.max_in_flight=4", "judge.cache_as=s"),
            module=EVALUATE,
        )
        deadline = time.monotonic() + 60
        while slow.seen.requests < 20 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, (out, err)
        assert err.startswith("error: interrupted; what was finished is saved, resume=true goes on")
        assert err.count("\n") == 1, err
        before = slow.seen.requests
    with ScriptedServer(Script(says())) as server:
        keys = (*common(home), *judged(server.url, "judge.cache_as=s"), "resume=true")
        done = command(*keys, module=EVALUATE)
        assert (done.code, done.err) == (0, "")
        found = summary(tmp_path / "out")
        whole = found["n_evaluations"] + found["n_searched"]
        assert 20 <= before < whole
        assert before + server.seen.requests == whole  # calls under way were waited for, and cached


@pytest.mark.slow
def test_trees_beside_a_table_are_followed_where_they_saw_no_test_person(command, with_trees, tmp_path):
    with ScriptedServer(Script(says())) as server:
        for plans, acquisition in (("train", "conditional"), ("all", "vote")):
            keys = (*common(with_trees, f"output_dir=out_{plans}", plans=plans), *judged(server.url))
            done = command(*keys, f"policy/acquisition={acquisition}", module=EVALUATE)
            assert (done.code, done.err) == (0, "")
        keys = (*common(with_trees, plans="all"), *judged(server.url), "policy/acquisition=conditional")
        refused = command(*keys, module=EVALUATE)
    names = set(summary(tmp_path / "out_train")["methods"])
    assert {f"conditional, stored trees + {rule}" for rule in ("value", "fixed 1", "fixed 2")} <= names
    rows = results(tmp_path, "out_train").set_index("method")
    assert (rows.loc["conditional, stored trees + fixed 2", "n_asked"] <= 2).all()
    assert not [n for n in summary(tmp_path / "out_all")["methods"] if n.startswith("conditional")]
    assert "planned from train people alone" in (tmp_path / "out_train" / "report.md").read_text()
    text = (tmp_path / "out_all" / "report.md").read_text()
    assert "left out: they were planned with scenarios.split=all, expected train" in text
    tree = rows.loc["conditional, stored trees + value", "asked"].map(list).tolist()
    assert rows.loc["chosen policy", "asked"].map(list).tolist() == tree
    assert_one_line(refused)
    assert str(with_trees / "all") in refused.err
    assert "plan_population" in refused.err


@pytest.mark.slow
def test_one_table_by_judge_and_target_model(command, home, tmp_path, capsys):
    with ScriptedServer(Script(says()), keep_bodies=True) as server:
        done = command(
            "-m", *common(home)[:-1], *judged(server.url, "judge.mode=response", "judge.target.model=T,U",
            model="J,K"), "hydra.sweep.dir=sweep", module=EVALUATE,
        )  # fmt: skip
        assert (done.code, done.err) == (0, "")
        sent = server.seen.requests
    runs = read_runs([tmp_path / "sweep"])
    assert [(run["judge"], run["target"]) for run in runs] == [
        (f"simulated:openai:{judge}", target) for judge in "JK" for target in "TU"
    ]
    bodies = {json.dumps(body, sort_keys=True) for body in server.seen.bodies}
    assert len(bodies) == sent == sum(run["requests"] for run in runs)  # nothing is paid for twice
    for k, run in enumerate(runs):
        rated = run["n_evaluations"] + run["n_searched"]
        if k < 2:
            assert run["requests"] == 2 * rated
        else:  # the second judge rates what the target model had said already
            assert rated <= run["requests"] < 1.5 * rated
    by_model([str(tmp_path / "sweep")])
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if line.startswith("| simulated:openai:")]
    names = [[f"| {run['judge']}", run["target"]] for run in runs]
    assert [row.split(" | ")[:2] for row in rows[:4]] == names
    mean = runs[2]["methods"]["chosen policy"]["score"]["estimate"]
    assert f" | {mean:.2f} [" in rows[2]
    for name in ("by_model.md", "by_model.html"):
        assert "By judge and target model" in (tmp_path / "sweep" / name).read_text()
    for name in ("report.html", "claims.md"):
        assert "target model U" in (tmp_path / "sweep" / "1" / name).read_text()


def test_runs_of_other_people_are_not_in_one_table(tmp_path, capsys):
    for k, n in enumerate((4, 5)):
        (tmp_path / str(k)).mkdir()
        told = {"methods": {}, "pairs": [], "chosen": "x", "n_test": n}
        (tmp_path / str(k) / "summary.json").write_text(json.dumps(told))
    for arguments, reason in (([str(tmp_path)], "n_test is 5"), ([str(tmp_path / "0" / "x")], "no summary")):
        with pytest.raises(SystemExit) as left:
            by_model(arguments)
        assert left.value.code == 2
        assert reason in capsys.readouterr().err


@pytest.fixture
def three(command, tmp_path):
    """Plans for people of whom three attributes can be asked: prompts are short."""
    names = ("Age", "Profession", "Emotional State")
    attributes = "".join(f'- name: {n}\n  question: "{n}?"\n  cost: 1\n  sensitivity: 1\n' for n in names)
    (tmp_path / "three.yaml").write_text(attributes)
    told = [dict(zip(names, (str(20 + i), "nurse", "calm"), strict=True)) for i in range(20)]
    people = [{"id": f"p{i}", "domain": "health", "query": f"Is it safe, {i}?"} for i in range(20)]
    lines = [
        json.dumps({**one, "profile": profile}) + "\n" for one, profile in zip(people, told, strict=True)
    ]
    (tmp_path / "p.jsonl").write_text("".join(lines))
    keys = ("scenarios.path=p.jsonl", "scenarios.attributes=three.yaml")
    flat_judge = (
        "class Judge:\n"
        "    def score(self, scenario, contexts):\n"
        "        return [2.0 + len(names) / 2 for names in contexts]\n"
    )
    (tmp_path / "flat.py").write_text(flat_judge)
    flat = ("judge=custom", "judge._target_=flat.Judge", "search=greedy")
    done = command(SERIAL, "budget=1", *flat, *keys, "output_dir=run")
    assert (done.code, done.err) == (0, "")
    return keys


@pytest.mark.slow
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_the_real_local_model_judges_and_chooses(command, three, tmp_path):
    """A model of 135 million parameters: what it says means nothing, but every part has to hold.

    One person, for a prompt takes seconds.
    """
    with LocalServer(context=2048) as server:
        keys = (
            *common(tmp_path, "test_size=1", "budget=1", "report_samples=1", *three),
            "judge=local", "judge.mode=direct", "judge.context=2048", "judge.cache_prompt=true",
            "judge.max_output_tokens=64", "judge.cache=c.sqlite",
        )  # fmt: skip
        few_words = ("chat.max_output_tokens=16", "chat.max_in_flight=1")
        chat = (*chatted(server.url, *few_words), f"chat.model={server.name}")
        done = command(*keys, *chat, module=EVALUATE)
        assert (done.code, done.err) == (0, ""), done.out
    again = command(*keys, "chat=none", "output_dir=again", module=EVALUATE)
    assert (again.code, again.err) == (0, "")
    rows, found = results(tmp_path), summary(tmp_path / "out")
    assert found["judge"].startswith("local:")
    assert not found["judge_is_simulated"]
    assert found["n_evaluations"] == 1 + 3 + 1
    scored = rows["score"].dropna()
    assert len(scored)
    assert scored.between(1, 5).all()
    assert {"llm + fixed 1", "vote + scale 4", "random order + binary"} <= set(rows["method"])
    assert sum(row["asked"] for row in found["model_questions"]) == 3
    assert found["requests"] >= 1 + 5
    if not found["n_evaluations_unscored"]:  # what has no score is never cached
        same = results(tmp_path, "again")
        assert rows[rows["method"].isin(set(same["method"]))].reset_index(drop=True).equals(same)
        assert summary(tmp_path / "again")["requests"] == 0


def test_models_read_what_users_say_and_look_for_danger(command, tmp_path):
    """A model that reads nothing leaves every policy where vanilla is; each reply is paid for once."""
    keys = (
        "search=greedy", "draws=50", "value_costs=[0.1]", "budget=2", "scenarios.limit=6", "variations=[]",
        "reader=llm", "reader.model=R", "reader.cache=r.sqlite",
        "detector=llm", "detector.model=D", "detector.cache=d.sqlite",
    )  # fmt: skip

    def rule(body):
        if "facts" in json.dumps(body["response_format"]):
            return Completion(json.dumps({"intent": "decline", "facts": []}))
        return Completion(json.dumps({"danger": "suspected", "kind": "suicide"}))

    with ScriptedServer(Script(rule), keep_bodies=True) as server:
        urls = (f"reader.base_url={server.url}", f"detector.base_url={server.url}")
        dry = command(*keys, *urls, "dry_run=true", module=EVALUATE)
        assert (dry.code, server.seen.requests) == (0, 0)
        assert "R and D" in dry.out
        done = command(*keys, *urls, "output_dir=out", module=EVALUATE)
        assert done.code == 0, done.err
        sent = server.seen.requests
        assert {body["model"] for body in server.seen.bodies} == {"R", "D"}
        assert len({json.dumps(body, sort_keys=True) for body in server.seen.bodies}) == sent
        again = command(*keys, *urls, "output_dir=again", module=EVALUATE)
        assert (again.code, server.seen.requests) == (0, sent)
    rows, found = results(tmp_path), summary(tmp_path / "out")
    assert results(tmp_path, "again").equals(rows)
    talked = rows[~rows["method"].isin(("full context", "oracle path")) & (rows["kind"] != "reference")]
    assert len(talked)
    assert (talked["n_told"] == 0).all()
    assert np.allclose(talked["score"], talked["score_empty"])
    assert found["n_queries_escalated"] == found["n_test"]
