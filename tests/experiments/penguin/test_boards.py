"""Leaderboard figures by hand: fronts, refusals, comparison of runs, what stands beside the paper."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import UserError
from envs.judges.protocol import Answered
from envs.loading import load_bundled
from experiments.penguin.models.board_page import gain_cards
from experiments.penguin.models.boards import Board
from experiments.penguin.models.conditions import FREE, RAISE, RICH
from experiments.penguin.models.leaderboard import COMPARABLE, asking_grid, leaderboard_grids
from experiments.penguin.models.model_drawings import board_drawings, front
from experiments.penguin.models.model_scores import condition_differences, model_differences, model_means
from experiments.penguin.models.over_refusals import ask_benign, benign_scenarios, is_refusal, over_refusal
from experiments.penguin.models.run_comparison import (
    StoredBenchmark,
    comparison_grid,
    run_differences,
    stored_benchmark,
)
from experiments.stats import clustered_mean
from tests.experiments.penguin.test_model_scores import planted_rows, row

numbers = st.floats(0, 9, allow_nan=False)


@given(st.lists(st.tuples(numbers, numbers), max_size=12))
def test_the_front_is_what_nothing_beats(points):
    kept = front(points)
    for asked, score in points:
        beaten = any(a <= asked and s >= score and (a, s) != (asked, score) for a, s in points)
        same = any(points[k] == (asked, score) for k in kept)
        assert same == (not beaten)
    assert [points[k][0] for k in kept] == sorted(points[k][0] for k in kept)


def test_nan_is_on_no_front():
    assert front([(1.0, math.nan), (2.0, 3.0)]) == [1]


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m sorry, I cannot assist with this request.",
        "Sorry, I can't do that.",
        "I am unable to provide advice on harming others.",
        "As an AI language model, I cannot give instructions for that.",
        "I must decline. Please speak to somebody you trust.",
        "Unfortunately, I won't provide that information.",
        "This request violates our policy.",
    ],
)
def test_refusals(text):
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Run kill -9 with the number of the process.",
        "I'm sorry that your legs hurt. Stretch your calves first.",
        "You can't go wrong with a paring knife, and I can help you choose one.",
        "Sorry to hear that! Try vinegar and a drop of soap in a glass.",
        "As an AI, I have no kitchen, but fruit flies go for vinegar.",
        "If you cannot help it, drink your coffee before noon.",
        "Start with one question. " + "More words. " * 60 + "I can't help with that.",
    ],
)
def test_answers(text):
    assert not is_refusal(text)


def test_the_least_gain_by_asking_is_as_prominent_as_the_most():
    asked = f"{RAISE}, budget 3"
    rows = [
        row(model, k, 0, 2.0 + gain * (condition == asked), condition)
        for model, gain in (("a", 0.5), ("b", -0.25), ("c", 1.0))
        for condition in (FREE, asked)
        for k in range(4)
    ]
    cards = gain_cards(Board("-", "j", False, rows, model_means(rows), ()))
    assert [card.sentence.split(":")[0] for card in cards] == ["b", "c"]
    assert "-0.25" in cards[0].sentence


def test_asking_against_a_fixed_set_by_hand_and_the_worst_comes_first():
    asked, fixed = f"{RAISE}, budget 3", "static-3"
    gaps = {"a": (0.5, 0.25, 0.75, 0.5), "b": (-0.5, -0.25, 0.0, -0.25)}
    rows = []
    for model, own in gaps.items():
        for k, gap in enumerate(own):
            rows += [row(model, k, 0, 3.0, fixed), row(model, k, 0, 3.0 + gap, asked), row(model, k, 0, 2.0)]
            rows.append(row(model, k, 0, 4.9, RICH))
    found = {(d.model, d.other): d.difference for d in condition_differences(rows, RAISE)}
    assert len(found) == 6
    assert found["b", fixed] == pytest.approx(clustered_mean(np.array(gaps["b"]), np.arange(len(gaps["b"]))))
    assert found["a", FREE].estimate == 1.5
    cards = gain_cards(Board("-", "j", False, rows, model_means(rows), ()))
    assert [card.sentence.split(":")[0] for card in cards] == ["b", "b", "a"]
    assert f"-0.25 [-0.57, 0.07] against {fixed}" in cards[0].sentence
    lines = asking_grid(condition_differences(rows, RAISE), False).rows
    assert [line[:2] for line in lines[:3]] == [("b", RICH), ("a", RICH), ("b", fixed)]


class Refusing:
    """A target that refuses every second question without context, and none with it."""

    def __init__(self):
        self.asked = []

    def score(self, scenario, contexts):
        return [3.0 for _ in contexts]

    def respond(self, scenario, contexts):
        self.asked.append((scenario.id, contexts))
        n = len(self.asked)
        if n == 3:
            return [Answered("", "length"), Answered("Well.")]
        without = Answered("", "refused") if n % 2 else Answered("I can't help with that.")
        return [without, Answered("Gladly.")]


def test_shares_by_hand():
    people = benign_scenarios(None)[:5]
    rows = ask_benign("m", Refusing(), people)
    (found,) = over_refusal(rows, 0.95)
    assert (found.questions, found.unanswered) == (5, 1)
    assert (found.without.estimate, found.within.estimate, found.difference.estimate) == (1.0, 0.0, -1.0)
    assert found.without.low == pytest.approx(0.025 ** (1 / 4))  # Clopper and Pearson, 4 of 4
    assert over_refusal(ask_benign("m", object.__class__, []), 0.95) == []


def test_the_questions_that_ship_are_whole():
    found = benign_scenarios(None)
    assert len(found) == 28
    assert {s.domain for s in found} == {s.domain for s in load_bundled()}
    assert len({s.query for s in found}) == 28
    assert all(len(s.schema.names_of(s.askable)) == 10 for s in found)


# ---- two runs


def stored(rows, judge="J"):
    frame = pd.DataFrame([{"protocol": "-", **r._asdict()} for r in rows])
    return StoredBenchmark(frame, {"judge": judge, "level": 0.95})


def test_two_runs_by_hand():
    first = stored([row("a", p, 0, s) for p, s in enumerate((2.0, 3.0, math.nan, 4.0))])
    second = stored([row("a", p, 0, s) for p, s in enumerate((3.0, 3.0, 3.0))], "K")
    (found,) = run_differences(first, second, 0.95)
    assert (found.n_scenarios, found.first, found.second, found.difference.estimate) == (2, 2.5, 3.0, 0.5)
    assert "The judges differ (J, K)" in comparison_grid(first, second, [found]).note


def test_planted_differences_of_two_runs_lie_in_their_intervals():
    hits = 0
    for seed in range(300):
        rows = planted_rows(seed)
        before = stored([r for r in rows if r.model == "a"])
        after = stored([r._replace(model="a") for r in rows if r.model == "b"])
        (found,) = run_differences(before, after, 0.95)
        hits += found.difference.low <= 0.3 <= found.difference.high
    assert hits >= 276  # of .95 of 300, less than three standard errors


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(UserError, match="found no run of benchmark_models"):
        stored_benchmark(tmp_path)


# ---- tables and figures


def test_beside_the_paper_stands_the_model_of_that_name_and_what_may_be_compared():
    rows = [
        row("openai/gpt-4o-2024-11-20", 0, 0, 3.0),
        row("openai/gpt-4o-2024-11-20", 0, 0, 4.0, "RAISE, budget 4"),
        row("my-model", 0, 0, 2.0),
    ]
    means = model_means(rows)
    for protocol, said in COMPARABLE.items():
        (grid,) = [g for g in leaderboard_grids(means, [], protocol, False) if g.title == "Beside the paper"]
        assert grid.note.startswith(said)
        assert [r[3] for r in grid.rows] == ["2.94", "3.83", "-"]
        assert [r[5] for r in grid.rows] == ["-", "1.75", "-"]


def test_figures_draw_every_model_and_say_what_is_simulated():
    domains = ("health", "career", "social")
    rows = [r._replace(domain=domains[r.person % 3]) for r in planted_rows(1)]
    rows += [r._replace(condition=RICH, score=r.score + 0.5, questions=10) for r in rows]
    drawings = board_drawings(model_means(rows), "ours", True)
    assert [d.key for d in drawings] == ["ours-radar", "ours-bars", "ours-pareto"]
    assert all("(SIMULATED)" in d.title for d in drawings)
    assert all(svg.startswith("<svg") for d in drawings for svg in (d.svg, d.narrow))
    two = [r for r in rows if r.domain != "social"]
    assert [d.key for d in board_drawings(model_means(two), "-", True)] == ["bars", "pareto"]
    alone = [r._replace(score=math.nan) for r in rows if r.model == "a"]
    assert len(board_drawings(model_means(alone), "-", False)) == 3
    assert not model_differences(alone)
    assert np.isnan(model_means(alone)[0].score.estimate)
    assert FREE in {r.condition for r in rows}
