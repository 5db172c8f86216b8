"""Panels: the mean of who scored, what is missing, who is asked again, what a member costs who joins."""

import math
import pickle

import numpy as np
import pytest

from envs import Score, UserError
from envs.errors import OutsideError
from envs.judges.panel import PanelJudge
from envs.judges.protocol import describe
from envs.judges.simulated import SimulatedJudge
from envs.llm.endpoint import EndpointDown, LimitReached, Unreadable
from search.scenario_problem import scenario_problem
from tests.envs.llm_cases import NAMES, judge, scenario, server

CONTEXTS = [(), NAMES[:1], NAMES[:2]]


class Fixed:
    """Says the same numbers to everything, and counts what it is asked."""

    def __init__(self, *levels, name="fixed", fails=None):
        self.levels, self.name, self.fails, self.asked = levels, name, fails, []

    def score(self, scenario, contexts):
        self.asked += contexts
        if self.fails is not None:
            raise self.fails
        return [Score(*self.levels) if self.levels else Score(reason="refused") for _ in contexts]

    def rate(self, scenario, answers, attributes=None):
        return self.score(scenario, answers)


class Drawn(Fixed):
    stochastic = True

    def score(self, scenario, contexts, samples):
        self.asked += zip(contexts, samples, strict=True)
        return [3.0 + 0.1 * sample for sample in samples]


def test_mean_by_dimension_and_spread_by_hand():
    (score,) = PanelJudge([Fixed(1, 2, 3), Fixed(5, 4, 3), Fixed(3, 3, 3)]).score(scenario(), [()])
    assert (score.risk_sensitivity, score.emotional_empathy, score.personalization) == (3, 3, 3)
    assert score.value == 3.0
    assert [m.value for m in score.members] == [2.0, 4.0, 3.0]
    assert score.spread == pytest.approx(1.0)  # of 2, 4, 3


def test_a_member_that_fails_is_missing_and_not_zero():
    (score,) = PanelJudge([Fixed(4, 4, 4), Fixed(), Fixed(2, 2, 2)]).score(scenario(), [()])
    assert score.value == 3.0
    assert [m.reason for m in score.members] == [None, "refused", None]
    (score,) = PanelJudge([Fixed(), Fixed()]).score(scenario(), [()])
    assert math.isnan(score.value)
    assert score.reason == "panel: refused 2"
    (alone,) = PanelJudge([Fixed(), Fixed(2, 2, 2)]).score(scenario(), [()])
    assert alone.value == 2.0
    assert math.isnan(alone.spread)


@pytest.mark.parametrize("error", [OutsideError("down"), EndpointDown("down"), Unreadable("no form")])
def test_an_endpoint_that_is_down_is_missing_and_not_asked_again(error):
    down = Fixed(fails=error)
    panel = PanelJudge([Fixed(4, 4, 4), down])
    assert [s.value for s in panel.score(scenario(), CONTEXTS)] == [4.0] * 3
    assert panel.score(scenario(1), [()])[0].members[1].reason == "unavailable"
    assert len(down.asked) == 3
    with pytest.raises(type(error)):
        PanelJudge([Fixed(fails=error), Fixed(fails=error)]).score(scenario(), [()])


def test_a_limit_of_a_member_ends_the_run():
    with pytest.raises(UserError, match="spent"):
        PanelJudge([Fixed(4, 4, 4), Fixed(fails=UserError("spent"))]).score(scenario(), [()])


def test_repeats_are_of_those_who_draw_and_others_are_asked_once_a_set():
    fixed, drawn = Fixed(4, 4, 4), Drawn()
    panel = PanelJudge([fixed, drawn])
    assert panel.stochastic
    found = [s.value for s in panel.score(scenario(), [(), (), NAMES[:1]], [0, 5, 2])]
    assert found == pytest.approx([3.5, 3.75, 3.6])
    panel.score(scenario_again := scenario(), [(), NAMES[:1]], [6, 7])
    panel.score(scenario_again, [()], [8])
    assert fixed.asked == [(), NAMES[:1], (), NAMES[:1]]  # once a scenario at hand
    assert [sample for _, sample in drawn.asked] == [0, 5, 2, 6, 7, 8]
    assert not PanelJudge([fixed, Fixed(1, 1, 1)]).stochastic


def test_the_report_of_a_noisy_panel_is_the_mean_over_members_and_samples():
    members = [SimulatedJudge(noise_std=0.3, seed=1), SimulatedJudge(preset="varied")]
    problem = scenario_problem(scenario(), PanelJudge(members), 2)
    assert problem.noisy
    samples = list(range(50))
    found = problem.evaluate(np.ones(50, np.uint64), samples)
    one = np.array([members[0].score(scenario(), [NAMES[:1]], [i])[0].value for i in samples])
    other = members[1].score(scenario(), [NAMES[:1]])[0].value
    np.testing.assert_allclose(found, (one + other) / 2)


def test_what_a_panel_declares():
    panel = PanelJudge([Fixed(1, 1, 1), Fixed(2, 2, 2), SimulatedJudge()])
    told = describe(panel)
    assert told.name == "panel(fixed, fixed #2, simulated)"
    assert told.simulated
    assert told.rate is None  # the simulated judge reads no words
    assert describe(PanelJudge([Fixed(1, 1, 1), Fixed(2, 2, 2)])).rate is not None
    assert told.concurrent_plans == 1
    assert [row["name"] for row in told.provenance()] == list(panel.member_names)


def test_too_few_members_and_no_judges():
    with pytest.raises(UserError, match=r"judge\.members: found 1"):
        PanelJudge([Fixed(1, 1, 1)])
    with pytest.raises(UserError, match=r"judge\.members\[1\]: found a dict without a method score"):
        PanelJudge([Fixed(1, 1, 1), {"model": "m"}])


def test_a_member_who_joins_later_is_all_that_is_paid_for(tmp_path):
    with server() as running:

        def member(model, protocol="ours"):
            return judge(running.url, tmp_path, model=model, protocol=protocol)

        def costs(panel, contexts=CONTEXTS):
            before = running.seen.requests
            scores = panel.score(scenario(), contexts, list(range(len(contexts))))
            assert running.seen.requests - before == panel.requests
            return panel.requests, scores

        two = [member("a"), member("b")]
        n, pair = costs(PanelJudge(two))
        assert n == 2 * 2 * 3
        n, trio = costs(PanelJudge([member("a"), member("b"), member("b", "paper")]))
        assert n == 2 * 3
        assert [s.members[:2] for s in trio] == [s.members for s in pair]
        shares = pickle.loads(pickle.dumps(PanelJudge(two).shard(2)))  # noqa: S301 - as Ray does
        assert [s.members for s in costs(shares)[1]] == [s.members for s in pair]
        assert (shares.requests, shares.cache_hits) == (0, 12)


def test_answers_are_rated_by_all_members(tmp_path):
    with server() as running:
        members = [judge(running.url, tmp_path, model=m) for m in "ab"]
        panel = PanelJudge(members)
        found = panel.rate(scenario(), ["One.", " ", "Two."])
        assert running.seen.requests == 4
        assert found[1].reason == "panel: no_answer 2"
        alone = [m.rate(scenario(), ["One."])[0].value for m in members]
        assert found[0].value == pytest.approx(sum(alone) / 2)
        assert len(describe(panel).rate_costs(scenario(), "One.")) == 2
        assert describe(panel).spent().requests == 4


def test_each_member_counts_with_what_its_own_requests_took_before(tmp_path):
    """Two sessions of a panel: the limits of its members are of all sessions, and not of each other."""
    with server() as first, server() as second:
        for session in range(2):
            panel = PanelJudge(
                [
                    judge(one.url, tmp_path / f"cache{i}", mode="direct", max_requests=most)
                    for i, (one, most) in enumerate([(first, 9), (second, 100)])
                ]
            )
            panel.preflight(tmp_path, scenario(10 * session))
            asked = [(), ("Age",), ("Gender",), ("Profession",)]
            if not session:
                panel.score(scenario(1), asked, [0] * 4)
        with pytest.raises(LimitReached, match="max_requests=9"):
            panel.score(scenario(2), asked, [0] * 4)
        assert (first.seen.requests, second.seen.requests) == (9, 6)
        assert panel.simulated
        assert panel.member_names == ("simulated:openai:m", "simulated:openai:m #2")
