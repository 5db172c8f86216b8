"""Many scenarios planned together are planned as each of them is alone."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.judges.protocol import Surface
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from search.algorithms.mcts import MCTSSearch
from search.planning import Failure, PlanOptions, plan_scenario, plan_scenarios
from search.problem import PlanningFailed
from tests.search.search_cases import TableJudge, scenario_of
from tests.search.surrogate.surfaces import lookup

SEARCHES = [{}, {"selection": "uct"}, {"backup": "mean"}, {"selection": "uct", "backup": "mean"}]


class Tables:
    """A judge of a user's own with a table of scores for each scenario, which it declares as a surface."""

    def __init__(self, tables):
        self.tables = tables

    def score(self, scenario, contexts):
        return [float(self.tables[scenario.id][scenario.schema.mask(names)]) for names in contexts]

    def surface(self, scenario):
        return Surface(lookup, self.tables[scenario.id])


class Counted(MCTSSearch):
    """Counts the plans that are made alone."""

    alone = 0

    def plan(self, problem, rng):
        self.alone += 1
        return super().plan(problem, rng)

    plan_surfaces = MCTSSearch.plan_surfaces


def told(outcomes):
    """Return all that rows say; of NaN too, which no other NaN equals."""
    return [repr(sorted(asdict(outcome).items())) for outcome in outcomes]


def alone(scenarios, judge, searcher, options):
    rows = []
    for scenario in scenarios:
        try:
            rows.append(plan_scenario(scenario, judge, searcher, options))
        except PlanningFailed as failed:
            rows.append(Failure(scenario.id, failed.stage, failed.reason))
    return rows


@st.composite
def landscapes(draw):
    n = draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([2, 9, None, None]))  # None: no two sets score the same
    people = [
        replace(scenario_of(n, known_values=np.flatnonzero(rng.random(n) < 0.9).tolist()), id=f"person-{i}")
        for i in range(draw(st.integers(1, 5)))
    ]
    shape = (len(people), 1 << n)
    scores = rng.uniform(1, 5, shape) if levels is None else rng.integers(0, levels, shape) * 0.4 + 1.0
    return people, Tables({s.id: row for s, row in zip(people, scores, strict=True)})


@settings(deadline=None, max_examples=40)
@given(
    case=landscapes(),
    keys=st.sampled_from(SEARCHES),
    simulations=st.integers(1, 140),
    budget=st.integers(1, 8),
    dropout=st.sampled_from([0.0, 0.1, 0.6]),
)
def test_rows_are_those_of_plans_made_alone(case, keys, simulations, budget, dropout):
    people, judge = case
    searcher = MCTSSearch(simulations, **keys)
    options = PlanOptions(budget=budget, dropout=dropout)
    together = plan_scenarios(people, judge, searcher, options)
    assert told(together) == told(alone(people, judge, searcher, options))


@pytest.mark.parametrize("judge", [SimulatedJudge(), SimulatedJudge("varied", 3, draws=2)])
@pytest.mark.parametrize("simulations", [25, 300])
def test_people_of_the_simulated_judge_are_planned_together_and_as_alone(judge, simulations):
    people, searcher = load_bundled()[::5], Counted(simulations)
    rows = told(plan_scenarios(people, judge, searcher, PlanOptions()))
    assert searcher.alone == 0
    assert rows == told(alone(people, judge, searcher, PlanOptions()))


@pytest.mark.parametrize(
    "options",
    [
        PlanOptions(cost_weight=0.1),
        PlanOptions(max_judge_calls=20),
        PlanOptions(prior=lambda scenario, mask: np.arange(1.0, 11.0)),
        PlanOptions(keep_observations=True),
    ],
)
def test_what_the_compiled_call_knows_nothing_of_is_planned_alone(options):
    people, searcher = load_bundled()[:3], Counted(50)
    rows = [row.path for row in plan_scenarios(people, SimulatedJudge(), searcher, options)]
    assert searcher.alone == 3
    assert rows == [row.path for row in alone(people, SimulatedJudge(), searcher, options)]


def test_a_search_or_judge_with_a_method_of_its_own_is_asked_by_it():
    class Backwards(MCTSSearch):
        def plan(self, problem, rng):
            plan = super().plan(problem, rng)
            return replace(plan, path=plan.path[::-1])

    class Other(SimulatedJudge):
        def surface(self, scenario):
            return None

    class Names(SimulatedJudge):
        def score(self, scenario, contexts):
            return [1.0 + len(names) / 10 for names in contexts]

    people, options = load_bundled()[:2], PlanOptions()
    forward = [row.path for row in plan_scenarios(people, SimulatedJudge(), MCTSSearch(50), options)]
    found = [row.path for row in plan_scenarios(people, SimulatedJudge(), Backwards(50), options)]
    assert found == [path[::-1] for path in forward]
    searcher = Counted(50)
    assert [row.path for row in plan_scenarios(people, Other(), searcher, options)] == forward
    rows = list(plan_scenarios(people, Names(), searcher, options))
    assert [row.score for row in rows] == [1.0 + len(row.path) / 10 for row in rows]
    assert searcher.alone == 4


def test_the_judge_itself_is_asked_of_what_was_taken_from_its_surface():
    class FalseTwin(Tables):
        def score(self, scenario, contexts):
            return [score - 0.25 for score in super().score(scenario, contexts)]

        surface = Tables.surface

    people = [replace(scenario_of(4), id=str(i)) for i in range(3)]
    judge = FalseTwin({s.id: np.linspace(2.0, 3.5, 16) + i / 2 for i, s in enumerate(people)})
    searcher = Counted(16)
    rows = list(plan_scenarios(people, judge, searcher, PlanOptions(budget=2)))
    assert searcher.alone == 0
    # The best pair is the last two of four attributes, set 12.
    assert [(row.search_score, row.score) for row in rows] == [(3.2, 2.95), (3.7, 3.45), (4.2, 3.95)]


def test_one_that_cannot_be_scored_fails_and_the_others_are_planned():
    people = [replace(scenario_of(3), id=str(i)) for i in range(3)]
    tables = {s.id: np.linspace(2.0, 4.0, 8) for s in people}
    tables["1"] = np.linspace(5.5, 6.0, 8)  # outside of what a judge can say
    judge, searcher = Tables(tables), MCTSSearch(20)
    rows = plan_scenarios(people, judge, searcher, PlanOptions(budget=2))
    assert [isinstance(row, Failure) for row in rows] == [False, True, False]
    assert (rows[1].scenario_id, rows[1].stage) == ("1", "report")
    assert [rows[1]] == alone(people[1:2], judge, searcher, PlanOptions(budget=2))
    assert math.isfinite(rows[2].score)


def test_scenarios_of_several_schemas_and_without_answers_are_planned_in_order():
    people = [scenario_of(3), scenario_of(5), scenario_of(5, known_values=[]), scenario_of(3)]
    people = [replace(s, id=str(i)) for i, s in enumerate(people)]
    rng = np.random.default_rng(0)
    judge = Tables({s.id: rng.uniform(1, 5, 1 << len(s.schema)) for s in people})
    rows = list(plan_scenarios(people, judge, MCTSSearch(40), PlanOptions(budget=3)))
    assert told(rows) == told(alone(people, judge, MCTSSearch(40), PlanOptions(budget=3)))


def test_nothing_is_asked_once_the_run_is_over():
    class Over(Exception):
        pass

    def stop():
        raise Over

    with pytest.raises(Over):
        list(plan_scenarios(load_bundled()[:2], SimulatedJudge(), MCTSSearch(20), PlanOptions(), stop))
    judge = TableJudge({})
    with pytest.raises(Over):
        list(plan_scenarios([scenario_of(3)], judge, MCTSSearch(20), PlanOptions(), stop))
    assert judge.asked == []
