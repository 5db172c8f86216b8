"""Print what is planned, every float of it, as JSON; run by `test_every_processor.py`.

`python processor_rows.py`, in an environment that tells the libraries what processor they are on.
"""

import json

import numpy as np

from envs import Attribute, Scenario, Schema
from envs.judges.landscapes import LANDSCAPES, LandscapeJudge
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from search.algorithms.bayes import BayesSearch
from search.path_table import row_of
from search.population.exact import Solution
from search.population.scenario_population import Population
from search.population.tree_building import expected, worth
from search.population.tree_search import PopulationMCTS
from search.rollouts import plan
from search.surrogate.learned_prior import learn_effects
from tests.search.algorithms.searchers import SEARCHERS

BUNDLED = load_bundled()
SCENARIOS = BUNDLED[:: len(BUNDLED) // 4][:4]
WIDE = Schema(Attribute(f"attribute {i}", "?") for i in range(16))
"""Too many attributes for `bayes` to list all sets."""


def rows(scenarios, judge, searcher, **options):
    return [
        {**row_of(p), "full": p.score_full, "stopped": p.stopped}
        for p in plan(scenarios, judge, searcher, **options)
    ]


def planned():
    for preset in ("published", "varied"):
        for noise in (0.0, 0.17):
            judge = SimulatedJudge(preset, noise_std=noise)
            for name, searcher in SEARCHERS.items():
                yield f"{name}, {preset}, noise {noise}", rows(SCENARIOS, judge, searcher)
            learning = rows(BUNDLED[:12], judge, BayesSearch(25), wave=4)
            yield f"bayes that learns, {preset}, noise {noise}", learning


def of_landscapes():
    people = [Scenario(f"s{i}", "health", "?", dict.fromkeys(WIDE.names, "yes"), WIDE) for i in range(2)]
    for kind in LANDSCAPES:
        yield f"landscape {kind}", rows(people, LandscapeJudge(kind, noise_std=0.1), BayesSearch(25))


def of_populations():
    population = Population(BUNDLED[::20], SimulatedJudge("varied", noise_std=0.17), budget=3, samples=2)
    problem = population.problem(decline_rate=0.1)
    trees = Solution(problem).tree(), PopulationMCTS(500).plan(problem, np.random.default_rng(0))
    for tree in trees:
        objective = worth(problem, tree).objective
        yield f"population, {tree.planner}", [str(tree), objective.tolist(), expected(problem, objective)]
    fixed = SEARCHERS["mcts"].plan(problem.mean_problem(), np.random.default_rng(0))
    yield "population, one path for all", [list(fixed.path), fixed.scores.tolist()]


def learned():
    records = list(plan(BUNDLED[:10], SimulatedJudge(noise_std=0.17), SEARCHERS["greedy"]))
    yield "effects", learn_effects(records)


if __name__ == "__main__":
    found = {}
    for part in (planned, of_landscapes, of_populations, learned):
        found.update(part())
    print(json.dumps(found))
