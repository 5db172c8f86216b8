"""What is asked: after each question the agent is not behind the best static set of that size."""

import numpy as np
import pytest

from tests.claims.questions_asked import planned_by_draw, shipped

pytestmark = pytest.mark.claims
BEHIND = 0.02
"""Score points that the agent may be behind, on average over people and draws."""


def assert_not_behind(compared):
    for told in ("told", "not told"):
        difference = compared.mean(told, "agent") - compared.mean(told, "static")
        assert np.all(difference >= -BEHIND), (told, difference.round(3).tolist())


@pytest.mark.parametrize("preset", ["published", "varied"])
def test_plans_of_a_draw_serve_other_people_as_well_as_static_sets(preset):
    assert_not_behind(planned_by_draw(preset))


def test_shipped_plans_serve_under_draws_that_they_were_not_planned_for():
    assert_not_behind(shipped())
