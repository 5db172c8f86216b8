"""A training run in numbers: `summary.json` and the figures by domain."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from envs import DOMAINS
from envs.llm.books import Accounts, as_rows
from envs.loading import ScenarioSet
from search.planning import Failure, ScenarioPlan


def mean(values: Sequence[float]) -> float | None:
    """Return the mean of what is not NaN, or None."""
    kept = [v for v in values if not math.isnan(v)]
    return fmean(kept) if kept else None


def unread(loaded: ScenarioSet) -> list[Failure]:
    """Return a failure for each record of the file that is listed as bad."""
    return [Failure(b.scenario_id or b.place, "load", f"{b.place}: {b.reason}") for b in loaded.bad]


def _empty_score(plan: ScenarioPlan) -> float:
    first = plan.path_scores[0]
    return math.nan if first is None else first


def summarise(
    plans: Sequence[ScenarioPlan],
    n_failed: int,
    wall_s: float,
    simulated: bool,
    left_out: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the content of `summary.json`; scores are means in [1, 5], None where nothing was scored.

    `judge_calls` is the sum over the table; `full_context_calls` come on top, for `mean_score_full`.
    `left_out`: attributes of the schema that no plan weighed (`envs.scenario.within_one_plan`).
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
        **({"attributes_left_out": list(left_out)} if left_out else {}),
    }


def spent(accounts: Accounts) -> dict[str, Any]:
    """Return what requests took, for `summary.json`: all sessions of a run, in total and by model and kind.

    `cost` in dollars, None where a model has no price. Empty where nobody keeps books.
    """
    if not accounts:
        return {}
    rows = list(accounts.values())
    dollars = [account.dollars for account in rows]
    return {
        "requests": sum(account.requests for account in rows),
        "cache_hits": sum(account.cache_hits for account in rows),
        "tokens": sum(account.input_tokens + account.output_tokens for account in rows),
        "cost": None if None in dollars else sum(d or 0.0 for d in dollars),
        "spending": as_rows(accounts),
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
    groups = [(d, [p for p in plans if p.domain == d]) for d in in_order(p.domain for p in plans)]
    return [_row(name, group) for name, group in [*groups, ("all", list(plans))] if group]


def in_order(domains: Iterable[str]) -> list[str]:
    """Return the distinct `domains` as tables list them: PENGUIN's in its order, others as they occur."""
    found = dict.fromkeys(domains)
    return [*(d for d in DOMAINS if d in found), *(d for d in found if d not in DOMAINS)]


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
