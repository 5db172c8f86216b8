"""Hold a search to what is claimed of it: `python -m experiments.search_claims subject=mcts`.

The plans come from the same harness as those of `experiments.compare_search`; the cells are chosen so that
each claim can be settled, under at least ten judges of each kind.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from envs import UserError
from experiments.compare_search import run_cells
from experiments.comparison.cells import COLUMNS, Cell, CellJournal
from experiments.comparison.claim_checks import (
    ALL_SETS,
    EXACT,
    EXACT_CALLS,
    GREEDY_CALLS,
    JUDGES,
    NEEDLE_CALLS,
    NOISE,
    NOISY,
    RIVALS,
    SKETCH_TARGETS,
    ClaimCheck,
    checks,
    count,
)  # fmt: skip
from experiments.comparison.problems import ProblemSet
from experiments.comparison.searchers import fingerprint_of, search_nodes, searcher_for
from experiments.runs import build
from experiments.runs.entry_point import entry_point
from experiments.runs.folders import start_run
from search.problem import Searcher

FILE_NAME = "claims.json"
MARKDOWN = "claims.md"
WORDS = {True: "met", False: "NOT met", None: "open"}
RUNS = "runs.parquet"
_ATTRIBUTES, _BUDGET = 10, 4
_SHARED = 0.5
_DOMAIN = "health"
_NOT_IN_FINGERPRINT = ("output_dir", "resume", "parallel", "vars", "bootstrap")


class _Cells:
    """Makes cells of the configured size; each searcher is built once."""

    def __init__(self, cfg: DictConfig) -> None:
        self.cfg = cfg
        custom: Any = OmegaConf.to_container(cfg.custom, resolve=True)
        self.needle = list(dict.fromkeys([cfg.subject, *search_nodes(cfg.needle_searches, custom)]))
        self.nodes = search_nodes(list(dict.fromkeys([*self.needle, *RIVALS])), custom)
        self._built: dict[tuple[str, int], Searcher | None] = {}

    def searcher(self, search: str, calls: int) -> Searcher | None:
        if (search, calls) not in self._built:
            self._built[search, calls] = searcher_for(
                self.nodes[search], calls, self.cfg.seed, search in self.cfg.scheduled
            )
        return self._built[search, calls]

    def one(self, landscape: str, noise: float, seed: int, search: str, calls: int) -> Cell:
        problems = ProblemSet(landscape, _ATTRIBUTES, seed, _BUDGET, self.cfg.problems, noise, self.cfg.seed)
        return Cell(problems, search, self.searcher(search, calls), calls)

    def learning(self, landscape: str, seed: int, calls: int, learns: bool) -> Cell:
        cfg = self.cfg
        shared = 0.0 if landscape == "varied" else _SHARED
        problems = ProblemSet(
            landscape, _ATTRIBUTES, seed, _BUDGET, 2 * cfg.wave, NOISE, cfg.seed, shared, _DOMAIN
        )
        return Cell(problems, cfg.subject, self.searcher(cfg.subject, calls), calls, learns, cfg.wave)


def cells_of(cfg: DictConfig) -> list[Cell]:
    """Return every cell that a claim about `cfg.subject` needs, one judge after the other."""
    for name in ("model_seeds", "problems", "wave", "bootstrap"):
        if cfg[name] < 1:
            raise UserError(f"{name}: found {cfg[name]}, expected an integer >= 1")
    make = _Cells(cfg)
    return list(dict.fromkeys(cell for seed in range(cfg.model_seeds) for cell in _under(make, seed)))


def _under(make: _Cells, seed: int) -> Iterator[Cell]:
    cfg = make.cfg
    subject = cfg.subject
    for landscape in EXACT:
        yield make.one(landscape, 0.0, seed, subject, EXACT_CALLS)
        yield make.one(landscape, 0.0, seed, subject, GREEDY_CALLS)
        yield make.one(landscape, 0.0, seed, "greedy", GREEDY_CALLS)
    for calls in SKETCH_TARGETS:
        for landscape in NOISY:
            for search in (subject, *RIVALS):
                yield make.one(landscape, NOISE, seed, search, calls)
        yield make.one("sketch", NOISE, seed, subject, calls)
    for landscape in NOISY:
        yield make.one(landscape, NOISE, seed, "exhaustive", ALL_SETS)
    for landscape in ("published", "coverage", "additive"):  # more problems for (reported - true)
        yield make.one(landscape, NOISE, seed, subject, min(SKETCH_TARGETS))
    for search in make.needle:
        yield make.one("needle", 0.0, seed, search, NEEDLE_CALLS)
    if hasattr(make.searcher(subject, EXACT_CALLS), "fit"):
        for landscape in cfg.learning_landscapes:
            for calls in cfg.learning_calls:
                yield make.learning(landscape, seed, calls, learns=False)
                yield make.learning(landscape, seed, calls, learns=True)


def claim(cfg: DictConfig) -> float:
    """Run what the claims need, print them, write `claims.json`; return the share of claims that are met."""
    cells = cells_of(cfg)
    folder = Path(cfg.output_dir)
    parallel = build.build_parallel(cfg)
    names = list(_Cells(cfg).nodes)
    with CellJournal(folder, fingerprint_of(cfg, names, _NOT_IN_FINGERPRINT), cfg.resume) as journal:
        start_run(cfg, resumed=bool(journal.done))
        rows = run_cells(cells, journal, parallel)
    runs = pd.DataFrame(rows, columns=list(COLUMNS))
    runs.to_parquet(folder / RUNS, index=False)
    found = checks(runs, cfg.subject, cfg.bootstrap, cfg.seed)
    met, settled = count(found)
    title = (
        f"Claims about search={cfg.subject} (SIMULATED scores): {_ATTRIBUTES} attributes, budget {_BUDGET}, "
        f"{cfg.model_seeds} judges a landscape, {cfg.problems} people each"
    )
    console = Console()
    console.print(Text(title, style="bold"), *_tables(found), sep="\n")
    console.print(
        f"\n{met} of {settled} settled claims met; {len(runs):,} plans; all scores are SIMULATED. "
        f"open: fewer than {JUDGES} judges, too few people, or nothing to compare.",
        highlight=False,
    )
    (folder / MARKDOWN).write_text(markdown(title, found), encoding="utf-8")
    message = {"subject": cfg.subject, "judge_is_simulated": True, "checks": [c._asdict() for c in found]}
    (folder / FILE_NAME).write_text(json.dumps(message, indent=2) + "\n", encoding="utf-8")
    return met / settled if settled else 0.0


def _tables(found: list[ClaimCheck]) -> Iterator[RenderableType]:
    """Yield each claim and, below it, what was found where."""
    for claim, group in itertools.groupby(found, key=lambda check: check.claim):
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
        for width in (23, 29, 16, 7):
            table.add_column(width=width)
        for check in group:
            table.add_row(check.where, check.found, check.target, WORDS[check.met])
        yield Text(f"\n{claim}", style="bold")
        yield table


def markdown(title: str, found: list[ClaimCheck]) -> str:
    """Return the claims as a Markdown table."""
    lines = [f"# {title}", "", "| claim | where | found | target | |", "|---|---|---|---|---|"]
    lines += [f"| {c.claim} | {c.where} | {c.found} | {c.target} | {WORDS[c.met]} |" for c in found]
    return "\n".join(lines) + "\n"


main = entry_point("search_claims")(claim)

if __name__ == "__main__":
    main()
