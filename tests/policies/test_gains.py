"""Expected gains against values worked out by hand, and properties of the family behind them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.acquisition import SLACK, expected_gains, path_gains
from tests.policies.policy_cases import plan_index, record


def neighbours_of(*rows):
    found = plan_index([record("one", path, scores, number=i) for i, (path, scores) in enumerate(rows)])
    return found.neighbours("one", len(rows))


@given(st.permutations("ABCD"), st.lists(st.floats(0.01, 0.5), min_size=4, max_size=4), st.floats(1.0, 3.0))
def test_along_the_stored_order_the_gains_are_the_stored_steps(path, steps, start):
    scores = np.concatenate([[start], start + np.cumsum(steps)])
    found = neighbours_of((path, tuple(scores)))
    known = 0
    for j, name in enumerate(path):
        a = "ABCD".index(name)
        assert path_gains(found, known, 4)[0, a] == pytest.approx(scores[j + 1] - scores[j], rel=1e-6)
        known |= 1 << a
    assert path_gains(found, known, 4).tolist() == [[0.0] * 4]


@given(st.permutations("ABCD"), st.lists(st.floats(0.01, 0.5), min_size=4, max_size=4))
def test_any_order_ends_at_the_same_score(path, steps):
    """A set function: what the four add does not depend on the order in which they are told."""
    scores = np.concatenate([[3.0], 3.0 + np.cumsum(steps)])
    found = neighbours_of((path, tuple(scores)))
    for order in ("ABCD", "DCBA", "BDAC"):
        known, total = 0, 0.0
        for name in order:
            a = "ABCD".index(name)
            total += path_gains(found, known, 4)[0, a]
            known |= 1 << a
        assert total == pytest.approx(sum(steps), rel=1e-6)


def test_by_hand():
    """One path AB: 3, 3.8, 4. H = 1 / .95; z_A = log(H / (H - .8)), z_B = log((H - .8) / (H - 1))."""
    h = 1 / (1 - SLACK)
    z_a, z_b = np.log(h / (h - 0.8)), np.log((h - 0.8) / (h - 1.0))
    found = neighbours_of(("AB", (3.0, 3.8, 4.0)))
    expected = [h * (1 - np.exp(-z_a)), h * (1 - np.exp(-z_b)), 0.0, 0.0]
    np.testing.assert_allclose(path_gains(found, 0, 4)[0], expected)
    np.testing.assert_allclose(path_gains(found, 0b0010, 4)[0], [np.exp(-z_b) * expected[0], 0, 0, 0])
    np.testing.assert_allclose(path_gains(found, 0b1000, 4)[0], expected)  # D is outside the path


def test_mean_and_standard_error_by_hand():
    """Three equally similar neighbours gain .8, .4 and 0 from A: mean .4, sd .4, stderr .4 / sqrt 3."""
    found = neighbours_of(("A", (3.0, 3.8)), ("A", (3.0, 3.4)), ("B", (3.0, 3.5)))
    mean, stderr = expected_gains(found, 0, 4, 0.1)
    np.testing.assert_allclose(mean, [0.4, 0.5 / 3, 0, 0])
    assert stderr[0] == pytest.approx(0.4 / np.sqrt(3))
    assert stderr[2] == 0


def test_one_neighbour_has_no_spread():
    mean, stderr = expected_gains(neighbours_of(("A", (3.0, 3.8))), 0, 4, 0.1)
    assert mean[0] == pytest.approx(0.8)
    assert stderr.tolist() == [0.0] * 4


def test_the_nearer_weighs_more():
    found = plan_index(
        [record("one two", "A", (3.0, 4.0), number=0), record("one three", "B", (3.0, 4.0), number=1)]
    ).neighbours("one two", 2)
    mean, _ = expected_gains(found, 0, 4, 0.1)
    assert mean[0] / mean[1] == pytest.approx(np.exp(0.5 / 0.1), rel=1e-5)


def test_unscored_prefixes_share_the_step_and_never_become_numbers():
    found = neighbours_of(("AB", (3.0, None, 4.0)))
    gains = path_gains(found, 0, 4)[0]
    assert gains[0] == pytest.approx(gains[1])
    assert np.all(np.isfinite(gains))
    total = gains[0] + path_gains(found, 0b01, 4)[0, 1]
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize(
    "row", [("", (3.0,)), ("A", (None, 4.0)), ("A", (3.0, 3.0)), ("A", (3.0, 2.5)), ("AB", (4.0, 3.0, 3.5))]
)
def test_a_path_that_says_nothing_or_gains_nothing_counts_as_none(row):
    assert path_gains(neighbours_of(row), 0, 4).tolist() == [[0.0] * 4]


def test_a_harmful_step_is_a_loss():
    """A 3 -> 3.4, then B down to 3.2, then C up to 4."""
    found = neighbours_of(("ABC", (3.0, 3.4, 3.2, 4.0)))
    assert path_gains(found, 0b001, 4)[0, 1] == pytest.approx(-0.2)


def test_paths_of_any_length_with_holes_gain_together_what_each_gains_alone():
    rows = [("ABCD", (3.0, None, 3.6, None, 4.2)), ("", (3.0,)), ("DB", (2.5, 3.0, 2.8)), ("C", (3.0, None)),
            ("CA", (None, 3.0, 3.5)), ("BDA", (3.0, 3.1, 3.1, 4.0))]  # fmt: skip
    for known in range(16):
        alone = [path_gains(neighbours_of(row), known, 4)[0] for row in rows]
        np.testing.assert_allclose(path_gains(neighbours_of(*rows), known, 4), alone, atol=1e-12)
