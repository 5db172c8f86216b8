"""How fast search and environment are on this machine: `python -m experiments.benchmark`.

Each rate is the best of several repeats in CPU seconds of one thread, because machines are shared; ratios
hold between rows of one run, rates do not travel between machines. With the extra `benchmark` the tree search
for unknown profiles is compared with pomdp-py's POMCP on the same problem.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from omegaconf import DictConfig
from rich import box
from rich.console import Console
from rich.table import Table

from envs import Attribute, Scenario, Schema, UserError
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from experiments.benchmarks import pomcp
from experiments.benchmarks.environment_rates import environment_rates, environment_table
from experiments.console.entry_point import entry_point
from experiments.runs.folders import start_run
from search.algorithms.mcts import MCTSSearch
from search.problem import Problem
from search.rollouts import plan
from search.scenario_problem import scenario_problem

FILE_NAME = "benchmark.json"
SMALL = 300
"""Simulations at 10 attributes and budget 4, where all sets are 386."""
TARGETS = {(10, 4, SMALL): 4.5, (60, 10, 20_000): 1.4, (60, 10, 100_000): 0.7, (60, 10, 1_000_000): 0.25}
"""(attributes, budget, simulations) -> millions of simulations a second that the compiled core (puct, max) is
to reach on one core."""
PLAN_TARGET = 2.0
"""The same for `plan()` over the bundled scenarios."""
SEARCHES: dict[str, dict[str, Any]] = {
    "puct, max": {},
    "uct, max": {"selection": "uct"},
    "puct, mean": {"backup": "mean"},
    "uct, mean": {"selection": "uct", "backup": "mean"},
}


@dataclass(frozen=True)
class Rate:
    """How fast something is.

    `simulations`: of one search; `how`: what was measured; `ran`: simulations of one repeat; `per_second`: of
    them in a CPU second; `bytes_an_edge`: memory of a tree for each of its edges.
    """

    n_attributes: int
    budget: int
    simulations: int
    search: str
    how: str
    ran: int
    per_second: float
    bytes_an_edge: float | None = None


def synthetic_problem(n_attributes: int, budget: int, seed: int) -> Problem:
    """Return a problem of the simulated judge over `n_attributes` attributes of made-up names."""
    schema = Schema(Attribute(f"Attribute {i}", "?") for i in range(n_attributes))
    profile = dict.fromkeys(schema.names, "yes")
    scenario = Scenario("benchmark", "health", "", profile, schema)
    return scenario_problem(scenario, SimulatedJudge("varied", model_seed=seed), budget)


def compiled_rates(problems: Sequence[Problem], search: str, simulations: int, repeats: int) -> list[Rate]:
    """Measure the compiled loop, the judge's surface included: a whole search, and without its set-up.

    Set-up is the allocation of the tree and the call from Python: what a search of one simulation takes.
    """
    setup = _best(problems, MCTSSearch(1, **SEARCHES[search]), repeats, simulations)
    whole = _best(problems, MCTSSearch(simulations, **SEARCHES[search]), repeats, simulations)
    core = (whole.ran - setup.ran) / (whole.seconds - setup.seconds)
    size = problems[0].n_attributes, problems[0].budget, simulations, search
    return [
        Rate(*size, "core", whole.ran, core, whole.bytes_an_edge),
        Rate(*size, "whole search", whole.ran, whole.ran / whole.seconds),
    ]


class _Timed(NamedTuple):
    seconds: float
    ran: int
    bytes_an_edge: float


def _best(problems: Sequence[Problem], searcher: MCTSSearch, repeats: int, tree_size: int) -> _Timed:
    """Return the least CPU seconds to search all `problems`, what ran, and the memory of the last tree."""
    room = MCTSSearch(tree_size)
    times, ran, bytes_an_edge = [], 0, math.nan
    for _ in range(repeats + 1):  # the first one compiles and warms caches
        ran = 0
        started = time.thread_time()
        for problem in problems:
            tree = room.new_tree(problem, in_batches=False)
            ran += searcher.run_surface(problem, tree)
        times.append(time.thread_time() - started)
        bytes_an_edge = tree.bytes_in_use() / max(1, int(tree.column("n_edges").sum()))
    return _Timed(min(times[1:]), ran, bytes_an_edge)


def whole_plan_rate(budget: int, simulations: int, repeats: int, seed: int) -> Rate:
    """Measure `search.rollouts.plan` over the bundled scenarios, as a run calls it: from profiles to rows.

    The judge has drawn its numbers for the schema before, as in a run after its first scenarios.
    """
    judge, searcher = SimulatedJudge("varied", model_seed=seed), MCTSSearch(simulations)
    times, ran = [], 0
    for _ in range(repeats + 1):
        started = time.thread_time()
        ran = sum(row.num_simulations for row in plan(load_bundled(), judge, searcher, budget, seed))
        times.append(time.thread_time() - started)
    return Rate(10, budget, simulations, "puct, max", "plan(), bundled", ran, ran / min(times[1:]))


def plan_rate(budget: int, simulations: int, repeats: int, seed: int, batch_size: int | None) -> Rate:
    """Measure `MCTSSearch.plan` as a run calls it: through the surface, or through `evaluate` in batches."""
    searcher = MCTSSearch(simulations, batch_size=batch_size or 1)
    times, ran = [], 0
    for repeat in range(repeats + 1):
        problem = synthetic_problem(10, budget, seed + repeat)
        if batch_size is not None:
            problem = replace(problem, surface=None)
        started = time.thread_time()
        ran = searcher.plan(problem, np.random.default_rng(seed)).simulations
        times.append(time.thread_time() - started)
    how = "one search" if batch_size is None else f"one, by {batch_size}"
    return Rate(10, budget, simulations, "puct, max", how, ran, ran / min(times[1:]))


def _problems(n_attributes: int, budget: int, seed: int, how_many: int) -> list[Problem]:
    return [synthetic_problem(n_attributes, budget, seed + i) for i in range(how_many)]


def measure(simulations: int, repeats: int, seed: int) -> list[Rate]:
    """Return the rates of this process."""
    rates = []
    for search in SEARCHES:  # small searches come in numbers
        rates += compiled_rates(_problems(10, 4, seed, 32), search, SMALL, repeats)
    for search in SEARCHES:
        rates += compiled_rates(_problems(60, 10, seed, 1), search, simulations, repeats)
    for times in (5, 50):
        rates += compiled_rates(_problems(60, 10, seed, 1), "puct, max", times * simulations, min(repeats, 3))
    rates.append(whole_plan_rate(4, 300, repeats, seed))
    rates.append(plan_rate(4, 300, repeats, seed, None))
    rates.append(plan_rate(4, 300, repeats, seed, 8))
    return rates


def interpreted_rate(simulations: int, seed: int) -> float:
    """Return simulations a second of the same kernels as plain Python, from a process of its own."""
    code = (
        "from experiments.benchmark import compiled_rates, synthetic_problem;"
        f"problems = [synthetic_problem(10, 4, {seed})];"
        f"print(compiled_rates(problems, 'puct, mean', {simulations}, 1)[0].per_second)"
    )
    done = subprocess.run(  # noqa: S603 - this interpreter, this module
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(f"benchmark: the interpreted run failed: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout)


def table(rates: Sequence[Rate], interpreted: float) -> Table:
    """Return the rates as a table; ratios against the interpreted kernels of the same run."""
    found = Table(
        title="Simulations a second of search=mcts, one core", box=box.SIMPLE_HEAD, title_justify="left",
        show_edge=False, pad_edge=False, padding=(0, 1, 0, 0),  # the widest row has to fit into 80 columns
    )  # fmt: skip
    for name in ("n, k", "search", "measured"):
        found.add_column(name, no_wrap=True)
    for name in ("simulations", "M/s", "target", "x Py", "B/edge"):
        found.add_column(name, justify="right", no_wrap=True)
    for rate in rates:
        aimed_at = rate.how == "core" and rate.search == "puct, max"
        target = TARGETS.get((rate.n_attributes, rate.budget, rate.simulations)) if aimed_at else None
        target = PLAN_TARGET if rate.how.startswith("plan()") else target
        found.add_row(
            f"{rate.n_attributes}, {rate.budget}",
            rate.search,
            rate.how,
            f"{rate.simulations:,}",
            f"{rate.per_second / 1e6:.2f}",
            "-" if target is None else f"{target:g}",
            f"{rate.per_second / interpreted:,.0f}" if rate.n_attributes == 10 else "-",
            "-" if rate.bytes_an_edge is None else f"{rate.bytes_an_edge:.0f}",
        )
    return found


def benchmark(cfg: DictConfig) -> None:
    """Measure, print, and write `benchmark.json` into the output folder."""
    for key, low in (("simulations", 1000), ("repeats", 1)):
        if cfg[key] < low:
            raise UserError(f"{key}: found {cfg[key]}, expected an integer >= {low}")
    folder = start_run(cfg)
    rates = measure(cfg.simulations, cfg.repeats, cfg.seed)
    interpreted = interpreted_rate(2000, cfg.seed)
    console = Console()
    console.print(table(rates, interpreted))
    console.print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}; "
        f"interpreted kernels: {interpreted:,.0f}/s (puct, mean). The judge is the SIMULATED one."
    )
    steps = environment_rates(cfg.repeats, cfg.seed)
    console.print(environment_table(steps))
    compared = pomcp.compare_pomcp(cfg.repeats, cfg.seed) if pomcp.available() else []
    message = pomcp.pomcp_table(compared) if compared else pomcp.SKIPPED
    console.print(message, markup=False, highlight=False)
    found = {
        "rates": [asdict(rate) for rate in rates],
        "interpreted_per_second": interpreted,
        "environment": [asdict(rate) for rate in steps],
        "pomcp": [asdict(row) for row in compared],
    }
    (folder / FILE_NAME).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


main = entry_point("benchmark")(benchmark)

if __name__ == "__main__":
    main()
