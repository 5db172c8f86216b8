"""What is claimed of the searches, held against runs: each claim with its target, what was found, met or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.compare_statistics import Interval, binomial_interval, mean_interval, ratio, resampled

EXACT = ("published", "varied", "additive", "pair_complement")
"""Landscapes of the claims without noise."""
NOISY = ("varied", "pair_complement")
"""Landscapes on which the subject has to beat every rival under noise."""
RIVALS = ("greedy", "exhaustive", "best_static")
SKETCH_TARGETS = {60: 0.06, 120: 0.04}
"""Judge calls -> normalised regret on the sketch's landscape, noise .3."""
GREEDY_CALLS = 35
"""What greedy needs for ten attributes and four questions: 10 + 9 + 8 + 7, and one for nothing known."""
ALL_SETS = 386
NOISE = 0.3
_CLOSE, _SHARE, _MEAN = 0.01, 0.97, 0.001
_OPTIMISM, _OPTIMISM_PROBLEMS = 0.02, 500
_JUDGES = 10
_NEEDLE_CALLS, _NEEDLE_CHANCE = 60, 60 / 210
_PROBLEM = ["landscape", "model_seed", "scenario_id"]


class Check(NamedTuple):
    """A claim; `met` is None where it does not apply."""

    claim: str
    target: str
    found: str
    met: bool | None


def checks(runs: pd.DataFrame, subject: str, draws: int, seed: int) -> list[Check]:
    """Return all claims about `subject` that `runs` (a row a plan, `compare_cells.COLUMNS`) can settle."""
    told = _Runs(runs, subject, draws, seed)
    parts = (_exact, _against, _sketch, _optimism, _needle, _learning)
    return [check for part in parts for check in part(told)]


class _Runs:
    """The runs of a subject and its rivals, with paired resampling of their problems."""

    def __init__(self, runs: pd.DataFrame, subject: str, draws: int, seed: int) -> None:
        self.runs = runs
        self.subject = subject
        self.draws = draws
        self.seed = seed

    def of(self, search: str, landscape: str, noise: float, calls: int) -> pd.DataFrame:
        """Return the runs of one search, a row a problem, sorted."""
        r = self.runs
        kept = r[
            (r["search"] == search)
            & (r["landscape"] == landscape)
            & (r["noise_std"] == noise)
            & (r["calls"] == calls)
            & ~r["one_domain"]
        ]
        return kept.sort_values(_PROBLEM)

    def counts(self, table: pd.DataFrame) -> np.ndarray:
        return resampled(table["model_seed"].to_numpy(), self.draws, self.seed)

    def difference(self, ours: pd.DataFrame, theirs: pd.DataFrame) -> Interval:
        """Return our normalised regret less theirs on the same problems."""
        gain = (ours["best"] - ours["empty"]).to_numpy()
        less = ours["regret"].to_numpy() - theirs["regret"].to_numpy()
        return ratio(less, gain, self.counts(ours))


def _regret(table: pd.DataFrame) -> float:
    return float(table["regret"].sum() / (table["best"] - table["empty"]).sum())


def _interval(found: Interval) -> str:
    return f"{found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})"


def _enough(table: pd.DataFrame) -> bool:
    return bool(table["model_seed"].nunique() >= _JUDGES)


def _exact(told: _Runs) -> Iterator[Check]:
    for landscape in EXACT:
        ours = told.of(told.subject, landscape, 0.0, 60)
        if ours.empty:
            continue
        gain = ours["best"] - ours["empty"]
        share = float((ours["regret"] <= _CLOSE * gain + 1e-12).mean())
        mean = _regret(ours)
        yield Check(
            f"{landscape}, no noise, 60 calls: within {_CLOSE:g} of the gain; mean regret",
            f">= {_SHARE:.0%}; <= {_MEAN:g}",
            f"{share:.1%} of {len(ours)}; {mean:.4f}",
            share >= _SHARE and mean <= _MEAN and _enough(ours),
        )
    for landscape in EXACT:
        ours = told.of(told.subject, landscape, 0.0, GREEDY_CALLS)
        theirs = told.of("greedy", landscape, 0.0, GREEDY_CALLS)
        if ours.empty or theirs.empty or told.subject == "greedy":
            continue
        delta = told.difference(ours, theirs)
        yield Check(
            f"{landscape}, no noise, {GREEDY_CALLS} calls: regret {_regret(ours):.4f}, "
            f"greedy {_regret(theirs):.4f}",
            "below",
            f"{_interval(delta)} {delta.verdict}",
            delta.verdict == "below" and _enough(ours),
        )


def _against(told: _Runs) -> Iterator[Check]:
    for landscape in NOISY:
        for calls in SKETCH_TARGETS:
            ours = told.of(told.subject, landscape, NOISE, calls)
            rivals = [(rival, calls) for rival in RIVALS] + [("exhaustive", ALL_SETS)]
            for rival, theirs_calls in rivals:
                theirs = told.of(rival, landscape, NOISE, theirs_calls)
                if ours.empty or theirs.empty or rival == told.subject:
                    continue
                delta = told.difference(ours, theirs)
                more = f" with {theirs_calls}" if theirs_calls != calls else ""
                yield Check(
                    f"{landscape}, noise {NOISE:g}, {calls} calls: regret {_regret(ours):.4f}, "
                    f"{rival}{more} {_regret(theirs):.4f}",
                    "below",
                    f"{_interval(delta)} {delta.verdict}",
                    delta.verdict == "below" and _enough(ours),
                )


def _sketch(told: _Runs) -> Iterator[Check]:
    for calls, target in SKETCH_TARGETS.items():
        ours = told.of(told.subject, "sketch", NOISE, calls)
        if ours.empty:
            continue
        gain = (ours["best"] - ours["empty"]).to_numpy()
        found = ratio(ours["regret"].to_numpy(), gain, told.counts(ours))
        yield Check(
            f"sketch, noise {NOISE:g}, {calls} calls: regret",
            f"<= {target:g}",
            f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})",
            found.value <= target and _enough(ours),
        )


def _optimism(told: _Runs) -> Iterator[Check]:
    r = told.runs
    ours = r[
        (r["search"] == told.subject)
        & (r["noise_std"] == NOISE)
        & (r["calls"] == min(SKETCH_TARGETS))
        & ~r["one_domain"]
    ]
    if ours.empty:
        return
    # Another landscape is another judge: clusters are (landscape, model seed).
    clusters = ours.groupby(["landscape", "model_seed"]).ngroup().to_numpy()
    found = mean_interval(ours["optimism"].to_numpy(), resampled(clusters, told.draws, told.seed))
    believed = float(ours["belief_error"].mean())
    within = -_OPTIMISM <= found.low and found.high <= _OPTIMISM
    yield Check(
        f"noise {NOISE:g}: mean (reported - true) over {len(ours):,} problems "
        f"(the search's own belief: {believed:+.3f})",
        f"within +-{_OPTIMISM:g}",
        _interval(found),
        within and len(ours) >= _OPTIMISM_PROBLEMS and _enough(ours),
    )


def _needle(told: _Runs) -> Iterator[Check]:
    r = told.runs
    needle = r[(r["landscape"] == "needle") & (r["calls"] == _NEEDLE_CALLS) & ~r["one_domain"]]
    for search, table in needle.groupby("search", sort=False):
        hits = int((table["regret"] < 1e-9).sum())
        found = binomial_interval(hits, len(table))
        yield Check(
            f"needle, {_NEEDLE_CALLS} calls: {search} finds it",
            f"not above {_NEEDLE_CHANCE:.3f}",
            f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f}), {hits} of {len(table)}",
            found.low <= _NEEDLE_CHANCE and _enough(table),
        )


def _learning(told: _Runs) -> Iterator[Check]:
    learning = told.runs[told.runs["one_domain"]]
    if learning.empty:
        yield Check("learning across people of a domain", "below", f"{told.subject} has no `fit`", None)
        return
    later = learning[learning["order"] >= learning["wave"]]
    for (landscape, calls), part in later.groupby(["landscape", "calls"], sort=True):
        part = part.sort_values(_PROBLEM)
        learnt, alone = part[part["learns"]], part[~part["learns"]]
        delta = told.difference(learnt, alone)
        yield Check(
            f"{landscape}, noise {NOISE:g}, {calls} calls, after {int(part['wave'].iloc[0])} people of the "
            f"domain: regret {_regret(learnt):.4f}, without learning {_regret(alone):.4f}",
            "below",
            f"{_interval(delta)} {delta.verdict}",
            delta.verdict == "below" and _enough(part),
        )


def count(found: Sequence[Check]) -> tuple[int, int]:
    """Return (claims met, claims that apply)."""
    apply = [check for check in found if check.met is not None]
    return sum(bool(check.met) for check in apply), len(apply)
