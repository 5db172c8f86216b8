"""Ten people, five attributes and three domains of one's own: what each command says of them."""

import json
import math

import pandas as pd
import pytest
from omegaconf import OmegaConf

from envs import load_schema
from envs.judges.made_up import made_up, made_up_by, made_up_line
from envs.judges.panel import PanelJudge
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_scenarios, person_share
from experiments.comparison import paired
from experiments.comparison.searchers import AUTO, search_nodes, searcher_for
from experiments.evaluation.sides import sides_of, with_enough_to_test
from experiments.penguin.run_claims import run_claims
from experiments.runs.failures import counted_reasons, reason_lines
from experiments.serve import gate_line
from search.planning import Failure
from tests.experiments.run_cases import SERIAL, assert_one_line, summary

ATTRIBUTES = """
domains: [allergy, alcohol, sleep]
attributes:
- name: Allergies
  levels: {none: [none], some: ["pollen*", "nut*"]}
- name: Alcohol
  question: How many glasses of wine do you drink a week?
  unit: glasses
  levels: {none: {min: 0, max: 0}, some: {min: 1, max: 7}, much: {min: 8}}
- name: Night Shifts
  type: boolean
- name: Pregnant
  type: boolean
- name: Age
  unit: years
  levels: {under 40: {min: 0, max: 39}, 40 and over: {min: 40, max: 130}}
"""
DOMAINS = ("allergy", "alcohol", "sleep")
OWN = ("Allergies", "Alcohol", "Night Shifts", "Pregnant")
FILES = ("scenarios.path=people.jsonl", "scenarios.attributes=attributes.yaml")
GOOD = 10


def person(i, **changes):
    profile = {
        "Allergies": ("none", "pollen", "nuts")[i % 3],
        "Alcohol": ("0", "5 glasses", "14 beers")[i % 3],
        "Night Shifts": ("yes", "no")[i % 2],
        "Age": str(20 + 5 * i),
    }
    return {
        "id": f"p-{i}",
        "domain": DOMAINS[i % 3],
        "query": f"Is it safe, case {i}?",
        "profile": profile,
    } | changes


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "attributes.yaml").write_text(ATTRIBUTES)
    records = [person(i) for i in range(GOOD)]
    records += [person(10, domain="housing"), person(11, domain="work"), person(12, profile={"Colour": "x"})]
    (tmp_path / "people.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return tmp_path


def configured(folder, **changes):
    return OmegaConf.create(
        {
            "scenarios": {
                "path": str(folder / "people.jsonl"), "attributes": str(folder / "attributes.yaml"),
                "limit": None, "split": "all", "test_fraction": 0.2, "split_seed": 0, "mapping": None,
            },
            "paths": None, "folds": 1, "test_size": None, "table_size": None, "gate": {"_target_": None},
        } | changes
    )  # fmt: skip


def test_a_simulated_judge_says_what_it_makes_up(folder):
    schema = load_schema(folder / "attributes.yaml")
    judge = SimulatedJudge()
    assert made_up(judge, schema) == OWN
    assert made_up(PanelJudge([judge, SimulatedJudge("varied")]), schema) == OWN
    assert made_up_by(["simulated_varied"], schema) == OWN
    assert made_up_by(["panel(simulated, other)"], schema) == OWN
    assert made_up_by(["gpt", "simulated:gpt"], schema) == ()
    assert made_up(object(), schema) == ()
    assert made_up(judge, load_scenarios().scenarios[0].schema) == ()
    assert made_up_line(()) == ""
    assert all(name in made_up_line(OWN[:2]) for name in OWN[:2])


def test_a_run_says_what_is_made_up_and_why_records_failed(command, folder):
    done = command(*FILES, SERIAL, "budget=2", "search.num_simulations=20", "output_dir=run")
    assert done.code == 0, done.err
    assert summary(folder / "run")["made_up_attributes"] == list(OWN)
    assert done.out.count("MADE UP") == 1
    listed = command("run", module="experiments.show")
    for text in (done.out, listed.out):
        assert "2 x load: field domain" in text  # of two records, for one reason
        assert "1 x load: field profile" in text
        assert "housing" not in text
        assert "Colour" not in text
    one = command("run", "p-1", module="experiments.show")
    assert "MADE UP" in one.out
    failed = command("run", "p-11", module="experiments.show")
    assert_one_line(failed)
    assert "line 12" in failed.err
    asked = command("paths=run", *FILES, "users=profile", "scenario=p-1", module="experiments.ask")
    assert asked.out.count("MADE UP") == 1


def test_a_sensitivity_study_makes_no_claim_of_others_attributes(command, folder):
    done = command(*FILES, "scenarios.limit=3", "output_dir=out", module="experiments.sensitivity")
    assert done.code == 0, done.err
    assert "MADE UP" in done.out
    assert "paper" not in done.out
    assert summary(folder / "out")["made_up_attributes"] == list(OWN)
    page = (folder / "out" / "sensitivity.html").read_text("utf-8")
    assert "MADE UP" in page
    assert "Fig. 6" not in page
    assert run_claims(folder / "out") == []


def test_a_file_is_checked_by_its_own_schema(command, folder):
    done = command(*FILES, module="experiments.check_scenarios")
    assert done.code == 0, done.err
    assert "PhD" not in done.out
    assert "Emotional State" not in done.out
    assert "| line 11 | field domain: found text of 7 characters" in done.out
    assert "| p-2 | Alcohol: no level reads the value |" in done.out
    assert "beers" not in done.out


def test_rules_stay_for_attributes_that_are_as_penguins(command, folder):
    people = [
        {"id": "a", "domain": "life", "query": "x?", "profile": {"Age": "20", "Education Level": "PhD"}},
        {"id": "b", "domain": "life", "query": "y?", "profile": {"Age": "60", "Education Level": "PhD"}},
    ]
    (folder / "penguin.jsonl").write_text("".join(json.dumps(record) + "\n" for record in people))
    done = command("scenarios.path=penguin.jsonl", module="experiments.check_scenarios")
    assert "| a | violates rule 1" in done.out
    assert "| b |" not in done.out


@pytest.mark.parametrize("size", [1, 3, 5])
def test_so_many_are_tested_as_were_asked_for(folder, size):
    cfg = with_enough_to_test(configured(folder, test_size=size))
    (side,), _, _ = sides_of(cfg)
    tested = {s.id for s in side.test}
    assert len(tested) == size
    assert not tested & {s.id for s in side.train}
    assert len(side.train) >= GOOD // 2
    whole = load_scenarios(folder / "people.jsonl", load_schema(folder / "attributes.yaml")).scenarios
    shares = {s.id: person_share(s.profile) for s in whole}
    assert max(shares[name] for name in tested) < min(shares[s.id] for s in side.train)


def test_a_part_that_is_large_enough_stays_as_it_is(folder):
    for cfg in (configured(folder), configured(folder, test_size=1, folds=2)):
        assert with_enough_to_test(cfg) is cfg
    halves = with_enough_to_test(configured(folder, test_size=100))
    assert len(sides_of(halves)[0][0].test) == GOOD // 2


def test_scores_of_two_judges_are_not_subtracted():
    scores = {"s1": 3.0, "s2": 4.0}
    jobs = {
        "0": scores,
        "1": {name: score + 0.5 for name, score in scores.items()},
        "2": scores,
        "3": {"z": 1.0},
    }
    found = paired.compare(jobs, judges={"0": "a", "1": "a", "2": "b", "3": "a"})
    by_jobs = {(pair.job, pair.other): pair for pair in found}
    assert by_jobs["0", "1"].difference == -0.5
    for pair in (by_jobs["0", "2"], by_jobs["0", "3"]):
        assert math.isnan(pair.difference)
        assert pair.reason
        assert pair.verdict == "-"
    assert len(paired.reasons(found)) == 2


def test_reasons_are_counted_without_their_places():
    reasons = (
        "line 3: field a: found text of 7 characters",
        "line 14: field a: found text of 1,200 characters",
    )
    failures = [Failure(str(i), "load", reason) for i, reason in enumerate(reasons)]
    failures += [Failure("j", "judge", "out_of_range")] * 3
    found = counted_reasons(failures)
    assert sorted(found.values()) == [2, 3]
    assert len(reason_lines(found, n_unlisted=4)) == 4
    assert reason_lines({}) == []


def test_the_service_says_which_gate_knows_nothing_of_the_domains(folder):
    gates = "policies.serving.questions.gates."
    own = configured(folder, gate={"_target_": f"{gates}DomainGate"})
    assert "gate=always" in gate_line(own)
    assert gate_line(configured(folder, gate={"_target_": f"{gates}AlwaysGate"})) == ""
    own.scenarios.attributes = None
    assert gate_line(own) == ""


def test_auto_is_compared_as_what_it_stands_for():
    node = search_nodes([AUTO], {})[AUTO]
    assert searcher_for(node, 20, 0, judge=SimulatedJudge()).name == "mcts"
    assert searcher_for(node, 20, 0, judge=SimulatedJudge(noise_std=0.2)).name == "bayes"


@pytest.mark.slow
def test_members_of_ones_own_are_compared(command, tmp_path):
    (tmp_path / "mine" / "search").mkdir(parents=True)
    (tmp_path / "mine" / "search" / "my_greedy.yaml").write_text(
        "_target_: search.algorithms.greedy.GreedySearch\nmax_judge_calls: null\nwave: 50\n"
    )
    done = command(
        "--config-dir=mine", "searches=[auto,my_greedy]", "calls=[8]", "problems=2", "model_seeds=1",
        "landscapes=[published]", "n_attributes=[4]", "noise_std=[0.0]", "bootstrap=5", "budget=1",
        "default_search=auto", SERIAL, "output_dir=out", module="experiments.compare_search",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert set(pd.read_parquet(tmp_path / "out" / "runs.parquet")["search"]) == {"auto", "my_greedy"}


def test_a_run_of_another_schema_without_its_file_names_the_key(command, folder):
    assert command(*FILES, SERIAL, "budget=1", "search.num_simulations=5", "output_dir=run").code == 0
    for module, more in (("evaluate", ()), ("ask", ("users=profile", "scenario=p-1"))):
        done = command("paths=run", *more, module=f"experiments.{module}")
        assert_one_line(done)
        assert "scenarios.path: " in done.err
        assert "paths=run" in done.err
