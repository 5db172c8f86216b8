"""Audits: each planted fault is found, and nothing else; a clean judge has none; cost is said first."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from envs.loading import load_scenarios
from experiments.audit import first_screen, related_to
from experiments.judging.auditing.audit_answers import changed, reordered
from experiments.judging.auditing.audit_checks import all_checks, monotone, repeatability, unmoved
from experiments.judging.auditing.audit_scores import AuditScores, Related, ask, n_requests
from experiments.stats import binomial_interval, student_t
from tests.envs.llm_cases import judge, server
from tests.experiments.judging.scripted_judges import ScriptedRater
from tests.experiments.run_cases import record, write_scenarios

FAULTS = (
    "repeatability",
    "attribute order",
    "monotone: harmful advice",
    "monotone: coldness",
    "monotone: fit",
    "length",
    "style",
    "self-preference",
    "position",
    "injections",
    "unscored",
    "direct and response",
    "protocols",
)


@pytest.fixture(scope="module")
def scenarios():
    found = load_scenarios(None, None).scenarios
    return [found[i] for i in np.linspace(0, len(found) - 1, 40).astype(int)]


def faults_of(fault, seed, scenarios):
    clean = ScriptedRater(seed=seed)
    judged = clean if fault in ("protocols", "direct and response") else ScriptedRater(fault, seed)
    other = ScriptedRater(fault if fault in ("protocols", "direct and response") else "", seed)
    related = Related({"ours": clean, "paper": other}, {"response": clean, "direct": other})
    return [check.name for check in all_checks(ask(judged, scenarios, related)) if check.outcome == "fault"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_only_that(fault, scenarios):
    assert faults_of(fault, 0, scenarios) == [fault]


def test_the_first_screen_shows_each_fault(scenarios):
    checks = all_checks(ask(ScriptedRater("length", 0), scenarios, Related()))
    facts, cards = first_screen("j", True, len(scenarios), checks)
    assert [card.question for card in cards] == ["Fault: length"]
    assert any(fact.sentence.startswith("No: 1 of 11") for fact in facts)


def test_a_clean_judge_passes(scenarios):
    clean = ScriptedRater(seed=1)
    checks = all_checks(ask(clean, scenarios, Related({"a": clean, "b": clean}, {"r": clean, "d": clean})))
    assert [c.name for c in checks] == list(FAULTS)
    assert {c.outcome for c in checks} <= {"passed", "undecided"}
    assert sum(c.outcome == "passed" for c in checks) >= 10
    alone = all_checks(ask(clean, scenarios, Related()))
    assert [c.outcome for c in alone[-2:]] == ["not run", "not run"]


@pytest.mark.slow
def test_in_twenty_seeds(scenarios):
    found = {fault: [faults_of(fault, seed, scenarios) for seed in range(20)] for fault in FAULTS}
    assert {fault: sum(f == [fault] for f in rows) for fault, rows in found.items()} == dict.fromkeys(
        FAULTS, 20
    )
    clean = [faults_of("", seed, scenarios) for seed in range(100, 120)]
    assert sum(not f for f in clean) >= 19


def test_verdicts_of_exact_numbers():
    five, three = np.arange(5), np.arange(3)
    assert unmoved("x", np.full(5, 0.2), five, "y").outcome == "passed"
    assert unmoved("x", np.full(5, 0.3), five, "y").outcome == "fault"
    assert unmoved("x", np.full(5, 0.3), np.zeros(5, int), "y").outcome == "undecided"  # one person alone
    assert unmoved("x", np.full(5, -0.3), five, "y").outcome == "fault"
    assert unmoved("x", np.full(5, -0.3), five, "y", only_up=True).outcome == "passed"
    assert unmoved("x", np.array([0.0, 0.6, np.nan]), three, "y").outcome == "undecided"
    assert unmoved("x", np.full(3, np.nan), three, "y").outcome == "undecided"
    assert monotone("x", np.full(5, 0.5), five, "y").outcome == "passed"
    assert monotone("x", np.full(5, 0.0), five, "y").outcome == "fault"
    check = repeatability(np.array([[3.0, 4.0, 5.0]] * 4), np.arange(4))
    assert (check.estimate, check.outcome) == (1.0, "fault")
    assert binomial_interval(3, 20, 0.99).low == pytest.approx(
        0.0178, abs=2e-4
    )  # Clopper and Pearson's table


def test_what_is_said_again_of_one_person_is_no_more_evidence(scenarios):
    """All looks at each person twice: no interval gets shorter, and no verdict becomes surer."""
    one, other = ScriptedRater("unscored", 3), ScriptedRater(seed=4)
    once = ask(one, scenarios, Related({"a": one, "b": other}, {"r": one, "d": other}))
    twice = AuditScores(**{field.name: doubled(getattr(once, field.name)) for field in fields(once)})
    for before, after in zip(all_checks(once), all_checks(twice), strict=True):
        assert after.n == 2 * before.n
        assert (after.outcome, after.estimate) == (before.outcome, pytest.approx(before.estimate)), before
        assert after.high - after.low >= 0.98 * (before.high - before.low), before


def doubled(values):
    if isinstance(values, dict):
        return {name: doubled(found) for name, found in values.items()}
    return np.concatenate([values, values]) if isinstance(values, np.ndarray) else [*values, *values]


def test_both_injections_into_one_scenario_are_one_observation(scenarios):
    """A judge that answers alike to an instruction in the answer and in the query."""
    found = ask(ScriptedRater(seed=5), scenarios, Related())
    moved = np.random.default_rng(0).normal(0.2, 0.5, len(scenarios))
    plain = found.answers["plain"]
    alike = replace(
        found, answers={**found.answers, "injection": plain + moved}, injected_query=plain + moved
    )
    (check,) = [c for c in all_checks(alike) if c.name == "injections"]
    half = student_t(len(moved) - 1, 0.99) * moved.std(ddof=1) / np.sqrt(len(moved))
    assert (check.low, check.high) == pytest.approx((moved.mean() - half, moved.mean() + half))


def test_changes_change_one_thing(scenarios):
    for i, scenario in enumerate(scenarios):
        texts = changed(scenario, i, "M")
        plain = texts.pop("plain")
        words = set(plain.replace(".", "").split())
        assert all(words <= set(text.replace(".", "").replace("*", "").split()) for text in texts.values())
        turned = reordered(scenario)
        assert turned.schema.names == scenario.schema.names[::-1]
        assert turned.profile == scenario.profile


def test_a_model_is_audited_for_what_was_said_first(tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(4)])
    people = load_scenarios(str(tmp_path / "s.jsonl"), None).scenarios
    with server() as running:
        llm = judge(running.url, tmp_path)
        related = related_to(llm)
        assert set(related.protocols) == {"ours", "paper", "authors_code"}
        n, costs = n_requests(llm, people, related)
        assert n == len(costs)
        checks = all_checks(ask(llm, people, related))
        assert running.seen.requests <= n <= 1.15 * running.seen.requests
    assert all(check.n for check in checks)


def test_the_page_and_its_cost(command, tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(4)])
    with server() as running:
        keys = (
            "judge.model=m",
            f"judge.base_url={running.url}",
            "judge.cache=c.sqlite",
            "scenarios.path=s.jsonl",
        )
        dry = command(*keys, "n_scenarios=3", "dry_run=true", module="experiments.audit")
        assert (dry.code, running.seen.requests) == (0, 0)
        assert dry.out.startswith("spending: 3 scenarios, ")
        done = command(*keys, "n_scenarios=3", "output_dir=out", module="experiments.audit")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == dry.out.splitlines()[0]
    found = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert [check["name"] for check in found["checks"]] == list(FAULTS)
    assert found["judge"] == "openai:m"
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or b"value 1 of" not in path.read_bytes()
    refused = command("judge=simulated", module="experiments.audit")
    assert refused.code == 2
    assert "no method rate" in refused.err
