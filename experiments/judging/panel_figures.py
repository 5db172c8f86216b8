"""What the members of a panel said of the same things: means, spread, agreement, and who was missing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from envs import Judge, Scenario, Score
from envs.checking.json_values import with_nulls
from envs.judges.asking import scored
from envs.judges.panel import PanelJudge, PanelScore
from envs.judges.protocol import describe
from experiments.judging.agreement import krippendorff_alpha
from search.path_table import PathTable
from search.planning import REPORT_SAMPLE


def panel_figures(names: Sequence[str], scores: Sequence[Score]) -> dict[str, Any] | None:
    """Return figures of a panel, JSON-ready; None where `scores` are no panel's.

    `alpha`: Krippendorff's, of the members' scores; `spread`: the mean standard deviation between members;
    `members`: mean, how many are missing and why, by name.
    """
    units = [score for score in scores if isinstance(score, PanelScore)]
    if not units:
        return None
    values = np.array([[member.value for member in unit.members] for unit in units])
    spreads = [unit.spread for unit in units if not math.isnan(unit.spread)]
    members = {}
    for i, name in enumerate(names):
        reasons = Counter(r for unit in units if (r := unit.members[i].reason) is not None)
        there = values[:, i][~np.isnan(values[:, i])]
        mean = float(there.mean()) if len(there) else math.nan
        members[name] = {"mean": with_nulls(mean), "missing": sum(reasons.values()), "reasons": dict(reasons)}
    return {
        "units": len(units),
        "alpha": with_nulls(krippendorff_alpha(values)),
        "spread": with_nulls(float(np.mean(spreads)) if spreads else math.nan),
        "members": members,
    }


def planned_panel_figures(judge: Judge, scenarios: Iterable[Scenario], table: Path) -> dict[str, Any] | None:
    """Return the figures of a panel over the last context of each plan in the path table `table`.

    None for a judge that is no panel.
    """
    if not isinstance(judge, PanelJudge):
        return None
    paths = {plan.scenario_id: set(plan.path) for plan in PathTable.load(table).records()}
    return _asked_again(
        judge,
        [
            (scenario, [tuple(name for name in scenario.schema.names if name in paths[scenario.id])])
            for scenario in scenarios
            if scenario.id in paths
        ],
    )


def evaluated_panel(judge: Judge, tested: Sequence[Scenario]) -> dict[str, Any]:
    """Return {"panel": figures} over what every evaluation scores of each person: nothing and all known.

    Nothing for a judge that is no panel.
    """
    found = _asked_again(judge, [(s, [(), s.schema.names_of(s.askable)]) for s in tested])
    return {} if found is None else {"panel": found}


def show_panel(summary: Mapping[str, Any], console: Console) -> None:
    """Print the figures of `evaluated_panel` in a summary, where there are some."""
    for line in panel_lines(summary.get("panel")):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _asked_again(
    judge: Judge, asked: Sequence[tuple[Scenario, list[tuple[str, ...]]]]
) -> dict[str, Any] | None:
    """Ask a panel for contexts again, the first sample of a report: what was paid for is in the cache."""
    if not isinstance(judge, PanelJudge):
        return None
    told, found = describe(judge), list[Score]()
    for scenario, contexts in asked:
        looks = [REPORT_SAMPLE if told.stochastic else 0] * len(contexts)
        found += scored(judge, told, scenario, contexts, looks)
    return panel_figures(judge.member_names, found)


def panel_lines(figures: dict[str, Any] | None) -> list[str]:
    """Return the figures in words, a line for the panel and one for each member; none for no panel."""
    if figures is None:
        return []
    alpha, spread = figures["alpha"], figures["spread"]
    said = ["-" if x is None else f"{x:.2f}" for x in (alpha, spread)]
    lines = [f"panel over {figures['units']:,}: Krippendorff's alpha {said[0]}, spread {said[1]}"]
    for name, member in figures["members"].items():
        mean = "-" if member["mean"] is None else f"{member['mean']:.2f}"
        why = ", ".join(f"{reason} {n}" for reason, n in member["reasons"].items())
        lines.append(f"  {name}: mean {mean}, missing {member['missing']:,}" + (f" ({why})" if why else ""))
    return lines
