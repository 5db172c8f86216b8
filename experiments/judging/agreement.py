"""How far raters agree: Krippendorff's alpha, weighted kappa, correlation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from experiments.stats import Interval, student_t


def krippendorff_alpha(scores: np.ndarray) -> float:
    """Return Krippendorff's alpha of interval data.

    alpha = 1 - D_o / D_e (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability"). D_o: the mean
    squared difference of two scores of one unit, each unit weighted by how many scores it has. D_e: that of
    any two of all these scores. 1: they agree; 0: as by chance.

    scores : float64[units, raters], NaN = missing. Units with fewer than two scores say nothing. NaN without
        any unit, or where all scores are the same number.
    """
    kept = scores[(~np.isnan(scores)).sum(axis=1) > 1]
    there = ~np.isnan(kept)
    n = int(there.sum())
    if not n:
        return math.nan
    counts = there.sum(axis=1)
    # Sum over ordered pairs of (a - b)^2 = 2 m sum a^2 - 2 (sum a)^2; centred, so that nothing cancels.
    centred = np.where(there, kept - np.mean(kept[there]), 0.0)
    pairs = 2.0 * counts * (centred**2).sum(axis=1) - 2.0 * centred.sum(axis=1) ** 2
    observed = float((pairs / (counts - 1)).sum()) / n
    expected = 2.0 * n * float((centred**2).sum()) / (n * (n - 1))
    return 1.0 - observed / expected if expected > 0.0 else math.nan


def weighted_kappa(a: np.ndarray, b: np.ndarray, levels: int = 5) -> float:
    """Return Cohen's kappa with quadratic weights of two raters' levels 1 to `levels` (Cohen 1968).

    kappa = 1 - sum_ij w_ij o_ij / sum_ij w_ij e_ij, w_ij = (i - j)^2, e the product of both margins. Scores
    between levels are rounded to the nearest. a, b : float64[N], NaN = missing, such pairs are left out. NaN
    where nothing is left, or both say one and the same level throughout.
    """
    both = ~np.isnan(a) & ~np.isnan(b)
    if not both.any():
        return math.nan
    rows, columns = (np.clip(np.floor(x[both] + 0.5).astype(int), 1, levels) - 1 for x in (a, b))
    table = np.zeros((levels, levels))
    np.add.at(table, (rows, columns), 1.0)
    table /= table.sum()
    weights = np.subtract.outer(np.arange(levels), np.arange(levels)).astype(float) ** 2
    by_chance = np.multiply.outer(table.sum(axis=1), table.sum(axis=0))
    expected = float((weights * by_chance).sum())
    return 1.0 - float((weights * table).sum()) / expected if expected > 0.0 else math.nan


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation of two float64[N], without pairs that hold a NaN.

    NaN with fewer than three pairs, or where one of both is constant.
    """
    both = ~np.isnan(a) & ~np.isnan(b)
    if both.sum() < 3:
        return math.nan
    x, y = (v[both] - v[both].mean() for v in (a, b))
    size = math.sqrt(float((x * x).sum()) * float((y * y).sum()))
    return float((x * y).sum()) / size if size > 0.0 else math.nan


def jackknife(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    a: np.ndarray,
    b: np.ndarray,
    people: np.ndarray,
    level: float = 0.95,
) -> Interval:
    """Return a statistic in [-1, 1] of pairs float64[N] with its interval for clusters (int[N]).

    By leaving out one person at a time, on Fisher's scale atanh, with Student's t of (people - 1); pairs that
    hold a NaN are left out.
    """
    both = ~np.isnan(a) & ~np.isnan(b)
    a, b, people = a[both], b[both], people[both]
    whole = statistic(a, b)
    left = np.array([statistic(a[people != p], b[people != p]) for p in np.unique(people)])
    left = np.arctanh(np.clip(left[~np.isnan(left)], -_ONE, _ONE))
    if len(left) < 2 or math.isnan(whole):
        return Interval(whole, math.nan, math.nan)
    variance = (len(left) - 1) / len(left) * float(((left - left.mean()) ** 2).sum())
    z, half = math.atanh(min(max(whole, -_ONE), _ONE)), student_t(len(left) - 1, level) * math.sqrt(variance)
    return Interval(whole, math.tanh(z - half), math.tanh(z + half))


_ONE = 1.0 - 1e-6
"""What stands for a perfect agreement, whose atanh is infinite."""
