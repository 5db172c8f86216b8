"""Show one plan as a tree: `python -m experiments.show PATHS SCENARIO_ID`; without an id, what there is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from envs import UserError, penguin_schema
from envs.judges.made_up import made_up_by, made_up_line
from experiments.console.arguments import mistakes_in_one_line, parser
from experiments.console.plain_errors import nearest
from experiments.runs.failures import counted_reasons, read_failures, reason_lines
from experiments.runs.plan_journal import find_plan
from experiments.viewer.plan_steps import PlanStep, number, signed, steps_of
from search.path_table import FILE_NAME, PathRecord, PathTable, schema_of_run
from search.planning import Failure, ScenarioPlan

_LISTED = 20


def plan_tree(record: PathRecord, plan: ScenarioPlan | None) -> Tree:
    """Return the plan as a tree: each question, the score after it, what was weighed instead of it.

    `plan`: the run's journal entry with the alternatives; None shows the path alone.
    """
    simulated = " (SIMULATED scores)" if record.judge.startswith("simulated") else ""
    root = Tree(
        f"[bold]{escape(record.scenario_id)}[/bold]  {record.domain}, search {escape(record.search)}, "
        f"judge {escape(record.judge)}{simulated}, budget {record.budget}, {record.judge_calls} judge calls"
    )
    root.add(f"[italic]{escape(record.query)}[/italic]")
    node = root.add(f"nothing known: score {number(record.path_scores[0])}")
    for step in steps_of(record, plan):
        gain = "gain unknown" if step.gain is None else signed(step.gain)
        node = node.add(f"ask [bold]{escape(step.attribute)}[/bold]: score {number(step.after)} ({gain})")
        if plan is not None:
            _weighed(node, step)
    if plan is not None:
        stopped = f"; {escape(plan.stopped)}" if plan.stopped else ""
        root.add(f"everything known: score {number(plan.score_full)}{stopped}")
    return root


def _weighed(node: Tree, step: PlanStep) -> None:
    weighed = node.add("[dim]weighed (value: the best the search saw below it)[/dim]")
    for name, visits, value, chosen in step.weighed:
        mark = "*" if chosen else " "
        count = f", {visits} visits" if visits >= 0 else ""
        weighed.add(f"[dim]{mark} {escape(name)}: value {number(value)}{count}[/dim]")


def show(paths: Path, scenario_id: str | None, console: Console) -> None:
    """Print the plan of `scenario_id` in `paths`, a run folder or a Parquet file; None: what is in it.

    Raises
    ------
    UserError
        no such table, or no such scenario in it.
    """
    table = PathTable.load(paths)
    folder = paths if paths.is_dir() else paths.parent
    failures = read_failures(folder)
    if scenario_id is None:
        _list(table, failures, console)
        return
    found = [r for r in table.records() if r.scenario_id == scenario_id]
    if not found:
        reason = next((f"{f.stage}: {f.reason}" for f in failures if f.scenario_id == scenario_id), None)
        if reason is not None:
            raise UserError(f"{paths}: {scenario_id!r} could not be planned: {reason}")
        near = nearest(scenario_id, table.table["scenario_id"].to_pylist())
        raise UserError(
            f"{paths}: no scenario {scenario_id!r}, expected one of the column scenario_id"
            f"{', ' if near else ''}{near}"
        )
    plan = find_plan(folder, scenario_id) if (folder / FILE_NAME).exists() else None
    console.print(plan_tree(found[0], plan))
    if line := made_up_line(made_up_by([found[0].judge], schema_of_run(paths) or penguin_schema())):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _list(table: PathTable, failures: Sequence[Failure], console: Console) -> None:
    """Print which scenarios were planned, the first of them, and why others were not."""
    ids = table.table["scenario_id"].slice(0, _LISTED).to_pylist()
    more = f" and {len(table) - len(ids):,} more" if len(table) > len(ids) else ""
    lines = [f"planned: {len(table):,}", f"  {', '.join(ids)}{more}" if ids else ""]
    for line in (*filter(None, lines), *reason_lines(counted_reasons(failures))):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parser("show").parse_args(arguments)
    with mistakes_in_one_line():
        show(options.paths, options.scenario_id, Console())


if __name__ == "__main__":
    main()
