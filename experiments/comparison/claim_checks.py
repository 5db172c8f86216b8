"""What is claimed of the searches, held against runs: each claim with its target and what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.comparison.regret import Interval, binomial_interval, mean_interval, ratio, resampled
from search.path_rule import TIE

EXACT = ("published", "varied", "additive", "pair_complement")
"""Landscapes of the claims without noise."""
NOISY = ("varied", "pair_complement")
"""Landscapes on which the subject has to beat every rival under noise."""
RIVALS = ("greedy", "exhaustive", "best_static")
SKETCH_TARGETS = {60: 0.06, 120: 0.04}
"""Judge calls -> normalised regret on the sketch's landscape under noise."""
GREEDY_CALLS = 35
"""What greedy needs for ten attributes and four questions: 10 + 9 + 8 + 7, and one for nothing known."""
EXACT_CALLS, NEEDLE_CALLS, ALL_SETS = 60, 60, 386
NOISE = 0.3
JUDGES = 10
"""Judges of a kind that a claim needs; with fewer it stays open."""
_CLOSE, _SHARE, _MEAN = 0.01, 0.97, 0.001
_OPTIMISM, _OPTIMISM_PROBLEMS = 0.02, 500
_NEEDLE_CHANCE = 60 / 210
_PROBLEM = ["landscape", "model_seed", "scenario_id"]


class ClaimCheck(NamedTuple):
    """A claim at one place.

    `value`: the figure that is held against `target` (a difference, where two searches are compared).
    `found`: the same in words with its interval. `met`: None = open, for want of judges, problems, or `fit`.
    """

    claim: str
    where: str
    value: float
    found: str
    target: str
    met: bool | None


def checks(runs: pd.DataFrame, subject: str, draws: int, seed: int) -> list[ClaimCheck]:
    """Return all claims about `subject` that `runs` (a row a plan, `compare_cells.COLUMNS`) speak of."""
    figures = _Runs(runs, subject, draws, seed)
    parts = (_exact, _against_greedy, _against, _sketch, _optimism, _needle, _learning)
    return [check for part in parts for check in part(figures)]


def count(found: Sequence[ClaimCheck]) -> tuple[int, int]:
    """Return (claims met, claims that are settled)."""
    settled = [check for check in found if check.met is not None]
    return sum(bool(check.met) for check in settled), len(settled)


class _Runs:
    """The runs of a subject and its rivals, with paired resampling of their problems."""

    def __init__(self, runs: pd.DataFrame, subject: str, draws: int, seed: int) -> None:
        self.runs = runs[~runs["one_domain"]].sort_values(_PROBLEM)
        self.learning = runs[runs["one_domain"]].sort_values(_PROBLEM)
        self.subject = subject
        self.draws = draws
        self.seed = seed

    def of(self, search: str, landscape: str, noise: float, calls: int) -> pd.DataFrame:
        """Return the runs of one search, a row a problem, sorted."""
        r = self.runs
        there = (r["landscape"] == landscape) & (r["noise_std"] == noise) & (r["calls"] == calls)
        return r[there & (r["search"] == search)]

    def counts(self, table: pd.DataFrame) -> np.ndarray:
        return resampled(table["model_seed"].to_numpy(), self.draws, self.seed)

    def below(self, claim: str, where: str, ours: pd.DataFrame, theirs: pd.DataFrame) -> ClaimCheck:
        """Check that our normalised regret less theirs, on the same problems, lies below zero."""
        gain = (ours["best"] - ours["empty"]).to_numpy()
        less = ours["regret"].to_numpy() - theirs["regret"].to_numpy()
        delta = ratio(less, gain, self.counts(ours))
        found = f"{_regret(ours):.4f} - {_regret(theirs):.4f} = {_interval(delta)}"
        return ClaimCheck(claim, where, delta.value, found, "< 0", _settled(delta.high < 0.0, ours))


def _regret(table: pd.DataFrame) -> float:
    return float(table["regret"].sum() / (table["best"] - table["empty"]).sum())


def _interval(found: Interval) -> str:
    return f"{found.value:+.4f} ({found.low:+.4f}, {found.high:+.4f})"


def _settled(met: bool, table: pd.DataFrame) -> bool | None:
    return met if table["model_seed"].nunique() >= JUDGES else None


def _exact(figures: _Runs) -> Iterator[ClaimCheck]:
    claim = f"No noise, {EXACT_CALLS} calls: people within {_CLOSE:g} of the gain; regret"
    for landscape in EXACT:
        ours = figures.of(figures.subject, landscape, 0.0, EXACT_CALLS)
        if ours.empty:
            continue
        gain = ours["best"] - ours["empty"]
        share, regret = float((ours["regret"] <= _CLOSE * gain + 1e-12).mean()), _regret(ours)
        met = share >= _SHARE and regret <= _MEAN
        found = f"{share:.1%} of {len(ours)}; {regret:.5f}"
        yield ClaimCheck(
            claim, landscape, share, found, f">= {_SHARE:.0%}; <= {_MEAN:g}", _settled(met, ours)
        )


def _against_greedy(figures: _Runs) -> Iterator[ClaimCheck]:
    for landscape in EXACT:
        ours = figures.of(figures.subject, landscape, 0.0, GREEDY_CALLS)
        theirs = figures.of("greedy", landscape, 0.0, GREEDY_CALLS)
        if not ours.empty and not theirs.empty and figures.subject != "greedy":
            check = figures.below(
                f"No noise, {GREEDY_CALLS} calls: regret less greedy's", landscape, ours, theirs
            )
            if ours["regret"].max() <= TIE and theirs["regret"].max() <= TIE:
                # Where greedy is exact nobody can lose less.
                check = check._replace(target="< 0, or both 0", met=_settled(True, ours))
            yield check


def _against(figures: _Runs) -> Iterator[ClaimCheck]:
    for landscape in NOISY:
        for calls in SKETCH_TARGETS:
            ours = figures.of(figures.subject, landscape, NOISE, calls)
            for rival, theirs_calls in [*((rival, calls) for rival in RIVALS), ("exhaustive", ALL_SETS)]:
                theirs = figures.of(rival, landscape, NOISE, theirs_calls)
                if ours.empty or theirs.empty or rival == figures.subject:
                    continue
                who = rival if theirs_calls == calls else f"{rival} with {theirs_calls}"
                claim = f"Noise {NOISE:g}: regret less that of a rival"
                yield figures.below(claim, f"{landscape}, {calls} calls: {who}", ours, theirs)


def _sketch(figures: _Runs) -> Iterator[ClaimCheck]:
    for calls, target in SKETCH_TARGETS.items():
        ours = figures.of(figures.subject, "sketch", NOISE, calls)
        if ours.empty:
            continue
        gain = (ours["best"] - ours["empty"]).to_numpy()
        found = ratio(ours["regret"].to_numpy(), gain, figures.counts(ours))
        text = f"{found.value:.4f} ({found.low:.4f}, {found.high:.4f})"
        met = _settled(found.value <= target, ours)
        yield ClaimCheck(
            f"Noise {NOISE:g}: regret", f"sketch, {calls} calls", found.value, text, f"<= {target:g}", met
        )


def _optimism(figures: _Runs) -> Iterator[ClaimCheck]:
    r, calls = figures.runs, min(SKETCH_TARGETS)
    ours = r[(r["search"] == figures.subject) & (r["noise_std"] == NOISE) & (r["calls"] == calls)]
    if ours.empty:
        return
    # Another landscape is another judge: clusters are (landscape, model seed).
    clusters = ours.groupby(["landscape", "model_seed"]).ngroup().to_numpy()
    counts = resampled(clusters, figures.draws, figures.seed)
    where = f"{len(ours):,} people, {ours['landscape'].nunique()} landscapes"
    for what, column in (("reported", "optimism"), ("the search's belief", "belief_error")):
        found = mean_interval(ours[column].to_numpy(), counts)
        claim = f"Noise {NOISE:g}, {calls} calls: mean ({what} - true)"
        if column == "belief_error":  # told beside the claim: nothing is promised of it
            yield ClaimCheck(claim, where, found.value, _interval(found), "-", None)
            continue
        met = found.low >= -_OPTIMISM and found.high <= _OPTIMISM
        enough = len(ours) >= _OPTIMISM_PROBLEMS
        settled = _settled(met, ours) if enough else None
        yield ClaimCheck(claim, where, found.value, _interval(found), f"within +-{_OPTIMISM:g}", settled)


def _needle(figures: _Runs) -> Iterator[ClaimCheck]:
    r = figures.runs
    needle = r[(r["landscape"] == "needle") & (r["calls"] == NEEDLE_CALLS) & (r["noise_std"] == 0.0)]
    for search, table in needle.groupby("search", sort=False):
        hits = int((table["regret"] < 1e-9).sum())
        found = binomial_interval(hits, len(table))
        text = f"{hits} of {len(table)}: {found.value:.3f} ({found.low:.3f}, {found.high:.3f})"
        met = _settled(found.low <= _NEEDLE_CHANCE, table)
        claim = f"Needle, {NEEDLE_CALLS} calls: found, no more often than by chance"
        yield ClaimCheck(claim, str(search), found.value, text, f"<= {_NEEDLE_CHANCE:.3f}", met)


def _learning(figures: _Runs) -> Iterator[ClaimCheck]:
    claim = f"Noise {NOISE:g}, after a wave of people of the domain: regret less that without `fit`"
    later = figures.learning[figures.learning["order"] >= figures.learning["wave"]]
    if later.empty:
        yield ClaimCheck(claim, figures.subject, np.nan, "has no `fit`", "< 0", None)
    for (landscape, calls), part in later.groupby(["landscape", "calls"], sort=True):
        where = f"{landscape}, {calls} calls, {int(part['wave'].iloc[0])} people before"
        yield figures.below(claim, where, part[part["learns"]], part[~part["learns"]])
