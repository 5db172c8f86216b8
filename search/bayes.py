"""Public name of `search.algorithms.bayes`."""

from search.algorithms.bayes import BayesSearch

__all__ = ["BayesSearch"]
