"""How full the slots of a slow judge stay: `python -m experiments.benchmark_llm in_flight=64 latency_s=1`.

Plans scenarios in this process against the scripted server in another. Ideal is requests * latency / in
flight: every slot always taken, and no time for anything but waiting. Its verdicts are SIMULATED.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from envs import Scenario, UserError
from envs.judges.llm import LLMJudge
from envs.loading import load_scenarios
from experiments.console.entry_point import entry_point
from experiments.runs.config import check_counts
from experiments.runs.folders import start_run
from search.algorithms.mcts import MCTSSearch
from search.rollouts import plan

FILE_NAME = "benchmark_llm.json"


@dataclass(frozen=True)
class Throughput:
    """What a run took.

    Attributes
    ----------
    planned : scenarios
    requests : HTTP requests
    wall_s, ideal_s : seconds that passed, and requests * latency / in flight
    cpu_ms : milliseconds of CPU of this process for each request: client, judge, search and threads
    """

    planned: int
    requests: int
    wall_s: float
    ideal_s: float
    cpu_ms: float

    @property
    def share(self) -> float:
        """Throughput as a share of the ideal."""
        return self.ideal_s / self.wall_s

    @property
    def most_per_second(self) -> float:
        """Requests a second at which one core, which is all that a process has, is busy with them alone."""
        return 1000.0 / self.cpu_ms


@contextmanager
def scripted_server(latency_s: float) -> Iterator[str]:
    """Run the scripted server in a process of its own; yield its base URL."""
    command = [sys.executable, "-m", "envs.llm.scripted.scripted_server", "--latency", str(latency_s)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this interpreter
    with server:
        assert server.stdout is not None  # noqa: S101 - it is piped
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


class _Flat:
    """A judge that waits for nobody, and computes nothing in compiled code."""

    def score(self, scenario: Scenario, contexts: Sequence[tuple[str, ...]]) -> list[float]:
        """Return the same for all."""
        return [3.0] * len(contexts)


def measure(cfg: DictConfig) -> Throughput:
    """Plan the scenarios once, with an empty cache."""
    scenarios = load_scenarios(None, None, limit=cfg.n_scenarios).scenarios
    searcher = MCTSSearch(4 * cfg.judge_calls)
    with tempfile.TemporaryDirectory() as folder, scripted_server(cfg.latency_s) as url:
        judge = LLMJudge(
            "scripted", url, mode=cfg.mode, max_in_flight=cfg.in_flight, cache=f"{folder}/cache.sqlite"
        )
        judge.preflight(Path(folder), scenarios[0])  # connections and imports are there
        list(plan(scenarios[:1], _Flat(), searcher, cfg.budget, cfg.seed))  # and so is compiled code
        before, started, cpu = judge.spent.requests, time.perf_counter(), time.process_time()
        plans = list(
            plan(
                scenarios,
                judge,
                searcher,
                cfg.budget,
                cfg.seed,
                report_samples=cfg.report_samples,
                max_judge_calls=cfg.judge_calls,
            )
        )
        wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
        requests = judge.spent.requests - before
    ideal_s = requests * cfg.latency_s / cfg.in_flight
    return Throughput(len(plans), requests, wall_s, ideal_s, 1000.0 * cpu_s / requests)


def benchmark(cfg: DictConfig) -> None:
    """Measure, print, and write `benchmark_llm.json` into the output folder."""
    check_counts(cfg, "n_scenarios", "in_flight", "report_samples")
    check_counts(cfg, "judge_calls", least=2)
    if not cfg.latency_s > 0:
        raise UserError(f"latency_s: found {cfg.latency_s}, expected seconds > 0")
    if cfg.mode not in ("response", "direct"):
        raise UserError(f"mode: found {cfg.mode!r}, expected response or direct")
    folder = start_run(cfg)
    found = measure(cfg)
    Console().print(
        f"{found.planned} scenarios, {found.requests:,} requests of {cfg.latency_s:g} s, "
        f"{cfg.in_flight} in flight: {found.wall_s:.1f} s, ideal {found.ideal_s:.1f} s, "
        f"{100 * found.share:.0f} % of the ideal.\n"
        f"CPU {found.cpu_ms:.1f} ms a request: one process can send at most {found.most_per_second:.0f} a "
        f"second, the ideal is {cfg.in_flight / cfg.latency_s:.0f} a second. The judge is SIMULATED.",
        highlight=False,
    )
    row = {**asdict(found), "share": found.share, "most_per_second": found.most_per_second}
    (folder / FILE_NAME).write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")


main = entry_point("benchmark_llm")(benchmark)

if __name__ == "__main__":
    main()
