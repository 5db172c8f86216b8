"""Small settings for the tests of the evaluation: three attributes, scores from tables."""

import numpy as np

from envs import Attribute, Scenario, Schema
from envs.judges.simulated import SimulatedJudge
from envs.schema.attribute import Level
from envs.users import ProfileUser
from experiments.evaluation.setting import Answers, Setting
from search.path_table import PathRecord, PathTable

LEVELS = (Level("low", ("low",)), Level("high", ("high",)))
ABC = Schema(
    [Attribute(name, f"{name}?", cost=cost, sensitivity=sensitivity, levels=LEVELS)
     for name, cost, sensitivity in (("A", 1.0, 1), ("B", 2.0, 3), ("C", 0.5, 4))]
)  # fmt: skip
SETS = ("", "A", "B", "C", "AB", "AC", "BC", "ABC")
#                          nothing A    B    C    AB   AC   BC   ABC
TABLE = dict(zip(SETS, (2.0, 3.0, 2.5, 1.5, 3.2, 3.4, 4.0, 3.8), strict=True))


class Tables:
    """A judge that reads the same table for everybody, raised by 0.1 for each `high`."""

    name = "tables"

    def __init__(self, table=TABLE):
        self.table = table

    def score(self, scenario, contexts):
        return [self.table["".join(names)] for names in contexts]


def scenario(name, domain="health", schema=ABC, query="?", **values):
    return Scenario(name, domain, query, {n: values.get(n, "low") for n in schema.names}, schema)


def setting(test, train=None, judge=None, budget=2, user=None, **options):
    train = [scenario("t0", A="high"), scenario("t1", B="high")] if train is None else train
    return Setting(judge or Tables(), train, test, budget, Answers(user or ProfileUser(), test), **options)


def path_record(scenario_id, path, scores, query="?", domain="health"):
    return PathRecord(
        scenario_id=scenario_id, domain=domain, query=query, path=tuple(path), path_scores=tuple(scores),
        score=scores[-1], score_stderr=0.0, n_samples=1, search_score=scores[-1], budget=2, num_simulations=0,
        judge_calls=0, search="mcts", judge="simulated", seed=0,
    )  # fmt: skip


def path_table(*records):
    return PathTable.from_records(records, {})


def simulated(preset="varied", model_seed=0, noise_std=0.0):
    return SimulatedJudge(preset, model_seed, noise_std)


def profiles_of(scenarios):
    return np.unique([hash(s.profile) for s in scenarios])
