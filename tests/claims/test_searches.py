"""What is claimed of a search at equal judge calls, on simulated judges whose truth is known."""

import os
from pathlib import Path

import pandas as pd
import pytest

from experiments.comparison.searchers import search_nodes
from tests.claims import search_claims as claims
from tests.claims.search_claims import NOISE, SUBJECT, Plans

pytestmark = pytest.mark.claims

EXACT = ("published", "varied", "additive", "pair_complement")
NOISY = ("varied", "pair_complement")
EXACT_CALLS = NEEDLE_CALLS = 60
GREEDY_CALLS = 35
"""What greedy needs for ten attributes and four questions: 10 + 9 + 8 + 7, and one for nothing known."""
ALL_SETS = 386


@pytest.fixture(scope="session")
def plans(tmp_path_factory):
    kept = os.environ.get("CLAIMS_DIR")
    found = Plans(Path(kept) if kept else tmp_path_factory.mktemp("claims"))
    with found.journal:
        yield found


@pytest.fixture
def known_not_to_hold(request):
    """Say that `bayes` is known to miss a target: the test then may fail."""

    def say(reason):
        if SUBJECT == "bayes":
            request.applymarker(pytest.mark.xfail(reason=reason))

    return say


@pytest.mark.parametrize("landscape", EXACT)
def test_close_to_the_best_without_noise(plans, landscape):
    claims.is_close_to_the_best(plans.of(SUBJECT, landscape, 0.0, EXACT_CALLS))


@pytest.mark.skipif(SUBJECT == "greedy", reason="greedy itself")
@pytest.mark.parametrize("landscape", EXACT)
def test_loses_less_than_greedy_without_noise(plans, landscape, known_not_to_hold):
    if landscape in ("published", "varied"):
        known_not_to_hold("cannot be told apart on the presets, see docs/results/searches.md")
    ours, greedy = (plans.of(search, landscape, 0.0, GREEDY_CALLS) for search in (SUBJECT, "greedy"))
    claims.loses_less_than_greedy(ours, greedy)


@pytest.mark.parametrize("rival", [r for r in ("greedy", "exhaustive", "best_static") if r != SUBJECT])
@pytest.mark.parametrize("calls", [60, 120])
@pytest.mark.parametrize("landscape", NOISY)
def test_loses_less_than_a_rival_under_noise(plans, landscape, calls, rival):
    ours, theirs = (plans.of(search, landscape, NOISE, calls) for search in (SUBJECT, rival))
    claims.loses_less(ours, theirs)


@pytest.mark.skipif(SUBJECT == "exhaustive", reason="exhaustive itself")
@pytest.mark.parametrize("calls", [60, 120])
@pytest.mark.parametrize("landscape", NOISY)
def test_loses_less_than_every_set_evaluated_once(plans, landscape, calls, known_not_to_hold):
    known_not_to_hold(
        "with an evaluation of every set, exhaustive is as good or better, see docs/results/searches.md"
    )
    every_set = plans.of("exhaustive", landscape, NOISE, ALL_SETS)
    claims.loses_less(plans.of(SUBJECT, landscape, NOISE, calls), every_set)


@pytest.mark.parametrize(("calls", "share"), [(60, 0.06), (120, 0.04)])
def test_loses_little_of_the_sketch_under_noise(plans, calls, share, known_not_to_hold):
    known_not_to_hold("measured .073 at 60 calls and .050 at 120, see docs/results/searches.md")
    claims.loses_at_most(plans.of(SUBJECT, "sketch", NOISE, calls), share)


def test_reports_what_is_true(plans):
    landscapes = (*NOISY, "sketch", "published", "coverage", "additive")
    claims.reports_what_is_true(pd.concat([plans.of(SUBJECT, name, NOISE, 60) for name in landscapes]))


@pytest.mark.parametrize("search", list(dict.fromkeys([*search_nodes(["all"], {}), SUBJECT])))
def test_finds_the_needle_by_chance_alone(plans, search):
    claims.finds_the_needle_by_chance_alone(plans.of(search, "needle", 0.0, NEEDLE_CALLS))


@pytest.mark.parametrize("calls", [20, 35])
@pytest.mark.parametrize("landscape", ["varied", "sketch"])
def test_learns_from_people_of_the_domain(plans, landscape, calls):
    if not hasattr(plans.searcher(SUBJECT, calls), "fit"):
        pytest.skip(f"{SUBJECT} has no `fit`")
    ours, unlearned = (plans.learning(landscape, calls, learns) for learns in (True, False))
    claims.loses_less(ours, unlearned)
