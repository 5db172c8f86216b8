"""Table of published claims beside what a run measured, from its `summary.json` alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from envs import UserError
from envs.judges.simulated.parameters import PUBLISHED_GAINS
from experiments.evaluation.methods.baselines import BEST_STATIC, BEST_STATIC_ALL, FULL, VANILLA
from experiments.evaluation.report.grids import number, with_interval
from experiments.pages import Grid
from experiments.stats import Interval

SUMMARY = "summary.json"
REPRODUCED, NOT, PARTLY, OPEN = "reproduced", "not reproduced", "partly", "not measured"


class Claim(NamedTuple):
    """One claim: where it stands, what was measured, the verdict, and what it was measured on."""

    claim: str
    measured: str
    verdict: str
    on: str


def claims(summary: Mapping[str, Any]) -> list[Claim]:
    """Return the published claims that an evaluation speaks to, `summary` being its `summary.json`.

    None of an evaluation with other attributes than PENGUIN's, of which nothing was published.
    """
    if not is_published_of(summary.get("names", ())):
        return []
    on = _on(summary)
    made = (_context, _ablation, _planner, _questions, _saturation, _static)
    rows = [Claim(*found, on) for function in made if (found := function(summary)) is not None]
    real = (
        ""
        if not summary["judge_is_simulated"]
        else "needs the language models; a simulated judge cannot tell"
    )
    if real:
        rows.append(Claim("six models: 2.86 to 3.77 on average, 4.55 the best", real, OPEN, "-"))
    return rows


def is_published_of(names: Iterable[str]) -> bool:
    """Tell whether the attributes `names` are those that the paper's figures are about."""
    return set(names) <= set(PUBLISHED_GAINS)


def _on(summary: Mapping[str, Any]) -> str:
    kind = "SIMULATED, " if summary["judge_is_simulated"] else ""
    draws = len(summary["model_seeds"])
    of = f"{draws} draw{'s' if draws > 1 else ''}"
    target = f", target model {summary['target']}" if summary.get("target") else ""
    where = Path(summary["scenarios"]).name
    return f"{kind}judge {summary['judge']} ({of}){target}, {where}: {held_out(summary)}"


def held_out(summary: Mapping[str, Any]) -> str:
    """Say how many people were tested, and how they were kept apart from those planned for."""
    n = summary.get("folds", 1)
    folds = f" in {n} folds" if n > 1 else ""
    return f"{summary['n_test']:,} held-out scenarios of {summary['n_profiles']:,} people{folds}"


def _method(summary: Mapping[str, Any], name: str, key: str = "score") -> Interval | None:
    row = summary["methods"].get(name)
    return None if row is None else Interval.from_json(row[key])


def _difference(
    summary: Mapping[str, Any], name: str, other: str, kind: str = "difference"
) -> Interval | None:
    for pair in summary["pairs"]:
        if (pair["name"], pair["other"], pair["kind"]) == (name, other, kind):
            return Interval.from_json(pair["interval"])
    return None


def _sign(interval: Interval) -> str:
    if interval.low > 0:
        return REPRODUCED
    return NOT if interval.high <= 0 else "not told apart"


def _fitted(summary: Mapping[str, Any]) -> str:
    return " (the simulated judge was fitted to this level)" if summary["judge_is_simulated"] else ""


def _context(summary: Mapping[str, Any]) -> tuple[str, str, str] | None:
    empty, full = _method(summary, VANILLA), _method(summary, FULL)
    if empty is None or full is None or math.isnan(full.estimate + empty.estimate):
        return None
    rise = full.estimate / empty.estimate - 1.0
    measured = f"{number(empty.estimate)} to {number(full.estimate)} (+{rise:.1%}){_fitted(summary)}"
    return (
        "full context raises 2.79 to 4.00 (+43.2 %)",
        measured,
        REPRODUCED if full.low > empty.high else NOT,
    )


def _ablation(summary: Mapping[str, Any]) -> tuple[str, str, str] | None:
    steps = [VANILLA, summary["abstention_only"], summary["chosen"]]
    scores = [_method(summary, name) for name in steps]
    rises = [_difference(summary, b, a) for a, b in ((steps[0], steps[1]), (steps[1], steps[2]))]
    if None in scores or None in rises:
        return None
    shown = " to ".join(number(score.estimate) for score in scores if score)
    signs = [_sign(rise) for rise in rises if rise]
    verdict = REPRODUCED if set(signs) == {REPRODUCED} else PARTLY if REPRODUCED in signs else NOT
    steps_shown = ", ".join(with_interval(rise, 2, signed=True) for rise in rises if rise)
    return "vanilla 2.86, + abstention 3.56, + planner 3.77", f"{shown}; steps {steps_shown}", verdict


def _planner(summary: Mapping[str, Any]) -> tuple[str, str, str] | None:
    rise = _difference(summary, summary["chosen"], "random order + value", "equal questions")
    if rise is None:
        return None
    measured = f"{with_interval(rise, 2, signed=True)} at equal mean questions"
    return "planning what to ask adds 0.21 to stopping alone", measured, _sign(rise)


def _questions(summary: Mapping[str, Any]) -> tuple[str, str, str] | None:
    asked = _method(summary, summary["chosen"], "questions")
    if asked is None:
        return None
    near = abs(asked.estimate - 2.7) <= 0.5
    measured = (
        f"{with_interval(asked, 1)} with a cost weight of {summary['value_cost']:g}, which is free to choose"
    )
    return "2.7 questions are asked on average", measured, REPRODUCED if near else NOT


def _saturation(summary: Mapping[str, Any]) -> tuple[str, str, str] | None:
    empty, one = _method(summary, VANILLA), _method(summary, "best static 1 per domain")
    best = _method(summary, BEST_STATIC)
    if empty is None or one is None or best is None or best.estimate == empty.estimate:
        return None  # with users who tell nothing there is no gain to share
    share = (one.estimate - empty.estimate) / (best.estimate - empty.estimate)
    measured = f"{share:.0%} of the best static set's gain{_fitted(summary)}"
    return (
        "the first question brings 79 % of a planned path's gain",
        measured,
        REPRODUCED if share >= 0.6 else NOT,
    )


def _static(summary: Mapping[str, Any]) -> tuple[str, str, str] | None:
    rise = _difference(summary, summary["chosen"], BEST_STATIC_ALL, "equal questions")
    if rise is None:
        return None
    measured = f"{with_interval(rise, 2, signed=True)} over the best static set at equal mean questions"
    return "planned paths beat static sets of attributes", measured, _sign(rise)


def claims_grid(rows: Sequence[Claim]) -> Grid:
    """Return the claims as a table."""
    title = _title(rows)
    return Grid(
        title,
        ("published claim", "what we measured", "reproduced", "on what"),
        [tuple(r) for r in rows],
        "",
        4,
    )


def _title(rows: Sequence[Claim]) -> str:
    count = sum(row.verdict == REPRODUCED for row in rows)
    return f"{count} of {len(rows)} published claims are reproduced here"


def read_summary(path: Path) -> dict[str, Any]:
    """Read the `summary.json` of an evaluation (its folder, or the file).

    Raises
    ------
    UserError
        no such file, or not of an evaluation.
    """
    file = path / SUMMARY if path.is_dir() else path
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file}: no such file, expected the summary of an evaluation") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not readable JSON ({type(error).__name__})") from None
    if not isinstance(summary, dict) or not {"methods", "pairs", "chosen"} <= set(summary):
        raise UserError(f"{file}: not the summary of an evaluation")
    return summary
