"""A key of a command's schema: its default and what it means, in one place that help and completion read.

Nothing here or in the schemas imports Hydra or OmegaConf: `--help` and completion have to be quick.
"""

from __future__ import annotations

import copy
from dataclasses import field
from typing import Any

MISSING: Any = "???"
"""What `omegaconf.MISSING` is: a key without a value."""


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
