"""The posterior of a query's domain: a distribution, better than chance for queries it never saw."""

import numpy as np
import pytest

from envs import DOMAINS
from envs.loading import load_bundled
from policies.understanding.domain import domain_classifier, domain_posterior


def test_it_is_a_distribution_over_the_seven_domains():
    found = domain_posterior("Should I stop taking my tablets?")
    assert set(found) == set(DOMAINS) - {"other"}
    assert sum(found.values()) == pytest.approx(1)


def test_it_ranks_domains_of_people_it_was_not_trained_on_better_than_chance():
    """The bundled queries are of other authors: chance is 1/7 first, 2/7 among the first two."""
    ranks = []
    for scenario in load_bundled():
        found = domain_posterior(scenario.query)
        ranks.append(sum(p >= found[scenario.domain] for p in found.values()))
    assert np.mean(np.array(ranks) == 1) > 0.2
    assert np.mean(np.array(ranks) <= 2) > 0.37


def test_no_sentence_is_in_the_file():
    arrays = domain_classifier()
    assert arrays.table.dtype == np.float16
    assert arrays.classes == tuple(sorted(set(DOMAINS) - {"other"}))
