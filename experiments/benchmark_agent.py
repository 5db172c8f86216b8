"""How long one decision of the agent takes on this machine: `python -m experiments.benchmark_agent`.

A decision is what stands between a person's words and the next turn. The first (`start`) reads the query for
danger and for what it reveals, embeds it, retrieves, chooses and decides whether to stop; the later ones
(`reply`) choose and decide. CPU time of all threads together, warmed up, because machines are shared; with
OPENBLAS_NUM_THREADS=1 it is what one core takes.
Vectors and paths are made up: exact search takes the same time whatever is in them.
"""

from __future__ import annotations

import json
import platform
import resource
import time
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
from omegaconf import DictConfig
from rich import box
from rich.console import Console
from rich.table import Table

from envs import UserError
from envs.loading import load_scenarios
from experiments.console.entry_point import entry_point
from experiments.runs import build
from experiments.runs.folders import start_run
from policies import Agent, PlanIndex
from policies.embeddings import Embedding
from policies.retrieval import Index, digest_of
from search.path_table import PathTable

FILE_NAME = "benchmark_agent.json"
TARGET_MS = 5.0
"""p99 that a decision is expected to stay under at 14,000 stored paths, in milliseconds."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds of `decisions` decisions at `rows` stored paths; memory in MiB of the whole process."""

    rows: int
    kind: str
    decisions: int
    p50_ms: float
    p99_ms: float
    vectors_mib: float
    process_mib: float


def synthetic_plan_index(rows: int, embedding: Embedding, seed: int) -> PlanIndex:
    """Return an index of `rows` made-up paths of four questions under vectors drawn at random."""
    rng = np.random.default_rng(seed)
    base = PlanIndex.load(None, embedding)
    picks = rng.integers(len(base), size=rows)
    table = PathTable(base.table.table.take(pa.array(picks)), base.table.provenance)
    matrix = np.empty((rows, embedding.dim), dtype=np.float32)
    for start in range(0, rows, 1 << 16):
        part = rng.standard_normal(matrix[start : start + (1 << 16)].shape, dtype=np.float32)
        matrix[start : start + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    queries = table.table["query"].to_pylist()
    return PlanIndex(
        table, Index(embedding, matrix, digest_of(queries)), base.schema, "benchmark", base.trees
    )


def timings(agent: Agent, rows: int, decisions: int, seed: int) -> list[Timing]:
    """Hold conversations until `decisions` first and as many later decisions are made."""
    scenarios = [s for s in load_scenarios(None).scenarios if agent.detector.check(s.query) is None]
    order = np.random.default_rng(seed).integers(len(scenarios), size=decisions + 20)
    spent: dict[str, list[float]] = {"start": [], "reply": []}
    for i in order.tolist():
        scenario = scenarios[i]
        began = time.process_time()
        turn = agent.start(scenario.query)
        spent["start"].append(time.process_time() - began)
        while turn.kind == "ask":
            value = scenario.profile.get(turn.attribute or "")
            began = time.process_time()
            turn = agent.reply(value)
            spent["reply"].append(time.process_time() - began)
    vectors = agent.plan_index.index.matrix.nbytes / 2**20
    process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = []
    for kind, seconds in spent.items():
        kept = np.array(seconds[20:]) * 1e3  # the first ones warm caches
        low, high = (float(q) for q in np.percentile(kept, [50, 99])) if len(kept) else (np.nan, np.nan)
        found.append(Timing(rows, kind, len(kept), low, high, vectors, process))
    return found


def table(found: list[Timing]) -> Table:
    """Return the timings as a table."""
    shown = Table(title="One decision of the agent", box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("paths", "decision"):
        shown.add_column(name, no_wrap=True)
    for name in ("n", "p50 ms", "p99 ms", "target", "vectors", "process"):
        shown.add_column(name, justify="right", no_wrap=True)
    for t in found:
        shown.add_row(
            f"{t.rows:,}",
            t.kind,
            f"{t.decisions:,}",
            f"{t.p50_ms:.2f}",
            f"{t.p99_ms:.2f}",
            f"{TARGET_MS:g}" if t.rows <= 14_000 else "-",
            f"{t.vectors_mib:,.0f} MiB",
            f"{t.process_mib:,.0f} MiB",
        )
    return shown


def benchmark(cfg: DictConfig) -> None:
    """Measure, print, and write `benchmark_agent.json` into the output folder.

    Raises
    ------
    UserError
        a number of rows or decisions below 1.
    """
    sizes = [int(rows) for rows in cfg.rows]
    if cfg.decisions < 1 or not sizes or min(sizes) < 1:
        raise UserError("rows, decisions: expected integers >= 1")
    folder = start_run(cfg)
    embedding = build.build_embedding(cfg)
    found: list[Timing] = []
    for rows in sizes:
        agent = Agent(synthetic_plan_index(rows, embedding, cfg.seed), build.build_policy(cfg))
        found += timings(agent, rows, cfg.decisions, cfg.seed)
    console = Console()
    console.print(table(found))
    console.print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, "
        f"embedding {embedding.name} {embedding.version}, {embedding.dim} dimensions"
    )
    text = json.dumps({"timings": [asdict(t) for t in found]}, indent=2)
    (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")


main = entry_point("benchmark_agent")(benchmark)

if __name__ == "__main__":
    main()
