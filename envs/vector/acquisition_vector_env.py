"""Attribute acquisition as a native vector environment: N environments in a few compiled calls a step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.acquisition.acquisition_setting import MAX_SAMPLE, AcquisitionSetting
from envs.errors import UserError
from envs.judges.protocol import Judge
from envs.scenario import Scenario
from envs.vector import episode_rules as kernels
from envs.vector.batch_scores import BatchScores
from envs.vector.generator_kernels import WIDTH, generator_of, generator_row
from envs.vector.terminal_gains import terminal_gains

Arrays = dict[str, np.ndarray]


class AcquisitionVectorEnv(VectorEnv[Arrays, np.ndarray, np.ndarray]):
    """N times `envs.acquisition_env.AttributeAcquisitionEnv`, which is the specification, at once.

    Observations, rewards, terminations, infos and seeds are those of a `SyncVectorEnv` over the same seeds
    and actions, to the last bit. A judge with a compiled surface (the simulated one) scores all sets of a
    step in one compiled call; another one is asked for the sets of each scenario together, for a set once a
    step: which matters only to a judge that is not a function of (scenario, set, sample).

    ```python
    vector = gymnasium.make_vec("envs/AttributeAcquisition-v0", num_envs=1024, budget=3)
    ```

    Parameters
    ----------
    num_envs : N, at least 1
    autoreset_mode : `NEXT_STEP` (an environment that has ended begins anew in the next step, whose action it
        ignores), `SAME_STEP` (at once: `infos["final_obs"]` and `infos["final_info"]` hold the end) or
        `DISABLED` (by `reset(options={"reset_mask": bool[N]})`), or its value as text, as JSON needs it
    the others : as of the single environment

    Raises
    ------
    UserError
        an argument or a reset option that cannot be used, in one line.
    gymnasium.error.InvalidAction, gymnasium.error.ResetNeeded
        actions outside the action space; a step before the first reset, or after an end under `DISABLED`.
    """

    def __init__(
        self,
        num_envs: int = 1,
        scenarios: Sequence[Scenario] | str | Path | None = None,
        judge: Judge | str | Path = "simulated",
        budget: int = 4,
        reward: str = "incremental",
        cost_weight: float = 0.0,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        if not isinstance(num_envs, (int, np.integer)) or num_envs < 1:
            raise UserError(f"num_envs: found {num_envs!r}, expected a whole number of at least 1")
        self._setting = AcquisitionSetting(scenarios, judge, budget, reward, cost_weight, render_mode)
        self._mode = _mode(autoreset_mode)
        self.num_envs = int(num_envs)
        self.render_mode = render_mode
        self.metadata = {"render_modes": ["ansi"], "render_fps": 1, "autoreset_mode": self._mode}
        self.single_action_space = self._setting.action_space
        self.single_observation_space = self._setting.observation_space
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.ANSWER = len(self._setting.schema)  # the name of the last action
        known = self._setting.scenarios
        self._profiles = kernels.Profiles(
            np.array([s.askable for s in known], np.uint64),
            np.array([s.codes for s in known], np.int16) + np.int16(2),
            np.array([self._setting.schema.domains.index(s.domain) for s in known]),
            self._setting.schema.costs,
        )
        self._ids = np.array([s.id for s in known], dtype=object)
        self._episodes = kernels.new_episodes(self.num_envs, min(self._setting.budget, self.ANSWER))
        self._scores = BatchScores(known, self._setting.judge, self._setting.told)
        self._generators = np.zeros((self.num_envs, WIDTH), np.uint64)
        self._seeds: list[int | None] = [None] * self.num_envs
        self._begun = np.zeros(self.num_envs, dtype=bool)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Arrays, dict[str, Any]]:
        """Begin episodes in all environments, or in those of `options["reset_mask"]` (bool[N]).

        `seed`: that of the first environment, the next one's is one higher, ...; or a list of one for each;
        None goes on with the generators. `options`: as of the single environment, for each.
        """
        given = dict(options or {})
        which = self._to_reset(given.pop("reset_mask", None))
        chosen, names = self._setting.chosen(given)
        self._seed(seed, which)
        self._begin(which, chosen, names)
        part = np.zeros(self.num_envs, dtype=bool)
        part[which] = True
        observation, mask = self._observed()
        return observation, self._infos(mask, part)

    def step(self, actions: np.ndarray) -> tuple[Arrays, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Ask attribute `actions[i]` in environment i, or answer; rewards float64[N], ends bool[N]."""
        episodes, rewards = self._episodes, np.zeros(self.num_envs)
        ended = episodes.over.copy()
        actions = self._checked(actions, ended)
        playing = np.flatnonzero(~ended)
        grown = kernels.act(actions, playing, self._profiles.costs, episodes)
        self._reward(playing, grown, rewards)
        if ended.any():
            self._begin(np.flatnonzero(ended))
        terminated = episodes.over.copy()
        infos: dict[str, Any] = {}
        if self._mode is AutoresetMode.SAME_STEP and terminated.any():
            infos = self._final(terminated)
            self._begin(np.flatnonzero(terminated))
        observation, mask = self._observed()
        infos |= self._infos(mask, np.ones(self.num_envs, dtype=bool))
        return observation, rewards, terminated, np.zeros(self.num_envs, dtype=bool), infos

    def action_masks(self) -> np.ndarray:
        """Return bool[N, n + 1], what is legal now."""
        return self._observed()[1].astype(bool)

    def render(self) -> tuple[str, ...] | None:
        """Return a line for each environment, as the single one's; None without a mode."""
        if self.render_mode is None:
            return None
        episodes, scenarios = self._episodes, self._setting.scenarios
        columns = (episodes.scenario, episodes.known, episodes.budget_left, episodes.over)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return tuple(self._setting.rendered(scenarios[s], *rest) for s, *rest in rows)

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """The seed of each environment's generator, None before the first reset."""
        return tuple(self._seeds)

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """A copy of each environment's generator, in its present state."""
        return tuple(generator_of(row.tolist()) for row in self._generators)

    def _to_reset(self, reset_mask: object) -> np.ndarray:
        """Return int64[K], the environments to reset."""
        if reset_mask is None:
            return np.arange(self.num_envs)
        shaped = isinstance(reset_mask, np.ndarray) and reset_mask.shape == (self.num_envs,)
        if not isinstance(reset_mask, np.ndarray) or not shaped or reset_mask.dtype != bool:
            raise UserError(f"reset: option reset_mask: expected a bool array of shape ({self.num_envs},)")
        if not reset_mask.any():
            raise UserError("reset: option reset_mask: found no environment, expected at least one")
        if not (self._begun | reset_mask).all():
            raise ResetNeeded("some environments have not begun: reset all of them first")
        return np.flatnonzero(reset_mask)

    def _seed(self, seed: int | Sequence[int | None] | None, which: np.ndarray) -> None:
        """Seed the generators of `which` (int64[K]); without a seed, those that have none."""
        n = self.num_envs
        if isinstance(seed, int):
            seed = range(seed, seed + n)
        seeds: Sequence[int | None] = [None] * n if seed is None else seed
        if len(seeds) != n:
            raise UserError(f"reset: seed: found {len(seeds)} seeds, expected {n}")
        for env in which.tolist():
            if seeds[env] is not None or self._seeds[env] is None:
                generator, self._seeds[env] = seeding.np_random(seeds[env])
                self._generators[env] = generator_row(generator)

    def _begin(self, which: np.ndarray, chosen: int | None = None, names: Sequence[str] = ()) -> None:
        """Begin an episode in the environments `which` (int64[K]); asks the first scores."""
        episodes, scenarios = self._episodes, self._setting.scenarios
        kernels.draw(self._generators, which, len(scenarios), MAX_SAMPLE, episodes)
        if chosen is not None:
            episodes.scenario[which] = chosen
        known = 0
        for scenario in np.unique(episodes.scenario[which]).tolist() if names else ():
            known = self._setting.known_at_start(scenarios[scenario], names)
        kernels.begin(which, np.uint64(known), self._setting.budget, self._profiles, episodes)
        self._begun[which] = True
        if self._setting.reward == "incremental":
            self._score(which)
            episodes.last[which] = episodes.score[which]

    def _score(self, which: np.ndarray) -> None:
        """Ask the judge for the known sets of the environments `which` (int64[K])."""
        episodes = self._episodes
        known, sample = episodes.known[which], episodes.sample[which]
        episodes.score[which] = self._scores(episodes.scenario[which], known, sample)

    def _reward(self, playing: np.ndarray, grown: np.ndarray, rewards: np.ndarray) -> None:
        """Write the rewards (float64[N]) of those that acted; those in `grown` learned something."""
        episodes, weight = self._episodes, self._setting.cost_weight
        if self._setting.reward == "incremental":
            self._score(grown)
            kernels.gains(playing, weight, episodes, rewards)
            return
        ends = playing[episodes.over[playing]]
        if len(ends):
            rewards[ends] = terminal_gains(ends, episodes, self._scores) - weight * episodes.cost[ends]

    def _checked(self, actions: Any, ended: np.ndarray) -> np.ndarray:
        """Return `actions` as int64[N], having checked that every environment that acts can take its own."""
        if not self._begun.all():
            raise ResetNeeded("the episodes have not begun: call reset() before step()")
        if self._mode is AutoresetMode.DISABLED and ended.any():
            raise ResetNeeded(f"environment {int(ended.argmax())}: the episode is over: use reset_mask")
        found = np.asarray(actions)
        if found.shape != (self.num_envs,) or found.dtype.kind not in "iu":
            raise InvalidAction(f"actions: expected integers of shape ({self.num_envs},)")
        wrong = ((found < 0) | (found > self.ANSWER)) & ~ended
        if wrong.any():
            env = int(wrong.argmax())
            raise InvalidAction(
                f"action of environment {env}: found {found[env]}, expected 0 to {self.ANSWER}"
            )
        return found.astype(np.int64)

    def _observed(self) -> tuple[Arrays, np.ndarray]:
        """Return the observations of all environments in fresh arrays, and int8[N, n + 1], what is legal."""
        many, n, episodes = self.num_envs, self.ANSWER, self._episodes
        shapes = ((n, np.int8), (n, np.int16), (n + 1, np.int8))
        seen = kernels.Observed(*(np.empty((many, width), kind) for width, kind in shapes))
        kernels.observe(self._profiles, episodes, seen)
        observation = {
            "answers": seen.answers,
            "budget_left": episodes.budget_left.copy(),
            "domain": self._profiles.domain[episodes.scenario],
            "known": seen.known,
        }
        return observation, seen.mask

    def _infos(self, mask: np.ndarray, part: np.ndarray) -> dict[str, Any]:
        """Return the infos of the environments in `part` (bool[N]), in the form of `VectorEnv`."""
        episodes = self._episodes
        found = {
            "action_mask": mask,
            "scenario_id": self._ids[episodes.scenario],
            "illegal": episodes.illegal.copy(),
            "cost": episodes.cost.copy(),
        }
        scored = part & ~np.isnan(episodes.score)
        if not part.all():
            for values in found.values():
                values[~part] = None if values.dtype == object else 0
        infos: dict[str, Any] = dict(found)
        infos |= {f"_{key}": part.copy() for key in found}
        if scored.any():
            infos |= {"score": np.where(scored, episodes.score, 0.0), "_score": scored}
        return infos

    def _final(self, ended: np.ndarray) -> dict[str, Any]:
        """Return `final_obs` and `final_info` of the environments in `ended` (bool[N])."""
        observation, mask = self._observed()
        last = np.full(self.num_envs, None, dtype=object)
        for env in np.flatnonzero(ended).tolist():
            last[env] = {key: values[env] for key, values in observation.items()}
        info = self._infos(mask, ended)
        own = {"_final_obs": ended.copy(), "_final_info": ended.copy()}
        return {"final_obs": last, "final_info": info} | own


def _mode(given: AutoresetMode | str) -> AutoresetMode:
    values = [mode.value for mode in AutoresetMode]
    if not isinstance(given, AutoresetMode) and given not in values:
        raise UserError(f"autoreset_mode: found {given!r}, expected one of {', '.join(values)}")
    return AutoresetMode(given)
