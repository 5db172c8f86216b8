"""The Gymnasium adapter: Gymnasium's own checks, masks, secrecy, randomness, errors."""

import copy
import math
import pickle
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.wrappers import FlattenObservation
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import Scenario, UserError
from envs.scenario import DOMAINS
from tests.envs.acquisition.acquisition_cases import (
    ANSWER,
    HIGH,
    IDS,
    JUDGES,
    LOW,
    SCENARIOS,
    SCHEMA,
    TELLTALE,
    Additive,
    Noisy,
    make,
    play,
)


@pytest.mark.parametrize(
    "imports", ["import envs, gymnasium", "import gymnasium, envs", "import envs.acquisition_env, gymnasium"]
)
def test_importing_envs_registers_it_whichever_is_imported_first(imports):
    """In a fresh process, for another test has imported both."""
    code = f"{imports}; print(*gymnasium.make('envs/AttributeAcquisition-v0').reset(seed=0)[1])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "action_mask" in done.stdout.split()


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("reward", ["incremental", "terminal"])
def test_check_env(env_id, judge, reward):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(judge, env_id, reward=reward, cost_weight=0.1).unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_defaults(env_id):
    """The bundled scenarios and the simulated judge: the one test that needs both."""
    env = gymnasium.make(env_id)
    check_env(env.unwrapped)
    observation, info = env.reset(seed=0)
    assert observation["budget_left"] == 4
    assert 1.0 <= info["score"] <= 5.0


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("mode", ["sync", "async", "vector_entry_point"])
def test_make_vec(env_id, mode):
    vector = gymnasium.make_vec(
        env_id, num_envs=2, vectorization_mode=mode, scenarios=SCENARIOS, judge=Additive(), budget=2
    )
    observation, info = vector.reset(seed=3, options={"scenario": "full"})
    assert info["action_mask"].shape == (2, ANSWER + 1)
    observation, reward, terminated, truncated, _ = vector.step(np.array([0, ANSWER]))
    assert observation["known"].tolist() == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert reward == pytest.approx([0.1, 0.0])
    assert terminated.tolist() == [False, True]
    assert not truncated.any()
    vector.step(np.array([1, 0]))  # the second one starts afresh
    vector.close()


def test_flattened_observations_stay_in_their_space():
    env = FlattenObservation(make())
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    assert env.step(0)[0] in env.observation_space


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("judge", JUDGES)
def test_twins_from_one_seed(env_id, judge):
    rng = np.random.default_rng(0)
    one, two = make(judge, env_id), make(judge, env_id)
    for seed in [5, None, None, 6, None]:
        actions = rng.integers(ANSWER + 1, size=6)
        first, second = play(one, actions, seed=seed), play(two, actions, seed=seed)
        assert data_equivalence(first, second, exact=True)


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])  # noqa: S301
def test_a_copy_goes_on_alike_and_apart(twin):
    env = make(Noisy).unwrapped
    env.reset(seed=1, options={"scenario": "full"})
    env.step(0)
    other = twin(env)
    assert data_equivalence(env.step(3), other.step(3), exact=True)
    other.step(1)
    assert env.render() is None
    assert env._state.known == 0b01001
    assert data_equivalence(play(env, [2, 1]), play(other, [2, 1]), exact=True)  # the generator came along


@given(seed=st.integers(0, 1000), actions=st.lists(st.integers(0, ANSWER), max_size=8))
@settings(max_examples=100, deadline=None)
def test_the_mask_is_what_changes_the_known_set_or_ends(seed, actions):
    env = make(budget=4)
    observation, info = env.reset(seed=seed)
    for action in [*actions, ANSWER]:
        mask = info["action_mask"]
        assert mask.dtype == np.int8
        assert mask[ANSWER] == 1
        assert (mask == env.get_wrapper_attr("action_masks")()).all()
        before = observation
        observation, _, over, _, info = env.step(action)
        changed = action == ANSWER or (observation["known"] != before["known"]).any()
        assert mask[action] == changed
        assert info["illegal"] == (not changed)
        assert observation in env.observation_space
        if over:
            break


def test_hard_budget():
    env = make(budget=2)
    observations, _, over, _ = play(env, [4, 0, 1], options={"scenario": "full"})
    assert over
    assert observations[-1]["known"].tolist() == [1, 0, 0, 0, 1]  # the third question was never asked
    assert [int(o["budget_left"]) for o in observations] == [2, 1, 0]


def test_nothing_left_to_ask_ends():
    _, _, over, infos = play(make(), [0, 2], options={"scenario": "gaps"})
    assert over
    assert infos[0]["action_mask"].tolist() == [1, 0, 1, 0, 0, 1]
    assert infos[-1]["action_mask"].tolist() == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("action", [0, ANSWER])
def test_nothing_to_ask_at_the_start_ends_with_the_first_step(action):
    observations, rewards, over, infos = play(make(), [action], options={"scenario": "bare"})
    assert infos[0]["action_mask"].tolist() == [0, 0, 0, 0, 0, 1]
    assert over
    assert rewards == [0.0]
    assert not observations[-1]["known"].any()


def test_answer_is_last_and_stops():
    env = make()
    assert env.unwrapped.ANSWER == ANSWER
    assert env.action_space.n == ANSWER + 1
    observations, rewards, over, _ = play(env, [1, ANSWER], options={"scenario": "full"})
    assert over
    assert rewards == pytest.approx([0.2, 0.0])
    assert observations[-1]["budget_left"] == 3


def test_answers_are_coded():
    observations, _, _, _ = play(make(budget=5), [0, 1, 2], options={"scenario": "full"})
    assert observations[0]["answers"].tolist() == [0, 0, 0, 0, 0]
    assert observations[-1]["answers"].tolist() == [2, 3, 1, 0, 0]
    assert observations[-1]["domain"] == DOMAINS.index("health")


def test_the_hidden_profile_stays_hidden():
    """Two people who differ only in what was not asked look the same; no value is ever in words."""
    twin = Scenario("full", "health", "query", dict.fromkeys("ABCDE", HIGH) | {"A": LOW}, SCHEMA)
    seen = []
    for scenario in (SCENARIOS[0], twin):
        env = gymnasium.make(IDS[0], scenarios=[scenario], judge=Additive(), render_mode="ansi")
        observations, rewards, over, infos = play(env, [0, 1], seed=0)
        text = env.render()
        assert "A, B" in text
        assert TELLTALE not in text + repr((observations, infos, env, env.spec))
        seen.append((observations, rewards, over, infos))
    assert data_equivalence(*seen, exact=True)


def test_what_was_returned_is_the_callers_own():
    env = make()
    observation, info = env.reset(seed=0, options={"scenario": "full"})
    for array in (observation["known"], observation["answers"], info["action_mask"]):
        array[:] = 1
    observation, _, _, _, info = env.step(0)
    assert observation["known"].tolist() == [1, 0, 0, 0, 0]
    assert observation["answers"].tolist() == [2, 0, 0, 0, 0]
    assert info["action_mask"].tolist() == [0, 1, 1, 1, 1, 1]


def test_scenarios_are_drawn_evenly_and_picked_by_id_or_index():
    env = make()
    env.reset(seed=0)
    drawn = [env.reset()[1]["scenario_id"] for _ in range(300)]
    assert all(70 <= drawn.count(s.id) <= 130 for s in SCENARIOS)  # 100 +- 8.2 each
    assert env.reset(options={"scenario": "bare"})[1]["scenario_id"] == "bare"
    assert env.reset(options={"scenario": np.int64(1)})[1]["scenario_id"] == "gaps"


def test_steps_outside_an_episode_and_actions_outside_the_space():
    env = make().unwrapped
    with pytest.raises(ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    for action in (-1, ANSWER + 1, 0.5):
        with pytest.raises(InvalidAction):
            env.step(action)
    env.step(ANSWER)
    with pytest.raises(ResetNeeded):
        env.step(0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scenarios": []},
        {"scenarios": [SCENARIOS[0], SCENARIOS[0]]},
        {"scenarios": [SCENARIOS[0], Scenario("p", "health", "q", {})]},
        {"scenarios": [Scenario("p", "sailing", "q", {})]},
        {"budget": -1},
        {"budget": 2.5},
        {"reward": "dense"},
        {"cost_weight": math.nan},
        {"cost_weight": -1.0},
        {"render_mode": "human"},
    ],
)
def test_wrong_arguments_are_told_in_one_line(wrong):
    arguments = {"scenarios": SCENARIOS, "judge": Additive()} | wrong
    with pytest.raises(UserError) as caught:
        type(make().unwrapped)(**arguments)
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"scenario": "nobody"},
        {"scenario": 3},
        {"scenario": -1},
        {"scenario": None},
        {"scenario": "gaps", "known": ["B"]},  # no value there
        {"scenario": "gaps", "known": ["Z"]},
        {"scenaro": 0},
    ],
)
def test_wrong_options_are_told_in_one_line(options):
    with pytest.raises(UserError, match=r"^reset: option [^\n]* expected [^\n]*$"):
        make().reset(options=options)
