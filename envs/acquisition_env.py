"""The Gymnasium environment of attribute acquisition: an adapter over the rules in `envs.rules`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction, ResetNeeded

from envs import rules as rules
from envs.errors import UserError
from envs.judges.protocol import Judge, describe, score_value
from envs.scenario import DOMAINS, Scenario
from envs.schema import Schema

REWARDS = ("incremental", "terminal")
_MAX_SAMPLE = 2**31  # so wide that no episode looks at the samples 0, 1, 2, ... of a search


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
    - `domain`: `Discrete(8)`, index in `envs.scenario.DOMAINS`.

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
    `scenarios`: a sequence of `Scenario` of one schema; default: the bundled ones. `judge`: default: the
    simulated judge. `budget=4`: questions, at least 0. `reward="incremental"`. `cost_weight=0.0`: score
    points per unit of cost. `render_mode=None` or `"ansi"` (names only).

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
        scenarios: Sequence[Scenario] | None = None,
        judge: Judge | None = None,
        budget: int = 4,
        reward: str = "incremental",
        cost_weight: float = 0.0,
        render_mode: str | None = None,
    ) -> None:
        if scenarios is None:
            from envs.loading import load_bundled

            scenarios = load_bundled()
        if judge is None:
            from envs.judges.simulated import SimulatedJudge

            judge = SimulatedJudge()
        _check_arguments(budget, reward, cost_weight, render_mode)
        self._scenarios = tuple(scenarios)
        self._index = _index_by_id(self._scenarios)
        self._schema: Schema = self._scenarios[0].schema
        self._judge = judge
        self._budget = int(budget)
        self._reward = reward
        self._cost_weight = float(cost_weight)
        self.render_mode = render_mode
        n = len(self._schema)
        self.ANSWER = n  # the name of the last action
        self.action_space = spaces.Discrete(n + 1)
        self.observation_space = spaces.Dict(
            {
                "known": spaces.MultiBinary(n),
                "answers": spaces.MultiDiscrete(self._schema.n_levels + 2, dtype=np.int16),
                "budget_left": spaces.Discrete(self._budget + 1),
                "domain": spaces.Discrete(len(DOMAINS)),
            }
        )
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode; `options`: `scenario` (id or index) and `known` (names), both optional."""
        super().reset(seed=seed)
        # Both are drawn every time, so that naming a scenario leaves the sample of a seed as it was.
        drawn = int(self.np_random.integers(len(self._scenarios)))
        self._sample = int(self.np_random.integers(_MAX_SAMPLE))
        options = dict(options or {})
        self._scenario = self._pick(options.pop("scenario", drawn))
        known = self._known_at_start(options.pop("known", ()))
        if options:
            raise UserError(f"reset: option {next(iter(options))!r}, expected `scenario` or `known`")
        self._state = rules.begin(self._scenario.askable, self._budget, known)
        self._path = [known]  # U_0, ..., U_t
        self._scores: dict[int, float] = {}
        self._over = False
        if self._reward == "incremental":
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
        n, askable = self.ANSWER, rules.legal(self._state)
        return np.array([askable >> i & 1 for i in range(n)] + [1], dtype=bool)

    def render(self) -> str | None:
        """Return the names of what is known and how many questions are left; None without a mode."""
        if self.render_mode is None:
            return None
        known = ", ".join(self._schema.names_of(self._state.known)) or "nothing"
        end = " (over)" if self._over else ""
        return f"{self._scenario.id}: known {known}; {self._state.budget_left} questions left{end}\n"

    def _reward_of(self, before: rules.State) -> float:
        """Reward of the step from `before` to the present state."""
        known = self._state.known
        if self._reward == "incremental":
            gain, self._last = rules.step_gain(self._last, self._score(known))
            spent = known & ~before.known
        elif self._over:
            gain, spent = rules.total_gain(self._path, self._score), known & ~self._path[0]
        else:
            return 0.0
        return gain - self._cost_weight * rules.total_cost(spent, self._schema.costs)

    def _score(self, known: int) -> float:
        """s(known) of this episode's scenario and sample; asked once an episode."""
        if known not in self._scores:
            contexts = [self._schema.names_of(known)]
            more = ([self._sample],) if describe(self._judge).stochastic else ()
            scores = self._judge.score(self._scenario, contexts, *more)
            if len(scores) != 1:
                name = type(self._judge).__name__
                raise UserError(f"judge {name}: returned {len(scores)} scores, expected 1 for 1 context")
            self._scores[known], _ = score_value(scores[0])
        return self._scores[known]

    def _observation(self) -> dict[str, Any]:
        known = np.array([self._state.known >> i & 1 for i in range(self.ANSWER)], dtype=np.int8)
        return {
            "known": known,
            "answers": np.where(known == 1, self._scenario.codes.astype(np.int16) + 2, 0).astype(np.int16),
            "budget_left": np.int64(self._state.budget_left),
            "domain": np.int64(DOMAINS.index(self._scenario.domain)),
        }

    def _info(self, illegal: bool) -> dict[str, Any]:
        asked = self._state.known & ~self._path[0]
        info: dict[str, Any] = {
            "action_mask": self.action_masks().astype(np.int8),
            "scenario_id": self._scenario.id,
            "illegal": illegal,
            "cost": rules.total_cost(asked, self._schema.costs),
        }
        score = self._scores.get(self._state.known, math.nan)
        if not math.isnan(score):
            info["score"] = score
        return info

    def _pick(self, which: object) -> Scenario:
        """Return the scenario of an id or index."""
        position = self._index.get(which) if isinstance(which, str) else which
        n = len(self._scenarios)
        if not isinstance(position, (int, np.integer)) or not 0 <= position < n:
            raise UserError(f"reset: option scenario: found {which!r}, expected an id or 0 to {n - 1}")
        return self._scenarios[position]

    def _known_at_start(self, names: Sequence[str]) -> int:
        """Return the bitmask of `names`, each of which must have a value in the profile."""
        there = self._schema.names_of(self._scenario.askable)
        for name in names:
            if name not in there:
                raise UserError(
                    f"reset: option known: found {name!r}, expected attributes that "
                    f"scenario {self._scenario.id} has"
                )
        return self._schema.mask(names)


def _check_arguments(budget: int, reward: str, cost_weight: float, render_mode: str | None) -> None:
    if not isinstance(budget, (int, np.integer)) or budget < 0:
        raise UserError(f"budget: found {budget!r}, expected a whole number of at least 0")
    if reward not in REWARDS:
        raise UserError(f"reward: found {reward!r}, expected one of {', '.join(REWARDS)}")
    if not 0 <= cost_weight < math.inf:
        raise UserError(f"cost_weight: found {cost_weight!r}, expected a finite number of at least 0")
    if render_mode not in (None, "ansi"):
        raise UserError(f"render_mode: found {render_mode!r}, expected None or 'ansi'")


def _index_by_id(scenarios: Sequence[Scenario]) -> dict[str, int]:
    """Return the position of each id, having checked that ids differ and the schema does not."""
    if not scenarios:
        raise UserError("scenarios: found none, expected at least one")
    index: dict[str, int] = {}
    for i, scenario in enumerate(scenarios):
        if scenario.id in index:
            raise UserError(f"scenarios: the id {scenario.id!r} occurs twice, expected distinct ids")
        if scenario.schema != scenarios[0].schema:
            raise UserError(
                f"scenarios: {scenario.id} has another schema than {scenarios[0].id}, expected one schema"
            )
        if scenario.domain not in DOMAINS:
            raise UserError(
                f"scenarios: {scenario.id}: domain {scenario.domain!r}, expected one of {', '.join(DOMAINS)}"
            )
        index[scenario.id] = i
    return index
