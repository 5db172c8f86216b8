"""Curves of operating points, read by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.evaluation.report.method_figures import questions_at, score_at

ASKED = np.array([[2.0], [0.0], [4.0]])
SCORES = np.array([[3.0], [1.0], [3.5]])


@pytest.mark.parametrize(("at", "score"), [(0, 1), (1, 2), (3, 3.25), (4, 3.5), (9, 3.5), (-1, 1)])
def test_scores_are_read_between_the_points_of_a_curve(at, score):
    assert score_at(ASKED, SCORES, np.array([float(at)]))[0] == pytest.approx(score)


@pytest.mark.parametrize(("at", "questions"), [(1, 0), (2, 1), (3.25, 3), (3.5, 4), (3.6, np.inf), (0.5, 0)])
def test_questions_are_read_between_the_points_of_a_curve(at, questions):
    assert questions_at(ASKED, SCORES, np.array([float(at)]))[0] == pytest.approx(questions)


def test_nobody_asks_more_for_less():
    asked = np.array([[0.0], [3.0], [4.0]])
    scores = np.array([[1.0], [3.0], [2.5]])
    assert score_at(asked, scores, np.array([4.0]))[0] == 3.0
    assert questions_at(asked, scores, np.array([2.5]))[0] == pytest.approx(2.25)  # on the way from 1 to 3


def test_each_draw_is_read_on_its_own_curve():
    asked = np.array([[0.0, 0.0], [2.0, 4.0]])
    scores = np.array([[1.0, 1.0], [3.0, 3.0]])
    assert score_at(asked, scores, np.array([1.0, 1.0])).tolist() == [2.0, 1.5]


@given(
    st.lists(st.tuples(st.floats(0, 4), st.floats(1, 5)), min_size=1, max_size=5, unique_by=lambda p: p[0]),
    st.floats(0, 4),
)
@settings(max_examples=50, deadline=None)
def test_what_is_read_is_worth_every_point_that_asks_no_more(points, at):
    asked, scores = (np.array([[p[k]] for p in points]) for k in (0, 1))
    read = score_at(asked, scores, np.array([at]))[0]
    assert all(read >= score - 1e-9 for a, score in points if a <= at)
    assert read <= scores.max() + 1e-9
