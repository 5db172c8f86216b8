"""Answers what the pages ask of a run; opens the slow parts (journal lines, cache, scenarios) when asked."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

from envs import Scenario, UserError
from experiments.viewer.judge_records import CachedCalls, JudgeCall, from_transcripts, scenarios_of
from experiments.viewer.plan_steps import PlanStep, contexts_of, plan_of, steps_of
from experiments.viewer.run_contents import ListedScenario, RunContents
from search.path_table import PathRecord
from search.planning import ScenarioPlan


class ShownScenario(NamedTuple):
    """All that a scenario's page shows. `values`: (attribute, value) of the profile, if wanted."""

    listed: Sequence[ListedScenario]
    record: PathRecord | None
    plan: ScenarioPlan | None
    steps: Sequence[PlanStep]
    values: Sequence[tuple[str, str]]
    problems: Sequence[str]


class ShownCalls(NamedTuple):
    """Judge calls with where they are from; `problem`: why there are none."""

    calls: Sequence[JudgeCall]
    source: str
    problem: str = ""


class RunBrowser:
    """A run that is looked at. `with_values`: profiles and what models wrote are shown as well.

    Safe to call from many threads.
    """

    def __init__(self, run: RunContents, with_values: bool = False) -> None:
        self.run = run
        self.with_values = with_values
        self.domains = sorted({s.domain for s in run.scenarios if s.domain})
        self.states = list(dict.fromkeys(s.state for s in run.scenarios))
        self._by_id: dict[str, list[ListedScenario]] = {}
        for scenario in run.scenarios:
            self._by_id.setdefault(scenario.scenario_id, []).append(scenario)
        self._lock = threading.Lock()
        self._cached: CachedCalls | UserError | None = None
        self._scenarios: dict[str, Scenario] | UserError | None = None

    def scenario(self, scenario_id: str) -> ShownScenario | None:
        """Return what is known of a scenario, None where the run has none of that id."""
        listed = self._by_id.get(scenario_id)
        if listed is None:
            return None
        record, problems = self.run.records.get(scenario_id), []
        plan, problem = self._plan(scenario_id)
        values: Sequence[tuple[str, str]] = ()
        if problem:
            problems.append(problem)
        if self.with_values:
            values, problem = self._values(scenario_id)
            if problem:
                problems.append(problem)
        steps = [] if record is None else steps_of(record, plan)
        return ShownScenario(listed, record, plan, steps, values, problems)

    def _plan(self, scenario_id: str) -> tuple[ScenarioPlan | None, str]:
        rows, problem = self.run.plans.rows(scenario_id)
        if not rows:
            return None, problem
        try:
            return plan_of(rows[-1]), problem
        except UserError as error:
            return None, str(error)

    def _values(self, scenario_id: str) -> tuple[Sequence[tuple[str, str]], str]:
        with self._lock:
            if self._scenarios is None:
                try:
                    self._scenarios = scenarios_of(self.run)
                except UserError as error:
                    self._scenarios = error
        if isinstance(self._scenarios, UserError):
            return (), f"profile: {self._scenarios}"
        scenario = self._scenarios.get(scenario_id)
        if scenario is None:
            return (), f"profile: the run's scenarios have no {scenario_id} any more"
        return tuple(scenario.profile.items()), ""

    def calls(self, scenario_id: str) -> ShownCalls:
        """Return the judge calls of a planned scenario."""
        rows, problem = self.run.transcripts.rows(scenario_id)
        if rows:
            return ShownCalls(from_transcripts(rows), "transcripts.jsonl, every call of the run", problem)
        record = self.run.records[scenario_id]
        plan, _ = self._plan(scenario_id)
        with self._lock:  # one replay at a time, and the cache is opened once
            try:
                if self._cached is None:
                    self._cached = CachedCalls(self.run)
                if isinstance(self._cached, UserError):
                    raise self._cached
                found = self._cached.calls(scenario_id, contexts_of(record, plan), record.n_samples)
            except UserError as error:
                if self._cached is None:
                    self._cached = error
                return ShownCalls((), "", str(error))
        return ShownCalls(found, "the cache of replies: the sets of the path and what was weighed beside it")
