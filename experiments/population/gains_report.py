"""Report of `experiments.plan_population`: tables, Parquet, the summary."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.markup import escape
from rich.table import Table

from experiments.population.compared_trees import BRANCHING, EVERYBODY, FIXED, MIN_SUPPORT, STOPPING, TREE
from experiments.population.gains import BY_DOMAIN, ORACLE, Gain
from experiments.stats import Z95, normal_interval

GAINS, MARKDOWN = "gains.parquet", "gains.md"
COLUMNS = (
    "domain",
    "people",
    "fixed path",
    "stop",
    "branch",
    "both",
    "minimum support",
    "both, held out",
    "minimum support, held out",
    "asked",
)


def gains_table(rows: Sequence[Gain], judge: str, simulated: bool) -> Table:
    """Return the gains by domain, means over model seeds, to print."""
    table = Table(
        title=escape(_title(rows, judge, simulated)), box=box.SIMPLE_HEAD, title_justify="left",
        title_style="bold", show_edge=False, pad_edge=False, padding=0,
    )  # fmt: skip
    heads = ("\ndomain", "\nn", "fixed\npath", "\nstop", "\nbranch", "\nboth", "min.\nsupport")
    for i, head in enumerate((*heads, "both,\nheld out", "support,\nheld out", "\nasked")):
        table.add_column(head, justify="left" if i == 0 else "right", no_wrap=True)
    for cells in table_rows(rows):
        if cells[0] == BY_DOMAIN:
            table.add_section()
        table.add_row(*cells)
    return table


def table_rows(rows: Sequence[Gain]) -> list[tuple[str, ...]]:
    """Return the cells of the table, a row a domain."""
    found = []
    for domain in dict.fromkeys(row.domain for row in rows):
        by_plan = {
            plan: [r for r in rows if (r.domain, r.plan) == (domain, plan)]
            for plan in (FIXED, STOPPING, BRANCHING, TREE, MIN_SUPPORT)
        }
        in_sample = [_gain(by_plan[plan]) for plan in (STOPPING, BRANCHING, TREE, MIN_SUPPORT)]
        asked = [_mean([r.questions for r in by_plan[plan]]) for plan in (FIXED, MIN_SUPPORT)]
        found.append(
            (
                domain,
                f"{by_plan[FIXED][0].n_people:,}",
                f"{_mean([r.objective for r in by_plan[FIXED]]):.2f}",
                *in_sample,
                _held(by_plan[TREE]),
                _held(by_plan[MIN_SUPPORT]),
                f"{asked[0]:.1f}>{asked[1]:.1f}",
            )
        )
    return found


def _title(rows: Sequence[Gain], judge: str, simulated: bool) -> str:
    first = rows[0]
    seeds = len({row.model_seed for row in rows})
    parts = [f"budget {first.budget}", f"cost weight {first.cost_weight:g}"]
    if first.decline_rate:
        parts.append(f"decline rate {first.decline_rate:g}")
    if seeds > 1:
        parts.append(f"means over {seeds} model seeds")
    return (
        f"Gain over the best fixed path, judge {judge}{' (SIMULATED scores)' if simulated else ''}, "
        f"{', '.join(parts)}"
    )


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else math.nan


def _gain(rows: Sequence[Gain]) -> str:
    return _signed(_mean([r.gain for r in rows])) if rows else "-"


def _signed(value: float) -> str:
    """Return `value` with its sign and three digits, without the zero before the point."""
    value = round(value, 3) + 0.0  # no negative zero
    return f"{value:+.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:+.2f}"


def _held(rows: Sequence[Gain]) -> str:
    gain, stderr = _mean([r.held_gain for r in rows]), _mean([r.held_stderr for r in rows])
    return "-" if math.isnan(gain) else f"{_signed(gain)}\u00b1{_signed(Z95 * stderr)[1:]}"


def notes(rows: Sequence[Gain]) -> str:
    """Return how the table is to be read, and what the held-out gains are draw by draw of the judge."""
    lines = [
        f"stop, branch, both: gain of leaving the path early, of choosing by the answers, of both; support: "
        f"both, no branch for fewer than {rows[0].min_profiles} people. \u00b1: 95 % interval over people. "
        f"asked: questions of the path > of support."
    ]
    for domain in (BY_DOMAIN, EVERYBODY):
        for plan, name in ((TREE, "both"), (MIN_SUPPORT, "support")):
            own = [r for r in rows if (r.domain, r.plan) == (domain, plan) and not math.isnan(r.held_stderr)]
            if len(own) < 2:
                continue
            gained = [r.held_gain for r in own]
            verdicts = [normal_interval(r.held_gain, r.held_stderr).verdict for r in own]
            up, down = verdicts.count("above"), verdicts.count("below")
            lines.append(
                f"{domain}, {name}, held out: {_signed(min(gained))} to {_signed(max(gained))}; the interval "
                f"lies above 0 in {up}, below 0 in {down} of {len(own)} draws of the judge."
            )
    return "\n".join(lines)


def markdown(rows: Sequence[Gain], judge: str, simulated: bool) -> str:
    """Return the table as Markdown."""
    lines = [f"**{_title(rows, judge, simulated)}**", "", _line(COLUMNS)]
    lines.append(_line(["---", *["---:"] * (len(COLUMNS) - 1)]))
    lines += [_line(cells) for cells in table_rows(rows)]
    return "\n".join([*lines, "", notes(rows).replace("\n", "\n\n"), ""])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def save_gains(folder: Path, rows: Sequence[Gain], source: Mapping[str, Any]) -> None:
    """Write `gains.parquet`, with `source` in its metadata, and `gains.md`."""
    kinds = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "int | None": pa.int64()}
    schema = pa.schema([(f.name, kinds[str(f.type)]) for f in fields(Gain)])
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=schema)
    metadata = {b"raise_planner": json.dumps(dict(source), sort_keys=True).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), folder / GAINS)
    text = markdown(rows, str(source["judge"]), bool(source["simulated"]))
    (folder / MARKDOWN).write_text(text, encoding="utf-8")


def summarise(
    rows: Sequence[Gain], n_scenarios: int, n_failed: int, judge: str, simulated: bool
) -> dict[str, Any]:
    """Return the content of `summary.json`: means over model seeds, of the plans of each domain together.

    `one_tree_*`: of one plan for all domains instead.
    """
    found: dict[str, Any] = {
        "n_scenarios": n_scenarios,
        "n_failed": n_failed,
        "judge": judge,
        "judge_is_simulated": simulated,
        "model_seeds": list(dict.fromkeys(row.model_seed for row in rows)),
        "budget": rows[0].budget,
        "cost_weight": rows[0].cost_weight,
        "decline_rate": rows[0].decline_rate,
        "min_profiles": rows[0].min_profiles,
    }
    for domain, prefix in ((BY_DOMAIN, ""), (EVERYBODY, "one_tree_")):
        for plan in (FIXED, STOPPING, BRANCHING, TREE, MIN_SUPPORT, ORACLE):
            own = [row for row in rows if (row.domain, row.plan) == (domain, plan)]
            found[f"{prefix}mean_objective_{plan}"] = _number([row.objective for row in own])
            found[f"{prefix}mean_questions_{plan}"] = _number([row.questions for row in own])
            found[f"{prefix}held_out_gain_{plan}"] = _number([row.held_gain for row in own])
            found[f"{prefix}held_out_stderr_{plan}"] = _number([row.held_stderr for row in own])
    return found


def _number(values: Sequence[float]) -> float | None:
    mean = _mean(values)
    return mean if math.isfinite(mean) else None
