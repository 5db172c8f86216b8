"""Judge protocol: scores an answer given a context for one user, and declares what else it can do.

A judge is any object with `score`. Whatever else it has is optional: `describe(judge)` reads it once, holds
it against its type and returns `Capabilities`, in which each field has a value for judges that say nothing.
Code that uses a judge asks `describe(judge)`, and never the judge itself, for anything but `score`. The prior
of a search may be a paid model as well, and is described in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from envs.checking.declared import Declared
from envs.scenario import Scenario

if TYPE_CHECKING:
    from envs.llm.books import Accounts
    from envs.llm.costs import RequestCost
    from envs.llm.endpoint import Limits
    from envs.llm.engine import Spent

MIN_SCORE, MAX_SCORE = 1.0, 5.0


@dataclass(frozen=True)
class Score:
    """A verdict: three dimensions, each in [1, 5] (1 worst, 5 best), or the reason why there is none.

    The dimensions are those of arXiv 2505.18882, section 3.3; the score is their mean.
    """

    risk_sensitivity: float = math.nan
    emotional_empathy: float = math.nan
    personalization: float = math.nan
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.reason is None:
            for value in (self.risk_sensitivity, self.emotional_empathy, self.personalization):
                if not MIN_SCORE <= value <= MAX_SCORE:
                    reason = "unscored" if math.isnan(value) else "out_of_range"
                    object.__setattr__(self, "reason", reason)

    @property
    def value(self) -> float:
        """Mean of the dimensions, or NaN when unscored (`reason` says why)."""
        if self.reason is not None:
            return math.nan
        return (self.risk_sensitivity + self.emotional_empathy + self.personalization) / 3.0


class Surface(NamedTuple):
    """A judge of one scenario as compiled code, so that a whole search runs without Python.

    `function`: compiled by Numba with the signature `float64(uint64 mask, float64[::1] params)`; it
    returns the score of the set `mask`. `params`: float64[P], C-contiguous.
    """

    function: Any
    params: np.ndarray


class ManySurfaces(NamedTuple):
    """A judge of K scenarios as compiled code, so that many searches run without Python between them.

    `function`: as of a `Surface`. `params`: float64[P], C-contiguous; those of scenario k are
    `params[starts[k]:starts[k + 1]]`. `starts`: int64[K + 1].
    """

    function: Any
    params: np.ndarray
    starts: np.ndarray


@runtime_checkable
class Judge(Protocol):
    """Scores contexts of one scenario; `Capabilities` has what it may declare beyond that.

    `contexts`: names of the known attributes of each, in schema order; the values are in
    `scenario.profile`, of which a judge may read all. A float stands for a `Score` of three equal
    dimensions; NaN or anything outside [1, 5] is unscored.
    """

    def score(self, scenario: Scenario, contexts: Sequence[tuple[str, ...]]) -> Sequence[Score | float]:
        """Return one `Score` (or float) for each context, in order."""
        ...


class Answered(NamedTuple):
    """What a target model wrote, or the reason why it is no answer (`envs.llm.ModelReply`)."""

    text: str
    reason: str | None = None


class Counts(NamedTuple):
    """What a judge or prior has counted so far for the calling thread, in which a plan stays."""

    requests: int
    cache_hits: int
    invalid_rankings: int


@dataclass(frozen=True)
class Capabilities:
    """What a judge or prior declares, under the names of its own attributes.

    Attributes
    ----------
    name : default, the name of its class
    stochastic : `score` takes `samples: Sequence[int]` as third argument, one index a context, and returns
        the same value whenever the same (context, sample) comes again
    simulated : its scores are a formula's, to be called simulated wherever they are shown
    fitted_attributes : names of those that a formula was fitted to: what it says of others is made up. None
        declared: it is no such formula
    model_seed : which of a family of judges it is; None = it is of none
    concurrent_plans : threads that may ask it at once, for one that waits rather than computes: a worker then
        makes as many plans at once. A judge of 1 is never called from two threads at a time
    ranking_depth : sets of fewer questions than this are ranked by a request of their own (a prior)
    resume_ignored : names of settings that cannot change a score, so that a run may be resumed under others
    score_sets : (scenario, masks uint64[B], samples int64[B]) -> float64[B], what `score` says of these sets
        (bit i = attribute i of the schema is known), NaN = unscored; for a judge that computes in arrays.
        Neither this nor `surface` is taken of a subclass that has its own `score` alone
    surface : (scenario) -> the same scores as compiled code, or None; for a judge that is cheap and exact
    score_many : (scenarios, owners int64[B], masks uint64[B], samples int64[B]) -> float64[B], what
        `score_sets` says of the set `masks[i]` of `scenarios[owners[i]]`; all of one schema
    surfaces : (scenarios) -> `surface` of each of them as `ManySurfaces`, or None; all of one schema
    shard : (workers) -> the same judge for one of as many processes
    keep : (run's folder), called before a run: its limits go on from what earlier sessions of it took
    preflight : (run's folder, first scenario), called once before a run: finds out what cannot work
    provenance : () -> what else determines a score, as plain data
    warm_up : () -> compiles, or loads what is compiled, before workers start
    request_costs : (scenario, names of a context) -> the requests that one call takes, sending none
    rate : (scenario, answers) -> a score for each answer written elsewhere; with `samples` as third argument
        where the judge is stochastic, and with `attributes=` where it is to read a part of the profile
    rate_costs : (scenario, answer) -> the requests that rating it takes, sending none
    respond : (scenario, contexts) -> what its target model answers in each context, unrated
    limits : what its requests may take together; None = it has no `request_costs`
    """

    name: str
    stochastic: bool
    simulated: bool
    fitted_attributes: tuple[str, ...]
    model_seed: int | None
    concurrent_plans: int
    ranking_depth: int
    resume_ignored: tuple[str, ...]
    score_sets: Callable[[Scenario, np.ndarray, np.ndarray], np.ndarray] | None
    surface: Callable[[Scenario], Surface | None] | None
    score_many: Callable[[Sequence[Scenario], np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None
    surfaces: Callable[[Sequence[Scenario]], ManySurfaces | None] | None
    shard: Callable[[int], Any] | None
    keep: Callable[[Path], None] | None
    preflight: Callable[[Path, Scenario], None] | None
    provenance: Callable[[], Any] | None
    warm_up: Callable[[], None] | None
    request_costs: Callable[[Scenario, Sequence[str]], list[RequestCost]] | None
    rate: Callable[..., Sequence[Score | float]] | None
    rate_costs: Callable[[Scenario, str], list[RequestCost]] | None
    respond: Callable[[Scenario, Sequence[tuple[str, ...]]], Sequence[Answered]] | None
    limits: Limits | None
    _declared: Declared = field(repr=False)

    def current_name(self) -> str:
        """Return `name` as of now: what gave a model's replies is known after them."""
        return self._declared.name()

    def counts(self) -> Counts:
        """Return the attributes `requests`, `cache_hits` and `invalid_rankings` as of now, 0 where absent."""
        return Counts(*(self._declared.whole(name, 0) for name in Counts._fields))

    def spent(self) -> Spent | None:
        """Return the attribute `spent` as of now: the process's total; None where it is not counted."""
        from envs.llm.engine import Spent

        found: Spent | None = self._declared.of_type("spent", Spent)
        return found

    def books(self) -> Accounts | None:
        """Return the attribute `books` as of now: the run's, of all sessions; None where none are kept."""
        found: Accounts | None = self._declared.any("books")
        return found


def describe(part: object, role: str = "judge") -> Capabilities:
    """Return what `part`, a judge or a prior, declares; `role` says which in errors. None declares nothing.

    Raises
    ------
    UserError
        one line that names the attribute: it is of another type than `Capabilities` says.
    """
    declared = Declared(part, role)
    costs = declared.method("request_costs", "(scenario, names)")
    score_sets = declared.twin("score_sets", "(scenario, masks, samples)", "score")
    surface = declared.twin("surface", "(scenario)", "score")
    found = Capabilities(
        name=declared.name(),
        stochastic=declared.flag("stochastic"),
        simulated=declared.flag("simulated"),
        fitted_attributes=declared.names("fitted_attributes"),
        model_seed=declared.whole("model_seed", None),
        concurrent_plans=declared.whole("concurrent_plans", 1, least=1),
        ranking_depth=declared.whole("ranking_depth", 1, least=1),
        resume_ignored=declared.names("resume_ignored"),
        score_sets=score_sets,
        surface=surface,
        score_many=None
        if score_sets is None
        else declared.twin("score_many", "(scenarios, owners, masks, samples)", "score_sets", "score"),
        surfaces=None if surface is None else declared.twin("surfaces", "(scenarios)", "surface", "score"),
        shard=declared.method("shard", "(workers)"),
        keep=declared.method("keep", "(folder)"),
        preflight=declared.method("preflight", "(folder, scenario)"),
        provenance=declared.method("provenance", "()"),
        warm_up=declared.method("warm_up", "()"),
        request_costs=costs,
        rate=declared.method("rate", "(scenario, answers)"),
        rate_costs=declared.method("rate_costs", "(scenario, answer)"),
        respond=declared.method("respond", "(scenario, contexts)"),
        limits=None if costs is None else _limits(declared),
        _declared=declared,
    )
    found.counts()  # read now as well, so that a counter that is no number is told before it is needed
    return found


def _limits(declared: Declared) -> Limits:
    from envs.llm.endpoint import Limits

    found: Limits | None = declared.of_type("limits", Limits)
    return Limits() if found is None else found


def score_value(score: Score | float) -> tuple[float, str | None]:
    """Return (value in [1, 5] or NaN, reason or None) of what a judge returned."""
    if isinstance(score, Score):
        return score.value, score.reason
    value = float(score)
    if math.isnan(value):
        return math.nan, "unscored"
    if not MIN_SCORE <= value <= MAX_SCORE:
        return math.nan, "out_of_range"
    return value, None
