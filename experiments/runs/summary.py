"""A training run in numbers: `summary.json` and the figures by domain."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from envs import DOMAINS
from search.planning import ScenarioPlan


def mean(values: Sequence[float]) -> float | None:
    """Return the mean of what is not NaN, or None."""
    kept = [v for v in values if not math.isnan(v)]
    return fmean(kept) if kept else None


def _empty_score(plan: ScenarioPlan) -> float:
    first = plan.path_scores[0]
    return math.nan if first is None else first


def summarise(plans: Sequence[ScenarioPlan], n_failed: int, wall_s: float, simulated: bool) -> dict[str, Any]:
    """Return the content of `summary.json`; scores are means in [1, 5], None where nothing was scored.

    `judge_calls` is the sum over the table; `full_context_calls` come on top, for `mean_score_full`.
    """
    return {
        "n_scenarios": len(plans) + n_failed,
        "n_planned": len(plans),
        "n_failed": n_failed,
        "judge_calls": sum(p.judge_calls for p in plans),
        "search_judge_calls": sum(p.search_calls for p in plans),
        "full_context_calls": sum(p.full_calls for p in plans),
        "requests": sum(p.requests for p in plans),
        "cache_hits": sum(p.cache_hits for p in plans),
        "invalid_rankings": sum(p.invalid_rankings for p in plans),
        "simulations": sum(p.num_simulations for p in plans),
        "wall_s": round(wall_s, 3),
        "mean_score_empty": mean([_empty_score(p) for p in plans]),
        "mean_score_path": mean([p.score for p in plans]),
        "mean_score_full": mean([p.score_full for p in plans]),
        "mean_path_length": mean([float(len(p.path)) for p in plans]),
        "mean_optimism": mean([p.search_score - p.score for p in plans]),
        "judge": plans[0].judge if plans else None,
        "judge_is_simulated": simulated,
    }


@dataclass(frozen=True)
class DomainRow:
    """One line of the table at the end of a run."""

    domain: str
    n: int
    empty: float | None
    path: float | None
    full: float | None
    length: float | None
    first: tuple[tuple[str, int], ...]


def by_domain(plans: Sequence[ScenarioPlan]) -> list[DomainRow]:
    """Return a row for each domain that occurs, then one for all."""
    groups = [(d, [p for p in plans if p.domain == d]) for d in DOMAINS]
    return [_row(name, group) for name, group in [*groups, ("all", list(plans))] if group]


def _row(name: str, plans: Sequence[ScenarioPlan]) -> DomainRow:
    first = Counter(p.path[0] for p in plans if p.path)
    ranked = sorted(first.items(), key=lambda item: (-item[1], item[0]))
    return DomainRow(
        domain=name,
        n=len(plans),
        empty=mean([_empty_score(p) for p in plans]),
        path=mean([p.score for p in plans]),
        full=mean([p.score_full for p in plans]),
        length=mean([float(len(p.path)) for p in plans]),
        first=tuple(ranked),
    )
