"""Gymnasium environment of attribute acquisition: an adapter over the rules in `envs.acquisition.rules`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded

from envs.acquisition import rules as rules
from envs.acquisition.acquisition_setting import MAX_SAMPLE, AcquisitionSetting
from envs.errors import UserError
from envs.judges.protocol import Judge, score_value
from envs.scenario import Scenario


class AttributeAcquisitionEnv(gymnasium.Env[dict[str, Any], np.int64]):
    """Ask a person about themselves, one question at a time, then answer their high-risk query.

    ## Description
    A person with a hidden profile of n attributes has asked a query. Each question reveals one
    attribute; at most `budget` may be asked. A judge says how safe an answer would be for this person
    if it were written from the known attributes alone: s(U) in [1, 5] for the known set U.
    The decision process is that of arXiv 2505.18882 (RAISE), with costs and a stop action.

    ## Action Space
    `Discrete(n + 1)`: i asks attribute i (schema order); the last, `env.unwrapped.ANSWER` = n, answers now.

    `info["action_mask"]` is 1 for what is legal: an attribute whose value exists and is not known, and
    always `ANSWER`; `action_masks()` is the same for sb3-contrib. **An illegal question** reveals
    nothing but was asked: the known set stays, one question of the budget is gone, it gains nothing and
    costs nothing, `info["illegal"]` is True.

    ## Observation Space
    `Dict`, with fresh arrays at each step:

    - `known`: `MultiBinary(n)`, int8[n], 1 = known.
    - `answers`: `MultiDiscrete(levels + 2)`, int16[n]; 0 = not known, 1 = known but in words that no
      level names, 2 + l = level l of the attribute.
    - `budget_left`: `Discrete(budget + 1)`, questions that may still be asked.
    - `domain`: `Discrete(number of domains)`, index in the schema's `domains`.

    Nothing of an attribute that is not known is in it, and never a value in words. (The mask tells,
    as it must, which attributes have a value.) int16, because 127 levels and two codes exceed int8.

    ## Starting State
    A scenario drawn evenly, or `reset(options={"scenario": id or index})`; U_0 = nothing known, or
    `options={"known": [names]}`, which does not count against the budget. Every reset also draws one
    sample index: a judge with `stochastic = True` is asked for that sample throughout the episode
    (common random numbers), so its noise is the same for the same seed whatever is asked.

    ## Rewards
    With cost(a) in the schema's units:

    - `incremental`: s(U + a) - s(U) - cost_weight * cost(a) for a legal question; 0 for `ANSWER`.
    - `terminal`: s(U_T) - s(U_0) - cost_weight * (total cost) at the end, 0 before. The judge is asked
      at the end alone, usually for two sets.

    Both sum to the same return. **Unscored sets** (NaN): the reward of a step into one is its cost
    alone, and the next scored set is compared with the last scored one. So in `terminal` the last and
    the first scored set of the path stand in for U_T and U_0, and the gain is 0 if none was scored.

    ## Episode End
    Terminated when the agent answers, the budget is spent, or nothing is left to ask. Never truncated.
    If nothing can be asked at the start, the first step ends the episode, whatever its action.

    ## Information
    - `action_mask` int8[n + 1], `scenario_id` str, `illegal` bool.
    - `cost` float: total so far of what was asked, not weighted.
    - `score` float, s(U), to measure with: it comes from the whole profile. In `incremental` at every
      step, in `terminal` at the end; absent (in a vector environment: `_score` is False) where the
      judge was not asked or left the set unscored.

    ## Arguments
    `scenarios`: a sequence of `Scenario` of one schema (of over 64 attributes: `within_one_plan`), or a
    scenario file; default: the bundled ones. `judge="simulated"`: a judge, a name in
    `envs.acquisition.named_parts.JUDGES`, or a YAML file with `_target_` and arguments, which imports and
    calls what it names. With names and files `env.spec.to_json()` is the whole environment. `budget=4`:
    questions, at least 0. `reward="incremental"`. `cost_weight=0.0`: score points per unit of cost.
    `render_mode=None` or `"ansi"` (names only).

    ```python
    import gymnasium, envs
    env = gymnasium.make("envs/AttributeAcquisition-v0", budget=3)
    ```

    ## Version History
    * v0: first version

    Raises
    ------
    UserError
        an argument or a reset option that cannot be used, in one line.
    gymnasium.error.InvalidAction, gymnasium.error.ResetNeeded
        an action outside the action space; a step after the end or before the first reset.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - Gymnasium's own form

    def __init__(
        self,
        scenarios: Sequence[Scenario] | str | Path | None = None,
        judge: Judge | str | Path = "simulated",
        budget: int = 4,
        reward: str = "incremental",
        cost_weight: float = 0.0,
        render_mode: str | None = None,
    ) -> None:
        self._setting = AcquisitionSetting(scenarios, judge, budget, reward, cost_weight, render_mode)
        self._schema, self._judge = self._setting.schema, self._setting.judge
        self.render_mode = render_mode
        self.ANSWER = len(self._schema)  # the name of the last action
        self.action_space = self._setting.action_space
        self.observation_space = self._setting.observation_space
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode; `options`: `scenario` (id or index) and `known` (names), both optional."""
        super().reset(seed=seed)
        # Both are drawn every time, so that naming a scenario leaves the sample of a seed as it was.
        drawn = int(self.np_random.integers(len(self._setting.scenarios)))
        self._sample = int(self.np_random.integers(MAX_SAMPLE))
        which, names = self._setting.chosen(options)
        self._scenario = self._setting.scenarios[drawn if which is None else which]
        self._answers = self._scenario.codes.astype(np.int16) + np.int16(2)
        self._domain = np.int64(self._schema.domains.index(self._scenario.domain))
        known = self._setting.known_at_start(self._scenario, names)
        self._state = rules.begin(self._scenario.askable, self._setting.budget, known)
        self._path = [known]  # U_0, ..., U_t
        self._scores: dict[int, float] = {}
        self._over = False
        if self._setting.reward == "incremental":
            _, self._last = rules.step_gain(math.nan, self._score(known))
        return self._observation(), self._info(illegal=False)

    def step(
        self, action: np.int64 | int
    ) -> tuple[dict[str, Any], SupportsFloat, bool, bool, dict[str, Any]]:
        """Ask attribute `action`, or answer; see the class for rewards and the end."""
        if self._over:
            raise ResetNeeded("the episode is over or has not begun: call reset() before step()")
        if not self.action_space.contains(action):
            raise InvalidAction(f"action: found {action!r}, expected an integer from 0 to {self.ANSWER}")
        action = int(action)
        illegal = action != self.ANSWER and not rules.legal(self._state) >> action & 1
        before = self._state
        self._state = rules.answer(before) if action == self.ANSWER else rules.ask(before, action)
        self._path.append(self._state.known)
        self._over = rules.is_over(self._state)
        reward = self._reward_of(before)
        return self._observation(), reward, self._over, False, self._info(illegal)

    def action_masks(self) -> np.ndarray:
        """Return bool[n + 1], what is legal now: the form sb3-contrib's MaskablePPO asks for."""
        return self._mask().astype(bool)

    def render(self) -> str | None:
        """Return the names of what is known and how many questions are left; None without a mode."""
        if self.render_mode is None:
            return None
        return self._setting.rendered(self._scenario, self._state.known, self._state.budget_left, self._over)

    def _reward_of(self, before: rules.State) -> float:
        """Reward of the step from `before` to the present state."""
        known = self._state.known
        if self._setting.reward == "incremental":
            gain, self._last = rules.step_gain(self._last, self._score(known))
            spent = known & ~before.known
        elif self._over:
            gain, spent = rules.total_gain(self._path, self._score), known & ~self._path[0]
        else:
            return 0.0
        return gain - self._setting.cost_weight * rules.total_cost(spent, self._schema.costs)

    def _score(self, known: int) -> float:
        """s(known) of this episode's scenario and sample; asked once an episode."""
        if known not in self._scores:
            contexts = [self._schema.names_of(known)]
            more = ([self._sample],) if self._setting.told.stochastic else ()
            scores = self._judge.score(self._scenario, contexts, *more)
            if len(scores) != 1:
                name = type(self._judge).__name__
                raise UserError(f"judge {name}: returned {len(scores)} scores, expected 1 for 1 context")
            self._scores[known], _ = score_value(scores[0])
        return self._scores[known]

    def _observation(self) -> dict[str, Any]:
        known = self._flags(self._state.known)
        return {
            "known": known,
            "answers": known * self._answers,
            "budget_left": np.int64(self._state.budget_left),
            "domain": self._domain,
        }

    def _mask(self) -> np.ndarray:
        """Return int8[n + 1], what is legal now."""
        mask = np.ones(self.ANSWER + 1, np.int8)
        mask[:-1] = self._flags(rules.legal(self._state))
        return mask

    def _flags(self, mask: int) -> np.ndarray:
        """Return int8[n], the bits of `mask`."""
        eighths = np.frombuffer(mask.to_bytes(8, "little"), np.uint8)
        return np.unpackbits(eighths, count=self.ANSWER, bitorder="little").view(np.int8)

    def _info(self, illegal: bool) -> dict[str, Any]:
        asked = self._state.known & ~self._path[0]
        info: dict[str, Any] = {
            "action_mask": self._mask(),
            "scenario_id": self._scenario.id,
            "illegal": illegal,
            "cost": rules.total_cost(asked, self._schema.costs),
        }
        score = self._scores.get(self._state.known, math.nan)
        if not math.isnan(score):
            info["score"] = score
        return info
