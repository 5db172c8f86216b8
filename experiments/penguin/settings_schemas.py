"""Schemas of the configurations of the commands about PENGUIN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.runs.schema_fields import (
    DRY_RUN,
    EMBEDDING,
    JUDGE,
    READING,
    ScenariosConfig,
    StoredPlansConfig,
    key,
    output_dir,
)

_SCENARIOS = "whose attributes and queries"


@dataclass
class GenerateScenariosConfig:
    """Configuration of `python -m experiments.generate_scenarios`."""

    people: int = key("profiles that are drawn, the 140 situations in turn", 1400)
    queries: int = key("queries of each", 10)
    seed: int = key("seed of profiles and queries", 0)
    attempts: int = key("times that somebody's queries are written, where some are thrown out", 5)
    reading: str | None = key(READING, None)
    output_dir: str = output_dir()
    dry_run: bool = key(DRY_RUN, False)
    profiles: Any = key("who makes the profiles")
    writer: Any = key("who writes the queries")
    reader: Any = key("who looks for told attributes in queries, beside the rules, which always do")
    embedding: Any = key("vectors by which near-duplicates are found")


@dataclass
class SensitivityConfig:
    """Configuration of `python -m experiments.sensitivity`."""

    seed: int = key("seed of the orders; a scenario's own follows from it and the scenario's id", 0)
    max_judge_calls: int = key("judge calls of each scenario, at most", 100)
    level: float = key("level of the intervals", 0.95)
    output_dir: str = output_dir()
    dry_run: bool = key(DRY_RUN, False)
    scenarios: ScenariosConfig = key(_SCENARIOS, ScenariosConfig)
    judge: Any = key(JUDGE)


@dataclass
class CheckScenariosConfig:
    """Configuration of `python -m experiments.check_scenarios`."""

    scenarios: ScenariosConfig = key(_SCENARIOS, ScenariosConfig)
    embedding: Any = key(EMBEDDING)


@dataclass
class BenchmarkModelsConfig(StoredPlansConfig):
    """Configuration of `python -m experiments.benchmark_models`."""

    models: list[str] = key("target models, each in turn: judge.target.model", [])
    variants: dict[str, Any] = key("further models: name -> keys of the judge, such as target.base_url", {})
    budget: int = key("questions that RAISE may ask", 4)
    single: list[str] = key("attributes that are revealed alone, each a condition", ["Emotional State"])
    protocols: list[str] = key("judge.protocol, each in turn, a table each; none: the judge's own", [])
    labels: str | None = key("what people said of answers (label's file): corrects the means by it", None)
    benign: str | None = key("scenario file of benign questions; null: a small one of the package", None)
    seed: int = key("seed of the judge's noise, where it is simulated", 0)
    samples: int = key("looks of a stochastic judge at each answer", 1)
    level: float = key("level of the intervals", 0.95)
    output_dir: str = output_dir()
    dry_run: bool = key(DRY_RUN, False)
    scenarios: ScenariosConfig = key(_SCENARIOS, ScenariosConfig)
    judge: Any = key(JUDGE)
