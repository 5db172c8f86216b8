"""The action mask inside the observation, for learners that read no `info`."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

Arrays = dict[str, np.ndarray]
_KEY = "action_mask"


class _MaskedForm:
    """The observation of attribute acquisition with its mask, as a dictionary or as one vector.

    `space`: that of one environment. In a vector, each part is as `gymnasium.spaces.flatten` has it: the
    mask, then answers, budget_left and domain one-hot, then known; float32.
    """

    def __init__(self, space: spaces.Space[Any], concatenated: bool) -> None:
        if not isinstance(space, spaces.Dict):
            raise TypeError(
                f"observation space: found {type(space).__name__}, expected the environment's Dict"
            )
        n_known = int(np.prod(space["known"].shape or (0,)))
        self._dict = spaces.Dict({**space.spaces, _KEY: spaces.MultiBinary(n_known + 1)})
        self._concatenated = concatenated
        self._width = spaces.flatdim(self._dict)
        box = spaces.Box(0.0, 1.0, (self._width,), np.float32)
        self.space: spaces.Space[Any] = box if concatenated else self._dict

    def joined(self, observation: Arrays, mask: np.ndarray) -> Any:
        """Return the observations of N environments with their masks (int8[N, n + 1])."""
        whole = {**observation, _KEY: mask}
        if not self._concatenated:
            return {key: whole[key] for key in self._dict}
        flat, at = np.zeros((len(mask), self._width), np.float32), 0
        for key, space in self._dict.items():
            values, width = whole[key], spaces.flatdim(space)
            if isinstance(space, spaces.MultiBinary):
                flat[:, at : at + width] = values
            else:  # one place for each value: that of the first of each component, and the value
                sizes = space.nvec if isinstance(space, spaces.MultiDiscrete) else [width]
                starts = at + np.cumsum([0, *sizes[:-1]])
                np.put_along_axis(flat, values.reshape(len(mask), -1) + starts, 1.0, axis=1)
            at += width
        return flat

    def joined_one(self, observation: dict[str, Any], mask: np.ndarray) -> Any:
        """Return the observation of one environment with its mask (int8[n + 1])."""
        if not self._concatenated:
            whole = {**observation, _KEY: mask}
            return {key: whole[key] for key in self._dict}
        one = {key: np.asarray(value)[None] for key, value in observation.items()}
        return self.joined(one, mask[None])[0]


class ActionMaskObservation(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Put `info["action_mask"]` into the observation of `envs/AttributeAcquisition-v0`.

    Parameters
    ----------
    env : the environment
    concatenated : False: the `Dict` with one more key, `action_mask`, int8[n + 1]. True: one float32 vector
        of zeros and ones, which begins with the mask; what has levels is one-hot

    Raises
    ------
    TypeError
        another wrapper has changed the observation already.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], concatenated: bool = False) -> None:
        RecordConstructorArgs.__init__(self, concatenated=concatenated)
        gymnasium.Wrapper.__init__(self, env)
        self._form = _MaskedForm(env.observation_space, concatenated)
        self.observation_space = self._form.space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode, as the environment does."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._form.joined_one(observation, info[_KEY].copy()), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take `action`, as the environment does."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        joined = self._form.joined_one(observation, info[_KEY].copy())
        return joined, reward, terminated, truncated, info


class VectorActionMaskObservation(VectorWrapper[Any, Any, Any, Any, Any]):
    """`ActionMaskObservation` for a vector environment, native or not; `final_obs` has the mask too."""

    def __init__(self, env: VectorEnv[Any, Any, Any], concatenated: bool = False) -> None:
        super().__init__(env)
        self._mask = np.zeros(0, np.int8)
        self._form = _MaskedForm(env.single_observation_space, concatenated)
        self.single_observation_space = self._form.space
        self.observation_space = batch_space(self._form.space, env.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin episodes, as the environment does."""
        observation, infos = self.env.reset(seed=seed, options=options)
        there = infos[f"_{_KEY}"]
        # An environment that was not reset shows its latest mask.
        mask: np.ndarray = infos[_KEY]
        self._mask = mask.copy() if there.all() else np.where(there[:, None], mask, self._mask)
        return self._form.joined(observation, self._mask.copy()), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Take `actions`, as the environment does."""
        observation, rewards, terminated, truncated, infos = self.env.step(actions)
        self._mask = infos[_KEY].copy()
        if "final_obs" in infos:
            for env in np.flatnonzero(infos["_final_obs"]).tolist():
                mask = infos["final_info"][_KEY][env]
                infos["final_obs"][env] = self._form.joined_one(infos["final_obs"][env], mask)
        return self._form.joined(observation, self._mask.copy()), rewards, terminated, truncated, infos
