"""Rewards, costs and what the judge is asked, by hand and over random episodes."""

import pytest
from gymnasium.utils.env_checker import data_equivalence
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import UserError
from tests.envs.acquisition.acquisition_cases import ANSWER, IDS, JUDGES, Additive, Gappy, Noisy, make, play


@given(
    seed=st.integers(0, 1000),
    actions=st.lists(st.integers(0, ANSWER), max_size=8),
    budget=st.integers(0, 5),
    judge=st.sampled_from(JUDGES),
    cost_weight=st.sampled_from([0.0, 0.3]),
    known=st.sets(st.sampled_from("ABCDE")),
)
@settings(max_examples=150, deadline=None)
def test_both_rewards_sum_to_the_same(seed, actions, budget, judge, cost_weight, known):
    """Whatever is done, legal or not; `ANSWER` at the end closes the episode."""
    options = {"scenario": "full", "known": sorted(known)}
    runs = []
    for env_id in IDS:
        for reward in ("incremental", "terminal"):
            env = make(judge, env_id, reward=reward, budget=budget, cost_weight=cost_weight)
            runs.append(play(env, [*actions, ANSWER], seed=seed, options=options))
    for run in runs[1:]:
        assert run[2]
        assert runs[0][2]
        assert sum(run[1]) == pytest.approx(sum(runs[0][1]), abs=1e-9)
        assert data_equivalence(run[0], runs[0][0], exact=True)


def test_an_illegal_question_costs_one_question_and_nothing_else():
    env = make(cost_weight=1.0)
    observations, rewards, over, infos = play(env, [0, 0, 1], options={"scenario": "gaps"})
    assert [i["illegal"] for i in infos] == [False, False, True, True]
    assert rewards == pytest.approx([0.1 - 1.0, 0.0, 0.0])
    assert [int(o["budget_left"]) for o in observations] == [4, 3, 2, 1]
    assert [i["cost"] for i in infos] == [0.0, 1.0, 1.0, 1.0]
    assert not over


def test_costs_add_up_by_hand():
    actions, options = [4, 1, ANSWER], {"scenario": "full"}
    steps = play(make(cost_weight=0.1), actions, options=options)
    end = play(make(cost_weight=0.1, reward="terminal"), actions, options=options)
    assert steps[1] == pytest.approx([0.5 - 0.5, 0.2 - 0.2, 0.0])
    assert end[1] == pytest.approx([0.0, 0.0, 0.7 - 0.7])
    assert [i["cost"] for i in steps[3]] == [0.0, 5.0, 7.0, 7.0]


def test_unscored_sets_by_hand():
    """Even sets are unscored: the base is the first scored set, {A}, and {A, B} gains nothing."""
    options = {"scenario": "full"}
    _, rewards, _, infos = play(make(Gappy), [0, 1, 2, 3], options=options)
    assert rewards == pytest.approx([0.0, 0.0, 0.5, 0.0])
    assert ["score" in i for i in infos] == [False, True, False, True, False]
    _, rewards, _, _ = play(make(Gappy, reward="terminal"), [0, 1, 2, 3], options=options)
    assert rewards == pytest.approx([0.0, 0.0, 0.0, 0.5])


def test_terminal_asks_the_judge_for_the_ends_alone():
    env = make(reward="terminal")
    _, _, _, infos = play(env, [3, 0, ANSWER], options={"scenario": "full"})
    assert env.unwrapped._judge.asked == [(), ("A", "D")]  # names in schema order
    assert ["score" in i for i in infos] == [False, False, False, True]


def test_incremental_asks_for_each_set_once():
    env = make()
    play(env, [3, 3, 0, ANSWER], options={"scenario": "full"})
    assert env.unwrapped._judge.asked == [(), ("D",), ("A", "D")]


def test_known_at_the_start():
    env = make(budget=2, cost_weight=1.0, reward="terminal")
    options = {"scenario": "full", "known": ["B", "E"]}
    observations, rewards, over, infos = play(env, [0, 2], options=options)
    assert observations[0]["known"].tolist() == [0, 1, 0, 0, 1]
    assert observations[0]["budget_left"] == 2  # what the query reveals does not count
    assert infos[0]["action_mask"].tolist() == [1, 0, 1, 1, 0, 1]
    assert over
    assert rewards == pytest.approx([0.0, 0.4 - 4.0])  # nor does it cost or gain


def test_one_sample_an_episode_whatever_is_asked():
    env = make(Noisy)
    for seed, scenario in [(1, "full"), (1, "gaps"), (2, "full")]:
        play(env, [0, 2, ANSWER], seed=seed, options={"scenario": scenario})
    samples = env.unwrapped._judge.samples
    assert len(set(samples[:3])) == 1
    assert samples[0] == samples[3]  # another scenario, the same seed
    assert samples[0] != samples[6]
    env.reset(seed=1)
    assert samples[0] == env.unwrapped._judge.samples[-1]  # drawing the scenario changes nothing
    first = play(env, [0, 1, ANSWER], seed=1, options={"scenario": "full"})[3][-2]["score"]
    second = play(env, [1, 0, ANSWER], seed=1, options={"scenario": "full"})[3][-2]["score"]
    assert first == second


def test_a_judge_that_loses_scores_is_told():
    class Lossy(Additive):
        def score(self, scenario, contexts):
            return []

    with pytest.raises(UserError, match="Lossy: returned 0 scores"):
        make(Lossy).reset()
