"""The vector environment is N single ones: `SyncVectorEnv` is the naive twin, equal to the last bit."""

import copy

import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import UserError
from envs.acquisition_env import AttributeAcquisitionEnv
from envs.judges.landscapes import LandscapeJudge
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from envs.vector.acquisition_vector_env import AcquisitionVectorEnv
from envs.vector.generator_kernels import generator_of, generator_row, next_below
from tests.envs.acquisition.acquisition_cases import ANSWER, SCENARIOS, Additive, Gappy, Noisy

ENV = "envs/AttributeAcquisition-v0"
MODES = [mode.value for mode in AutoresetMode]


class Silent(Additive):
    """Scores nothing."""

    def score(self, scenario, contexts):
        return [float("nan")] * len(super().score(scenario, contexts))


class Outside(Additive):
    """Of sets of two, a score that is out of range; in arrays."""

    def score(self, scenario, contexts):
        values = super().score(scenario, contexts)
        return [9.0 if len(c) == 2 else v for v, c in zip(values, contexts, strict=True)]

    def score_sets(self, scenario, masks, samples):
        return np.array(self.score(scenario, [scenario.schema.names_of(m) for m in masks]), dtype=float)


CASES = {
    "simulated": (SimulatedJudge(), load_bundled()[:20]),
    "mean of draws": (SimulatedJudge("varied", draws=2), load_bundled()[-20:]),
    "noise": (SimulatedJudge(noise_std=0.2), load_bundled()[:3]),
    "landscape": (LandscapeJudge("additive"), load_bundled()[:2]),
    "one person": (Additive(), SCENARIOS[:1]),
    **{judge.__name__: (judge(), SCENARIOS) for judge in (Additive, Gappy, Noisy, Silent, Outside)},
}


def twins(case, n, mode, **kwargs):
    """Return the vector environment and its naive twin."""
    judge, scenarios = CASES[case]

    def make():
        return AttributeAcquisitionEnv(scenarios, judge, **kwargs)

    native = AcquisitionVectorEnv(n, scenarios, judge, autoreset_mode=mode, **kwargs)
    return native, SyncVectorEnv([make] * n, autoreset_mode=mode)


def legal_or_not(rng, mask, n):
    """Actions of which some are illegal and some answer."""
    legal = (rng.random(mask.shape) * mask).argmax(axis=1)
    return np.where(rng.random(n) < 0.2, rng.integers(mask.shape[1], size=n), legal)


@given(
    case=st.sampled_from(sorted(CASES)),
    n=st.integers(1, 4),
    mode=st.sampled_from(MODES),
    reward=st.sampled_from(["incremental", "terminal"]),
    budget=st.integers(0, 5),
    cost_weight=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=50, deadline=None)
def test_equal_to_single_environments(case, n, mode, reward, budget, cost_weight, seed):
    pair = twins(case, n, mode, reward=reward, budget=budget, cost_weight=cost_weight)
    native, naive = pair
    assert native.observation_space == naive.observation_space
    assert native.action_space == naive.action_space
    rng = np.random.default_rng(seed)
    found, wanted = (env.reset(seed=seed) for env in pair)
    assert data_equivalence(found, wanted, exact=True)
    for _ in range(9):
        mask = naive_masks(naive)
        np.testing.assert_array_equal(native.action_masks(), mask)
        actions = legal_or_not(rng, mask, n)
        found, wanted = (env.step(actions) for env in pair)
        assert found[0] in native.observation_space
        assert data_equivalence(found, wanted, exact=True)
        ended = wanted[2]
        if mode == AutoresetMode.DISABLED.value and ended.any():
            options = [{"reset_mask": ended.copy()} for _ in pair]
            found, wanted = (env.reset(options=o) for env, o in zip(pair, options, strict=True))
            assert data_equivalence(found, wanted, exact=True)
    assert native.np_random_seed == naive.np_random_seed
    for ours, theirs in zip(native.np_random, naive.np_random, strict=True):
        assert ours.bit_generator.state == theirs.bit_generator.state


def naive_masks(naive):
    return np.array(naive.call("action_masks"))


@pytest.mark.parametrize("reward", ["incremental", "terminal"])
def test_options_and_seeds_of_a_reset(reward):
    pair = twins("Gappy", 3, "NextStep", reward=reward, render_mode="ansi")
    for arguments in (
        {"seed": [5, 9, 5], "options": {"scenario": "full", "known": ["B", "E"]}},
        {"seed": [None, 3, None], "options": {"scenario": 1}},
        {"options": {}},
        {"seed": 7, "options": {"reset_mask": np.array([False, True, True]), "scenario": "gaps"}},
    ):
        native, naive = (env.reset(**copy.deepcopy(arguments)) for env in pair)
        assert data_equivalence(native, naive, exact=True)
        for action in (0, 2, ANSWER):
            steps = [env.step(np.full(3, action)) for env in pair]
            assert data_equivalence(*steps, exact=True)
            assert pair[0].render() == pair[1].render()


@given(st.integers(0, 2**64), st.lists(st.integers(1, 2**31), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_draws_are_numpys(seed, bounds):
    generator = np.random.Generator(np.random.PCG64(seed))
    row = generator_row(generator)
    drawn = [next_below(row, np.uint64(n)) for n in bounds]
    assert drawn == [int(generator.integers(n)) for n in bounds]
    assert generator_of(row).bit_generator.state == generator.bit_generator.state


def test_a_judge_is_asked_for_a_scenarios_sets_together_and_for_each_once():
    judge = Additive()
    native = gymnasium.make_vec(ENV, num_envs=4, scenarios=SCENARIOS, judge=judge)
    native.reset(seed=0, options={"scenario": "full"})
    assert judge.asked == [()]
    native.step(np.array([0, 1, 1, ANSWER]))
    assert judge.asked == [(), ("A",), ("B",)]
    native.step(np.array([0, 0, 0, 0]))  # an illegal question; {A, B} twice; a new episode, {}
    assert judge.asked[3:] == [("A", "B"), ()]


def test_what_was_returned_is_the_callers_own():
    native = gymnasium.make_vec(ENV, num_envs=2, scenarios=SCENARIOS, judge=Additive())
    first = native.reset(seed=0, options={"scenario": "full"})
    kept = copy.deepcopy(first)
    step = native.step(np.array([0, 1]))
    assert data_equivalence(first, kept, exact=True)
    for values in (*first[0].values(), *step[0].values(), step[2], step[4]["cost"], step[4]["illegal"]):
        values[:] = 1
    twin = gymnasium.make_vec(ENV, num_envs=2, scenarios=SCENARIOS, judge=Additive())
    twin.reset(seed=0, options={"scenario": "full"})
    twin.step(np.array([0, 1]))
    assert data_equivalence(native.step(np.array([2, 2])), twin.step(np.array([2, 2])), exact=True)


def test_make_vec_takes_it_unless_told_otherwise():
    vector = gymnasium.make_vec(ENV, num_envs=3, budget=2)
    assert type(vector).__name__ == "AcquisitionVectorEnv"
    assert vector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    again = gymnasium.make_vec(gymnasium.envs.registration.EnvSpec.from_json(vector.spec.to_json()))
    assert again.spec == vector.spec
    assert data_equivalence(again.reset(seed=1), vector.reset(seed=1), exact=True)


def test_steps_outside_an_episode_and_actions_outside_the_space():
    vector = twins("Additive", 2, "Disabled")[0]
    with pytest.raises(ResetNeeded):
        vector.step(np.array([0, 0]))
    with pytest.raises(ResetNeeded):
        vector.reset(options={"reset_mask": np.array([True, False])})
    vector.reset(seed=0, options={"scenario": "full"})
    for actions in ([0, ANSWER + 1], [-1, 0], [0.5, 0.5], [0], 0):
        with pytest.raises(InvalidAction):
            vector.step(np.array(actions))
    vector.step(np.array([0, ANSWER]))
    with pytest.raises(ResetNeeded, match="environment 1"):
        vector.step(np.array([0, 0]))


@pytest.mark.parametrize(
    "wrong",
    [{"num_envs": 0}, {"num_envs": 1.5}, {"autoreset_mode": "never"}, {"budget": -1}, {"judge": "nobody"}],
)
def test_wrong_arguments_are_told_in_one_line(wrong):
    with pytest.raises(UserError, match=r"^[^\n]*found[^\n]*expected[^\n]*$"):
        AcquisitionVectorEnv(**{"scenarios": SCENARIOS, "judge": Additive()} | wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": [1]},
        {"options": {"reset_mask": [True, False]}},
        {"options": {"reset_mask": np.array([False, False])}},
        {"options": {"scenario": "nobody"}},
        {"options": {"scenario": "gaps", "known": ["B"]}},
        {"options": {"scenaro": 0}},
    ],
)
def test_wrong_resets_are_told_in_one_line(wrong):
    with pytest.raises(UserError, match=r"^reset: [^\n]* expected [^\n]*$"):
        twins("Additive", 2, "NextStep")[0].reset(**wrong)
