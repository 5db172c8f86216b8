"""Scores after one to four questions: the agent's on people it was not planned for, and those of static sets.

People are those of `CLAIMS_SCENARIOS` (a scenario file, such as PENGUIN's; default: the bundled ones), judged
by `CLAIMS_JUDGES` draws of a preset; they answer with their true values, and nobody stops before the budget
is spent. A fold is judged by plans, static sets and classifiers of domains of the other people;
`CLAIMS_FOLDS` of the five are run. `python -m tests.claims.questions_asked` prints the figures.
"""

import os

import numpy as np

from envs.judges.simulated import SimulatedJudge
from envs.loading import load_scenarios
from policies import PlanIndex
from policies.acquisition import ConditionalAcquisition
from policies.dialogue_state import DialogueState
from policies.plan_index import SHIPPED
from policies.retrieval import Index
from search.path_table import PathTable
from search.population.history_building import history_values
from search.population.history_values import load_histories
from search.population.scenario_population import Population
from search.population.set_table import columns, sets_within

SCENARIOS = os.environ.get("CLAIMS_SCENARIOS")
JUDGES = int(os.environ.get("CLAIMS_JUDGES", "10"))
FOLDS = int(os.environ.get("CLAIMS_FOLDS", "1"))
BUDGET, MIN_PROFILES, DROPOUT = 4, 20, 0.1
OF = 5
"""Folds that people are dealt into."""


class NoEmbedding:
    """Vectors of nothing: no neighbour is looked at here."""

    name, version, dim = "none", "1", 1

    def embed(self, texts):
        return np.zeros((len(texts), 1), np.float32)


class WithPosterior(ConditionalAcquisition):
    """The agent's acquisition with posteriors by classifiers that never saw the people asked."""

    def __init__(self, posteriors):
        super().__init__()
        self.posteriors = posteriors

    def shares(self, dialogue, histories):
        held_out = self.posteriors.get(dialogue.query) if dialogue.domain is None else None
        return held_out or super().shares(dialogue, histories)


class People:
    """One scenario of each person; `queries`: all that they ask."""

    def __init__(self, path=SCENARIOS):
        scenarios = load_scenarios(path).scenarios
        first = {}
        self.queries = {}
        for scenario in scenarios:
            first.setdefault(scenario.profile, scenario)
            self.queries.setdefault(scenario.profile, []).append(scenario)
        self.scenarios = list(first.values())
        self.domains = np.array([s.domain for s in self.scenarios])
        self.codes = np.array([s.codes for s in self.scenarios])
        self.fold = np.random.default_rng(0).permutation(len(self.scenarios)) % OF

    def posteriors(self, fold):
        """{query of a person of `fold`: {domain: probability}} by a classifier of the others' queries."""
        from experiments.train_domain import train

        own = [self.queries[s.profile] for s, f in zip(self.scenarios, self.fold, strict=True) if f == fold]
        others = [s for i, s in enumerate(self.scenarios) if self.fold[i] != fold]
        classifier = train([query for s in others for query in self.queries[s.profile]])
        return {s.query: classifier.probabilities(s.query) for queries in own for s in queries}


def plan_index(histories, schema):
    table = PathTable.load(SHIPPED)
    index = Index.build(NoEmbedding(), table.table["query"].to_pylist())
    return PlanIndex(table, index, schema, "claims", None, histories)


def asked(acquisition, index, scenario, query, domain, codes, scores):
    """float64[BUDGET], the score after each question; `scores`: of every set of this person."""
    schema, known, found = scenario.schema, 0, []
    for left in range(BUDGET, 0, -1):
        names = [schema.names[a] for a in range(len(schema)) if known >> a & 1]
        levels = {n: schema.attributes[schema.index(n)].levels[codes[schema.index(n)]].name for n in names}
        neighbours = index.rows(np.zeros(0, np.int64), np.zeros(0))
        state = DialogueState(
            index, query, dict.fromkeys(names, "told"), tuple(names), (), neighbours, left, domain, levels
        )
        known |= 1 << acquisition.choose(state).attribute
        found.append(scores[columns([known], len(schema), BUDGET)[0]])
    return np.array(found)


def best_sets(scores):
    """int64[BUDGET], columns of the best static set of each size, by its mean over people."""
    sizes = np.bitwise_count(sets_within(10, BUDGET))
    mean = scores.mean(axis=0)
    return np.array([max(np.flatnonzero(sizes == k), key=lambda c: mean[c]) for k in range(1, BUDGET + 1)])


class Compared:
    """Sums over people and judges, of {told, not told} x {agent, static}: float64[BUDGET]."""

    def __init__(self):
        self.found = {(told, who): [] for told in ("told", "not told") for who in ("agent", "static")}

    def add(self, told, agent, static):
        self.found[told, "agent"].append(agent)
        self.found[told, "static"].append(static)

    def mean(self, told, who):
        return np.mean(self.found[told, who], axis=0)


def compare(index, acquisition, people, test, scores, static_of, compared, rng):
    """Talk with the people `test`; `static_of`: {domain or all: columns of static sets}."""
    for i in test.tolist():
        scenario = people.scenarios[i]
        queries = people.queries[scenario.profile]
        query = queries[rng.integers(len(queries))].query
        for told, domain in (("told", scenario.domain), ("not told", None)):
            agent = asked(acquisition, index, scenario, query, domain, people.codes[i], scores[i])
            compared.add(told, agent, scores[i, static_of[domain or "all"]])


def statics(scores, domains):
    """{domain: columns} and, pooled, `all`."""
    found = {d: best_sets(scores[domains == d]) for d in dict.fromkeys(domains.tolist())}
    return {**found, "all": best_sets(scores)}


def planned_by_draw(preset, people=None, judges=JUDGES, folds=FOLDS):
    """Plans of a draw on held-out people of the same draw."""
    people = people or People()
    compared = Compared()
    posteriors = [people.posteriors(fold) for fold in range(folds)]
    for draw in range(judges):
        population = Population(people.scenarios, SimulatedJudge(preset, draw), BUDGET)
        for fold in range(folds):
            train, test = np.flatnonzero(people.fold != fold), np.flatnonzero(people.fold == fold)
            problem = population.problem(train, dropout=DROPOUT)
            index = plan_index(history_values(problem, MIN_PROFILES), population.schema)
            static_of = statics(population.scores[train], people.domains[train])
            rng = np.random.default_rng([draw, fold])
            acquisition = WithPosterior(posteriors[fold])
            compare(index, acquisition, people, test, population.scores, static_of, compared, rng)
    return compared


def shipped(preset="varied", people=None, judges=JUDGES):
    """The shipped plans on draws that they were not planned for; static sets of the same people and mean."""
    people = people or People()
    bundled = People(None)
    mean = Population(bundled.scenarios, SimulatedJudge(preset, 1000, draws=20), BUDGET)
    static_of = statics(mean.scores, bundled.domains)
    index = plan_index(load_histories(SHIPPED.parent / "histories.npz"), mean.schema)
    posteriors = {q: p for fold in range(OF) for q, p in people.posteriors(fold).items()} if SCENARIOS else {}
    compared = Compared()
    for draw in range(judges):
        scores = Population(people.scenarios, SimulatedJudge(preset, draw), BUDGET).scores
        test, rng = np.arange(len(people.scenarios))[draw % OF :: OF], np.random.default_rng(draw)
        compare(index, WithPosterior(posteriors), people, test, scores, static_of, compared, rng)
    return compared


def show(name, compared):
    """Print the means of the agent and of static sets, and their difference."""
    for told in ("told", "not told"):
        agent, static = compared.mean(told, "agent"), compared.mean(told, "static")
        figures = f"agent {agent.round(3)} static {static.round(3)} difference {(agent - static).round(3)}"
        print(f"{name}, {told}: {figures}", flush=True)


def main():
    everybody = People()
    show("shipped plans, varied", shipped("varied", everybody))
    for preset in ("varied", "published"):
        show(f"plans of each draw, {preset}", planned_by_draw(preset, everybody))


if __name__ == "__main__":
    main()
