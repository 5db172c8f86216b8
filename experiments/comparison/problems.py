"""Problems that searches are compared on: a landscape, people, and the truth by enumeration.

`published` and `varied` are the two presets of the simulated judge; their people are the bundled ones, with
made-up values of made-up attributes where there are more than the ten of PENGUIN. All other landscapes are
those of `envs.judges.landscapes`, to which a scenario is an id and a domain.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs import DOMAINS, Attribute, Level, Scenario, Schema, UserError, penguin_schema
from envs.judges.landscapes import LANDSCAPES, LandscapeJudge
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from search.path_rule import plan_of_path
from search.plans import Plan
from search.problem import Problem

PRESETS = ("published", "varied")
NAMES = (*PRESETS, *LANDSCAPES)
"""Landscapes that can be compared on."""
MAX_SETS = 300_000
"""Sets that are enumerated for the truth of one problem (40 attributes, budget 4: 102,091)."""
_LEVELS = ("low", "middling", "high")
_CHUNK = 1 << 14

SimulatedOne = SimulatedJudge | LandscapeJudge


@dataclass(frozen=True)
class ProblemSet:
    """People under one judge, and the truth about them.

    Attributes
    ----------
    landscape : str, one of `NAMES`
    n_attributes : int, 1 to 64
    model_seed : int, which judge of the kind
    budget : int
    n_problems : int, people that are planned for
    noise_std : float, points
    seed : int, of the run; noise, people and searches depend on (seed, model_seed)
    shared : float, see `LandscapeJudge`; presets have their own way to share
    domain : str or None, the one domain of all people
    """

    landscape: str
    n_attributes: int
    model_seed: int
    budget: int
    n_problems: int
    noise_std: float = 0.0
    seed: int = 0
    shared: float = 0.0
    domain: str | None = None

    def __post_init__(self) -> None:
        if self.landscape not in NAMES:
            raise UserError(f"landscapes: found {self.landscape!r}, expected some of {', '.join(NAMES)}")
        n, budget = self.n_attributes, self.budget
        if not 1 <= n <= 64:
            raise UserError(f"n_attributes: found {n}, expected numbers from 1 to 64")
        if n_sets(n, budget) > MAX_SETS:
            raise UserError(
                f"n_attributes={n}, budget={budget}: {n_sets(n, budget):,} sets, expected at most "
                f"{MAX_SETS:,}: the true best is found by enumeration"
            )
        people = len(load_bundled())
        if self.landscape in PRESETS and self.n_problems >= people:
            raise UserError(
                f"problems: found {self.n_problems} of {self.landscape}, expected at most {people - 1} "
                f"of the {people} bundled people"
            )

    @property
    def run_seed(self) -> int:
        """Seed of noise and searches: another one for each judge, so that draws share no luck."""
        words = hashlib.sha256(f"{self.seed}/{self.model_seed}".encode()).digest()
        return int.from_bytes(words[:6], "little")

    def judge(self) -> SimulatedOne:
        """Return the judge."""
        if self.landscape in PRESETS:
            return SimulatedJudge(self.landscape, self.model_seed, self.noise_std, self.run_seed)
        return LandscapeJudge(self.landscape, self.model_seed, self.noise_std, self.shared, self.run_seed)

    def scenarios(self) -> tuple[Scenario, ...]:
        """Return the people that are planned for."""
        return self._people(self.n_problems)[: self.n_problems]

    def others(self, per_domain: int) -> dict[str, list[Scenario]]:
        """Return up to `per_domain` further people of each domain that occurs among `scenarios`."""
        domains = dict.fromkeys(s.domain for s in self.scenarios())
        wanted = self.n_problems + 2 * len(DOMAINS) * per_domain
        rest = self._people(wanted)[self.n_problems :]
        found = {d: [s for s in rest if s.domain == d][:per_domain] for d in domains}
        return {domain: people or list(rest[:per_domain]) for domain, people in found.items()}

    def _people(self, count: int) -> tuple[Scenario, ...]:
        if self.landscape in PRESETS:
            people = load_bundled()
            rng = np.random.default_rng([self.seed, self.model_seed])
            drawn = [_extended(people[i], self.n_attributes) for i in rng.permutation(len(people))]
        else:
            drawn = [_made_up(self.n_attributes, self.model_seed, i) for i in range(count)]
        if self.domain is None:
            return tuple(drawn)
        return tuple(Scenario(s.id, self.domain, s.query, s.profile, s.schema) for s in drawn)


@functools.cache
def schema_of(n: int) -> Schema:
    """Return `n` attributes: those of PENGUIN as far as they go, then made-up ones of three levels."""
    published = penguin_schema()
    if n == len(published):
        return published
    levels = tuple(Level(name, phrases=(name,)) for name in _LEVELS)
    further = [Attribute(f"Attribute {i + 1:02d}", "?", levels=levels) for i in range(len(published), n)]
    return Schema([*published.attributes[:n], *further])


def _extended(person: Scenario, n: int) -> Scenario:
    """Return a bundled person with `n` attributes; what is made up depends on the person alone."""
    schema = schema_of(n)
    if schema is person.schema:
        return person
    rng = np.random.default_rng(list(person.id.encode()))
    made_up = {name: _LEVELS[rng.integers(len(_LEVELS))] for name in schema.names[len(person.schema) :]}
    return Scenario(person.id, person.domain, person.query, {**person.profile, **made_up}, schema)


def _made_up(n: int, model_seed: int, index: int) -> Scenario:
    schema = schema_of(n)
    profile = dict.fromkeys(schema.names, "made up")
    return Scenario(f"made-up-{model_seed}-{index:04d}", DOMAINS[index % 7], "", profile, schema)


def n_sets(n: int, budget: int) -> int:
    """Return the number of sets of at most `budget` of `n` attributes."""
    return sum(math.comb(n, k) for k in range(min(budget, n) + 1))


@functools.cache
def all_sets(askable: int, budget: int) -> np.ndarray:
    """Return uint64[B], every set of at most `budget` of the attributes in `askable`, smaller ones first."""
    bits = [1 << i for i in range(64) if askable >> i & 1]
    sizes = range(min(budget, len(bits)) + 1)
    masks = [sum(chosen) for size in sizes for chosen in itertools.combinations(bits, size)]
    found = np.array(masks, dtype=np.uint64)
    found.flags.writeable = False  # shared by all who ask
    return found


def true_scores(judge: SimulatedOne, scenario: Scenario, masks: np.ndarray) -> np.ndarray:
    """Return float64[B], the noise-free scores of the sets `masks` (uint64[B])."""
    if isinstance(judge, LandscapeJudge):
        return judge.truth(scenario, masks)
    parts = np.split(masks, range(_CHUNK, len(masks), _CHUNK))
    return np.concatenate([judge.dimensions(scenario, part).mean(axis=1) for part in parts])


@functools.lru_cache(maxsize=256)
def best_and_empty(problems: ProblemSet) -> tuple[tuple[float, float], ...]:
    """Return (true score of the best set within the budget, of the empty set) of each of the people."""
    judge = problems.judge()
    found = []
    for scenario in problems.scenarios():
        scores = true_scores(judge, scenario, all_sets(scenario.askable, problems.budget))
        found.append((float(scores.max()), float(scores[0])))
    return tuple(found)


class BestStatic:
    """The strongest plan that asks everybody the same.

    For each domain it is the set with the highest mean true score over further people of that domain under
    the same judge, whose scores it was shown without noise.
    """

    name = "best_static"

    def __init__(self, sets: dict[str, int]) -> None:
        self.sets = sets

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        """Return the set of the problem's domain, in schema order; two judge calls, which change nothing."""
        mask = self.sets[problem.group] & int(problem.askable)
        known = int(problem.known)
        problem.evaluate(np.array(sorted({known, known | mask}), dtype=np.uint64))
        path = [i for i in range(problem.n_attributes) if mask >> i & 1]
        return plan_of_path(problem, path, stopped="the set was given")


@functools.lru_cache(maxsize=64)
def best_static(problems: ProblemSet, per_domain: int) -> BestStatic:
    """Return the best static set of each domain, from `per_domain` people who are not planned for."""
    judge = problems.judge()
    return BestStatic(
        {
            domain: _best_of(judge, people, problems.budget)
            for domain, people in problems.others(per_domain).items()
        }
    )


def _best_of(judge: SimulatedOne, people: Sequence[Scenario], budget: int) -> int:
    masks = all_sets((1 << len(people[0].schema)) - 1, budget)
    total = np.zeros(len(masks))
    for scenario in people:
        total += true_scores(judge, scenario, masks)  # what cannot be asked of somebody adds nothing
    return int(masks[int(total.argmax())])
