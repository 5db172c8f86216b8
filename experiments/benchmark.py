"""How fast search and environment are on this machine: `python -m experiments.benchmark`.

Each rate is the best of several repeats in CPU seconds of one thread, because machines are shared; ratios
hold between rows of one run, rates do not travel between machines. With the extra `benchmark` the tree search
for unknown profiles is compared with pomdp-py's POMCP on the same problem, and the speed of the search with
that of other engines.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from omegaconf import DictConfig
from rich import box
from rich.console import Console
from rich.table import Table

from envs import Attribute, Scenario, Schema
from envs.judges.protocol import ManySurfaces
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from experiments.benchmarks import peers, pomcp
from experiments.benchmarks.environment_rates import environment_rates, environment_table
from experiments.console.entry_point import entry_point
from experiments.runs.config import check_counts
from experiments.runs.folders import start_run
from search.algorithms.mcts import MCTSSearch
from search.core.tree import Tree
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
"""The same for `plan()` over the bundled scenarios with a new judge."""
IN_ONE_CALL, NEW_JUDGE = "in one call", "plan(), new judge"
TOGETHER, SINGLE = peers.GAMES, 32
"""Small problems of one compiled call, and of those how many are called one by one."""
NOTE = (
    f"In one call: {TOGETHER:,} plans of the small problem and one of each other, with the path rule. "
    "One by one: a call from Python and new memory for each search. The judge is the SIMULATED one."
)
INSTALL = "pip install 'raise-planner[benchmark]'"
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
    them in a CPU second at best; `slowest`: in the slowest repeat; `bytes_an_edge`: memory of a tree for each
    of its edges.
    """

    n_attributes: int
    budget: int
    simulations: int
    search: str
    how: str
    ran: int
    per_second: float
    slowest: float
    bytes_an_edge: float | None = None


Size = tuple[int, int, int, str]
"""(attributes, budget, simulations, search)."""


def synthetic_problem(n_attributes: int, budget: int, seed: int) -> Problem:
    """Return a problem of the simulated judge over `n_attributes` attributes of made-up names."""
    schema = Schema(Attribute(f"Attribute {i}", "?") for i in range(n_attributes))
    profile = dict.fromkeys(schema.names, "yes")
    scenario = Scenario("benchmark", "health", "", profile, schema)
    return scenario_problem(scenario, SimulatedJudge("varied", model_seed=seed), budget)


def compiled_rates(problems: Sequence[Problem], search: str, simulations: int, repeats: int) -> list[Rate]:
    """Measure the search in compiled code, the judge's surface included, in its two ways.

    One call for all of `problems`, as a run makes it: searches, path rule and what was weighed. And a call
    from Python for each, on memory never used before: the search alone.
    """
    searcher = MCTSSearch(simulations, **SEARCHES[search])
    latest: list[Tree] = []

    def one_by_one() -> int:
        latest[:] = [searcher.new_tree(problem, in_batches=False) for problem in problems[:SINGLE]]
        return sum(searcher.run_surface(*pair) for pair in zip(problems, latest, strict=False))

    size = problems[0].n_attributes, problems[0].budget, simulations, search
    together = timed(size, IN_ONE_CALL, plans_in_one_call(problems, searcher), repeats)
    alone = timed(size, "one by one", one_by_one, repeats)
    edges = sum(tree.column("n_edges").sum() for tree in latest)
    return [replace(together, bytes_an_edge=sum(tree.bytes_in_use() for tree in latest) / edges), alone]


def plans_in_one_call(problems: Sequence[Problem], searcher: MCTSSearch) -> Callable[[], int]:
    """Return what plans `problems`, all of one size, in one compiled call; it returns the simulations run."""
    surfaces = [problem.surface for problem in problems if problem.surface is not None]
    starts = np.cumsum([0, *(len(surface.params) for surface in surfaces)])
    params = np.concatenate([surface.params for surface in surfaces])
    many = ManySurfaces(surfaces[0].function, params, starts)
    askable = np.array([problem.askable for problem in problems], np.uint64)
    size = problems[0].n_attributes, problems[0].budget

    def plan_all() -> int:
        plans = searcher.plan_surfaces(many, askable, *size, dropout=0.1)
        return 0 if plans is None else int(plans.simulations.sum())

    return plan_all


def timed(size: Size, how: str, run: Callable[[], int], repeats: int) -> Rate:
    """Time `run`, which returns the simulations that ran, `repeats` times; before it once, to compile."""
    times, ran = [], run()
    for _ in range(repeats):
        started = time.thread_time()
        ran = run()
        times.append(time.thread_time() - started)
    return Rate(*size, how, ran, ran / min(times), ran / max(times))


def whole_plan_rates(budget: int, simulations: int, repeats: int, seed: int) -> list[Rate]:
    """Measure `search.rollouts.plan` over the bundled scenarios, from profiles to rows.

    With a new judge, which first draws its numbers for the schema, and with one that has drawn them before.
    """
    searcher, used = MCTSSearch(simulations), SimulatedJudge("varied", model_seed=seed)

    def planned(judge: SimulatedJudge) -> int:
        return sum(row.num_simulations for row in plan(load_bundled(), judge, searcher, budget, seed))

    size = 10, budget, simulations, "puct, max"
    return [
        timed(size, NEW_JUDGE, lambda: planned(SimulatedJudge("varied", model_seed=seed)), repeats),
        timed(size, "plan(), judge used", lambda: planned(used), repeats),
    ]


def plan_rate(budget: int, simulations: int, repeats: int, seed: int, batch_size: int | None) -> Rate:
    """Measure `MCTSSearch.plan`: through the surface, or through `evaluate` in batches."""
    searcher = MCTSSearch(simulations, batch_size=batch_size or 1)
    # A problem remembers its scores, so that each is planned once.
    problems = iter(_problems(10, budget, seed, repeats + 1))

    def planned() -> int:
        problem = next(problems)
        if batch_size is not None:
            problem = replace(problem, surface=None)
        return searcher.plan(problem, np.random.default_rng(seed)).simulations

    how = "one plan" if batch_size is None else f"one plan, by {batch_size}"
    return timed((10, budget, simulations, "puct, max"), how, planned, repeats)


def _problems(n_attributes: int, budget: int, seed: int, how_many: int) -> list[Problem]:
    return [synthetic_problem(n_attributes, budget, seed + i) for i in range(how_many)]


def measure(simulations: int, repeats: int, seed: int) -> list[Rate]:
    """Return the rates of this process."""
    rates = []
    small, large = _problems(10, 4, seed, TOGETHER), _problems(60, 10, seed, 1)
    for search in SEARCHES:
        rates += compiled_rates(small, search, SMALL, repeats)
    rates += compiled_rates(large, "puct, max", 3000, repeats)
    for search in SEARCHES:
        rates += compiled_rates(large, search, simulations, repeats)
    for times in (5, 50):
        rates += compiled_rates(large, "puct, max", times * simulations, min(repeats, 3))
    rates += whole_plan_rates(4, SMALL, repeats, seed)
    rates += [plan_rate(4, SMALL, repeats, seed, batch_size) for batch_size in (None, 8)]
    return rates


def peer_rates(repeats: int, seed: int) -> list[peers.PeerRate]:
    """Compare the compiled call of many plans with other engines, where any are installed."""
    if len(peers.missing()) == len(peers.NAMES):
        return []
    problems = _problems(10, 4, seed, TOGETHER)
    ours = plans_in_one_call(problems, MCTSSearch(SMALL))
    return peers.compare_peers(ours, problems[0], SMALL, min(repeats, 3))


def table(rates: Sequence[Rate]) -> Table:
    """Return the rates as a table."""
    found = Table(
        title="Simulations of search=mcts in a CPU second, one core",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        padding=(0, 1, 0, 0),
    )
    found.add_column("n, budget, simulations")
    found.add_column("search", no_wrap=True)
    found.add_column("measured", no_wrap=True)
    for name in ("M/s", "slowest", "target", "B/edge"):
        found.add_column(name, justify="right", no_wrap=True)
    for rate in rates:
        aimed_at = rate.how == IN_ONE_CALL and rate.search == "puct, max"
        target = TARGETS.get((rate.n_attributes, rate.budget, rate.simulations)) if aimed_at else None
        target = PLAN_TARGET if rate.how == NEW_JUDGE else target
        found.add_row(
            f"{rate.n_attributes}, {rate.budget}, {rate.simulations:,}",
            rate.search,
            rate.how,
            f"{rate.per_second / 1e6:.2f}",
            f"{rate.slowest / 1e6:.2f}",
            "-" if target is None else f"{target:g}",
            "-" if rate.bytes_an_edge is None else f"{rate.bytes_an_edge:.0f}",
        )
    return found


def benchmark(cfg: DictConfig) -> None:
    """Measure, print, and write `benchmark.json` into the output folder."""
    check_counts(cfg, "simulations", least=1000)
    check_counts(cfg, "repeats")
    folder = start_run(cfg)
    rates = measure(cfg.simulations, cfg.repeats, cfg.seed)
    console = Console()
    console.print(table(rates))
    console.print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}. {NOTE}")
    others = peer_rates(cfg.repeats, cfg.seed)
    if others:
        console.print(peers.peer_table(others))
    if absent := peers.missing():
        console.print(f"{', '.join(absent)}: not installed; {INSTALL}", markup=False, highlight=False)
    steps = environment_rates(cfg.repeats, cfg.seed)
    console.print(environment_table(steps))
    compared = pomcp.compare_pomcp(cfg.repeats, cfg.seed) if pomcp.available() else []
    message = pomcp.pomcp_table(compared) if compared else pomcp.SKIPPED
    console.print(message, markup=False, highlight=False)
    found = {
        "rates": [asdict(rate) for rate in rates],
        "peers": [asdict(rate) for rate in others],
        "environment": [asdict(rate) for rate in steps],
        "pomcp": [asdict(row) for row in compared],
    }
    (folder / FILE_NAME).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


main = entry_point("benchmark")(benchmark)

if __name__ == "__main__":
    main()
