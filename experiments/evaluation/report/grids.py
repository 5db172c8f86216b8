"""Tables of an evaluation, the same in HTML and in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from experiments.evaluation.methods.models import Asked
from experiments.evaluation.report.method_figures import MethodFigures
from experiments.evaluation.report.pairs import Pair
from experiments.evaluation.results import DIMENSIONS
from experiments.evaluation.understanding import Understood
from experiments.pages import Grid
from experiments.stats import Interval

SIMULATED = " (SIMULATED)"


def number(value: float, digits: int = 2) -> str:
    """Return `value` as text, "-" for NaN and "not reached" for infinity."""
    if math.isnan(value):
        return "-"
    return "not reached" if math.isinf(value) else f"{value:.{digits}f}"


def with_interval(interval: Interval, digits: int = 2, signed: bool = False) -> str:
    """Return `3.77 [3.70, 3.84]`; of one person alone `3.77 (no interval)`."""
    if math.isnan(interval.estimate):
        return "-"
    plus = "+" if signed and interval.estimate >= 0 and math.isfinite(interval.estimate) else ""
    shown = f"{plus}{number(interval.estimate, digits)}"
    if math.isnan(interval.low) and math.isnan(interval.high):
        return f"{shown} (no interval)"
    return f"{shown} [{number(interval.low, digits)}, {number(interval.high, digits)}]"


def _percent(interval: Interval) -> str:
    if math.isnan(interval.estimate):
        return "-"
    parts = [f"{100 * value:.0f}" for value in interval]
    return f"{parts[0]} % [{parts[1]}, {parts[2]}]"


def methods_grid(found: Iterable[MethodFigures], simulated: bool, title: str = "Every method") -> Grid:
    """Return the main table, one row a method."""
    found = list(found)
    columns = ["method", "kind", "score", "questions", "disclosure", "share of possible gain", "made worse"]
    some = any(m.n_unscored for m in found)
    if some:
        columns.append("unscored rows")
    rows = [
        (
            m.name,
            m.kind,
            with_interval(m.score),
            number(m.questions.estimate),
            number(m.disclosure.estimate, 1),
            _percent(m.share),
            "-" if math.isnan(m.worse.estimate) else f"{100 * m.worse.estimate:.1f} %",
            *([f"{m.n_unscored:,} of {m.n_rows:,}"] if some else []),
        )
        for m in found
    ]
    note = (
        "Score 1 to 5, mean over held-out people"
        + (SIMULATED if simulated else "")
        + ". Disclosure: cost times "
        "sensitivity of what was answered. Possible gain: of the best set within the budget for each very "
        "person. Made worse: scores below asking nothing."
    )
    return Grid(title, columns, rows, note, 2, data=_whole(found))


def _whole(found: Sequence[MethodFigures]) -> list[list[object]]:
    """Return all figures of all methods as plain numbers, names of the columns first."""
    parts = ("score", "questions", "answered", "disclosure", "share", "worse")
    names = [f"{part}{end}" for part in parts for end in ("", "_low", "_high")]
    rows: list[list[object]] = [["method", "kind", "rows", "unscored", *names]]
    for m in found:
        intervals = (m.score, m.questions, m.answered, m.disclosure, m.share, m.worse)
        numbers = [f"{value:.6g}" for interval in intervals for value in interval]
        rows.append([m.name, m.kind, m.n_rows, m.n_unscored, *numbers])
    return rows


def domains_grid(found: Sequence[MethodFigures], simulated: bool, title: str) -> Grid:
    """Return mean scores by domain."""
    domains = list(found[0].domains) if found else []
    rows = [(m.name, *(with_interval(m.domains[d]) for d in domains)) for m in found]
    return Grid(title, ("method", *domains), rows, f"Mean score{SIMULATED if simulated else ''}.")


def dimensions_grid(found: Sequence[MethodFigures], simulated: bool, title: str) -> Grid:
    """Return mean scores by dimension."""
    rows = [(m.name, *(with_interval(m.dimensions[d]) for d in DIMENSIONS)) for m in found]
    columns = ("method", *(d.replace("_", " ") for d in DIMENSIONS))
    return Grid(title, columns, rows, f"Mean score{SIMULATED if simulated else ''}.")


def pairs_grid(pairs: Sequence[Pair], simulated: bool) -> Grid:
    """Return every comparison with its interval."""
    rows = []
    for pair in pairs:
        share = pair.kind == "share"
        shown = _percent(pair.interval) if share else with_interval(pair.interval, 3, signed=True)
        held = "-" if share else ("yes" if pair.interval.excludes_zero() else "no")
        rows.append((pair.label, shown, held))
    note = "Paired by person and draw of the judge" + (SIMULATED if simulated else "")
    title = "Comparisons, each with its interval"
    return Grid(title, ("comparison", "difference", "interval excludes 0"), rows, f"{note}.")


def asked_grid(asked: Sequence[Asked]) -> Grid:
    """Return what the models that choose and rate were asked, and how often they said nothing of use."""
    rows = [(a.model, a.about, f"{a.asked:,}", f"{a.invalid:,}") for a in asked]
    note = (
        "Distinct prompts. Without a usable reply after all repetitions the vote of the neighbours chooses, "
        "and a context counts as insufficient."
    )
    invalid, total = sum(a.invalid for a in asked), sum(a.asked for a in asked)
    title = f"The model that chooses and rates: {invalid:,} of {total:,} prompts without a usable reply"
    return Grid(title, ("model", "what it does", "prompts", "no usable reply"), rows, note, 2)


def understanding_grid(found: Sequence[Understood]) -> Grid:
    """Return how the reader and the detector took what users say, by manner."""

    def share(part: int, of: int) -> str:
        return f"{100 * part / of:.0f} %" if of else "-"

    rows = [
        (
            row.manner,
            f"{row.replies:,}",
            share(row.read, row.told),
            share(row.right, row.levels),
            share(row.wrong, row.levels),
            share(row.kept, row.nothing),
            share(row.certain, row.replies),
            share(row.checked, row.replies),
        )
        for row in found
    ]
    columns = (
        "users",
        "replies",
        "told and read",
        "right level",
        "wrong level",
        "kept though nothing was told",
    )
    note = (
        "What is told is said by the user, never by the reader. Levels: of replies that tell all of a value "
        "with a level. Alarms of the detector (help first; one check question): nobody here is in acute "
        "danger, though some tell of self-harm."
    )
    kept, of = sum(row.kept for row in found), sum(row.nothing for row in found)
    title = f"The reader keeps {share(kept, of)} of the replies that tell nothing"
    return Grid(title, (*columns, "escalated", "checked"), rows, note)


def variations_grid(rows: Sequence[Mapping[str, object]], simulated: bool, title: str) -> Grid:
    """Return the robustness table; `rows`: see `output.Report.varied`."""
    shown = []
    for row in rows:
        score, questions, share = row["score"], row["questions"], row["share"]
        assert isinstance(score, Interval) and isinstance(questions, Interval) and isinstance(share, Interval)  # noqa: S101, PT018
        cells = (str(row["variation"]), str(row["setting"]), str(row["method"]))
        shown.append((*cells, with_interval(score), number(questions.estimate), _percent(share)))
    columns = ("variation", "setting", "method", "score", "questions", "share of possible gain")
    return Grid(title, columns, shown, f"Mean score{SIMULATED if simulated else ''}.", 3)
