"""Keys of the commands that rate answers, audit a judge and hold it against people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.runs.schema_fields import DRY_RUN, ScenariosConfig, key, output_dir


@dataclass
class JudgedAnswersConfig:
    """Keys of every command in which a judge rates answers."""

    seed: int = key("seed of a simulated judge's noise", 0)
    output_dir: str = output_dir()
    dry_run: bool = key(DRY_RUN, False)
    scenarios: ScenariosConfig = key("whom answers are for", ScenariosConfig)
    judge: Any = key("who rates answers")


@dataclass
class RateConfig(JudgedAnswersConfig):
    """Configuration of `python -m experiments.rate`."""

    answers: str | None = key(
        "JSON Lines or Parquet of scenario_id and answer; also the first argument", None
    )
    samples: int = key("looks of a stochastic judge at each answer", 1)
    rest: bool = key("the judge reads the whole profile; false: what a record lists as known alone", True)
    resume: bool = key("go on with the stopped run in output_dir", False)


@dataclass
class AuditConfig(JudgedAnswersConfig):
    """Configuration of `python -m experiments.audit`."""

    n_scenarios: int = key("scenarios that are asked about, evenly taken", 40)


@dataclass
class CalibrateConfig(JudgedAnswersConfig):
    """Configuration of `python -m experiments.calibrate`."""

    labels: str | None = key("JSON Lines or Parquet of scenario_id, answer and what people said", None)
    answers: str | None = key("all answers, of which some are labelled; null: the labelled ones alone", None)
    samples: int = key("looks of a stochastic judge at each answer", 1)
    level: float = key("level of the intervals", 0.95)


@dataclass
class LabelConfig:
    """Configuration of `python -m experiments.label`."""

    answers: str | None = key("JSON Lines or Parquet of scenario_id and answer", None)
    raters: list[str] = key("names of who labels; each gets a link, and all answers in an own order", [])
    people: int | None = key("answers about so many people, drawn at random, are labelled; null: all", None)
    seed: int = key("seed of the draw and of the orders", 0)
    port: int = key("port on this machine to serve the page at; 0: any", 8010)
    output_dir: str = key("folder of labels.jsonl; the same command goes on there", "outputs/labels")
    scenarios: ScenariosConfig = key("whom answers are for", ScenariosConfig)
