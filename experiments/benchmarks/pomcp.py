"""Compares our tree search for unknown profiles with pomdp-py's POMCP, where the optimum is known."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

import numpy as np
from rich import box
from rich.table import Table

from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from search.population.exact import Solution
from search.population.population_problem import PopulationProblem
from search.population.scenario_population import Population
from search.population.tree_search import PopulationMCTS

T = TypeVar("T")
BUDGET, COST_WEIGHT = 4, 0.1
SIMULATIONS = (100, 1000, 10_000)
EXPLORATION = 0.1
"""pomdp-py's constant: of 0.1, 0.3, 0.5, 1 and 2 the best at 1,000 and at 10,000 simulations here."""
SKIPPED = "pomdp-py is not installed: the comparison is skipped; pip install 'raise-planner[benchmark]'"


@dataclass(frozen=True)
class PomcpRow:
    """Means over the runs of one number of simulations.

    `*_seconds`: CPU time of the search. `*_lost`: (optimum - value of the plan) / (optimum - value of asking
    nothing). `same_time_*`: ours, with as many simulations as the time of pomdp-py allows.
    """

    simulations: int
    pomdp_py_seconds: float
    pomdp_py_lost: float
    ours_seconds: float
    ours_ran: float
    ours_lost: float
    same_time_simulations: int
    same_time_lost: float


def available() -> bool:
    """Tell whether pomdp-py is installed."""
    return importlib.util.find_spec("pomdp_py") is not None


def benchmark_problem() -> PopulationProblem:
    """Return the bundled profiles under `simulated_varied`, ten attributes, budget 4, with costs."""
    population = Population(load_bundled(), SimulatedJudge("varied"), BUDGET)
    return population.problem(cost_weight=COST_WEIGHT)


def compare_pomcp(repeats: int, seed: int, simulations: Sequence[int] = SIMULATIONS) -> list[PomcpRow]:
    """Measure both, `repeats` runs of each with seeds of their own."""
    problem = benchmark_problem()
    best = Solution(problem).value
    span = best - problem.stop_value(problem.root(), 0)
    PopulationMCTS(100).search(problem, np.random.default_rng(seed))  # compiles, or loads what is compiled
    rows = []
    for count in simulations:
        runs = [_run(problem, count, [seed, repeat]) for repeat in range(repeats)]
        seconds, value, own_seconds, ran, own_value, reach, reach_value = (
            fmean(column) for column in zip(*runs, strict=True)
        )
        rows.append(
            PomcpRow(
                simulations=count,
                pomdp_py_seconds=seconds,
                pomdp_py_lost=(best - value) / span,
                ours_seconds=own_seconds,
                ours_ran=ran,
                ours_lost=(best - own_value) / span,
                same_time_simulations=round(reach),
                same_time_lost=(best - reach_value) / span,
            )
        )
    return rows


def _run(problem: PopulationProblem, count: int, seeds: Sequence[int]) -> tuple[float, ...]:
    """Return (seconds, value of pomdp-py; seconds, simulations, value of ours; both of ours in its time)."""
    from experiments.benchmarks.pomdp_py_model import pomcp_search, pomcp_tree

    theirs, ours, longer = (np.random.default_rng([*seeds, i]) for i in range(3))
    seconds, root = _timed(lambda: pomcp_search(problem, count, EXPLORATION, theirs))
    own_seconds, found = _timed(lambda: PopulationMCTS(count).search(problem, ours))
    reach = max(1, int(seconds * found.simulations / own_seconds))
    _, same_time = _timed(lambda: PopulationMCTS(reach).search(problem, longer))
    return (
        seconds,
        pomcp_tree(problem, root).value,
        own_seconds,
        found.simulations,
        found.tree().value,
        same_time.simulations,
        same_time.tree().value,
    )


def _timed(task: Callable[[], T]) -> tuple[float, T]:
    started = time.thread_time()
    found = task()
    return time.thread_time() - started, found


def pomcp_table(rows: Sequence[PomcpRow]) -> Table:
    """Return the rows as a table, to print."""
    found = Table(
        title="Unknown profiles: pomdp-py's POMCP and ours (SIMULATED scores), share of the gain lost",
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    for name in (
        "simulations",
        "POMCP\n/s",
        "ours\n/s",
        "ratio",
        "POMCP\nlost",
        "ours\nlost",
        "same time\nlost",
    ):
        found.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        theirs, ours = row.simulations / row.pomdp_py_seconds, row.ours_ran / row.ours_seconds
        found.add_row(
            f"{row.simulations:,}",
            f"{theirs:,.0f}",
            f"{ours:,.0f}",
            f"{ours / theirs:.1f}",
            f"{row.pomdp_py_lost:.2%}",
            f"{row.ours_lost:.2%}",
            f"{row.same_time_lost:.2%}",
        )
    return found
