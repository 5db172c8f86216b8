"""Setting of an evaluation: who is planned for, who is asked, who judges."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from envs import Judge, Scenario, Schema, UserError
from envs.judges.simulated import SimulatedJudge
from envs.users import Reply, User
from envs.users.played_user import PlayedUser
from experiments.evaluation.at_once import at_once
from experiments.evaluation.methods.trajectories import Trajectory, TrueScores
from policies.understanding import Reader, Value
from policies.understanding.readers.rules_reader import default_reader
from search.population.scenario_population import common_schema, score_table
from search.population.set_table import sets_within

MAX_ENUMERABLE = 12
"""Up to how many attributes every set within the budget is scored, of a judge that costs nothing."""


class Heard(NamedTuple):
    """What came of a question, by attribute (schema index).

    `values`: what the reader found in the reply. `told`: what the person truly told, "all" of it or in
    "part"; it is credited only where it was read as well.
    """

    values: Mapping[int, Value]
    told: Mapping[int, str]

    @property
    def credited(self) -> dict[int, str]:
        """What was truly told and read."""
        return {a: told for a, told in self.told.items() if a in self.values}


class Answers:
    """What each test person says to each question, asked for once: the same in every method.

    `user`: whoever answers, and knows what that truly tells (`envs.users`). `reader`: what the agent makes of
    the words (`policies.understanding`). Neither is asked about the other's part. What a query tells by
    itself is left out in every method: nobody but its writer could say whether it was read rightly.
    `n_at_once`: replies that the reader takes at one time.
    """

    def __init__(
        self, user: User, scenarios: Sequence[Scenario], reader: Reader | None = None, n_at_once: int = 1
    ) -> None:
        self.user = user
        self.reader = reader or default_reader()
        self.n_at_once = n_at_once
        self.scenarios = scenarios
        self.replies: dict[tuple[int, int], Reply] = {}
        self._heard: dict[tuple[int, int], Heard] = {}

    def heard(self, i: int, attribute: int) -> Heard:
        """Return what came of asking person `i` for `attribute` (index)."""
        if (i, attribute) not in self._heard:
            scenario = self.scenarios[i]
            schema, asked = scenario.schema, scenario.schema.attributes[attribute]
            reply = self._reply(i, attribute)
            read = {} if reply.text is None else self.reader.read(reply.text, schema, asked.name).values
            told = dict.fromkeys(map(schema.index, reply.also), "all")
            if reply.told != "nothing":
                told[attribute] = reply.told
            self._heard[i, attribute] = Heard({schema.index(name): v for name, v in read.items()}, told)
        return self._heard[i, attribute]

    def _reply(self, i: int, attribute: int) -> Reply:
        if (i, attribute) not in self.replies:
            scenario, asked = self.scenarios[i], self.scenarios[i].schema.attributes[attribute]
            self.replies[i, attribute] = self.user.answer(scenario, asked.name, asked.question)
        return self.replies[i, attribute]

    def fill(self) -> None:
        """Ask everybody everything at once where a model answers or reads, which is slow."""
        played = self.user.limits.max_in_flight if isinstance(self.user, PlayedUser) else 1
        n = max(played, self.n_at_once)
        if n == 1:
            return
        every = [(i, a) for i, s in enumerate(self.scenarios) for a in range(len(s.schema))]
        if played == 1:  # no user but that one is known to answer many threads
            for i, a in every:
                self._reply(i, a)
        list(at_once([partial(self.heard, i, a) for i, a in every], n))

    def of(self, scenarios: Sequence[Scenario]) -> Answers:
        """Return what other people say to the same user's questions."""
        return Answers(self.user, scenarios, self.reader, self.n_at_once)

    def said_by(self, user: User) -> Answers:
        """Return what the same people say where `user` speaks for them."""
        return Answers(user, self.scenarios, self.reader, self.n_at_once)

    def trajectory(self, i: int, asked: Iterable[int]) -> Trajectory:
        """Return the conversation in which person `i` was asked for `asked`, with what is credited to it."""
        asked, credited, words = tuple(asked), dict[int, str](), dict[int, str]()
        for heard in (self.heard(i, a) for a in asked):
            for a, told in heard.credited.items():
                if credited.get(a) != "all":
                    credited[a], words[a] = told, heard.values[a].words
        masks = {k: sum(1 << a for a, told in credited.items() if told == k) for k in ("all", "part")}
        scenario = self.scenarios[i]
        said = [
            (a, words[a]) for a in sorted(words) if words[a] != scenario.profile.get(scenario.schema.names[a])
        ]
        return Trajectory(asked, masks["all"], masks["part"], tuple(said))


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
    n_searched : judge calls that static sets and the oracle were searched with
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
    n_searched: int = field(init=False, default=0)

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


def spread(scenarios: Sequence[Scenario], size: int | None) -> list[Scenario]:
    """Return `size` scenarios evenly spaced over the list (None: all): each domain keeps its share."""
    if size is None or size >= len(scenarios):
        return list(scenarios)
    return [scenarios[int(i)] for i in np.linspace(0, len(scenarios) - 1, size).round()]


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
        return own.with_attributes(dataclasses.replace(a, cost=1.0) for a in own.attributes)

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
