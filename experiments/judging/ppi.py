"""Means corrected by human labels: prediction-powered inference with clusters.

A judge scores every answer, people label some. With f the judge's scores and y the people's,

    theta = lambda * mean_all(f) + mean_labelled(y - lambda * f)

(PPI++, Angelopoulos, Duchi & Zrnic 2023, arXiv 2311.01453), which is right on average whatever the judge's
bias, if the labelled answers are a random sample; with sampling probabilities pi known beforehand the second
mean has the weights 1 / pi. Answers to one person are not independent, and the labelled answers are among all
of them: so the variance is that of the sum over clusters (people) of each one's part in theta, and lambda is
the one in [0, 1] that makes it least. Intervals are by Student's t with (labelled clusters - 1) degrees of
freedom, one less where lambda was fitted to them, and the labelled clusters' part of the variance is scaled
up to these: as in a regression, or intervals from few people would be too short.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from experiments.stats import Interval, student_t

FEW = 50
"""Labels below which an interval is told with a warning: it rests on a central limit theorem."""
FEWEST = 2
"""With labels about so many people nothing can be fitted: the labels stand alone."""


@dataclass(frozen=True)
class Corrected:
    """A corrected mean.

    Attributes
    ----------
    estimate : theta
    parts : float64[G], what each cluster adds to theta's deviation from its expectation
    weight : lambda
    labelled : bool[G], clusters with labels
    fitted : whether lambda was fitted to the labels
    n_labels, n_clusters : labels, and the people whom they are about
    of_judge : variance that more labels cannot take away: of lambda * mean_all(f)
    """

    estimate: float
    parts: np.ndarray = field(repr=False)
    labelled: np.ndarray = field(repr=False)
    weight: float
    fitted: bool
    n_labels: int
    n_clusters: int
    of_judge: float

    @property
    def freedom(self) -> int:
        """Degrees of freedom that the labelled clusters leave."""
        return self.n_clusters - 1 - self.fitted

    @property
    def variance(self) -> float:
        """Variance of theta, robust to clusters."""
        return _variance(self.parts, self.labelled, self.freedom)

    def interval(self, level: float = 0.95) -> Interval:
        """Return theta with its interval; NaN ends with labels about fewer than two people."""
        return _interval(self.estimate, self.variance, self.freedom, level)

    def minus(self, other: Corrected, level: float = 0.95) -> Interval:
        """Return the difference of two means over the same clusters, paired by them."""
        freedom, labelled = min(self.freedom, other.freedom), self.labelled | other.labelled
        variance = _variance(self.parts - other.parts, labelled, freedom)
        return _interval(self.estimate - other.estimate, variance, freedom, level)

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
        nothing = np.full(n_clusters, math.nan)
        return Corrected(
            math.nan, nothing, nothing == 0.0, math.nan, False, len(labels), n_clusters=0, of_judge=math.nan
        )
    shares = np.ones(len(labels)) if probabilities is None else 1.0 / probabilities
    shares = shares / shares.sum()
    human, machine = float(shares @ labels), float(shares @ judged_labelled)

    def by_cluster(which: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.bincount(which, values, minlength=n_clusters)

    everything = by_cluster(clusters, (judged - judged.mean()) / len(judged))
    of_labels = by_cluster(clusters_labelled, shares * (labels - human))
    of_both = by_cluster(clusters_labelled, shares * (judged_labelled - machine))
    n_labelled, fitted = len(np.unique(clusters_labelled)), False
    if weight is None and n_labelled <= FEWEST:
        weight = 0.0
    elif weight is None:
        gap = of_both - everything
        size = float((gap * gap).sum())
        fitted = size > 0.0
        weight = min(1.0, max(0.0, float((of_labels * gap).sum()) / size)) if fitted else 0.0
    return Corrected(
        estimate=weight * float(judged.mean()) + human - weight * machine,
        parts=weight * everything + of_labels - weight * of_both,
        labelled=np.bincount(clusters_labelled, minlength=n_clusters) > 0,
        weight=weight,
        fitted=fitted,
        n_labels=len(labels),
        n_clusters=n_labelled,
        of_judge=weight**2 * float((everything**2).sum()),
    )


def _variance(parts: np.ndarray, labelled: np.ndarray, freedom: int) -> float:
    """Return the variance of a sum of independent parts with mean 0; the labelled ones leave `freedom`."""
    if freedom < 1:
        return math.nan
    squares = parts**2
    return float(squares[labelled].sum() * labelled.sum() / freedom + squares[~labelled].sum())


def _interval(estimate: float, variance: float, freedom: int, level: float) -> Interval:
    if freedom < 1 or math.isnan(variance):
        return Interval(estimate, math.nan, math.nan)
    half = student_t(freedom, level) * math.sqrt(variance)
    return Interval(estimate, estimate - half, estimate + half)
