"""Figures of methods: means with intervals, by domain and dimension, and paired differences."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from envs import UserError
from experiments.evaluation.results import DIMENSIONS
from experiments.runs.summary import in_order
from experiments.stats import CrossedBootstrap, Interval

_WORSE = 1e-9  # rounding between sums of the same terms


@dataclass(frozen=True)
class MethodFigures:
    """One method over all rows; scores in [1, 5], shares in [0, 1].

    Attributes
    ----------
    score, dimensions : mean score, and of each dimension
    questions, answered, disclosure : a person's questions, those answered, and cost times sensitivity of
        what was answered
    share : sum of gains over sum of possible gains (best set within the budget for each very person)
    worse : share of scenarios that score below asking nothing
    domains : mean score of each domain that occurs
    domain_shares : and its share of the possible gain
    n_unscored : rows without a score, which no figure counts
    """

    name: str
    kind: str
    curve: str
    n_rows: int
    score: Interval
    dimensions: dict[str, Interval]
    questions: Interval
    answered: Interval
    disclosure: Interval
    share: Interval
    worse: Interval
    domains: dict[str, Interval]
    domain_shares: dict[str, Interval]
    n_unscored: int = 0


class Comparison:
    """All methods of an evaluation on the same rows, with one bootstrap.

    Parameters
    ----------
    results : rows with `results.COLUMNS`; every method has the same scenarios and draws of the judge
    seed : seed of the bootstrap

    Raises
    ------
    UserError
        methods with different rows.
    """

    def __init__(
        self, results: pd.DataFrame, seed: int = 0, n_draws: int = 2000, level: float = 0.95
    ) -> None:
        key = ["model_seed", "scenario_id"]
        self._of = {
            str(name): rows.reset_index(drop=True) for name, rows in results.groupby("method", sort=False)
        }
        self.names = tuple(self._of)
        self.rows = self._of[self.names[0]]
        for name, rows in self._of.items():
            if not rows[key].equals(self.rows[key]):
                raise UserError(
                    f"evaluation: method {name} has other rows than {self.names[0]}, expected the same"
                )
        # Seeded by nothing but `seed`: another list of methods does not move the intervals.
        word = int.from_bytes(hashlib.sha256(b"bootstrap").digest()[:4], "big")
        rng = np.random.default_rng(np.random.SeedSequence([seed, word]))
        self.bootstrap = CrossedBootstrap(
            self.rows["profile"].to_numpy(), self.rows["model_seed"].to_numpy(), rng, n_draws, level
        )
        self.domains = in_order(self.rows["domain"])

    def column(self, name: str, column: str) -> np.ndarray:
        """Return float64[R], `column` of the method `name`."""
        return self._of[name][column].to_numpy(dtype=np.float64)

    def gains(self, name: str) -> np.ndarray:
        """Return float64[R], score of `name` less the score with nothing known."""
        return self.column(name, "score") - self.column(name, "score_empty")

    @property
    def possible(self) -> np.ndarray:
        """float64[R], the gain of the best set within the budget for each very person; NaN = not known."""
        return (self.rows["score_best"] - self.rows["score_empty"]).to_numpy(dtype=np.float64)

    def figures(self, name: str) -> MethodFigures:
        """Return the figures of one method."""
        boot, rows = self.bootstrap, self._of[name]
        score, gains = self.column(name, "score"), self.gains(name)
        worse = np.where(np.isnan(gains), np.nan, gains < -_WORSE)
        of = {d: (self.rows["domain"] == d).to_numpy() for d in self.domains}
        return MethodFigures(
            name=name,
            kind=str(rows["kind"].iloc[0]),
            curve=str(rows["curve"].iloc[0]),
            n_rows=len(rows),
            score=boot.mean(score),
            dimensions={d: boot.mean(self.column(name, d)) for d in DIMENSIONS},
            questions=boot.mean(self.column(name, "n_asked")),
            answered=boot.mean(self.column(name, "n_told")),
            disclosure=boot.mean(self.column(name, "disclosure")),
            share=boot.ratio(gains, self.possible),
            worse=boot.mean(worse),
            domains={d: boot.mean(score, kept) for d, kept in of.items()},
            domain_shares={d: boot.ratio(gains, self.possible, kept) for d, kept in of.items()},
            n_unscored=int(np.isnan(score).sum()),
        )

    def family(self, name: str) -> str:
        """Return the family of operating points that `name` belongs to, "" where to none."""
        return str(self._of[name]["curve"].iloc[0])

    def asked(self, name: str) -> pd.DataFrame:
        """Return `domain` and `asked` of each row of the method `name`."""
        return self._of[name][["domain", "asked"]]

    def difference(self, name: str, other: str, column: str = "score") -> Interval:
        """Return the mean of `column` of `name` less that of `other`, paired by row."""
        return self.bootstrap.mean(self.column(name, column) - self.column(other, column))

    def curve(self, names: Iterable[str], column: str = "score") -> tuple[np.ndarray, np.ndarray]:
        """Return (float64[P, D] mean questions, float64[P, D] mean of `column`) of P methods in D draws."""
        means = [(self.means(n, "n_asked"), self.means(n, column)) for n in names]
        return np.array([m[0] for m in means]), np.array([m[1] for m in means])

    def means(self, name: str, column: str) -> np.ndarray:
        """Return float64[D], mean of `column` and its bootstrap draws; `gain` is the score less empty."""
        values = self.gains(name) if column == "gain" else self.column(name, column)
        return self.bootstrap.means(values)

    def score_at_equal_questions(self, name: str, curve: Sequence[str]) -> Interval:
        """Return score of `name` less that of the methods `curve` at the same mean number of questions."""
        asked, scores = self.curve(curve)
        there = score_at(asked, scores, self.means(name, "n_asked"))
        return self.bootstrap.interval(self.means(name, "score") - there)

    def share_at_equal_questions(self, name: str, curve: Sequence[str]) -> Interval:
        """Return gain of `name` over that of the methods `curve` at the same mean number of questions."""
        asked, gains = self.curve(curve, "gain")
        there = score_at(asked, gains, self.means(name, "n_asked"))
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.bootstrap.interval(self.means(name, "gain") / there)

    def questions_at_equal_score(self, name: str, curve: Sequence[str]) -> Interval:
        """Return questions that the methods `curve` ask for the score of `name`, less those of `name`.

        Below 0: fewer questions for the same score; infinite where they never score as high.
        """
        asked, scores = self.curve(curve)
        there = questions_at(asked, scores, self.means(name, "score"))
        return self.bootstrap.interval(there - self.means(name, "n_asked"))


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
