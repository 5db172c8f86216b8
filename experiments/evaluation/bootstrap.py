"""Bootstrap intervals clustered by profile, and over several draws of a simulated judge.

Queries of one person are not independent, and neither are the rows of one draw of the judge. So whole
profiles are drawn with replacement and, where there are several, whole judges, each row counting as often as
both of its owners were drawn (the pigeonhole bootstrap, Owen 2007, Annals of Applied Statistics 1(2)). All
statistics of one `Bootstrap` share their draws: differences between methods are paired.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs import UserError


class Interval(NamedTuple):
    """An estimate with a percentile interval; NaN where nothing was scored."""

    estimate: float
    low: float
    high: float

    def excludes_zero(self) -> bool:
        """Tell whether zero lies outside of the interval."""
        return self.low > 0.0 or self.high < 0.0


class Bootstrap:
    """Draws of profiles and judges for R rows.

    Parameters
    ----------
    profiles : int[R], which profile a row belongs to
    judges : int[R], which draw of the judge it belongs to
    rng : generator of the draws
    n_draws : int >= 1, how many times profiles and judges are drawn
    level : float in (0, 1), coverage of the intervals

    Raises
    ------
    UserError
        no rows, or numbers out of range.
    """

    def __init__(
        self,
        profiles: np.ndarray,
        judges: np.ndarray,
        rng: np.random.Generator,
        n_draws: int = 2000,
        level: float = 0.95,
    ) -> None:
        if not len(profiles):
            raise UserError("bootstrap: found no rows, expected at least one")
        if n_draws < 1:
            raise UserError(f"bootstrap: found {n_draws} draws, expected at least 1")
        if not 0.0 < level < 1.0:
            raise UserError(f"level: found {level}, expected a number between 0 and 1")
        _, self._profile = np.unique(profiles, return_inverse=True)
        _, self._judge = np.unique(judges, return_inverse=True)
        self.n_profiles = int(self._profile.max()) + 1
        self.n_judges = int(self._judge.max()) + 1
        self.n_draws = n_draws
        self.level = level
        self._of_profiles = _counts(rng, n_draws, self.n_profiles)
        self._of_judges = _counts(rng, n_draws, self.n_judges)

    def means(self, values: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return float64[1 + n_draws]: the mean of `values`, then its mean in each draw.

        `values`: float64[R], NaN = unscored, left out. `rows`: bool[R], which rows count (default: all). A
        draw without any row is NaN.
        """
        values = np.asarray(values, dtype=np.float64)
        kept = ~np.isnan(values)
        if rows is not None:
            kept &= rows
        sums = self._cells(np.where(kept, values, 0.0))
        counts = self._cells(kept.astype(np.float64))
        with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN that is wanted
            return self._weighted(sums) / self._weighted(counts)

    def mean(self, values: np.ndarray, rows: np.ndarray | None = None) -> Interval:
        """Return the mean of `values` (float64[R]) with its interval."""
        return self.interval(self.means(values, rows))

    def ratio(self, above: np.ndarray, below: np.ndarray, rows: np.ndarray | None = None) -> Interval:
        """Return sum(above) / sum(below) with its interval; rows where either is NaN are left out."""
        missing = np.isnan(above) | np.isnan(below)
        tops = self.means(np.where(missing, np.nan, above), rows)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.interval(tops / self.means(np.where(missing, np.nan, below), rows))

    def interval(self, means: np.ndarray) -> Interval:
        """Return the interval of a statistic given as float64[1 + n_draws], the estimate first."""
        drawn = means[1:][~np.isnan(means[1:])]
        if not len(drawn):
            return Interval(float(means[0]), float("nan"), float("nan"))
        tail = (1.0 - self.level) / 2.0
        # Quantiles that are draws themselves: between a number and infinity there is nothing to interpolate.
        low, high = np.quantile(drawn, [tail, 1.0 - tail], method="inverted_cdf")
        return Interval(float(means[0]), float(low), float(high))

    def _cells(self, values: np.ndarray) -> np.ndarray:
        cells = np.zeros((self.n_profiles, self.n_judges))
        np.add.at(cells, (self._profile, self._judge), values)
        return cells

    def _weighted(self, cells: np.ndarray) -> np.ndarray:
        drawn = ((self._of_profiles @ cells) * self._of_judges).sum(axis=1)
        return np.concatenate([[cells.sum()], drawn])


def _counts(rng: np.random.Generator, n_draws: int, n: int) -> np.ndarray:
    """Return float64[n_draws, n], how often each of n was drawn in n draws with replacement."""
    if n == 1:
        return np.ones((n_draws, 1))
    return rng.multinomial(n, np.full(n, 1.0 / n), size=n_draws).astype(np.float64)


def score_at(asked: np.ndarray, scores: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return float64[D], the score that P operating points reach with at most `at` questions, for D draws.

    `asked`, `scores`: float64[P, D]. A policy that flips a coin between two points
    reaches every point of the line between them, and nobody has to ask more for less: the curve is
    interpolated and never falls. Beyond its ends it is its last point.
    """
    x, y = _sorted(asked, scores)
    y = np.maximum.accumulate(y, axis=0)
    return np.array([np.interp(place, x[:, d], y[:, d]) for d, place in enumerate(at.tolist())])


def questions_at(asked: np.ndarray, scores: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return float64[D], the fewest questions that reach the score `at`, on the curve of `score_at`.

    Infinite where no operating point reaches it.
    """
    x, y = _sorted(asked, scores)
    y = np.maximum.accumulate(y, axis=0)
    found = np.empty(len(at))
    for d, place in enumerate(at.tolist()):
        rising = np.concatenate([[True], np.diff(y[:, d]) > 0.0])
        found[d] = np.interp(place, y[rising, d], x[rising, d], right=np.inf)
    return found


def _sorted(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(x, axis=0, kind="stable")
    return np.take_along_axis(x, order, axis=0), np.take_along_axis(y, order, axis=0)
