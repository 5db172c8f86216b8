"""A cell of the comparison: plans of one search, with one limit on calls, for the people of one judge."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from envs import UserError
from experiments.comparison.problems import ProblemSet, best_and_empty, best_static, true_scores
from experiments.runs.journal import LineJournal
from search.planning import Failure, ScenarioPlan
from search.plans import Plan
from search.problem import Problem, Searcher
from search.rollouts import plan

BEST_STATIC = "best_static"
"""Name of the baseline that `experiments.comparison.problems.best_static` makes."""

COLUMNS = (
    "landscape", "n_attributes", "noise_std", "model_seed", "search", "calls", "learns", "wave",
    "shared", "one_domain",
    "scenario_id", "domain", "order", "best", "empty", "true", "regret", "reported", "optimism", "belief",
    "belief_error", "search_calls", "judge_calls", "simulations", "n_questions", "path", "stopped", "seconds",
    "seed",
)  # fmt: skip
"""Of a run. `one_domain`: the people were all put into one domain. `order`: place of the person among those
planned for. `seconds` alone differs from run to run."""


@dataclass(frozen=True)
class Cell:
    """A cell is one task: its people are planned one after the other by `search.rollouts.plan`.

    Attributes
    ----------
    problems : ProblemSet
    search : str, the name in tables
    searcher : Searcher, or None for the best static set of these problems
    calls : int, limit on the search's own judge calls (the empty set's is one of them)
    learns : bool, whether a searcher with `fit` is fitted between waves
    wave : int, people between two fits
    report_samples : int, fresh samples a prefix is reported on
    static_people : int, people a domain whose truth makes the best static set
    """

    problems: ProblemSet
    search: str
    searcher: Searcher | None = field(repr=False, compare=False)
    calls: int
    learns: bool = False
    wave: int = 50
    report_samples: int = 8
    static_people: int = 15

    @property
    def key(self) -> str:
        """Return a name of the cell that holds all that determines its rows but the searcher's settings."""
        named = asdict(replace(self, searcher=None))
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:24]


class _WithoutFit:
    """A searcher that may not learn from others."""

    def __init__(self, searcher: Searcher, name: str) -> None:
        self.searcher = searcher
        self.name = name

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        return self.searcher.plan(problem, rng)


def run_cell(cell: Cell) -> list[dict[str, Any]]:
    """Plan everybody of the cell and return a row each, with `COLUMNS`; the truth is found by enumeration.

    Raises
    ------
    UserError
        the searcher returned no plan, or could not plan somebody: a simulated judge scores everything.
    """
    problems = cell.problems
    people, judge = problems.scenarios(), problems.judge()
    exact = replace(problems, noise_std=0.0)  # the truth, and what is made of it, is the same under any noise
    given = cell.searcher
    inner = best_static(exact, cell.static_people) if given is None else given
    searcher = inner if cell.learns else _WithoutFit(inner, cell.search)
    failures: list[Failure] = []
    running = plan(
        people,
        judge,
        searcher,
        problems.budget,
        problems.run_seed,
        report_samples=cell.report_samples,
        max_judge_calls=cell.calls,
        wave=cell.wave,
        on_failure=failures.append,
    )
    extremes = best_and_empty(exact)
    rows = []
    started = time.perf_counter()
    for order, planned in enumerate(running):
        seconds = time.perf_counter() - started
        if failures:
            break
        scenario = people[order]
        mask = np.array([scenario.schema.mask(planned.path)], dtype=np.uint64)
        true = float(true_scores(judge, scenario, mask)[0])
        rows.append(_row(cell, planned, order, (*extremes[order], true), seconds))
        started = time.perf_counter()
    if failures:
        failed = failures[0]
        raise UserError(f"search {cell.search}, scenario {failed.scenario_id}: {failed.reason}")
    return rows


def _row(
    cell: Cell, planned: ScenarioPlan, order: int, scores: Sequence[float], seconds: float
) -> dict[str, Any]:
    problems = cell.problems
    best, empty, true = scores
    return {
        "landscape": problems.landscape,
        "n_attributes": problems.n_attributes,
        "noise_std": problems.noise_std,
        "model_seed": problems.model_seed,
        "search": cell.search,
        "calls": cell.calls,
        "learns": cell.learns,
        "wave": cell.wave,
        "shared": problems.shared,
        "one_domain": problems.domain is not None,
        "scenario_id": planned.scenario_id,
        "domain": planned.domain,
        "order": order,
        "best": best,
        "empty": empty,
        "true": true,
        "regret": best - true,
        "reported": planned.score,
        "optimism": planned.score - true,
        "belief": planned.search_score,
        "belief_error": planned.search_score - true,
        "search_calls": planned.search_calls,
        "judge_calls": planned.judge_calls,
        "simulations": planned.num_simulations,
        "n_questions": len(planned.path),
        "path": list(planned.path),
        "stopped": planned.stopped,
        "seconds": round(seconds, 5),
        "seed": problems.seed,
    }


Rows = list[dict[str, Any]]


class CellJournal(LineJournal[Rows]):
    """`cells.jsonl`, keyed by `Cell.key`."""

    file_name = "cells.jsonl"

    def add(self, key: str, rows: Rows) -> None:
        """Append the rows of a cell; they survive a kill of this process from here on."""
        values = [[row[name] for name in COLUMNS] for row in rows]
        self._append(json.dumps({"cell": key, "rows": values}))

    def _enter(self, path: Path, number: int, line: bytes) -> None:
        try:
            entry = json.loads(line)
            self.done[entry["cell"]] = [dict(zip(COLUMNS, row, strict=True)) for row in entry["rows"]]
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{path}: line {number} is no cell, expected a journal") from None
