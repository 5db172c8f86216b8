"""What an evaluation keeps in its journal: plans one by one, verdicts call by call, rows block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from envs import Judge
from experiments.evaluation.setting import Setting
from experiments.runs.journal import UnitJournal
from experiments.runs.kept_judge import KeptJudge, kept_judge
from search.plan_lines import from_json, plain_plan
from search.planning import ScenarioPlan

Make = Callable[[], pd.DataFrame]
KeepRows = Callable[[str, Setting, Make], pd.DataFrame]
"""(name of a block, its setting, what makes its rows) -> the rows, made now or by an earlier session."""


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
