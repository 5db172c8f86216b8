"""Reading the editable files of the package: `data/crisis.yaml`, `data/reading.yaml`, or somebody's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from envs import UserError


def read_mapping(path: Path, holds: str, key: str) -> dict[str, Any]:
    """Return the mapping in the YAML file `path`.

    `holds`, `key`: what the file should hold and a key it should have, for the messages.

    Raises
    ------
    UserError
        one line: no such file, no YAML, or no mapping.
    """
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, expected {holds} (YAML)") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML ({type(error).__name__})") from None
    if not isinstance(table, dict):
        raise UserError(f"{path}: found a {type(table).__name__}, expected a mapping with `{key}`")
    return table
