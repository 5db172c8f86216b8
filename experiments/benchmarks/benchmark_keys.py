"""Schemas of the configurations of the commands that time things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.runs.schema_fields import EMBEDDING, POLICY, key, output_dir


@dataclass
class BenchmarkConfig:
    """Configuration of `python -m experiments.benchmark`."""

    simulations: int = key("simulations of one repeat, of each row", 20_000)
    repeats: int = key("repeats, of which the fastest counts", 5)
    seed: int = key("seed of the problem", 0)
    output_dir: str = output_dir()


@dataclass
class BenchmarkAgentConfig:
    """Configuration of `python -m experiments.benchmark_agent`."""

    rows: list[int] = key("stored paths, each number of them in turn", [14_000])
    decisions: int = key("decisions that are timed, of each kind", 1000)
    seed: int = key("seed of the made-up table", 0)
    output_dir: str = output_dir()
    policy: Any = key(POLICY)
    embedding: Any = key(EMBEDDING)


@dataclass
class BenchmarkLlmConfig:
    """Configuration of `python -m experiments.benchmark_llm`: the judge is the scripted server."""

    n_scenarios: int = key("scenarios that are planned", 100)
    in_flight: int = key("requests at one time", 64)
    latency_s: float = key("seconds after which the server answers", 1.0)
    mode: str = key("response or direct, as judge.mode", "direct")
    judge_calls: int = key("judge calls of a search", 60)
    report_samples: int = key("samples a path is reported on", 8)
    budget: int = key("questions that may be asked", 4)
    seed: int = key("seed of the searches", 0)
    output_dir: str = output_dir()
