"""Means corrected by human labels: prediction-powered inference with clusters.

A judge scores every answer, people label some. With f the judge's scores and y the people's,

    theta = lambda * mean_all(f) + mean_labelled(y - lambda * f)

(PPI++, Angelopoulos, Duchi & Zrnic 2023, arXiv 2311.01453), which is right on average whatever the judge's
bias, if the labelled answers are a random sample; with sampling probabilities pi known beforehand the second
mean has the weights 1 / pi. Answers to one person are not independent, and the labelled answers are among all
of them: so the variance is that of the sum over clusters (people) of each one's part in theta, and lambda is
the one in [0, 1] that makes it least. Intervals are by Student's t with (labelled clusters - 1) degrees of
freedom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from experiments.stats import Interval, student_t

FEW = 50
"""Labels below which an interval is told with a warning: it rests on a central limit theorem."""


@dataclass(frozen=True)
class Corrected:
    """A corrected mean.

    Attributes
    ----------
    estimate : theta
    parts : float64[G], what each cluster adds to theta's deviation from its expectation
    weight : lambda
    n_labels, n_clusters : labels, and the people whom they are about
    of_judge : variance that more labels cannot take away: of lambda * mean_all(f)
    """

    estimate: float
    parts: np.ndarray = field(repr=False)
    weight: float
    n_labels: int
    n_clusters: int
    of_judge: float

    @property
    def variance(self) -> float:
        """Variance of theta, robust to clusters."""
        return _of_parts(self.parts)

    def interval(self, level: float = 0.95) -> Interval:
        """Return theta with its interval; NaN ends with labels about fewer than two people."""
        return _interval(self.estimate, self.variance, self.n_clusters, level)

    def minus(self, other: Corrected, level: float = 0.95) -> Interval:
        """Return the difference of two means over the same clusters, paired by them."""
        variance = _of_parts(self.parts - other.parts)
        return _interval(
            self.estimate - other.estimate, variance, min(self.n_clusters, other.n_clusters), level
        )

    def labels_to_halve(self) -> float:
        """Return how many labels would halve the interval; inf = no number would: the judge's part stays.

        Of the variance only what labels bring falls with their number.
        """
        wanted = self.variance / 4.0 - self.of_judge
        return math.inf if wanted <= 0.0 else self.n_labels * (self.variance - self.of_judge) / wanted


def corrected_mean(
    judged: np.ndarray,
    clusters: np.ndarray,
    labels: np.ndarray,
    judged_labelled: np.ndarray,
    clusters_labelled: np.ndarray,
    n_clusters: int,
    probabilities: np.ndarray | None = None,
    weight: float | None = None,
) -> Corrected:
    """Return the mean that people would give, from the judge's scores of all answers and some labels.

    Parameters
    ----------
    judged, clusters : float64[N], int[N], the judge's scores of all answers, and the person of each
    labels, judged_labelled, clusters_labelled : float64[n], float64[n], int[n], of the labelled answers
    n_clusters : G; clusters are 0 to G - 1, the same ones in both
    probabilities : float64[n], with which each labelled answer was drawn; None = all the same
    weight : lambda; None = the best in [0, 1]; 0 = the labels alone
    """
    if not len(labels) or not len(judged):
        return Corrected(math.nan, np.full(n_clusters, math.nan), math.nan, len(labels), 0, math.nan)
    shares = np.ones(len(labels)) if probabilities is None else 1.0 / probabilities
    shares = shares / shares.sum()
    human, machine = float(shares @ labels), float(shares @ judged_labelled)

    def by_cluster(which: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.bincount(which, values, minlength=n_clusters)

    everything = by_cluster(clusters, (judged - judged.mean()) / len(judged))
    of_labels = by_cluster(clusters_labelled, shares * (labels - human))
    of_both = by_cluster(clusters_labelled, shares * (judged_labelled - machine))
    if weight is None:
        gap = of_both - everything
        size = float((gap * gap).sum())
        weight = min(1.0, max(0.0, float((of_labels * gap).sum()) / size)) if size > 0.0 else 0.0
    return Corrected(
        estimate=weight * float(judged.mean()) + human - weight * machine,
        parts=weight * everything + of_labels - weight * of_both,
        weight=weight,
        n_labels=len(labels),
        n_clusters=len(np.unique(clusters_labelled)),
        of_judge=weight**2 * _of_parts(everything),
    )


def _of_parts(parts: np.ndarray) -> float:
    """Return the variance of a sum of independent parts with mean 0."""
    involved = int(np.count_nonzero(parts))
    return float((parts**2).sum()) * involved / (involved - 1) if involved > 1 else math.nan


def _interval(estimate: float, variance: float, n_clusters: int, level: float) -> Interval:
    if n_clusters < 2 or math.isnan(variance):
        return Interval(estimate, math.nan, math.nan)
    half = student_t(n_clusters - 1, level) * math.sqrt(variance)
    return Interval(estimate, estimate - half, estimate + half)
