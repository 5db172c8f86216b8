"""The domain of a query as a posterior: how probable each of PENGUIN's domains is, given the words.

The coefficients are of `experiments.train_domain`. Queries hardly tell their domain (of seven, the right one
comes first for 38 % of the queries of people who were not trained on, and among the first two for 57 %), so a
posterior weighs people; it picks nobody's plan.
"""

from __future__ import annotations

import functools

from policies.understanding.text_classifier import DATA, TextClassifier

DOMAIN = DATA / "domain.npz"


@functools.cache
def domain_classifier() -> TextClassifier:
    """Return the classifier of the package, loaded at the first call."""
    return TextClassifier.load(DOMAIN)


def domain_posterior(query: str) -> dict[str, float]:
    """Return {domain: probability} over PENGUIN's seven domains."""
    return domain_classifier().probabilities(query)
