"""Claims on made-up runs: each is met, not met or open exactly as its numbers say."""

import numpy as np
import pandas as pd
import pytest

from experiments.comparison.cells import COLUMNS
from experiments.comparison.claim_checks import EXACT, NOISY, checks, count

JUDGES, PEOPLE = 10, 10


def runs(search, landscape, noise, calls, regret, judges=JUDGES, people=PEOPLE, **more):
    """One cell: `regret` is a number, or a function of (judge, person); the gain is 1 everywhere."""
    rows = []
    for judge in range(judges):
        for person in range(people):
            lost = regret(judge, person) if callable(regret) else regret
            row = dict.fromkeys(COLUMNS, 0.0) | {
                "landscape": landscape, "noise_std": noise, "calls": calls, "search": search,
                "model_seed": judge, "scenario_id": f"s{person:03d}", "best": 3.0, "empty": 2.0,
                "true": 3.0 - lost, "regret": lost, "one_domain": False, "learns": False, "wave": 50,
                "order": person,
            }  # fmt: skip
            rows.append(row | more)
    return pd.DataFrame(rows)


def found(*tables, subject="mine"):
    return checks(pd.concat(tables, ignore_index=True), subject, 300, 0)


def only(all_checks, words):
    (check,) = [c for c in all_checks if words in f"{c.claim} | {c.where}"]
    return check


@pytest.mark.parametrize(
    ("regret", "met"),
    [
        (0.0, True),
        (0.00101, False),  # the mean is over .001
        (lambda judge, person: 0.02 if judge == 0 and person < 3 else 0.0, True),  # 97 of 100
        (lambda judge, person: 0.02 if judge == 0 and person < 4 else 0.0, False),
    ],
)
def test_close_to_the_best_without_noise(regret, met):
    check = only(found(runs("mine", "varied", 0.0, 60, regret)), "No noise, 60 calls: people within")
    assert check.met is met
    assert check.where == "varied"


def test_too_few_judges_leave_a_claim_open():
    assert only(found(runs("mine", "varied", 0.0, 60, 0.0, judges=9)), "people within").met is None
    assert count(found(runs("mine", "varied", 0.0, 60, 0.0, judges=9))) == (0, 0)


@pytest.mark.parametrize(
    ("mine", "greedy", "met"),
    [(0.01, 0.03, True), (0.03, 0.01, False), (0.0, 0.0, True), (0.01, 0.01, False)],
)
def test_against_greedy_without_noise(mine, greedy, met):
    tables = [runs("mine", "additive", 0.0, 35, mine), runs("greedy", "additive", 0.0, 35, greedy)]
    check = only(found(*tables), "regret less greedy's")
    assert check.met is met
    assert check.value == pytest.approx(mine - greedy)


def test_a_difference_that_chance_explains_is_not_met():
    rng = np.random.default_rng(0)
    noise = rng.normal(0.0, 0.3, (JUDGES, PEOPLE))
    tables = [
        runs("mine", "varied", 0.3, 60, lambda judge, person: 0.3 + noise[judge, person]),
        runs("greedy", "varied", 0.3, 60, 0.31),
    ]
    check = only(found(*tables), "varied, 60 calls: greedy")
    assert check.met is False
    assert "(-" in check.found


def test_every_rival_at_every_limit_and_exhaustive_with_all_sets():
    tables = [
        runs(search, landscape, 0.3, calls, 0.05 if search == "mine" else 0.1)
        for landscape in NOISY
        for calls in (60, 120)
        for search in ("mine", "greedy", "exhaustive", "best_static")
    ]
    tables += [runs("exhaustive", landscape, 0.3, 386, 0.01) for landscape in NOISY]
    rivals = [c for c in found(*tables) if c.claim.endswith("of a rival")]
    assert len(rivals) == 16
    assert {c.where for c in rivals if c.met is False} == {
        f"{landscape}, {calls} calls: exhaustive with 386" for landscape in NOISY for calls in (60, 120)
    }
    assert sum(bool(c.met) for c in rivals) == 12


@pytest.mark.parametrize(
    ("calls", "regret", "met"), [(60, 0.06, True), (60, 0.061, False), (120, 0.05, False)]
)
def test_sketch(calls, regret, met):
    check = only(found(runs("mine", "sketch", 0.3, calls, regret)), f"sketch, {calls} calls")
    assert check.met is met


@pytest.mark.parametrize(
    ("optimism", "people", "met"), [(0.01, 50, True), (0.03, 50, False), (-0.03, 50, False), (0.0, 49, None)]
)
def test_optimism_over_five_hundred_people(optimism, people, met):
    table = runs("mine", "varied", 0.3, 60, 0.1, people=people, optimism=optimism, belief_error=0.4)
    all_checks = found(table)
    assert only(all_checks, "mean (reported - true)").met is met
    belief = only(all_checks, "the search's belief")
    assert belief.met is None
    assert belief.value == pytest.approx(0.4)


@pytest.mark.parametrize(("hits", "met"), [(0, True), (28, True), (37, True), (39, False), (100, False)])
def test_needle_is_no_better_than_chance_when_its_interval_reaches_it(hits, met):
    """Clopper-Pearson of 100: the lower end passes 60/210 = .2857 between 38 and 39 hits."""
    needle = runs("random", "needle", 0.0, 60, lambda judge, person: float(judge * 10 + person >= hits))
    check = only(found(needle), "Needle")
    assert check.where == "random"
    assert check.value == hits / 100
    assert check.met is met


def test_learning_counts_the_later_people_alone():
    def table(learns, later):
        return runs(
            "mine", "sketch", 0.3, 20, lambda judge, person: later if person >= 50 else 0.9,
            people=100, one_domain=True, learns=learns,
        )  # fmt: skip

    check = only(found(table(True, 0.1), table(False, 0.2)), "sketch, 20 calls, 50 people before")
    assert check.met is True
    assert check.value == pytest.approx(-0.1)
    assert only(found(table(True, 0.2), table(False, 0.1)), "sketch, 20 calls").met is False


def test_a_search_without_fit_has_nothing_to_show():
    check = only(found(runs("mine", EXACT[0], 0.0, 60, 0.0)), "regret less that without `fit`")
    assert check.met is None
