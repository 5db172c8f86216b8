"""What an evaluation keeps in its journal: plans one by one, verdicts call by call, rows block by block."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from envs import Judge, Scenario, Score
from envs.judges.asking import checked_scores
from envs.judges.protocol import describe
from experiments.evaluation.setting import Setting
from experiments.runs.journal import UnitJournal
from search.plan_lines import from_json, number, plain_plan
from search.planning import ScenarioPlan

Make = Callable[[], pd.DataFrame]
KeepRows = Callable[[str, Setting, Make], pd.DataFrame]
"""(name of a block, its setting, what makes its rows) -> the rows, made now or by an earlier session."""

_Key = tuple[str, int, int]
"""Person, set, sample."""


def made_now(name: str, setting: Setting, make: Make) -> pd.DataFrame:
    """Keep nothing."""
    return make()


class EvaluationJournal:
    """Takes from `journal` what an earlier session of the same evaluation has finished, and adds the rest.

    Blocks of rows are taken where the judge is computed here: under any other one the conversations are held
    again, with its verdicts out of the journal or its own cache, so that all counts are those of one session.
    `counts_prompts`: a model chooses or rates; its prompts are counted as they are made, out of its cache.
    """

    def __init__(self, journal: UnitJournal, counts_prompts: bool) -> None:
        self.journal = journal
        self._counts_prompts = counts_prompts

    def judges(self, judges: Sequence[Judge]) -> list[Judge]:
        """Return `judges` with their verdicts kept."""
        return [kept_judge(judge, str(k), self.journal) for k, judge in enumerate(judges)]

    def rows(self, name: str, setting: Setting, make: Make) -> pd.DataFrame:
        """Return the rows of a block, and bring `setting` to where they have left it."""
        name = f"rows {name}"
        whole = setting.true.exact and not self._counts_prompts
        if name in self.journal.done and whole:
            return self.journal.read(name, lambda value: _restored(value, setting))
        before = setting.n_searched
        frame = make()
        if name not in self.journal.done:
            told = list(setting.answers.replies)
            value = {"heard": told, "n_searched": setting.n_searched - before, **_plain(frame)}
            self.journal.add(name, value if whole else None)
        return frame

    def plans(self, place: str) -> dict[str, ScenarioPlan]:
        """Return the finished plans of one table, by scenario id."""
        prefix = _plan_name(place, "")
        names = [name for name in self.journal.done if name.startswith(prefix)]
        return {name.removeprefix(prefix): self.journal.read(name, from_json) for name in names}

    def add_plan(self, place: str, plan: ScenarioPlan) -> None:
        """Keep a plan of one table."""
        self.journal.add(_plan_name(place, plan.scenario_id), plain_plan(plan))


def asked_itself(judge: Judge) -> Judge:
    """Return the judge that plans are made with: workers take it, and finished plans are kept whole."""
    return judge.judge if isinstance(judge, KeptJudge) else judge


def _plan_name(place: str, scenario_id: str) -> str:
    return f"plan {place} {scenario_id}"


def _plain(frame: pd.DataFrame) -> dict[str, Any]:
    rows = [list(row) for row in frame.itertuples(index=False, name=None)]
    return {"columns": list(frame.columns), "rows": rows}


def _restored(value: Any, setting: Setting) -> pd.DataFrame:
    """Return the rows; what was asked is asked again, of users who say the same, for the figures on them."""
    rows = [[math.nan if cell is None else cell for cell in row] for row in value["rows"]]
    frame = pd.DataFrame(rows, columns=value["columns"])
    for i, attribute in value["heard"]:
        setting.answers.heard(i, attribute)
    setting.n_searched += value["n_searched"]
    return frame


class KeptJudge:
    """Asks `judge` for each (set, sample) of a scenario once a run, and journals what it says, call by call.

    `place` tells apart the judges of one journal. Whatever else `judge` declares is its own. Safe to call
    from as many threads as `judge` is.
    """

    surface = score_sets = shard = None  # `score` is the one way to ask it

    def __init__(self, judge: Judge, place: str, journal: UnitJournal) -> None:
        self.judge = judge
        self.name = describe(judge).name
        self._stochastic = describe(judge).stochastic
        self._place = f"verdicts {place} "
        self._journal = journal
        self._known: dict[_Key, Score | float] = {}
        for name in [name for name in journal.done if name.startswith(self._place)]:
            self._known.update(journal.read(name, _decoded))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.judge, name)

    def score(
        self, scenario: Scenario, contexts: Sequence[tuple[str, ...]], samples: Sequence[int] | None = None
    ) -> Sequence[Score | float]:
        """Return the verdict on each context; only those that are not known yet are asked for."""
        person = _digest(scenario)
        looks = [0] * len(contexts) if samples is None else samples
        keys = [(person, scenario.schema.mask(c), int(look)) for c, look in zip(contexts, looks, strict=True)]
        places = {key: i for i, key in enumerate(keys) if key not in self._known}
        if places:
            asked: list[Any] = [[contexts[i] for i in places.values()]]
            if self._stochastic:
                asked.append([looks[i] for i in places.values()])
            found = checked_scores(self.judge, scenario, self.judge.score(scenario, *asked), len(places))
            new = dict(zip(places, found, strict=True))
            first = next(iter(new))
            self._journal.add(f"{self._place}{person} {first[1]:x} {first[2]}", _encoded(new))
            self._known.update(new)
        return [self._known[key] for key in keys]


def kept_judge(judge: Judge, place: str, journal: UnitJournal) -> Judge:
    """Return `judge` with its verdicts kept; as it is where it is compiled, or has a cache of its replies."""
    told = describe(judge)
    free = told.surface is not None or told.score_sets is not None
    return judge if free or told.request_costs is not None else KeptJudge(judge, place, journal)


def _digest(scenario: Scenario) -> str:
    """Return what stands for a person, query and words: nobody guesses a whole profile at once."""
    words = [scenario.id, scenario.query, sorted(scenario.profile.items()), sorted(scenario.said.items())]
    return hashlib.sha256(repr(words).encode()).hexdigest()[:32]


def _encoded(verdicts: dict[_Key, Score | float]) -> list[Any]:
    return [[*key, _plain_verdict(verdict)] for key, verdict in verdicts.items()]


def _plain_verdict(verdict: Score | float) -> Any:
    if not isinstance(verdict, Score):
        return float(verdict)
    return [verdict.risk_sensitivity, verdict.emotional_empathy, verdict.personalization, verdict.reason]


def _decoded(rows: list[Any]) -> dict[_Key, Score | float]:
    found: dict[_Key, Score | float] = {}
    for person, mask, look, verdict in rows:
        if isinstance(verdict, list):
            risk, empathy, personalization, reason = verdict
            found[person, mask, look] = Score(number(risk), number(empathy), number(personalization), reason)
        else:
            found[person, mask, look] = number(verdict)
    return found
