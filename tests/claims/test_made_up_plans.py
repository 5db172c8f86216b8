"""The claims on made-up plans: each holds, fails or stays open exactly as its numbers say."""

import numpy as np
import pandas as pd
import pytest

from experiments.comparison.cells import COLUMNS
from tests.claims import search_claims as claims
from tests.claims.search_claims import Plans

JUDGES, PEOPLE = 10, 10


def plans(regret, judges=JUDGES, people=PEOPLE, **more):
    """`regret` is a number, or a function of (judge, person); the gain is 1 everywhere."""
    rows = []
    for judge in range(judges):
        for person in range(people):
            less = regret(judge, person) if callable(regret) else regret
            row = dict.fromkeys(COLUMNS, 0.0) | {
                "landscape": "varied", "model_seed": judge, "scenario_id": f"s{person:03d}",
                "best": 3.0, "empty": 2.0, "true": 3.0 - less, "regret": less,
            }  # fmt: skip
            rows.append(row | more)
    return pd.DataFrame(rows)


def holds(claim, *arguments):
    """True, False, or None where the claim stays open."""
    try:
        claim(*arguments)
    except AssertionError:
        return False
    except pytest.skip.Exception:
        return None
    return True


@pytest.mark.parametrize(
    ("regret", "met"),
    [
        (0.0, True),
        (0.00101, False),  # the mean is over .001
        (lambda judge, person: 0.02 if judge == 0 and person < 3 else 0.0, True),  # 97 of 100
        (lambda judge, person: 0.02 if judge == 0 and person < 4 else 0.0, False),
    ],
)
def test_close_to_the_best(regret, met):
    assert holds(claims.is_close_to_the_best, plans(regret)) is met


def test_too_few_judges_leave_a_claim_open():
    assert holds(claims.is_close_to_the_best, plans(0.0, judges=9)) is None
    assert holds(claims.loses_less_than_greedy, plans(0.0, judges=9), plans(0.0, judges=9)) is None


@pytest.mark.parametrize(
    ("mine", "greedy", "met"),
    [(0.01, 0.03, True), (0.03, 0.01, False), (0.0, 0.0, True), (0.01, 0.01, False)],
)
def test_against_greedy(mine, greedy, met):
    assert holds(claims.loses_less_than_greedy, plans(mine), plans(greedy)) is met


def test_two_that_lose_nothing_are_not_told_apart():
    assert holds(claims.loses_less, plans(0.0), plans(0.0)) is False


def test_a_difference_that_chance_explains_does_not_hold():
    noise = np.random.default_rng(0).normal(0.0, 0.3, (JUDGES, PEOPLE))
    ours = plans(lambda judge, person: 0.3 + noise[judge, person])
    assert holds(claims.loses_less, ours, plans(0.31)) is False


@pytest.mark.parametrize(("regret", "met"), [(0.06, True), (0.061, False)])
def test_loses_at_most(regret, met):
    assert holds(claims.loses_at_most, plans(regret), 0.06) is met


@pytest.mark.parametrize(
    ("optimism", "people", "met"), [(0.01, 50, True), (0.03, 50, False), (-0.03, 50, False), (0.0, 49, None)]
)
def test_reports_are_held_over_five_hundred_people(optimism, people, met):
    assert holds(claims.reports_what_is_true, plans(0.1, people=people, optimism=optimism)) is met


@pytest.mark.parametrize(("hits", "met"), [(0, True), (28, True), (37, True), (39, False), (100, False)])
def test_needle_is_no_better_than_chance_when_its_interval_reaches_it(hits, met):
    """Clopper-Pearson of 100: the lower end passes 60/210 = .2857 between 38 and 39 hits."""
    found = plans(lambda judge, person: float(judge * 10 + person >= hits))
    assert holds(claims.finds_the_needle_by_chance_alone, found) is met


def test_plans_of_a_search_are_kept_and_learning_is_of_the_later_people(tmp_path, monkeypatch):
    for name, value in {"JUDGES": 2, "PEOPLE": 3, "WAVE": 2}.items():
        monkeypatch.setattr(claims, name, value)
    found = Plans(tmp_path)
    with found.journal:
        greedy = found.of("greedy", "sketch", 0.3, 20)
        learned = {learns: found.learning("sketch", 20, learns) for learns in (True, False)}
    assert greedy.groupby("model_seed").size().to_dict() == {0: 3, 1: 3}
    assert (greedy["search_calls"] <= 20).all()
    for learns, table in learned.items():
        assert set(table["learns"]) == {learns}
        assert table["order"].tolist() == [2, 3, 2, 3]
        assert set(table["domain"]) == {"health"}
    again = Plans(tmp_path)
    with again.journal:
        monkeypatch.setattr(again, "parallel", None)  # nothing is left to run
        pd.testing.assert_frame_equal(again.of("greedy", "sketch", 0.3, 20), greedy)
