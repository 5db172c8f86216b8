"""Statistics of all reports: one interval, two bootstrap designs, and the exact and normal intervals.

Queries of one person are not independent, and neither are the rows of one draw of a judge: both designs draw
clusters with replacement. All statistics of one `Bootstrap` share their draws, so that differences between
methods on the same rows are paired.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from envs import UserError

Z95 = 1.96
"""Half-width of a 95 % normal interval in standard errors."""


class Interval(NamedTuple):
    """An estimate with its interval; NaN where nothing was scored."""

    estimate: float
    low: float
    high: float

    @classmethod
    def from_json(cls, values: Mapping[str, float | None]) -> Interval:
        """Return the interval that was written as {estimate, low, high}, null for what is no number."""
        return cls(**{name: math.nan if value is None else value for name, value in values.items()})

    @property
    def verdict(self) -> str:
        """On which side of zero the interval lies: `below`, `above`, or `undecided`."""
        return "below" if self.high < 0.0 else "above" if self.low > 0.0 else "undecided"

    @property
    def rank(self) -> float:
        """The estimate as a key to sort by: where nothing was scored, below all others."""
        return -math.inf if math.isnan(self.estimate) else self.estimate

    def excludes_zero(self) -> bool:
        """Tell whether zero lies outside of the interval."""
        return self.verdict != "undecided"


def check_bootstrap(n_draws: int, level: float) -> None:
    """Raise `UserError` where the number of samples or the coverage is out of range."""
    if n_draws < 1:
        raise UserError(f"bootstrap: found {n_draws} draws, expected at least 1")
    check_level(level)


def check_level(level: float) -> None:
    """Raise `UserError` where the coverage of an interval is out of range."""
    if not 0.0 < level < 1.0:
        raise UserError(f"level: found {level}, expected a number between 0 and 1")


class Bootstrap(ABC):
    """Means and ratios over R rows with percentile intervals.

    Parameters
    ----------
    n_rows : int >= 1
    n_draws : int >= 1, how many bootstrap samples
    level : float in (0, 1), coverage of the intervals

    Raises
    ------
    UserError
        no rows, or numbers out of range.
    """

    _quantiles = "linear"

    def __init__(self, n_rows: int, n_draws: int, level: float) -> None:
        if not n_rows:
            raise UserError("bootstrap: found no rows, expected at least one")
        check_bootstrap(n_draws, level)
        self.n_draws = n_draws
        self.level = level

    @abstractmethod
    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return float64[1 + n_draws]: the sum of `values` (float64[R]), then its sum in each sample."""

    def means(self, values: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return float64[1 + n_draws]: the mean of `values`, then its mean in each sample.

        `values`: float64[R], NaN = unscored, left out. `rows`: bool[R], which rows count (default: all). A
        sample without any row is NaN.
        """
        values = np.asarray(values, dtype=np.float64)
        kept = ~np.isnan(values)
        if rows is not None:
            kept &= rows
        with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN that is wanted
            return self.sums(np.where(kept, values, 0.0)) / self.sums(kept.astype(np.float64))

    def mean(self, values: np.ndarray, rows: np.ndarray | None = None) -> Interval:
        """Return the mean of `values` (float64[R]) with its interval."""
        return self.interval(self.means(values, rows))

    def ratio(self, above: np.ndarray, below: np.ndarray, rows: np.ndarray | None = None) -> Interval:
        """Return sum(above) / sum(below) with its interval; rows where either is NaN are left out.

        Samples without anything below (0 / 0) say nothing and are left out of the interval.
        """
        missing = np.isnan(above) | np.isnan(below)
        tops = self.means(np.where(missing, np.nan, above), rows)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.interval(tops / self.means(np.where(missing, np.nan, below), rows))

    def interval(self, found: np.ndarray) -> Interval:
        """Return the interval of a statistic given as float64[1 + n_draws], the estimate first."""
        drawn = found[1:][~np.isnan(found[1:])]
        if not len(drawn):
            return Interval(float(found[0]), math.nan, math.nan)
        tail = (1.0 - self.level) / 2.0
        low, high = np.quantile(drawn, [tail, 1.0 - tail], method=self._quantiles)  # type: ignore[call-overload]
        return Interval(float(found[0]), float(low), float(high))


class CrossedBootstrap(Bootstrap):
    """Profiles and judges drawn apart, where every judge scores every profile.

    A row counts as often as both of its owners were drawn (the pigeonhole bootstrap, Owen 2007, Annals of
    Applied Statistics 1(2)).

    Parameters
    ----------
    profiles : int[R], which profile a row belongs to
    judges : int[R], which draw of the judge it belongs to
    rng : generator of the samples
    n_draws, level : as in `Bootstrap`
    """

    # Quantiles that are samples themselves: between a number and infinity there is nothing to interpolate.
    _quantiles = "inverted_cdf"

    def __init__(
        self,
        profiles: np.ndarray,
        judges: np.ndarray,
        rng: np.random.Generator,
        n_draws: int = 2000,
        level: float = 0.95,
    ) -> None:
        super().__init__(len(profiles), n_draws, level)
        _, self._profile = np.unique(profiles, return_inverse=True)
        _, self._judge = np.unique(judges, return_inverse=True)
        self._one_profile = int(self._profile.max()) == 0
        self._of_profiles = draw_counts(rng, int(self._profile.max()) + 1, n_draws).astype(np.float64)
        self._of_judges = draw_counts(rng, int(self._judge.max()) + 1, n_draws).astype(np.float64)

    def interval(self, found: np.ndarray) -> Interval:
        """Return the interval of a statistic; of a single profile there is none: its ends are NaN."""
        if self._one_profile:
            return Interval(float(found[0]), math.nan, math.nan)
        return super().interval(found)

    def mean(self, values: np.ndarray, rows: np.ndarray | None = None) -> Interval:
        """Return the mean, as `Bootstrap.mean`; its ends are NaN where `rows` are of a single profile."""
        return self._of_several(super().mean(values, rows), np.isnan(values), rows)

    def ratio(self, above: np.ndarray, below: np.ndarray, rows: np.ndarray | None = None) -> Interval:
        """Return a ratio, as `Bootstrap.ratio`; its ends are NaN where `rows` are of a single profile."""
        return self._of_several(super().ratio(above, below, rows), np.isnan(above) | np.isnan(below), rows)

    def _of_several(self, found: Interval, missing: np.ndarray, rows: np.ndarray | None) -> Interval:
        kept = ~missing if rows is None else ~missing & rows
        alone = len(np.unique(self._profile[kept])) < 2
        return Interval(found.estimate, math.nan, math.nan) if alone else found

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return float64[1 + n_draws], as `Bootstrap.sums`."""
        cells = np.zeros((self._of_profiles.shape[1], self._of_judges.shape[1]))
        np.add.at(cells, (self._profile, self._judge), values)
        drawn = ((self._of_profiles @ cells) * self._of_judges).sum(axis=1)
        return np.concatenate([[cells.sum()], drawn])


class NestedBootstrap(Bootstrap):
    """Clusters drawn first, then the rows within each drawn cluster; with one cluster, its rows alone.

    Parameters
    ----------
    clusters : int[R], the cluster (a judge) of each row
    seed : of the samples
    n_draws, level : as in `Bootstrap`

    Attributes
    ----------
    counts : int64[n_draws, R], how often each row is in each sample
    """

    def __init__(
        self, clusters: Sequence[int] | np.ndarray, seed: int, n_draws: int = 2000, level: float = 0.95
    ) -> None:
        super().__init__(len(clusters), n_draws, level)
        labels, inverse = np.unique(np.asarray(clusters), return_inverse=True)
        rng = np.random.default_rng(seed)
        self.counts = np.zeros((n_draws, len(inverse)), dtype=np.int64)
        for label, times in enumerate(draw_counts(rng, len(labels), n_draws).T):
            inside = np.flatnonzero(inverse == label)
            self.counts[:, inside] = draw_counts(rng, len(inside), n_draws, times)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return float64[1 + n_draws], as `Bootstrap.sums`."""
        return np.concatenate([[values.sum()], self.counts @ values])


def draw_counts(rng: np.random.Generator, n: int, n_draws: int, times: int | np.ndarray = 1) -> np.ndarray:
    """Return int64[n_draws, n], how often each of n is drawn in `times` * n draws with replacement.

    `times`: int, or int64[n_draws].
    """
    return rng.multinomial(times * n, np.full(n, 1.0 / n), size=n_draws)


def student_t(freedom: int, level: float = 0.95) -> float:
    """Return t with P(|T| <= t) = level, T of Student's distribution; infinite for freedom 0."""
    return student_quantile(0.5 + level / 2.0, freedom) if freedom >= 1 else math.inf


def clustered_mean(values: np.ndarray, clusters: np.ndarray, level: float = 0.95) -> Interval:
    """Return the mean of float64[R] `values` with a t interval for clusters (int[R]); NaN left out.

    Its variance is G / (G - 1) sum_g (sum of g's residuals)^2 / R^2, with G - 1 degrees of freedom.
    """
    kept = ~np.isnan(values)
    values, clusters = values[kept], clusters[kept]
    mean = float(values.mean()) if len(values) else math.nan
    sums = np.bincount(np.unique(clusters, return_inverse=True)[1], weights=values - mean)
    n = len(sums)
    if n < 2:
        return Interval(mean, math.nan, math.nan)
    half = student_t(n - 1, level) * math.sqrt(n / (n - 1) * float((sums**2).sum())) / len(values)
    return Interval(mean, mean - half, mean + half)


def normal_interval(estimate: float, stderr: float) -> Interval:
    """Return the 95 % normal interval of an estimate with a standard error."""
    return Interval(estimate, estimate - Z95 * stderr, estimate + Z95 * stderr)


def clustered_share(hits: np.ndarray, clusters: np.ndarray, level: float = 0.95) -> Interval:
    """Return the mean of float64[R] `hits` (0, 1, NaN left out) with an interval for clusters (int[R]).

    The exact one of n* trials, with n* = p (1 - p) / v (t_{R-1} / t_{G-1})^2 <= R and v the variance of p by
    clusters (Korn & Graubard 1998, Survey Methodology 24(2)); n* = R where each row is its own cluster. Where
    no row is a hit, or each, no clustering can be seen, and R stands for p (1 - p) / v.
    """
    kept = ~np.isnan(hits)
    hits, groups = hits[kept], np.unique(clusters[kept], return_inverse=True)[1]
    n, g = len(hits), int(groups.max()) + 1 if len(groups) else 0
    p = float(hits.mean()) if n else math.nan
    if g < 2:
        return Interval(p, math.nan, math.nan)
    seen = float((np.bincount(groups, weights=hits - p) ** 2).sum())
    trials = n * p * (1.0 - p) * n / seen if seen > 0.0 else n
    trials *= (student_t(n - 1, level) / student_t(g - 1, level)) ** 2
    trials = max(1, math.floor(min(n, trials + 1e-9)))
    below = math.floor(p * trials + 1e-9)
    part = max(0.0, p * trials - below)  # between whole numbers of hits the ends are interpolated
    ends = [binomial_interval(hits, trials, level) for hits in (below, min(below + 1, trials))]
    low, high = ((1.0 - part) * a + part * b for a, b in zip(ends[0][1:], ends[1][1:], strict=True))
    return Interval(p, low, high)


@functools.lru_cache(maxsize=256)
def student_quantile(p: float, df: int) -> float:
    """Return the quantile p in [.5, 1) of Student's t with `df` >= 1 degrees of freedom, by bisection."""
    angle = _root(lambda x: 0.5 + 0.5 * _student_within(x, df) - p, 0.5 * math.pi)
    return math.sqrt(df) * math.tan(angle)


def _student_within(angle: float, df: int) -> float:
    """Return P(|T| <= sqrt(df) tan(angle)) (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4)."""
    cos2, even = math.cos(angle) ** 2, df % 2 == 0
    term = total = math.sin(angle) if even else math.sin(angle) * math.cos(angle)
    for k in range(2 if even else 3, df - 1, 2):
        term *= cos2 * (k - 1) / k
        total += term
    if even:
        return total
    return 2.0 / math.pi * (angle + (total if df > 1 else 0.0))


def binomial_interval(hits: int, trials: int, level: float = 0.95) -> Interval:
    """Return the share of hits with its exact interval (Clopper & Pearson 1934), by bisection."""
    tail = (1.0 - level) / 2.0
    low = 0.0 if hits == 0 else _root(lambda p: 1.0 - _cdf(hits - 1, trials, p) - tail)
    high = 1.0 if hits == trials else _root(lambda p: tail - _cdf(hits, trials, p))
    return Interval(hits / trials, low, high)


def _cdf(hits: int, trials: int, p: float) -> float:
    """Return P(X <= hits), X binomial."""
    k = np.arange(trials + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((trials - k[:-1]) / (k[:-1] + 1.0)))])
    return float(np.exp(logs + k * np.log(p) + (trials - k) * np.log1p(-p))[: hits + 1].sum())


def _root(rising: Callable[[float], float], high: float = 1.0) -> float:
    low = 0.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if rising(middle) > 0.0 else (middle, high)
    return 0.5 * (low + high)
