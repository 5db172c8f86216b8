"""The mask inside the observation, one environment or many, as a dictionary or as one vector."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import FlattenObservation

from envs.mask_observation import ActionMaskObservation, VectorActionMaskObservation
from tests.envs.acquisition.acquisition_cases import ANSWER, SCENARIOS, Additive, make

ENV = "envs/AttributeAcquisition-v0"


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
@pytest.mark.parametrize("concatenated", [False, True])
def test_check_env(concatenated):
    check_env(ActionMaskObservation(make().unwrapped, concatenated), skip_render_check=True)


def test_the_mask_is_that_of_the_info_and_the_rest_is_as_it_was():
    plain, wrapped = make(), ActionMaskObservation(make())
    flat = ActionMaskObservation(make(), concatenated=True)
    steps = [env.reset(seed=4, options={"scenario": "gaps"}) for env in (plain, wrapped, flat)]
    for action in (2, 0, ANSWER):
        (bare, *_, info), (masked, *_), (vector, *_) = steps
        assert data_equivalence(masked, dict(sorted({**bare, "action_mask": info["action_mask"]}.items())))
        assert masked in wrapped.observation_space
        assert vector in flat.observation_space
        np.testing.assert_array_equal(vector, spaces.flatten(wrapped.observation_space, masked))
        np.testing.assert_array_equal(vector[: ANSWER + 1], info["action_mask"])
        if action != ANSWER:
            steps = [env.step(action) for env in (plain, wrapped, flat)]


@pytest.mark.parametrize("concatenated", [False, True])
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_many_are_as_each(concatenated, mode):
    arguments = {"scenarios": SCENARIOS, "judge": Additive(), "budget": 2}
    bare = gymnasium.make_vec(ENV, num_envs=3, autoreset_mode=mode, **arguments)
    many = VectorActionMaskObservation(bare, concatenated)
    single = [lambda: ActionMaskObservation(gymnasium.make(ENV, **arguments), concatenated)] * 3
    each = SyncVectorEnv(single, autoreset_mode=mode)
    assert many.observation_space == each.observation_space
    assert data_equivalence(many.reset(seed=0), each.reset(seed=0), exact=True)
    rng = np.random.default_rng(1)
    for _ in range(6):
        actions = rng.integers(ANSWER + 1, size=3)
        found, wanted = many.step(actions), each.step(actions)
        assert found[0] in many.observation_space
        assert data_equivalence(found, wanted, exact=True)
        if mode is AutoresetMode.DISABLED and wanted[2].any():
            found, wanted = (env.reset(options={"reset_mask": wanted[2].copy()}) for env in (many, each))
            assert data_equivalence(found, wanted, exact=True)


def test_its_specification_is_plain_data():
    env = ActionMaskObservation(gymnasium.make(ENV, judge="simulated_varied", budget=2), concatenated=True)
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.spec == env.spec
    assert data_equivalence(again.reset(seed=0), env.reset(seed=0), exact=True)


def test_an_observation_that_another_wrapper_changed_is_refused():
    with pytest.raises(TypeError, match="expected the environment's Dict"):
        ActionMaskObservation(FlattenObservation(make()))
