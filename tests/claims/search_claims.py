"""What the claims about a search are held against: its plans and those of its rivals, and how each is judged.

Set by environment variables: `CLAIMS_SEARCH` (a member of `conf/search`, or a class of yours as
`my_pkg.MySearch`), `CLAIMS_JUDGES` judges of a kind with `CLAIMS_PEOPLE` people each, `CLAIMS_WORKERS`
processes, and `CLAIMS_DIR`, where finished plans are kept so that a stopped run goes on.
"""

import os
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

from experiments.comparison.cells import COLUMNS, Cell, CellJournal, run_cell
from experiments.comparison.problems import ProblemSet
from experiments.comparison.searchers import fingerprint_of, search_nodes, searcher_for
from experiments.stats import Interval, NestedBootstrap, binomial_interval
from search.path_rule import TIE
from search.rollouts import Ray, Serial

SUBJECT = os.environ.get("CLAIMS_SEARCH", "bayes")
JUDGES = int(os.environ.get("CLAIMS_JUDGES", "10"))
PEOPLE = int(os.environ.get("CLAIMS_PEOPLE", "10"))
WORKERS = int(os.environ.get("CLAIMS_WORKERS", "1"))
CUSTOM = {SUBJECT: {"_target_": SUBJECT}} if "." in SUBJECT else {}

ATTRIBUTES, BUDGET, SEED, DRAWS = 10, 4, 0, 2000
NOISE = 0.3
ENOUGH_JUDGES, ENOUGH_PEOPLE = 10, 500
"""Judges of a kind that settle a claim, and people that settle one about a mean over all of them."""
WAVE = 50
"""People of a domain before a search with `fit` learns; as many more follow."""
NEEDLE_CHANCE = 60 / 210
_BY_PERSON = ["landscape", "model_seed", "scenario_id"]


class Plans:
    """Plans of searches, a row a person with `COLUMNS`; each cell is run once, when it is asked for."""

    def __init__(self, folder: Path) -> None:
        names = list(dict.fromkeys([SUBJECT, *search_nodes(["all"], {})]))
        self.nodes = search_nodes(names, CUSTOM)
        fingerprint = fingerprint_of(OmegaConf.create({"custom": CUSTOM}), names, ())
        self.journal = CellJournal(folder, fingerprint, resume=True)
        self.done = dict(self.journal.done)
        self.parallel = Serial() if WORKERS == 1 else Ray(num_workers=WORKERS)

    def searcher(self, search, calls):
        return searcher_for(self.nodes[search], calls, SEED, scheduled=search == "gumbel")

    def of(self, search, landscape, noise, calls):
        """The plans of `search` for everybody of every judge, sorted by person."""
        searcher = self.searcher(search, calls)
        return self._run(
            Cell(
                ProblemSet(landscape, ATTRIBUTES, seed, BUDGET, PEOPLE, noise, SEED), search, searcher, calls
            )
            for seed in range(JUDGES)
        )

    def learning(self, landscape, calls, learns):
        """The plans of the subject for the later people of one domain, with and without earlier ones seen."""
        shared = 0.0 if landscape == "varied" else 0.5
        searcher = self.searcher(SUBJECT, calls)
        people = self._run(
            Cell(
                ProblemSet(
                    landscape, ATTRIBUTES, seed, BUDGET, 2 * WAVE, NOISE, SEED, shared, domain="health"
                ),
                SUBJECT,
                searcher,
                calls,
                learns,
                WAVE,
            )
            for seed in range(JUDGES)
        )
        return people[people["order"] >= WAVE]

    def _run(self, cells):
        cells = list(cells)
        waiting = [cell for cell in cells if cell.key not in self.done]
        for index, rows in self.parallel.map(run_cell, waiting) if waiting else ():
            key = waiting[index].key
            self.journal.add(key, rows)
            self.done[key] = rows
        rows = [row for cell in cells for row in self.done[cell.key]]
        return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(_BY_PERSON)


def settled(plans, people=1):
    """Skip where there are too few judges or people to settle anything."""
    judges = plans["model_seed"].nunique()
    if judges < ENOUGH_JUDGES or len(plans) < people:
        pytest.skip(f"open: {judges} judges and {len(plans)} people, expected {ENOUGH_JUDGES} and {people}")


def lost(plans) -> Interval:
    """Normalised regret: the share of the possible gain that is lost."""
    gain = (plans["best"] - plans["empty"]).to_numpy()
    return _bootstrap(plans).ratio(plans["regret"].to_numpy(), gain)


def loses_less(ours, theirs) -> None:
    """Hold that our regret less theirs, on the same problems, lies below zero."""
    settled(ours)
    gain = (ours["best"] - ours["empty"]).to_numpy()
    less = _bootstrap(ours).ratio(ours["regret"].to_numpy() - theirs["regret"].to_numpy(), gain)
    assert less.verdict == "below", less


def loses_less_than_greedy(ours, greedy) -> None:
    """Hold the same, or that both are exact: nobody can lose less than nothing."""
    if max(ours["regret"].max(), greedy["regret"].max()) > TIE:
        loses_less(ours, greedy)
    settled(ours)


def is_close_to_the_best(plans) -> None:
    """Hold that 97 of 100 people are within .01 of the possible gain, and the mean within .001."""
    settled(plans)
    close = plans["regret"] <= 0.01 * (plans["best"] - plans["empty"]) + 1e-12
    assert close.mean() >= 0.97, close.mean()
    assert lost(plans).estimate <= 0.001, lost(plans)


def loses_at_most(plans, share) -> None:
    """Hold that the share of the possible gain that is lost is at most `share`."""
    settled(plans)
    assert lost(plans).estimate <= share, lost(plans)


def reports_what_is_true(plans) -> None:
    """Hold that the mean of reported less true scores lies within .02 of zero, with its interval."""
    settled(plans, ENOUGH_PEOPLE)
    # Another landscape is another judge: clusters are (landscape, model seed).
    clusters = plans.groupby(["landscape", "model_seed"]).ngroup().to_numpy()
    found = NestedBootstrap(clusters, SEED, DRAWS).mean(plans["optimism"].to_numpy())
    assert found.low >= -0.02, found
    assert found.high <= 0.02, found


def finds_the_needle_by_chance_alone(plans) -> None:
    """Hold that nobody knows what nobody can know: the exact interval reaches down to chance."""
    settled(plans)
    found = binomial_interval(int((plans["regret"] < 1e-9).sum()), len(plans))
    assert found.low <= NEEDLE_CHANCE, found


def _bootstrap(plans) -> NestedBootstrap:
    return NestedBootstrap(plans["model_seed"].to_numpy(), SEED, DRAWS)
