"""A key of a command's schema: its default and what it means, in one place that help and completion read.

Nothing here or in the schemas imports Hydra or OmegaConf: `--help` and completion have to be quick.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

MISSING: Any = "???"
"""What `omegaconf.MISSING` is: a key without a value."""

SCENARIOS, JUDGE = "whom is planned for", "who scores an answer given in a context"
DRY_RUN = "say what the run would take, and run nothing"
POLICY, EMBEDDING = "what to ask next and when to stop", "vectors by which similar queries are found"
READING = "YAML file of how the rules read answers; null: the package's"
"""Meanings of keys that several schemas have."""


def key(meaning: str, default: Any = MISSING, shown: str | None = None) -> Any:
    """Return the dataclass field of a key.

    Parameters
    ----------
    meaning : one line for `--help`
    default : its value where none is given; a dataclass: keys of its own
    shown : what help says of the default, where that is not the value itself
    """
    metadata = {"meaning": meaning, "shown": shown}
    if isinstance(default, type):
        return field(default_factory=default, metadata=metadata)
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: copy.copy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def output_dir() -> Any:
    """Return the field of `output_dir`, the same for all commands that write a run."""
    return key("folder of what the run writes", "${hydra:runtime.output_dir}", "outputs/DATE/TIME")


@dataclass
class ScenariosConfig:
    """Which scenarios."""

    path: str | None = key("a file, or folder, in any published layout; null: the bundled ones", None)
    mapping: str | None = key("YAML file of what the file's keys mean; null: they are matched loosely", None)
    attributes: str | None = key("YAML file of attributes; null: the ten of PENGUIN", None)
    limit: int | None = key("the first so many scenarios; null: all", None)
    split: str = key("train, test or all: a part of the people, never of their queries", "all")
    test_fraction: float = key("share of the people who are in test", 0.2)
    split_seed: int = key("seed of the split", 0)


@dataclass
class AgentConfig:
    """Keys of every command in which an agent asks; `--help` lists a command's own before them."""

    crisis: str | None = key("YAML file of signs of danger; null: the package's", None)
    reading: str | None = key(READING, None)
    scenarios: ScenariosConfig = key(SCENARIOS, ScenariosConfig)
    policy: Any = key(POLICY)
    embedding: Any = key(EMBEDDING)
    reader: Any = key("who reads what people write")
    detector: Any = key("who looks for acute danger; the rules always do")


@dataclass
class StoredPlansConfig(AgentConfig):
    """Keys of every command whose agent follows the plans of a file."""

    paths: str | None = key("run folder or Parquet file; null: the table of the package", None)
    index: str | None = key("file to keep the queries' vectors in", None)
