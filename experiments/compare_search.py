"""Compare searches at equal judge calls: `python -m experiments.compare_search preset=quick`.

What is compared is what a run does: every plan comes from `search.rollouts.plan` under a limit on judge
calls. The judges are simulated, so that the truth is known: regret is found by enumeration, without noise.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from envs import UserError
from experiments.comparison import curves, tables
from experiments.comparison.cells import COLUMNS, Cell, CellJournal, Rows, run_cell
from experiments.comparison.compared_page import compared_page
from experiments.comparison.problems import ProblemSet
from experiments.comparison.regret import by_search, needle_finds, normalised_regrets
from experiments.comparison.searchers import AUTO, fingerprint_of, search_nodes, searcher_for
from experiments.console.entry_point import entry_point
from experiments.runs import build
from experiments.runs.config import check_counts
from experiments.runs.folders import start_run
from experiments.runs.progress import Progress
from experiments.runs.provenance import config_dict
from experiments.runs.summary import files_table
from experiments.runs.tracking import FailSafe, Tracker
from search.rollouts import Parallel

RUNS = "runs.parquet"
TABLE = "summary.csv"
MARKDOWN = "summary.md"
FIGURE, PAGE = "regret.png", "comparison.html"
GREEDY = "greedy"
_SHOWN = ("shown_calls", "shown_noise", "shown_searches", "bootstrap", "default_search")
_NOT_IN_FINGERPRINT = ("output_dir", "resume", "parallel", "vars", "tracking", *_SHOWN)
"""Keys that change no run, so that another figure can be drawn of the same runs with resume=true."""
_LISTS = ("searches", "landscapes", "n_attributes", "noise_std", "calls")


def cells_of(cfg: DictConfig) -> list[Cell]:
    """Return the cells of the configuration, one judge after the other.

    A run that was stopped thus holds whole comparisons under fewer judges.

    Raises
    ------
    UserError
        an empty list, a number out of range, or an unknown name.
    """
    for name in _LISTS:
        if not len(cfg[name]) or len(set(cfg[name])) < len(cfg[name]):
            raise UserError(f"{name}: found {list(cfg[name])}, expected a list of distinct entries")
    check_counts(cfg, "model_seeds", "problems", "budget", "report_samples", "static_people", "bootstrap")
    custom: Any = OmegaConf.to_container(cfg.custom, resolve=True)
    nodes = search_nodes(list(cfg.searches), custom)
    grid = itertools.product(range(cfg.model_seeds), cfg.landscapes, cfg.n_attributes, cfg.noise_std)
    sets = [
        ProblemSet(kind, n, seed, cfg.budget, cfg.problems, noise, cfg.seed) for seed, kind, n, noise in grid
    ]
    made = {
        (name, calls): searcher_for(node, calls, cfg.seed, name in cfg.scheduled)
        for name, node in nodes.items()
        for calls in cfg.calls
        if name != AUTO
    }
    return [
        Cell(
            problems,
            name,
            searcher_for(nodes[name], calls, cfg.seed, judge=problems.judge())
            if name == AUTO
            else made[name, calls],
            calls,
            report_samples=cfg.report_samples,
            static_people=cfg.static_people,
        )
        for problems in sets
        for name in nodes
        for calls in cfg.calls
    ]


def run_cells(
    cells: Sequence[Cell], journal: CellJournal, parallel: Parallel, tracker: Tracker | None = None
) -> Rows:
    """Run what the journal does not hold, and return the rows of all cells, in the order of `cells`."""
    done = dict(journal.done)
    waiting = [cell for cell in cells if cell.key not in done]
    with Progress(
        "compared",
        "cells",
        len(cells),
        len(cells) - len(waiting),
        tracker=tracker,
        live=lambda: _figures(list(done.values())),
    ) as progress:
        for index, rows in parallel.map(run_cell, waiting) if waiting else ():
            key = waiting[index].key
            journal.add(key, rows)
            done[key] = rows
            progress.advance()
    return [row for cell in cells for row in done[cell.key]]


def _figures(cells: Sequence[Rows]) -> dict[str, float]:
    return {
        "plans": sum(map(len, cells)),
        "judge_calls": sum(row["judge_calls"] for rows in cells for row in rows),
    }


def compare(cfg: DictConfig) -> None:
    """Run the comparison of `cfg`; write runs, tables and figure into the output folder; print the tables."""
    started = time.perf_counter()
    cells = cells_of(cfg)
    folder = Path(cfg.output_dir)
    parallel, tracking = build.build_parallel(cfg), FailSafe(build.build_tracking(cfg))
    with CellJournal(
        folder, fingerprint_of(cfg, list(cfg.searches), _NOT_IN_FINGERPRINT), cfg.resume
    ) as journal:
        start_run(cfg, resumed=bool(journal.done))
        tracking.start(config_dict(cfg, cfg.budget), folder)
        rows = run_cells(cells, journal, parallel, tracking)
    runs = pd.DataFrame(rows, columns=list(COLUMNS))
    runs.to_parquet(folder / RUNS, index=False)
    against = list(dict.fromkeys([cfg.default_search, GREEDY]))
    table = normalised_regrets(runs, against, cfg.bootstrap, cfg.seed)
    table.to_csv(folder / TABLE, index=False)
    needle, searches = needle_finds(runs), by_search(runs, cfg.bootstrap, cfg.seed)
    text = tables.markdown(table, searches, needle, against)
    (folder / MARKDOWN).write_text(text, encoding="utf-8")
    shown_calls = _nearest(cfg.calls, cfg.shown_calls)
    noise = _nearest(cfg.noise_std, cfg.shown_noise)
    drawn = table[(table["n_attributes"] == cfg.n_attributes[0]) & (table["noise_std"] == noise)]
    if cfg.shown_searches is not None:
        drawn = drawn[drawn["search"].isin(cfg.shown_searches)]
    curves.save_picture_of_regret(drawn, shown_calls, cfg.default_search, GREEDY, folder / FIGURE)
    content = compared_page(table, drawn, needle, searches, shown_calls, cfg.default_search, GREEDY)
    (folder / PAGE).write_text(content, encoding="utf-8")
    console = Console()
    for shown in tables.terminal_tables(table, shown_calls, cfg.default_search):
        console.print(shown)
    last = f"{len(runs):,} plans in {time.perf_counter() - started:.1f} s; all scores are SIMULATED."
    said = [f"< > loses less, more than {cfg.default_search} on the same problems (paired 95 % interval)."]
    said += [tables.needle_line(needle, shown_calls), last]
    console.print("\n".join(filter(None, said)), highlight=False, soft_wrap=True)
    console.print(_files(folder), highlight=False, markup=False, soft_wrap=True)
    regrets = {"regret": (list(table.columns), table.to_numpy().tolist())}
    tracking.finish({"plans": len(runs), "simulated": True}, regrets, lambda: {"figure": folder / FIGURE})


def _nearest(values: Sequence[Any], wanted: float) -> Any:
    return min(values, key=lambda value: (abs(value - wanted), value))


def _files(folder: Path) -> str:
    return files_table(
        folder,
        [
            (RUNS, "every plan"),
            (TABLE, "regret with intervals, differences; a row a search and limit"),
            (MARKDOWN, "the same to read, with the needle, reports, beliefs and times"),
            (PAGE, "the finding and what speaks against it, all figures"),
            (FIGURE, "regret against judge calls"),
        ],
    )


main = entry_point("compare_search")(compare)

if __name__ == "__main__":
    main()
