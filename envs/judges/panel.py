"""Several judges as one (`judge=panel`): the mean of what they say, with what each said beside it."""

from __future__ import annotations

import math
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.errors import OutsideError, UserError
from envs.judges.asking import rated, scored
from envs.judges.protocol import Capabilities, Judge, Score, describe
from envs.llm.books import Accounts, summed
from envs.llm.endpoint import EndpointDown, Unreadable
from envs.scenario import Scenario

if TYPE_CHECKING:
    from envs.llm.costs import RequestCost
    from envs.llm.engine import Spent

DOWN = "unavailable"
"""Reason of a member whose endpoint did not answer."""


@dataclass(frozen=True)
class PanelScore(Score):
    """The mean of the members that scored, and what each said (`members`, in their order)."""

    members: tuple[Score, ...] = field(default=(), compare=False)

    @property
    def spread(self) -> float:
        """Standard deviation (n - 1) of the members' scores, NaN with fewer than two."""
        found = [score.value for score in self.members if score.reason is None]
        return float(np.std(found, ddof=1)) if len(found) > 1 else math.nan


class PanelJudge:
    """A judge whose score is the mean over its members, by dimension.

    A member that leaves something unscored, or whose endpoint is down, is missing there: the mean is that of
    the others, and nobody is dropped for disagreeing. Where nobody scored, the set is unscored, with reasons.
    Each member is asked as itself: one that is not stochastic once a set, and each with its own limits and
    cache, so that a member who joins later is all that is paid for.

    Parameters
    ----------
    members : judges, two or more

    Raises
    ------
    UserError
        fewer than two members, or something that is no judge.
    """

    def __init__(self, members: Sequence[Any]) -> None:
        if len(members) < 2:
            raise UserError(f"judge.members: found {len(members)}, expected two judges or more")
        for i, member in enumerate(members):
            if not isinstance(member, Judge):
                raise UserError(
                    f"judge.members[{i}]: found a {type(member).__name__} without a method score, expected a "
                    f"judge, such as judge.members=[{{judge: openai, model: M}},simulated]"
                )
        self.members: list[Judge] = list(members)
        self._told = [describe(member, f"judge.members[{i}]") for i, member in enumerate(members)]
        self.stochastic = any(told.stochastic for told in self._told)
        fitted = [set(told.fitted_attributes) for told in self._told if told.fitted_attributes]
        self.fitted_attributes = tuple(sorted(set.intersection(*fitted))) if fitted else ()
        self.concurrent_plans = min(told.concurrent_plans for told in self._told)
        ignored = [set(told.resume_ignored) for told in self._told]
        self.resume_ignored = tuple(sorted(set.intersection(*ignored)))
        self._down = [False] * len(members)
        self._seen = _Seen()
        if any(told.rate is None for told in self._told):
            self.rate = None  # type: ignore[assignment,method-assign]  # as `describe` wants it: no such method

    @property
    def member_names(self) -> tuple[str, ...]:
        """What the members are called as of now: of a model whose replies were simulated its name says so."""
        return _distinct([describe(member).name for member in self.members])

    @property
    def name(self) -> str:
        """What a table calls the panel."""
        return f"panel({', '.join(self.member_names)})"

    @property
    def simulated(self) -> bool:
        """Tell whether what some member said is simulated, as of now."""
        return any(describe(member).simulated for member in self.members)

    @property
    def requests(self) -> int:
        """HTTP requests sent for the calling thread, by all members."""
        return sum(told.counts().requests for told in self._told)

    @property
    def cache_hits(self) -> int:
        """Replies that the calling thread was given without a request, by all members."""
        return sum(told.counts().cache_hits for told in self._told)

    @property
    def books(self) -> Accounts | None:
        """What requests of all members took, by model and kind; None where none of them keeps books."""
        found = [books for told in self._told if (books := told.books()) is not None]
        return summed(*found) if found else None

    @property
    def spent(self) -> Spent | None:
        """What this process has taken, of all members together; None where none of them counts it."""
        found = [spent for told in self._told if (spent := told.spent()) is not None]
        if not found:
            return None
        return type(found[0])(
            sum(s.requests for s in found),
            sum(s.input_tokens for s in found),
            sum(s.output_tokens for s in found),
            sum(s.cost for s in found),
        )

    def shard(self, workers: int) -> PanelJudge:
        """Return this panel for one of `workers` processes."""
        return PanelJudge(
            [
                m if t.shard is None else t.shard(workers)
                for m, t in zip(self.members, self._told, strict=True)
            ]
        )

    def keep(self, folder: Path) -> None:
        """Let each member count with what earlier sessions of the run in `folder` took.

        What a member keeps is in a folder of its own, `member_1` and so on: its limits are its own, and so is
        the ledger of them.
        """
        for i, told in enumerate(self._told, 1):
            if told.keep is not None:
                told.keep(_own(folder, i))

    def preflight(self, folder: Path, scenario: Scenario) -> None:
        """Let each member find out what cannot work; see `keep`."""
        for i, told in enumerate(self._told, 1):
            if told.preflight is not None:
                told.preflight(_own(folder, i), scenario)

    def warm_up(self) -> None:
        """Let each member compile what it compiles."""
        for told in self._told:
            if told.warm_up is not None:
                told.warm_up()

    def provenance(self) -> list[dict[str, Any]]:
        """Return what each member says of itself."""
        names = zip(_distinct([told.name for told in self._told]), self._told, strict=True)
        return [{"name": n, "provenance": None if t.provenance is None else t.provenance()} for n, t in names]

    def request_costs(self, scenario: Scenario, names: Sequence[str]) -> list[RequestCost]:
        """Return the requests that one call takes, of all members."""
        return [
            cost
            for t in self._told
            if t.request_costs is not None
            for cost in t.request_costs(scenario, names)
        ]

    def rate_costs(self, scenario: Scenario, answer: str) -> list[RequestCost]:
        """Return the requests that rating `answer` takes, of all members."""
        return [
            cost for t in self._told if t.rate_costs is not None for cost in t.rate_costs(scenario, answer)
        ]

    def score(
        self,
        scenario: Scenario,
        contexts: Sequence[tuple[str, ...]],
        samples: Sequence[int] | None = None,
    ) -> list[PanelScore]:
        """Return the panel's score of each context.

        Raises
        ------
        OutsideError, EndpointDown, Unreadable
            every member is missing: its endpoint is down, or none of its verdicts can be read; otherwise
            what a member raises.
        """
        looks = [0] * len(contexts) if samples is None else list(samples)

        def ask(i: int, told: Capabilities) -> list[Score]:
            if told.stochastic:
                return scored(self.members[i], told, scenario, contexts, looks)
            known = self._seen.of(scenario, i)
            new = [c for c in dict.fromkeys(map(tuple, contexts)) if c not in known]
            if new:
                found = scored(self.members[i], told, scenario, new, [0] * len(new))
                known.update(zip(new, found, strict=True))
            return [known[tuple(c)] for c in contexts]

        return self._asked(ask, len(contexts))

    def rate(
        self,
        scenario: Scenario,
        answers: Sequence[str],
        samples: Sequence[int] | None = None,
        attributes: Sequence[str] | None = None,
    ) -> list[PanelScore]:
        """Return the panel's score of each answer written elsewhere, raising what `score` does."""

        def ask(i: int, told: Capabilities) -> list[Score]:
            return rated(self.members[i], told, scenario, answers, samples, attributes)

        return self._asked(ask, len(answers))

    def _asked(self, ask: Callable[[int, Capabilities], list[Score]], n: int) -> list[PanelScore]:
        rows: list[list[Score]] = []
        failure: UserError = OutsideError("judge=panel: the endpoint of every member is down")
        for i, told in enumerate(self._told):
            try:
                rows.append([Score(reason=DOWN)] * n if self._down[i] else ask(i, told))
            except (OutsideError, EndpointDown, Unreadable) as error:
                self._down[i], failure = True, error  # asked no more in this process: it cost its time
                print(f"warning: judge=panel: without {told.name} from here on: {error}", file=sys.stderr)
                rows.append([Score(reason=DOWN)] * n)
        if all(self._down):
            raise failure
        return [_mean(scores) for scores in zip(*rows, strict=True)]


class _Seen(threading.local):
    """What members that are not stochastic said of the scenario that the calling thread is at."""

    scenario: Scenario | None = None
    scores: dict[int, dict[tuple[str, ...], Score]]

    def of(self, scenario: Scenario, member: int) -> dict[tuple[str, ...], Score]:
        if self.scenario is not scenario:
            self.scenario, self.scores = scenario, {}
        return self.scores.setdefault(member, {})

    def __reduce__(self) -> tuple[type[_Seen], tuple[()]]:
        return _Seen, ()


def _own(folder: Path, member: int) -> Path:
    """Return the folder of one member in a run's, made now if need be."""
    found = folder / f"member_{member}"
    found.mkdir(exist_ok=True)
    return found


def _mean(scores: Sequence[Score]) -> PanelScore:
    found = [score for score in scores if score.reason is None]
    if not found:
        reasons = Counter(str(score.reason) for score in scores)
        told = ", ".join(f"{reason} {n}" for reason, n in reasons.most_common())
        return PanelScore(reason=f"panel: {told}", members=tuple(scores))
    columns = [(s.risk_sensitivity, s.emotional_empathy, s.personalization) for s in found]
    risk, empathy, personal = (math.fsum(column) / len(found) for column in zip(*columns, strict=True))
    return PanelScore(risk, empathy, personal, members=tuple(scores))


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return `names` with a number behind those that occur before."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return tuple(found)
