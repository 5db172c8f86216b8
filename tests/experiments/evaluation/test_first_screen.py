"""The first screen of a report: from paired intervals, the worst comparison as prominent as the best."""

import numpy as np
import pandas as pd
import pytest

from experiments.evaluation.report.first_screen import (
    better_sentence,
    extremes,
    held_against_all,
    key_facts,
)
from experiments.evaluation.report.method_figures import Comparison
from experiments.evaluation.report.pairs import Pair
from experiments.evaluation.results import COLUMNS
from experiments.stats import Interval

OTHERS = {
    "vanilla": 1.0,
    "static-4": -0.048,
    "vote + fixed 2": 0.0,
    "full context": -0.5,
    "oracle path": -0.6,
}
"""What the chosen policy scores more than each."""


@pytest.fixture(scope="module")
def comparison():
    rng = np.random.default_rng(0)
    base = rng.normal(3.5, 0.3, 200)
    own = dict.fromkeys(COLUMNS, 0.0) | {"kind": "policy", "curve": "", "asked": [], "domain": "health"}
    rows = []
    for name, gain in {"chosen policy": 0.0, **OTHERS}.items():
        noise = rng.normal(0.0, 0.05, 200) if name == "vote + fixed 2" else np.zeros(200)
        noise -= noise.mean()
        for i, score in enumerate(base - gain + noise):
            asked = 2.3 if name == "chosen policy" else 4.0
            rows.append(
                {
                    **own,
                    "method": name,
                    "scenario_id": f"s{i}",
                    "profile": i,
                    "score": score,
                    "n_asked": asked,
                }
            )
    return Comparison(pd.DataFrame(rows)[list(COLUMNS)], n_draws=200)


def test_the_least_favourable_comparison_is_found_and_said_as_it_is(comparison):
    held = held_against_all(comparison, "chosen policy")
    assert [one.other for one in held] == ["static-4", "vote + fixed 2", "vanilla"]  # bounds are not counted
    found = {name: comparison.figures(name) for name in comparison.names}
    worst, best = extremes(found, held, [], "chosen policy", simulated=True)
    assert worst.sentence.startswith("-0.048 [-0.048, -0.048] against static-4: lower.")
    assert "2.3 here, 4.0 there" in worst.sentence
    assert best.sentence.startswith("+1.000 [1.000, 1.000] against vanilla (asks nothing): higher.")
    assert "SIMULATED" in worst.question
    assert "SIMULATED" in best.question
    said = better_sentence(held, 2)
    assert "higher than 1 of 3 other methods, lower than 1, not told apart from 1" in " ".join(said.split())


def test_at_equal_questions_the_lowest_pair_of_the_chosen_policy_counts(comparison):
    pairs = [
        Pair("chosen policy", "best static set", "equal questions", Interval(0.1, 0.05, 0.2)),
        Pair("chosen policy", "random order", "equal questions", Interval(-0.1, -0.3, 0.2)),
        Pair("vote", "random order", "equal questions", Interval(-0.9, -1.0, -0.8)),
        Pair("chosen policy", "random order", "difference", Interval(-0.9, -1.0, -0.8)),
    ]
    found = {name: comparison.figures(name) for name in comparison.names}
    held = held_against_all(comparison, "chosen policy")
    _, equal, _ = extremes(found, held, pairs, "chosen policy", simulated=False)
    assert equal.sentence == "-0.100 [-0.300, 0.200] against random order: not told apart."
    assert "SIMULATED" not in equal.question


@pytest.mark.parametrize(
    ("simulated", "told"), [(True, "No, SIMULATED"), (False, "no person rated anything")]
)
def test_it_says_whether_it_is_real(comparison, simulated, told):
    found = {name: comparison.figures(name) for name in comparison.names}
    about = {"budget": 4, "n_test": 200, "n_profiles": 200, "judge": "m", "judge_is_simulated": simulated}
    held = held_against_all(comparison, "chosen policy")
    facts = key_facts(found, held, "chosen policy", about)
    assert [fact.question for fact in facts] == [
        "What did it do?", "For whom?", "Against what?", "Is it better?", "Is it real?"
    ]  # fmt: skip
    assert told in " ".join(facts[-1].sentence.split())
    assert "2.3 questions" in facts[0].sentence
