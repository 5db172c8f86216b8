"""What the environment and its vector twin are made of: checked arguments, spaces, and options of a reset."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.acquisition.named_parts import judge_of, scenarios_of
from envs.errors import UserError
from envs.judges.protocol import Judge, describe
from envs.scenario import Scenario, within_one_plan

REWARDS = ("incremental", "terminal")
MAX_SAMPLE = 2**31
"""Samples of an episode are below this: so wide that none looks at the samples 0, 1, 2, ... of a search."""


class AcquisitionSetting:
    """The arguments of `AttributeAcquisitionEnv`, checked, and what follows from them.

    Attributes
    ----------
    scenarios : tuple[Scenario, ...] of one `schema`
    judge, told : the judge and what `describe` says of it
    budget : int; reward : str of `REWARDS`; cost_weight : float; render_mode : None or "ansi"
    observation_space, action_space : of one environment

    Raises
    ------
    UserError
        an argument that cannot be used.
    """

    def __init__(
        self,
        scenarios: Sequence[Scenario] | str | Path | None,
        judge: Judge | str | Path,
        budget: int,
        reward: str,
        cost_weight: float,
        render_mode: str | None,
    ) -> None:
        _check_arguments(budget, reward, cost_weight, render_mode)
        self.scenarios = tuple(within_one_plan(scenarios_of(scenarios)))
        self._index = _index_by_id(self.scenarios)
        self.schema = self.scenarios[0].schema
        self.judge = judge_of(judge)
        self.told = describe(self.judge)
        self.budget, self.reward, self.cost_weight = int(budget), reward, float(cost_weight)
        self.render_mode = render_mode
        n = len(self.schema)
        self.action_space = spaces.Discrete(n + 1)
        self.observation_space = spaces.Dict(
            {
                "known": spaces.MultiBinary(n),
                "answers": spaces.MultiDiscrete(self.schema.n_levels + 2, dtype=np.int16),
                "budget_left": spaces.Discrete(self.budget + 1),
                "domain": spaces.Discrete(len(self.schema.domains)),
            }
        )

    def chosen(self, options: dict[str, Any] | None) -> tuple[int | None, Sequence[str]]:
        """Return (index of `options["scenario"]` or None, the names in `options["known"]`) of a reset."""
        left = dict(options or {})
        which = self._pick(left.pop("scenario")) if "scenario" in left else None
        known: Sequence[str] = left.pop("known", ())
        if left:
            raise UserError(f"reset: option {next(iter(left))!r}, expected `scenario` or `known`")
        return which, known

    def known_at_start(self, scenario: Scenario, names: Sequence[str]) -> int:
        """Return the bitmask of `names`, each of which must have a value in the scenario's profile."""
        there = self.schema.names_of(scenario.askable) if names else ()
        for name in names:
            if name not in there:
                raise UserError(
                    f"reset: option known: found {name!r}, expected attributes that "
                    f"scenario {scenario.id} has"
                )
        return self.schema.mask(names)

    def rendered(self, scenario: Scenario, known: int, budget_left: int, over: bool) -> str:
        """Return one line: the names of what is known and how many questions are left."""
        names = ", ".join(self.schema.names_of(known)) or "nothing"
        return f"{scenario.id}: known {names}; {budget_left} questions left{' (over)' if over else ''}\n"

    def _pick(self, which: object) -> int:
        """Return the index of the scenario with this id or index."""
        position = self._index.get(which) if isinstance(which, str) else which
        n = len(self.scenarios)
        if not isinstance(position, (int, np.integer)) or not 0 <= position < n:
            raise UserError(f"reset: option scenario: found {which!r}, expected an id or 0 to {n - 1}")
        return int(position)


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
        if scenario.domain not in scenario.schema.domains:
            raise UserError(
                f"scenarios: {scenario.id}: domain {scenario.domain!r}, expected one of "
                f"{', '.join(scenario.schema.domains)}"
            )
        index[scenario.id] = i
    return index
