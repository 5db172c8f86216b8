"""The leaderboard's numbers: planted differences lie in their intervals, rows and means by hand."""

import math
import threading
from collections import Counter
from dataclasses import replace

import numpy as np

from envs import Score
from envs.judges.protocol import Answered
from envs.loading import load_bundled
from experiments.evaluation.methods.baselines import STATIC_SETS
from experiments.penguin.models.conditions import FREE, RICH, Condition, conditions, without_plan
from experiments.penguin.models.leaderboard import paper_grid, published_tables
from experiments.penguin.models.model_scores import ModelRow, model_differences, model_means, score_model
from experiments.penguin.models.over_refusals import ask_benign
from policies import Agent
from policies.acquisition import VoteAcquisition
from policies.composed import ComposedPolicy
from policies.plan_index import PlanIndex

PLANTED = 0.3


def row(model, person, query, score, condition=FREE):
    nothing = (math.nan, math.nan, math.nan)
    unscored = int(math.isnan(score))
    return ModelRow(
        model, f"{person}-{query}", "health", person, condition, 0, (), score, nothing, 1, unscored, 0
    )


def planted_rows(seed):
    """Three models, each PLANTED above the one before; queries of one person share effects."""
    rng = np.random.default_rng(seed)
    rows = []
    for person in range(30):
        effects = rng.normal(0.0, 0.4, 2)  # of this person on the differences
        for query in range(5):
            base = rng.normal(2.8, 0.3)
            rows.append(row("a", person, query, base))
            for k, model in enumerate("bc"):
                rows.append(
                    row(model, person, query, base + (k + 1) * PLANTED + effects[k] + rng.normal(0.0, 0.17))
                )
    return rows


def test_order_and_planted_differences_are_recovered():
    """Intervals that took rows for people would miss far too often."""
    hits, ordered = Counter(), 0
    for seed in range(500):
        rows = planted_rows(seed)
        for found in model_differences(rows):
            planted = PLANTED * (ord(found.model) - ord(found.other))
            hits[found.model, found.other] += found.difference.low <= planted <= found.difference.high
        means = {m: np.mean([r.score for r in rows if r.model == m]) for m in "abc"}
        ordered += sorted(means, key=means.get) == ["a", "b", "c"]
    assert set(hits) == {("b", "a"), ("c", "a"), ("c", "b")}
    assert min(hits.values()) >= 465
    assert ordered >= 465


def test_means_and_gains_by_hand():
    rows = [row("a", p, 0, s) for p, s in enumerate((2.0, 3.0, math.nan))]
    rows += [row("a", p, 0, s, RICH) for p, s in enumerate((3.0, 5.0, 4.0))]
    found = {(m.condition, m.domain): m for m in model_means(rows)}
    assert found[FREE, "all"].score.estimate == 2.5
    assert (found[FREE, "all"].unscored, found[FREE, "all"].looks) == (1, 3)
    assert found[RICH, "health"].score.estimate == 4.0
    assert found[RICH, "all"].gain.estimate == 1.5  # the third person has nothing to be paired with


class CountingJudge:
    stochastic = True

    def __init__(self):
        self.asked = []

    def score(self, scenario, contexts, samples):
        self.asked += [(scenario.id, c, k) for c, k in zip(contexts, samples, strict=True)]
        return [Score(1.0 + min(4, len(c)), 1.0, 1.0) if c else Score(reason="refusal") for c in contexts]


def test_shared_contexts_are_scored_once_and_refusals_counted():
    scenarios = load_bundled()[:2]
    judge = CountingJudge()
    found = [
        Condition("x", (("Age",), ("Age",)), (1, 1)),
        Condition("y", (("Age",), ()), (1, 0)),
    ]
    rows = score_model("m", judge, scenarios, found, 2)
    assert len(judge.asked) == len(set(judge.asked)) == 6
    first, last = rows[0], rows[-1]
    assert (first.score, first.dimensions, first.looks, first.unscored) == (4.0 / 3.0, (2.0, 1.0, 1.0), 2, 0)
    assert math.isnan(last.score)
    assert (last.unscored, last.refused) == (2, 2)


class WaitingJudge(CountingJudge):
    """Answers nobody before three scenarios wait at once."""

    concurrent_plans = 3

    def __init__(self):
        super().__init__()
        self.together = threading.Barrier(3, timeout=60)

    def score(self, scenario, contexts, samples):
        self.together.wait()
        return super().score(scenario, contexts, samples)

    def respond(self, scenario, contexts):
        self.together.wait()
        return [Answered("Gladly.") for _ in contexts]


def test_as_many_scenarios_are_asked_for_at_once_as_the_judge_takes():
    scenarios = load_bundled()[:6]
    found = [Condition("x", (("Age",),) * 6, (1,) * 6), Condition(FREE, ((),) * 6, (0,) * 6)]
    rows = score_model("m", WaitingJudge(), scenarios, found, 1)
    assert repr(rows) == repr(score_model("m", CountingJudge(), scenarios, found, 1))
    assert [row.question for row in ask_benign("m", WaitingJudge(), scenarios)] == [s.id for s in scenarios]


def test_a_static_set_of_as_many_questions_comes_from_the_table():
    people, agent = load_bundled()[:1], Agent.load(None)
    for budget in (1, 2, 3, 6):
        own = [c for c in conditions(people, agent, budget, []) if c.name == f"static-{budget} of the table"]
        added = [agent.plan_index.schema.names[a] for a in agent.plan_index.ranking[:budget]]
        same = any(set(added) == set(members) for members in STATIC_SETS.values())
        assert [set(c.contexts[0]) for c in own] == ([] if same else [set(added)])


def test_an_agent_that_has_no_plan_beside_its_table_is_told_of():
    index = Agent.load(None).plan_index
    assert without_plan(Agent(index)) == ""
    bare = PlanIndex(index.table, index.index, index.schema)
    assert "raise-planner population" in without_plan(Agent(bare))
    assert without_plan(Agent(bare, ComposedPolicy(VoteAcquisition()))) == ""


def test_conditions_know_only_what_a_profile_has():
    one = load_bundled()[0]
    few = replace(one, id="few", profile={"Age": "40", "Gender": "Male"})
    found = {c.name: c for c in conditions([one, few], Agent.load(None), 3, ["Emotional State"])}
    assert found[FREE].contexts == ((), ())
    assert found["only Emotional State"].contexts == (("Emotional State",), ())
    assert found["only Emotional State"].questions == (1, 1)  # it was asked all the same
    assert found[RICH].contexts == (one.schema.names, ("Age", "Gender"))
    asked = found["RAISE, budget 3"]
    assert max(asked.questions) <= 3
    assert set(asked.contexts[1]) <= {"Age", "Gender"}


def test_the_paper_s_tables_are_whole():
    tables = published_tables()
    for methods in tables.scores.values():
        for scores in methods.values():
            assert len(scores) == 8
            if max(scores) < 4.5:  # the printed mean is of the printed domains, rounded
                assert abs(np.mean(scores[:7]) - scores[7]) < 0.35
    vanilla = np.mean([tables.scores[m]["vanilla"][7] for m in tables.questions])
    planner = np.mean([tables.scores[m]["planner"][7] for m in tables.questions])
    assert (round(vanilla, 2), round(planner, 2)) == (2.86, 3.77)
    assert round(np.mean([asked[0] for asked in tables.questions.values()]), 1) == 2.7
    assert len(paper_grid().rows) == 20
