"""Compares the speed of search with that of other engines on one small problem, in turn in one process.

Each searches 1,024 games at once, ten attributes and budget 4: gumbel-mcts (Numba, leaves scored by a PyTorch
model) and mctx (JAX). For them all games are the same problem, whose scores they look up in a table of all
sets; ours plans 1,024 different ones and computes its scores. Speed alone is compared: gumbel-mcts plays for
two sides in turn, and both keep trees, not graphs.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.table import Table

from search.problem import Problem

GAMES = 1024
NAMES = {"gumbel_mcts": "gumbel-mcts", "mctx": "mctx"}
"""Package to import -> its name."""


@dataclass(frozen=True)
class PeerRate:
    """`per_second`: simulations in a CPU second of all threads, best. `ratios`: ours to it, of each pair."""

    name: str
    per_second: float
    ratios: tuple[float, ...]


def missing() -> list[str]:
    """Return the names of the engines that are not installed."""
    return [name for package, name in NAMES.items() if importlib.util.find_spec(package) is None]


def compare_peers(
    ours: Callable[[], int], problem: Problem, simulations: int, repeats: int
) -> list[PeerRate]:
    """Measure `ours`, which returns the simulations it ran, and each engine that is installed, in turn."""
    rates = []
    for name, run in _engines(problem, simulations):
        pairs = [(_per_second(ours), _per_second(run)) for _ in range(repeats + 1)][1:]  # the first compiles
        rates.append(PeerRate(name, max(b for _, b in pairs), tuple(a / b for a, b in pairs)))
    return rates


def _per_second(run: Callable[[], int]) -> float:
    started = time.process_time()
    ran = run()
    return ran / (time.process_time() - started)


def _engines(problem: Problem, simulations: int) -> Iterator[tuple[str, Callable[[], int]]]:
    """Yield each installed engine: its name, and what searches `GAMES` games of `problem`."""
    n, budget = problem.n_attributes, problem.budget
    sets = np.arange(1 << n, dtype=np.uint64)
    scores = problem.evaluator.scores(sets, np.zeros(len(sets), np.int64))
    absent = missing()
    if NAMES["gumbel_mcts"] not in absent:
        from experiments.benchmarks.gumbel_mcts_engine import PUCT, GumbelDense, gumbel_mcts_search

        for engine in (PUCT, GumbelDense):
            found = gumbel_mcts_search(engine, scores, n, budget, simulations, GAMES)
            yield f"gumbel-mcts {engine.__name__}", found
    if NAMES["mctx"] not in absent:
        from experiments.benchmarks.mctx_engine import mctx_search

        for policy in ("muzero", "gumbel_muzero"):
            yield f"mctx {policy}", mctx_search(policy, scores, n, budget, simulations, GAMES)


def peer_table(rates: Sequence[PeerRate]) -> Table:
    """Return the rates as a table, to print."""
    found = Table(
        title=f"Other engines, {GAMES:,} searches at once, (10 attributes, budget 4)",
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    for name in ("engine", "M/s", "ours / it, median", "least", "most"):
        found.add_column(name, justify="left" if name == "engine" else "right", no_wrap=True)
    for rate in rates:
        ratios = np.median(rate.ratios), min(rate.ratios), max(rate.ratios)
        found.add_row(rate.name, f"{rate.per_second / 1e6:.2f}", *(f"{ratio:.1f}" for ratio in ratios))
    return found
