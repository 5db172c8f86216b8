"""Setting of an evaluation: who is planned for, who is asked, who judges."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from envs import Judge, Scenario, Schema, UserError
from envs.judges.simulated import SimulatedJudge
from envs.users import User
from experiments.evaluation.methods.trajectories import TrueScores
from policies.understanding.reader import default_reader
from search.population.scenario_population import common_schema, score_table
from search.population.set_table import sets_within

MAX_ENUMERABLE = 12
"""Up to how many attributes every set within the budget is scored, of a judge that costs nothing."""


class Answers:
    """What each test person says to each question, asked for once: the same in every method.

    `user`: whoever answers (`envs.users`). Words that tell nothing count as no answer, as the agent takes
    them.
    """

    def __init__(self, user: User, scenarios: Sequence[Scenario]) -> None:
        self._user = user
        self._scenarios = scenarios
        self._said: dict[tuple[int, int], str | None] = {}

    def text(self, i: int, attribute: int) -> str | None:
        """Return what person `i` says when asked for `attribute` (index); None = nothing that helps."""
        if (i, attribute) not in self._said:
            scenario = self._scenarios[i]
            asked = scenario.schema.attributes[attribute]
            said = self._user.answer(scenario, asked.name, asked.question)
            self._said[i, attribute] = None if default_reader().tells_nothing(said) else said
        return self._said[i, attribute]

    def of(self, scenarios: Sequence[Scenario]) -> Answers:
        """Return what other people say to the same user's questions."""
        return Answers(self._user, scenarios)

    def answered(self, i: int, asked: Iterable[int]) -> int:
        """Return the bitmask of what person `i` tells when asked for all of `asked`."""
        return sum(1 << a for a in set(asked) if self.text(i, a) is not None)


@dataclass
class Setting:
    """One draw of the judge with the people on both sides of the split.

    Attributes
    ----------
    judge : the judge as a search sees it, noise included
    train, test : scenarios planned for, and scenarios of other profiles
    budget : int, the most questions
    answers : what the test people say when asked
    seed : seed of what is random in methods (orders)
    report_samples : fresh samples of each set under a judge that is stochastic and not simulated
    model_seed : which draw of the judge
    """

    judge: Judge
    train: Sequence[Scenario]
    test: Sequence[Scenario]
    budget: int
    answers: Answers
    seed: int = 0
    report_samples: int = 8
    model_seed: int = 0
    true: TrueScores = field(init=False)

    def __post_init__(self) -> None:
        schemas = {s.schema for s in (*self.train, *self.test)}
        if len(schemas) != 1:
            raise UserError(f"scenarios: found {len(schemas)} lists of attributes, expected one")
        shared = {s.profile for s in self.train} & {s.profile for s in self.test}
        if shared:
            raise UserError(
                f"evaluation: {len(shared)} profiles are on both sides of the split, expected none; "
                f"plans made for a person say nothing about others"
            )
        self.true = TrueScores(self.judge, self.test, self.report_samples)

    @property
    def schema(self) -> Schema:
        """The attributes, the same for everybody."""
        return self.test[0].schema

    @property
    def disclosure(self) -> np.ndarray:
        """float64[n]: what telling each attribute costs, its cost times its sensitivity."""
        return np.array([a.cost * a.sensitivity for a in self.schema.attributes], dtype=np.float64)

    @property
    def enumerable(self) -> bool:
        """Tell whether every set can be scored: a simulated judge, and not too many attributes."""
        return isinstance(self.judge, SimulatedJudge) and len(self.schema) <= MAX_ENUMERABLE


def people(scenarios: Sequence[Scenario]) -> tuple[np.ndarray, np.ndarray]:
    """Return (int64[P] first scenario of each person in a domain, int64[N] person of each scenario)."""
    numbers: dict[tuple[object, str], int] = {}
    first: list[int] = []
    of = np.empty(len(scenarios), dtype=np.int64)
    for i, scenario in enumerate(scenarios):
        key = (scenario.profile, scenario.domain)
        if key not in numbers:
            numbers[key] = len(first)
            first.append(i)
        of[i] = numbers[key]
    return np.array(first, dtype=np.int64), of


class TrainScores:
    """Scores of every set within the budget, of each person that plans may be made from.

    Attributes
    ----------
    scenarios : one scenario of each of P people
    weights : float64[P], how many scenarios each has
    masks : uint64[n_sets], as `search.population.set_table.sets_within`
    memo : what was computed from some of these people, for those who plan from the same ones again
    """

    def __init__(self, train: Sequence[Scenario], judge: Judge, budget: int, unit_costs: bool = True) -> None:
        first, of = people(train)
        self.unit_costs = unit_costs
        self.scenarios = [train[i] for i in first.tolist()]
        self.weights = np.bincount(of).astype(np.float64)
        self.judge = judge
        self.memo: dict[tuple[object, ...], Any] = {}
        self.budget = min(budget, len(common_schema(train)))
        self.masks = sets_within(len(self.scenarios[0].schema), self.budget)

    @functools.cached_property
    def schema(self) -> Schema:
        """The attributes as plans price them: every question costs 1 with `unit_costs`."""
        own = self.scenarios[0].schema
        if not self.unit_costs:
            return own
        return Schema(dataclasses.replace(attribute, cost=1.0) for attribute in own.attributes)

    @functools.cached_property
    def seen(self) -> np.ndarray:
        """float64[P, n_sets] as a policy may know them: one sample, noise included."""
        return score_table(self.scenarios, self.judge, self.budget)

    @functools.cached_property
    def exact(self) -> np.ndarray:
        """float64[P, n_sets], without noise under a simulated judge, else as seen."""
        return (
            exact_table(self.judge, self.scenarios, self.masks)
            if isinstance(self.judge, SimulatedJudge)
            else self.seen
        )

    def only(self, train: Sequence[Scenario]) -> TrainScores:
        """Return the scores of those of these people that are in `train`; nothing is scored again.

        Raises
        ------
        UserError
            there is none.
        """
        row = {(s.profile, s.domain): k for k, s in enumerate(self.scenarios)}
        fewer = TrainScores(
            [s for s in train if (s.profile, s.domain) in row], self.judge, self.budget, self.unit_costs
        )
        fewer.memo = self.memo
        kept = [row[s.profile, s.domain] for s in fewer.scenarios]
        for name in ("seen", "exact"):
            if name in self.__dict__:  # a cached property that has been read
                fewer.__dict__[name] = getattr(self, name)[kept]
        return fewer


def exact_table(judge: SimulatedJudge, scenarios: Sequence[Scenario], masks: np.ndarray) -> np.ndarray:
    """Return float64[N, n_sets], true scores; a value that a profile lacks cannot become known."""
    return np.array([judge.dimensions(s, masks & np.uint64(s.askable)).mean(axis=1) for s in scenarios])
